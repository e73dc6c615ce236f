"""Hosts that apply their states by themselves: three app hosts, one of them also the database's."""

import contextlib
import re

import pytest
from conftest import MATRIX, RATE, Site, changed, failed, own_pillar, wait_for
from test_docs import commands, missing, run

from lab import Lab

NET = "10.213.15"
HOSTS = ("web1", "web2", "web3")
ADDRESSES = {host: f"{NET}.{number}" for number, host in enumerate(HOSTS, 11)}
INVENTORY = f"""
web1: {{address: {NET}.11, roles: [app, database], max_connections: 300}}
web2: {{address: {NET}.12, roles: [app]}}
web3: {{address: {NET}.13, roles: [app]}}
"""


class Pulling(Site):
    """The hosts as operators and visitors see them; ``pillar`` is the folder of the lab's pillar."""

    def __init__(self, lab, pillar):
        super().__init__(lab)
        self.pillar = pillar

    def want(self, revision="v1", pull="{every: 6h}", watch=3):
        """Change the pillar, as an operator does. No timer comes in between, unless a test wants one."""
        app = self.pillar / "apps/shop.sls"
        text = re.sub(r"revision: .*", f"revision: {revision}", app.read_text())
        # In its first seconds a release that three hosts start at once on two cores is slow; test_watch.py has releases
        # that are slow by themselves.
        app.write_text(re.sub("rollout: .*", f"rollout: {{watch: {watch}, slowdown: 1000}}", text))
        init = self.pillar / "apps/init.sls"
        init.write_text("include:\n  - apps.shop\n" + (f"pull: {pull}\n" if pull else ""))

    def pull(self, *hosts):
        """Pulls that begin in the same second; returns once all have ended."""
        before = {host: self.ended(host) for host in hosts}
        for host in hosts:
            self.lab.run(host, ["systemctl", "start", "--no-block", "slipway-pull"])
        wait_for(lambda: all(self.ended(host) > before[host] for host in hosts), 180)

    def ended(self, host):
        """How many pulls of a host have ended."""
        return len(re.findall("^(?:done|failed) after", self.journal(host), re.MULTILINE))

    def is_pulling(self, host):
        state = self.lab.run(host, ["systemctl", "is-active", "slipway-pull"], check=False).stdout.strip()
        return state in ("active", "activating")

    def journal(self, host):
        return self.lab.run(host, ["journalctl", "-u", "slipway-pull", "-o", "cat"]).stdout

    def forget(self):
        for host in HOSTS:
            self.lab.run(host, ["journalctl", "--rotate"])
            self.lab.run(host, ["journalctl", "--vacuum-time=1s"])

    def serving(self):
        return {host: self.health(address)["release"] for host, address in ADDRESSES.items()}


@pytest.fixture(scope="module")
def pulling(tmp_path_factory):
    pillar = own_pillar(tmp_path_factory.mktemp("pulling") / "pillar", INVENTORY, NET)
    lab = Lab(name="pulltest", pillar=pillar, prefix=NET)
    try:
        site = Pulling(lab, pillar)
        site.want("v1")
        lab.up()
        yield site
    finally:
        lab.down()


@pytest.fixture(scope="module")
def provisioned(pulling):
    """Nobody has deployed anything: the hosts have come for what the pillar says."""
    done = pulling.provision()
    assert done.returncode == 0, done.stdout[-6000:]
    return pulling


@contextlib.contextmanager
def users(site):
    """Users on each host; they must not notice anything."""
    with site.loads(ADDRESSES, rate=RATE * 0.3) as met:
        yield
    assert {host: summary["failures"] for host, summary in met.items()} == dict.fromkeys(HOSTS, [])


def test_an_app_that_was_never_deployed_has_the_revision_of_the_pillar(provisioned):
    assert provisioned.serving() == dict.fromkeys(HOSTS, provisioned.commit("v1"))
    assert not (provisioned.ledger() or {}).get("deployed")


def test_a_host_that_pulls_is_as_its_states_say(provisioned):
    for host in HOSTS:
        assert changed(provisioned.apply(host, "test=True")) == set()
        again = provisioned.apply(host)
        assert (failed(again), changed(again)) == ({}, set())


def test_a_release_that_lost_the_traffic_is_not_tried_again(provisioned):
    site = provisioned
    # It serves well for 5 seconds.
    site.want("dies", watch=8)
    site.forget()
    site.pull("web3")
    assert "the traffic went back to where it was" in site.journal("web3")
    site.forget()
    with users(site):
        site.pull("web3")
    assert f"release {site.commit('dies')} had the traffic of this host and lost it at " in site.journal("web3")
    assert site.serving() == dict.fromkeys(HOSTS, site.commit("v1"))
    site.want("v1")
    site.pull("web3")
    assert changed(site.apply("web3")) == set()


