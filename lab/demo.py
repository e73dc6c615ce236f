"""The demo: the hosts of the inventory, set up and serving the example project, by two orchestrations."""

import contextlib
import json
import time
import urllib.request

from lab import inventory
from lab.system import LabError, tail

APP = "shop"

# orchestration, its pillar, what it does, where its raw output goes
ACTS = (
    ("orch.provision", {}, "set up every host: database, app hosts, balancer", "provision.log"),
    ("orch.deploy", {"app": APP, "revision": "v1"}, "deploy the example project, v1", "deploy.log"),
)

NEXT = """
The shop is at {url} for this machine. What next?

  the next release; reload the page meanwhile: no request fails
    {master} salt-run rollout.deploy {app} v2
  a release that starts but is ill: it never gets a visitor. The same with broken-health
  back again
    {master} salt-run rollout.rollback {app}
  what each host serves, since when, and what was tried
    {master} salt-run rollout.status
    {master} salt-run rollout.history {app}
  look around on a host ({hosts})
    {lab} exec web1 -- bash
  end it all
    make demo-down
"""


def run(lab):
    """Bring the demo up, or show the one that is; returns the exit code."""
    begin = time.monotonic()
    lab.up()
    site = Site(lab)
    if not site.release():
        for act in ACTS:
            perform(lab, *act)
    release = site.release()
    if not release:
        raise LabError(f"{site.url} does not answer: python3 -m lab exec web1 -- supervisorctl status")
    lab.steps.report("demo", f"serves release {release}", time.monotonic() - begin)
    lab.steps.say(f"\n$ curl {site.url}/healthz/\n{site.health()}")
    program = "sudo python3 -m lab"
    words = {"url": f"{site.url}/", "app": APP, "lab": program, "master": f"{program} exec master --"}
    lab.steps.say(NEXT.format(**words, hosts=", ".join(lab.hosts())))
    return 0


class Site:
    """The example's site, as a visitor on this machine reaches it: by the address of the first balancer."""

    def __init__(self, lab):
        balancers = inventory.with_role(lab.pillar, "balancer")
        if not balancers:
            raise LabError("the demo needs a host with the role balancer in hosts.yaml")
        self.url = f"http://{lab.host(balancers[0]).address}"

    def health(self):
        """What /healthz/ says; "" when nobody answers it."""
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz/", timeout=5) as answer:
            return answer.read().decode()
        return ""

    def release(self):
        """The id of the release that serves; "" when none does."""
        with contextlib.suppress(ValueError):
            return json.loads(self.health())["release"]
        return ""


def perform(lab, orchestration, pillar, what, log):
    """Run an orchestration on the master, and report its steps; raises LabError with the reasons when it fails."""
    lab.steps.say(f"{'master':<10} {orchestration}: {what} ...")
    argv = ["salt-run", "--out=json", "state.orchestrate", orchestration]
    done = lab.salt(*argv, *([f"pillar={json.dumps(pillar)}"] if pillar else []), check=False, timeout=1800)
    raw = lab.folder / log
    raw.write_text(done.stdout + done.stderr)
    results = steps_of(done.stdout)
    for result in results:
        lab.steps.report(*line_of(result))
    if done.returncode or not results:
        reasons = "\n".join(result["comment"] for result in results if result["result"] is False)
        raise LabError(f"{orchestration} failed; all of it is in {raw}\n{reasons or tail(done.stdout + done.stderr)}")


def steps_of(output):
    """The results of an orchestration's steps, in the order in which they ran, from ``salt-run --out=json``."""
    try:
        data = json.loads(output[output.index("{") :])["data"]
        (results,) = data.values()
        return sorted(results.values(), key=lambda result: result["__run_num__"])
    except (ValueError, KeyError, AttributeError, TypeError):
        return []


def line_of(result):
    """(where, what, seconds) of one step: hosts by name when there are few."""
    returned = (result["changes"] or {}).get("ret") or {}
    where = " ".join(sorted(returned)) if 0 < len(returned) <= 2 else "master" if not returned else "all"
    state = {True: "", None: " (would change)", False: " FAILED"}[result["result"]]
    return where, f"{result['__id__']}{state}", result.get("duration", 0) / 1000
