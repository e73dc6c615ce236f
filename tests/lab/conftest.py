"""
A lab of its own for the tests (other names and addresses than the demo's, so that both can run), and the helpers that
read Salt's answers. Everything is real: systemd, master and minions, PostgreSQL, Nginx, Supervisor, Gunicorn.
"""

import contextlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
sys.path.insert(0, str(TREE))
from salt_commands import SaltCommands  # noqa: E402
from tests.certificates import self_signed  # noqa: E402

from lab import Lab, inventory  # noqa: E402

# `make matrix` tries everything, under the whole load of lab.load. Without it users ask half as often: with 58 requests
# a second instead of 117 a deploy has the other half of the two cores that all hosts share.
MATRIX = bool(os.environ.get("SLIPWAY_MATRIX"))
RATE = 1.0 if MATRIX else 0.5
matrix = pytest.mark.skipif(not MATRIX, reason="make matrix runs it")
TEST_NET = "10.213.8"
BALANCER = f"{TEST_NET}.10"
SITE = "shop.lab.test"
APP_HOSTS = ("web1", "web2")
HOSTS = ("db1", "web1", "web2", "lb1")
ADDRESSES = {"web1": f"{TEST_NET}.11", "web2": f"{TEST_NET}.12"}
CERTIFICATES = f"/etc/letsencrypt/live/{SITE}"
TLS = {"certificate": f"{CERTIFICATES}/fullchain.pem", "key": f"{CERTIFICATES}/privkey.pem"}

# A release is watched for a second, in which it may be slow: its start has just taken the cores that all hosts share.
# test_deploy.py has one that is watched as in the demo, test_watch.py those that users fare worse with.
ROLLOUT = {"watch": 1, "slowdown": 1000}


class Site:
    """The lab as an operator and a visitor see it."""

    def __init__(self, lab):
        self.lab = lab
        self.commands = SaltCommands(lab)

    def salt(self, hosts, function, *arguments, timeout=300):
        """``salt -L hosts function ...`` -> {host: return}."""
        targets = ",".join([hosts] if isinstance(hosts, str) else hosts)
        argv = ["salt", "--out=json", "--static", "-t", str(timeout), "-L", targets, function, *arguments]
        done = self.commands.run(argv, timeout + 60)
        return json.loads(done.stdout[done.stdout.index("{") :])

    def apply(self, host, *arguments):
        """The host's highstate -> {state id: its result}."""
        return self.apply_all([host], *arguments)[host]

    def apply_all(self, hosts, *arguments):
        """The highstates of hosts, at the same time -> {host: {state id: its result}}."""
        return {host: by_id(states) for host, states in self.salt(hosts, "state.apply", *arguments).items()}

    def run_runner(self, *arguments, timeout=600):
        """``salt-run ...``, as it is."""
        return self.commands.run(["salt-run", *arguments], timeout)

    def provision(self):
        return self.run_runner("state.orchestrate", "orch.provision")

    def deploy(self, revision):
        pillar = json.dumps({"app": "shop", "revision": revision})
        return self.run_runner("state.orchestrate", "orch.deploy", f"pillar={pillar}")

    def must_deploy(self, revision):
        done = self.deploy(revision)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        return done

    def maintain(self, on, **pillar):
        pillar = json.dumps({"app": "shop", "on": on, **pillar})
        done = self.run_runner("state.orchestrate", "orch.maintenance", f"pillar={pillar}")
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

    def ledger(self):
        done = self.run_runner("ledger.show", "shop", "--out=json")
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def rollout(self, **keys):
        """Another ``rollout`` in the shop's pillar, for as long as the block runs."""
        file = self.lab.folder / "pillar/apps/shop.sls"
        before = file.read_text(encoding="utf-8")
        file.write_text(re.sub("rollout: .*", f"rollout: {json.dumps(keys)}", before), encoding="utf-8")
        try:
            yield
        finally:
            file.write_text(before, encoding="utf-8")

    def release_of(self, host):
        """The id that a host serves at its own front door."""
        return self.health(ADDRESSES[host])["release"]

    def health(self, address=BALANCER):
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "10", "-H", f"Host: {SITE}", f"http://{address}/healthz/"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def commit(self, revision):
        """The release id that a revision of the example has."""
        return self.release(revision)["id"]

    def release(self, revision):
        """What the pillar of a deploy says about a revision of the example."""
        done = self.lab.run("master", ["git", "-C", "/srv/git/shop.git", "rev-parse", f"{revision}^{{commit}}"])
        commit = done.stdout.strip()
        return {"id": commit[:12], "commit": commit, "revision": revision}

    def certify(self, host):
        """Put a certificate, another one each time, where the pillar of the tests says that it is."""
        self.lab.run(host, ["mkdir", "-p", CERTIFICATES])
        self.lab.run(host, self_signed(CERTIFICATES, SITE))

    @contextlib.contextmanager
    def load(self, rate=RATE, scheme="http", options=()):
        """Users on the site for as long as the block runs; yields a dict that holds the summary afterwards."""
        with self.loads({"site": BALANCER}, rate, options, scheme) as summaries:
            yield summaries["site"]

    def renew(self, host):
        """Replace a host's certificate as certbot does; returns once visitors see the new one."""
        self.certify(host)
        self.lab.run(host, ["/etc/letsencrypt/renewal-hooks/deploy/slipway"])
        new = self.lab.run(host, ["cat", TLS["certificate"]]).stdout
        end = time.monotonic() + 10
        while ssl.get_server_certificate((ADDRESSES.get(host, BALANCER), 443)) != new:
            assert time.monotonic() < end, f"{host} shows another certificate than it has"
            time.sleep(0.1)

    @contextlib.contextmanager
    def loads(self, addresses, rate=RATE, options=(), scheme="http"):
        """The same for several addresses, each with users of its own: {name: address} -> {name: summary}."""
        options = ["--host", SITE, "--seconds", "600", "--rate", str(rate), *options]
        users = {name: _users(f"{scheme}://{address}", options) for name, address in addresses.items()}
        summaries = {name: {} for name in users}
        try:
            yield summaries
        finally:
            for crowd in users.values():
                crowd.terminate()
            for name, crowd in users.items():
                summaries[name].update(json.loads(crowd.communicate(timeout=60)[0]))
            if any(summary["failed"] for summary in summaries.values()):
                self.tell_tracebacks()

    def tell_tracebacks(self):
        """Print the last tracebacks of the app on each host, which pytest shows beside a test that fails."""
        for host in self.lab.hosts():
            script = "grep --no-filename --after-context=40 Traceback /var/log/shop/*.log 2>/dev/null | tail -60"
            print(f"{host}: {self.lab.run(host, ['sh', '-c', script], check=False).stdout}")


