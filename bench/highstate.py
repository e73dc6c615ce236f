"""
What a highstate of an app host costs when nothing is to be done, against Salt's own empty highstate on the same host.

``python3 bench/highstate.py`` (root). Everything is run alternately, and medians are compared: only ratios mean
anything. Measured is what the host itself spends; the master and Supervisor answer questions besides.
"""

import argparse
import re
import statistics
import time

import meter
import rivals
from labs import (
    APP_HOSTS,
    TREE,
    LabError,
    bench_lab,
    circumstances,
    median_of,
    orchestrate,
    run_alternating,
    say,
    table,
)

HOST = "web1"
PYTHON = "/opt/salt/bin/python"

# An empty highstate is one whose top file names one state that does nothing: same client, same master, same pillar.
EMPTY_ROOT = "/srv/bench"
EMPTY = {"bench-top.sls": "base: {'*': [bench-empty]}\n", "bench-empty.sls": "nothing:\n  test.nop\n"}
MASTER_CONF = f"file_roots: {{base: [/srv/slipway/salt, {EMPTY_ROOT}]}}\n"

# A configuration folder like /etc/salt, but with a signature under each message.
SIGNED = "/root/signed"

SECOND = "stall"
# Given, because by itself an app gets fewer where there is another one beside it: that would be a change.
SIZES = "    workers: 2\n    threads: 4\n"
SECOND_APP = """\
apps:
  stall:
    source: {git: git://10.213.11.2/shop.git}
    revision: v1
    domains: [stall.lab.test]
    settings: shop.settings.production
    wsgi: shop.wsgi:application
    health: {path: /healthz/}
    rollout: {watch: 0}
    config: {SECURE_SSL_REDIRECT: false}
"""
SECOND_SECRETS = {
    "secrets/stall.sls": "secrets: {stall: {SECRET_KEY: fake}}\n",
    "secrets/stall_database.sls": "passwords: {database: {stall: fake}}\n",
    "secrets/stall_cache.sls": "passwords: {cache: {stall: fake}}\n",
}


def prepare(lab):
    """Provision the lab, deploy the example twice, as `shop` and as another app, and put everything else in place."""
    root = lab.root("master")
    (root / EMPTY_ROOT.lstrip("/")).mkdir(exist_ok=True)
    for name, text in EMPTY.items():
        (root / EMPTY_ROOT.lstrip("/") / name).write_text(text)
    (root / "etc/salt/master.d/bench.conf").write_text(MASTER_CONF)
    lab.run("master", ["systemctl", "restart", "salt-master"])
    wait_for_minions(lab)
    shop = lab.folder / "pillar/apps/shop.sls"
    shop.write_text(shop.read_text().replace("  shop:\n", f"  shop:\n{SIZES}"))
    have_apps(lab, 2)
    say(f"provisioned in {orchestrate(lab, 'orch.provision'):.0f} s")
    for app in ("shop", SECOND):
        say(f"{app} deployed in {orchestrate(lab, 'orch.deploy', app=app, revision='v1'):.0f} s")
    lab.run(HOST, ["cp", "-a", "/etc/salt", SIGNED])
    lab.run(HOST, ["tee", f"{SIGNED}/minion.d/signed.conf"], input="minion_sign_messages: True\n")


def wait_for_minions(lab, timeout=60):
    """Return when the hosts answer the master that was started again."""
    end = time.monotonic() + timeout
    hosts = ["lb1", *APP_HOSTS, "db1"]
    while lab.salt("salt", "-t", "3", "-L", ",".join(hosts), "test.ping", check=False).returncode:
        if time.monotonic() > end:
            raise LabError(f"not all of {', '.join(hosts)} answer after {timeout} seconds")


def have_apps(lab, count):
    """Write the lab's own copy of the pillar, with the example alone or with another app beside it."""
    pillar = lab.folder / "pillar"
    more = ["apps.stall"] if count == 2 else []
    (pillar / "apps/stall.sls").write_text(SECOND_APP + SIZES)
    (pillar / "apps/init.sls").write_text(f"include: {['apps.shop', *more]}\n")
    for name, text in SECOND_SECRETS.items():
        (pillar / name).write_text(text)