def test_three_hosts_that_pull_at_once_end_on_one_release_with_one_migration_and_no_failed_request(provisioned):
    provisioned.forget()
    provisioned.want("v2")
    with users(provisioned):
        provisioned.pull(*HOSTS)
    journals = {host: provisioned.journal(host) for host in HOSTS}
    assert provisioned.serving() == dict.fromkeys(HOSTS, provisioned.commit("v2")), journals
    assert [journal.count("changed: shop-migrated") for journal in journals.values()].count(1) == 1, journals
    assert all("FAILED" not in journal for journal in journals.values())


def test_a_push_after_a_pull_and_a_pull_after_a_push_agree(provisioned):
    with users(provisioned):
        provisioned.must_deploy("tweak")
        provisioned.forget()
        provisioned.pull(*HOSTS)
    assert provisioned.serving() == dict.fromkeys(HOSTS, provisioned.commit("tweak"))
    journals = [provisioned.journal(host) for host in HOSTS]
    assert [("done after" in journal, "changed: " in journal) for journal in journals] == [(True, False)] * len(HOSTS)


def test_a_host_without_its_master_heals_what_needs_neither_release_nor_secret_and_goes_on_serving(provisioned):
    site = provisioned
    site.lab.cut("master")
    try:
        stopped = ("nginx", "supervisor", "postgresql")
        site.lab.run("web1", ["systemctl", "stop", *stopped])
        site.lab.run("web1", ["sh", "-c", "echo '# by hand' >>/etc/nginx/nginx.conf"])
        site.lab.run("web1", ["sh", "-c", "echo '# by hand' >>/etc/nginx/sites/shop.conf"])
        site.forget()
        site.pull("web1")
        journal = site.journal("web1")
        assert "no master is reached" in journal
        assert "changed: nginx-config" in journal
        site.lab.run("web1", ["systemctl", "is-active", *stopped])
        assert site.health(ADDRESSES["web1"])["release"] == site.commit("tweak")
        assert "by hand" in site.lab.run("web1", ["cat", "/etc/nginx/sites/shop.conf"]).stdout
    finally:
        site.lab.join("master")
    wait_for(lambda: site.salt(HOSTS, "test.ping", timeout=5) == dict.fromkeys(HOSTS, True), 60)
    site.pull("web1")
    assert "by hand" not in site.lab.run("web1", ["cat", "/etc/nginx/sites/shop.conf"]).stdout


# Ends as soon as the pull's Salt is at its states.
APPLIES = "until grep --quiet --no-messages state.apply /var/cache/salt/minion/proc/*; do sleep 0.02; done"


@pytest.mark.skipif(not MATRIX, reason="make matrix runs it: it waits until the pull gives the master up")
def test_a_pull_whose_master_goes_away_in_the_middle_ends_and_goes_on_without_it(provisioned):
    site = provisioned
    site.forget()
    site.lab.run("web1", ["sh", "-c", "echo '# by hand' >>/etc/nginx/nginx.conf"])
    ended = site.ended("web1")
    site.lab.run("web1", ["systemctl", "start", "--no-block", "slipway-pull"])
    # What the state run needs of the master it asks for from now on.
    site.lab.run("web1", ["timeout", "60", "sh", "-c", APPLIES])
    site.lab.cut("master")
    try:
        wait_for(lambda: site.ended("web1") > ended, 200)
        journal = site.journal("web1")
        assert "the master went away meanwhile" in journal
        assert "changed: nginx-config" in journal
        assert site.health(ADDRESSES["web1"])["release"] == site.commit("tweak")
    finally:
        site.lab.join("master")
    wait_for(lambda: site.salt(HOSTS, "test.ping", timeout=5) == dict.fromkeys(HOSTS, True), 60)


def test_every_command_of_the_page_does_what_it_says(provisioned):
    for command in commands("docs/pull.md"):
        done = run(provisioned, command)
        assert bool(done.returncode) == command.fails, done.stdout + done.stderr
        assert missing(command, done) == [], done.stdout + done.stderr


def test_the_timer_pulls_by_itself_until_the_pillar_wants_none(provisioned):
    site = provisioned
    site.want("tweak", pull="{every: 2s}")
    site.forget()
    assert failed(site.apply("web3")) == {}
    wait_for(lambda: site.ended("web3") > 1, 60)
    site.want("tweak", pull="")
    wait_for(lambda: not site.is_pulling("web3"), 60)
    predicted, done = site.apply("web3", "test=True"), site.apply("web3")
    assert changed(predicted) == changed(done) == {"pull-left", "pull-left-units"}
    assert changed(site.apply("web3")) == set()
    assert site.lab.run("web3", ["systemctl", "is-active", "slipway-pull.timer"], check=False).returncode