def _users(url, options):
    # Before all hosts of the lab, which share the cores with them: users have their own.
    argv = ["nice", "--adjustment=-10", sys.executable, "-m", "lab.load", url, *options]
    return subprocess.Popen(argv, cwd=TREE, stdout=subprocess.PIPE, text=True)


def own_pillar(folder, hosts, net):
    """A copy of the tree's pillar, in ``folder``, for a lab with other hosts in a network of its own."""
    shutil.copytree(TREE / "pillar", folder)
    (folder / "hosts.yaml").write_text(hosts)
    app = folder / "apps/shop.sls"
    app.write_text(inventory.moved(app.read_text(), "10.213.7", net))
    return folder


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.5)


def by_id(states):
    """Salt's raw state return -> {id: result}; a render error (a list of strings) fails the test that met it."""
    assert isinstance(states, dict), states
    return {result["__id__"]: result for result in states.values()}


def changed(results):
    return {name for name, result in results.items() if result["changes"] or result["result"] is None}


def failed(results):
    return {name: result["comment"] for name, result in results.items() if result["result"] is False}


def _make_room(lab):
    """Let the database take more: an ASGI server holds as many connections as requests are at work, in both slots."""
    hosts = lab.folder / "pillar/hosts.yaml"
    text = hosts.read_text(encoding="utf-8")
    hosts.write_text(text.replace("roles: [database, ", "max_connections: 300, roles: [database, "), encoding="utf-8")


@pytest.fixture(scope="session")
def site():
    lab = Lab(name="labtest", prefix=TEST_NET)
    was_up = bool(lab.hosts())  # by hand, to try something out: then it stays
    try:
        lab.up()
        _make_room(lab)
        found = Site(lab)
        with found.rollout(**ROLLOUT):
            yield found
    finally:
        if not was_up:
            lab.down()


@pytest.fixture(scope="session")
def first_runs(site):
    """Each host's very first highstate: what test=True said of it, and what it then did; {host: results} of both."""
    site.salt(HOSTS, "saltutil.sync_all")
    return site.apply_all(HOSTS, "test=True"), site.apply_all(HOSTS)


@pytest.fixture(scope="session")
def provisioned(site, first_runs):
    done = site.provision()
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return site


@pytest.fixture
def serving_v1(provisioned):
    """v1 on both hosts, by a deploy unless it is there already."""
    if (provisioned.ledger() or {}).get("deployed", {}).get("revision") != "v1":
        provisioned.must_deploy("v1")
    return provisioned