def salt_run(lab, *arguments, apps=1):
    """A function that measures ``salt-call ...`` on the host with so many apps; it fails unless nothing changes."""

    def measure():
        have_apps(lab, apps)
        result = meter.cost(lab.host(HOST).argv(["salt-call", *arguments]))
        if "changed=" in result["output"]:
            raise RuntimeError(f"something changed:\n{result['output'][-3000:]}")
        return result

    return measure


def rival_run(lab, argv):
    """A function that measures a rival; it fails unless nothing changes, after the first time."""
    meter.cost(lab.host(HOST).argv(argv))

    def measure():
        result = meter.cost(lab.host(HOST).argv(argv))
        if not rivals.nothing_changed(result["output"]):
            raise RuntimeError(f"something changed:\n{result['output'][-3000:]}")
        return result

    return measure


def full_loads(lab):
    """How often a highstate of the host imports all modules of a kind, as full_loads.py counts."""
    script = (TREE / "bench/full_loads.py").read_text()
    done = lab.run(HOST, [PYTHON, "-", "state.apply"], input=script)
    return int(re.search(r"^full loads: (\d+)", done.stdout, re.MULTILINE)[1])


def measures(lab):
    """``{what: a function that measures it}``."""
    top = ("state.top", "bench-top.sls")
    signed = ("--config-dir", SIGNED)
    return {
        "Salt, empty highstate": salt_run(lab, *top),
        "Slipway, highstate": salt_run(lab, "state.apply"),
        "Slipway, one more app": salt_run(lab, "state.apply", apps=2),
        "Salt, empty highstate, messages signed": salt_run(lab, *signed, *top),
        "Slipway, highstate, messages signed": salt_run(lab, *signed, "state.apply"),
        "Slipway, one more app, messages signed": salt_run(lab, *signed, "state.apply", apps=2),
        "pyinfra, @local": rival_run(lab, rivals.DEPLOY),
        "Ansible, local": rival_run(lab, rivals.PLAYBOOK),
    }


def report(results, unit):
    """Print the table of ratios, and what one more app costs; ``unit`` is what is compared."""
    medians = {name: median_of(found, unit) for name, found in results.items()}
    empty = medians["Salt, empty highstate"]
    scale = 1e9 if unit == "instructions" else 1
    head = ("no-op run on web1", "10^9 instructions" if scale > 1 else "CPU s", "ratio", "spread", "CPU s", "wall s")
    table(head, [row(name, found, unit, empty, scale) for name, found in results.items()])
    for kind in ("", ", messages signed"):
        one, two = results[f"Slipway, highstate{kind}"], results[f"Slipway, one more app{kind}"]
        ratio = median_of(one, unit) / median_of(results[f"Salt, empty highstate{kind}"], unit)
        part = median_of(two, unit) / median_of(one, unit) - 1
        say(f"against empty{kind}: {ratio:.2f}; one more app: {part * median_of(one, 'cpu') * 1000:.0f} ms of CPU")


def row(name, found, unit, empty, scale):
    """The line of the table for one thing that was measured."""
    values = [result[unit] for result in found]
    middle = statistics.median(values)
    spread = f"±{(max(values) - min(values)) / middle * 50:.0f} %"
    cpu, wall = (f"{median_of(found, key):.2f}" for key in ("cpu", "wall"))
    return name, f"{middle / scale:.2f}", f"{middle / empty:.2f}", spread, cpu, wall


def main():
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often everything is run (default: 7)")
    rounds = parser.parse_args().rounds
    with bench_lab() as lab:
        prepare(lab)
        versions = rivals.install(lab, HOST)
        results = run_alternating(measures(lab), rounds)
        loads = full_loads(lab)
    circumstances()
    say(", ".join(re.findall(r"^(?:ansible-core|pyinfra)==\S+", versions, re.MULTILINE)))
    report(results, "instructions" if meter.instructions_are_counted() else "cpu")
    say(f"full loads of the loader in a highstate of {HOST}: {loads}")


if __name__ == "__main__":
    main()
