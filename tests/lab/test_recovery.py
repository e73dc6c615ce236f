"""Hosts that lose their power, and deploys that are cut short: users are served, and a re-run heals."""

import json
import time

import pytest
from conftest import APP_HOSTS, MATRIX, ROLLOUT, TEST_NET, by_id, changed, matrix, wait_for


@pytest.fixture(scope="module", autouse=True)
def impatient(site):
    """
    Hosts that go back by themselves after 20 seconds without an answer of the master, not 60: tests wait for it. It
    costs two commands of Salt every 10 seconds on each host, until the deploy is over.
    """
    with site.rollout(**ROLLOUT, confirm=20):
        yield


def serves(site, host, revision):
    try:
        return site.release_of(host) == site.commit(revision)
    except (AssertionError, ValueError):
        return False


def programs(site, host):
    found = site.salt(host, "supervisor.programs")[host]
    return {name: program["state"] for name, program in found.items()}


def test_a_host_that_lost_its_power_serves_its_release_again_and_nothing_else(serving_v1):
    site = serving_v1
    active = site.salt("web2", "slots.serving", "shop")["web2"]["slot"]
    site.lab.kill("web2")
    site.lab.boot("web2")
    wait_for(lambda: serves(site, "web2", "v1"), 60)
    states = programs(site, "web2")
    assert {name for name, state in states.items() if state in ("RUNNING", "STARTING")} == {f"shop-{active}"}


def test_users_are_served_by_the_other_host_while_one_has_no_power(serving_v1):
    site = serving_v1
    site.lab.kill("web1")
    try:
        time.sleep(1)
        served = [site.health()["release"] for _ in range(20)]
        assert set(served) == {site.commit("v1")}
    finally:
        site.lab.boot("web1")
    wait_for(lambda: serves(site, "web1", "v1"), 60)


def test_a_deploy_with_a_host_that_is_off_is_refused_and_names_the_host(serving_v1):
    site = serving_v1
    site.lab.cut("web2")
    try:
        done = site.deploy("v2")
    finally:
        site.lab.join("web2")
    assert done.returncode == 1
    assert "web2: it does not answer" in done.stdout
    wait_for(lambda: serves(site, "web2", "v1"), 60)
    assert serves(site, "web1", "v1")


# A name server that hears every question and answers none.
SILENT = "import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 53)); time.sleep(60)"


def test_a_host_whose_name_server_is_silent_answers_late_and_is_not_taken_for_one_that_is_off(serving_v1):
    lab = serving_v1.lab
    before = lab.run("web1", ["cat", "/etc/resolv.conf"]).stdout
    point = ["sh", "-c", 'printf "%s" "$1" >/etc/resolv.conf', "sh"]
    lab.run("db1", ["systemd-run", "--quiet", "--unit=silent-dns", "--collect", "python3", "-c", SILENT])
    try:
        lab.run("web1", [*point, f"nameserver {TEST_NET}.21\n"])
        # As a deploy asks it first, in the time that the master's configuration gives a host.
        began = time.monotonic()
        done = serving_v1.commands.run(["salt", "web1", "saltutil.refresh_pillar", "wait=True"], 60)
        lasted = time.monotonic() - began
    finally:
        lab.run("web1", [*point, before])
        lab.run("db1", ["systemctl", "stop", "silent-dns"])
    assert (done.returncode, done.stdout.split()) == (0, ["web1:", "True"])
    # glibc asks two times for 5 seconds: sooner, and the name server was not silent.
    assert lasted > 10


def begin_deploy(site, revision):
    """Deploy as a process of its own on the master, that can be killed."""
    # What the one before has told.
    site.lab.run("master", ["rm", "--force", "/var/log/deploy"])
    command = f"""exec salt-run rollout.deploy shop {revision} >/var/log/deploy 2>&1"""
    site.lab.run("master", ["systemd-run", "--unit=slipway-deploy", "--collect", "sh", "-c", command])


def end(site, signal):
    site.lab.run("master", ["systemctl", "kill", f"--signal={signal}", "slipway-deploy"])


def kill_when_told(site, words):
    """Kill the deploy as soon as it has shown a line: half a second after the last host it is recorded."""
    wait = 'until grep --quiet "$1" /var/log/deploy; do sleep 0.02; done; systemctl kill --signal=KILL slipway-deploy'
    site.lab.run("master", ["timeout", "60", "sh", "-c", wait, "sh", words])


def has_ended(site):
    return site.lab.run("master", ["systemctl", "is-active", "--quiet", "slipway-deploy"], check=False).returncode != 0


def told(site, words):
    """Whether the deploy that was begun has shown a line so far."""
    shown = site.lab.run("master", ["cat", "/var/log/deploy"], check=False).stdout
    return words in shown


def deployed(site, revision):
    return all(serves(site, host, revision) for host in APP_HOSTS)


# What the deploy has told when it is killed, or its master.
KILLED = ("stage web1: begun", "migrate web1: done", "activate-1 web1: done", "activate-2 web2: done")


@pytest.mark.parametrize("phase", KILLED if MATRIX else ["activate-1 web1: done"])
def test_a_killed_deploy_fails_no_request_its_hosts_go_back_and_the_next_heals(serving_v1, phase):
    site = serving_v1
    with site.load() as users:
        begin_deploy(site, "tweak")
        kill_when_told(site, phase)
        refused = site.deploy("tweak")
        wait_for(lambda: deployed(site, "v1"), 60)
        site.run_runner("rollout.unlock", "shop")
        site.must_deploy("tweak")
    assert refused.returncode == 1
    assert "its process has ended: salt-run rollout.unlock shop" in refused.stdout
    assert users["failed"] == 0, users["failures"]
    assert deployed(site, "tweak")
    assert [entry["result"] for entry in site.ledger()["history"][-2:]] == ["failed", "deployed"]


@matrix
def test_a_minion_that_is_killed_in_its_activation_fails_no_request_and_all_hosts_go_back(serving_v1):
    site = serving_v1
    with site.load() as users:
        begin_deploy(site, "v2")
        wait_for(lambda: told(site, "activate-2 web2: begun"), 60)
        time.sleep(1)
        site.lab.run("web2", ["systemctl", "kill", "--signal=KILL", "salt-minion"])
        wait_for(lambda: has_ended(site), 120)
        wait_for(lambda: deployed(site, "v1"), 60)
    assert users["failed"] == 0, users["failures"]
    last = site.ledger()["history"][-1]
    assert (last["revision"], last["result"]) == ("v2", "failed")
    assert "web2" in last["reason"]
    # Its unit has started it again.
    wait_for(lambda: site.salt("web2", "test.ping", timeout=5).get("web2") is True, 60)
    site.must_deploy("tweak")


@matrix
def test_a_highstate_in_the_middle_of_a_deploy_leaves_the_app_alone(serving_v1):
    site = serving_v1
    with site.load() as users:
        begin_deploy(site, "tweak")
        wait_for(lambda: told(site, "activate-1 web1: done"), 60)
        # It is held up, so that it does not end before the highstate has begun.
        end(site, "STOP")
        pulled = site.lab.run("web1", ["salt-call", "--out=json", "state.apply"])
        end(site, "CONT")
        wait_for(lambda: has_ended(site), 60)
    (states,) = json.loads(pulled.stdout[pulled.stdout.index("{") :]).values()
    results = by_id(states)
    assert "shop-active" not in results
    assert "a rollout is bringing a release of shop to its hosts" in results["shop-left-alone"]["comment"]
    assert users["failed"] == 0, users["failures"]
    assert deployed(site, "tweak")
    assert changed(site.apply("web1")) == set()


@matrix
def test_a_database_that_is_down_stops_a_deploy_before_anything_is_touched_and_the_next_goes_through(serving_v1):
    site = serving_v1
    site.lab.run("db1", ["systemctl", "stop", "postgresql@*"])
    try:
        refused = site.deploy("tweak")
    finally:
        site.lab.run("db1", ["systemctl", "start", "postgresql"])
    assert refused.returncode == 1
    assert "is PostgreSQL up on db1?" in refused.stdout
    assert deployed(site, "v1")
    site.must_deploy("tweak")


@matrix
def test_a_host_that_loses_the_master_after_its_flip_goes_back_by_itself(serving_v1):
    site = serving_v1
    lost = ["ip", "route", "replace", "blackhole", f"{TEST_NET}.2/32"]
    with site.load() as users:
        begin_deploy(site, "tweak")
        wait_for(lambda: serves(site, "web1", "tweak"), 60)
        site.lab.run("web1", lost)
        try:
            wait_for(lambda: deployed(site, "v1"), 90)
            wait_for(lambda: has_ended(site), 60)
        finally:
            site.lab.run("web1", ["ip", "route", "del", "blackhole", f"{TEST_NET}.2/32"])
    assert users["failed"] == 0, users["failures"]
    last = site.ledger()["history"][-1]
    assert (last["revision"], last["result"]) == ("tweak", "failed")
    assert site.ledger()["deployed"]["revision"] == "v1"
    wait_for(lambda: site.salt("web1", "test.ping", timeout=5).get("web1") is True, 60)
    site.must_deploy("tweak")


# The app of a host moves to a disk of its own, on which a release fits, but not much more; and back. Uploads stay where
# they are: they would fail for want of space whatever a deploy does.
SMALL = """
systemctl stop nginx supervisor
cp -a /srv/shop /srv/kept
mount -t tmpfs -o size=900m,mode=755 none /srv/shop
cp -a /srv/kept/. /srv/shop
mount --bind /srv/kept/media /srv/shop/media
systemctl start supervisor nginx
"""
LARGE = """
systemctl stop nginx supervisor
umount --lazy /srv/shop/media /srv/shop
rm -r /srv/kept
systemctl start supervisor nginx
"""


@pytest.fixture
def small_disk(serving_v1):
    site = serving_v1
    site.lab.run("web1", ["sh", "-ec", SMALL])
    wait_for(lambda: serves(site, "web1", "v1"), 60)
    yield site
    site.lab.run("web1", ["sh", "-ec", LARGE])
    # What was deployed meanwhile lay on the other disk.
    site.apply("web1")
    wait_for(lambda: serves(site, "web1", site.ledger()["deployed"]["revision"]), 60)


# Fills the disk as soon as the minion is at the job that stages.
FILL = """
while ! grep --quiet --no-messages app.stage /var/cache/salt/minion/proc/*; do :; done
dd if=/dev/zero of=/srv/shop/fill bs=1M count=900 2>/dev/null || true
"""


@matrix
def test_a_disk_that_fills_up_while_a_release_is_staged_fails_no_request_and_the_next_deploy_heals(small_disk):
    site = small_disk
    with site.load() as users:
        site.lab.run("web1", ["systemd-run", "--unit=slipway-fill", "--collect", "sh", "-c", FILL])
        try:
            full = site.deploy("v2")
            served = deployed(site, "v1")
            refused = site.deploy("v2")
        finally:
            site.lab.run("web1", ["systemctl", "stop", "slipway-fill"], check=False)
            site.lab.run("web1", ["rm", "--force", "/srv/shop/fill"])
        site.must_deploy("v2")
    assert full.returncode == 1
    assert "No space left on device" in full.stdout
    assert served
    assert "are free in /srv/shop, a release needs 512: remove old files" in refused.stdout
    assert users["failed"] == 0, users["failures"]
    assert deployed(site, "v2")


@matrix
def test_a_master_that_is_killed_in_a_deploy_fails_no_request_its_hosts_go_back_and_the_next_heals(serving_v1):
    site = serving_v1
    with site.load() as users:
        begin_deploy(site, "tweak")
        wait_for(lambda: told(site, "activate-1 web1: done"), 60)
        # For longer than its unit leaves it away.
        site.lab.run("master", ["systemctl", "kill", "--signal=KILL", "salt-master"])
        site.lab.run("master", ["systemctl", "stop", "salt-master"])
        wait_for(lambda: deployed(site, "v1"), 120)
        site.lab.run("master", ["systemctl", "start", "salt-master"])
        wait_for(lambda: has_ended(site), 120)
        wait_for(lambda: site.salt(APP_HOSTS, "test.ping", timeout=5) == dict.fromkeys(APP_HOSTS, True), 60)
        site.run_runner("rollout.unlock", "shop")
        site.must_deploy("tweak")
    assert users["failed"] == 0, users["failures"]
    assert deployed(site, "tweak")
    assert [entry["result"] for entry in site.ledger()["history"][-2:]] == ["failed", "deployed"]


@matrix
@pytest.mark.parametrize("phase", KILLED)
def test_a_master_that_its_unit_starts_again_in_a_deploy_fails_no_request_and_its_ledger_is_true(serving_v1, phase):
    site = serving_v1
    with site.load() as users:
        begin_deploy(site, "tweak")
        wait_for(lambda: told(site, phase), 60)
        site.lab.run("master", ["systemctl", "kill", "--signal=KILL", "salt-master"])
        wait_for(lambda: has_ended(site), 300)
        wait_for(lambda: deployed(site, site.ledger()["deployed"]["revision"]), 90)
        wait_for(lambda: site.salt(APP_HOSTS, "test.ping", timeout=5) == dict.fromkeys(APP_HOSTS, True), 60)
        site.run_runner("rollout.unlock", "shop")
        site.must_deploy("tweak")
    assert users["failed"] == 0, users["failures"]
    assert deployed(site, "tweak")


@matrix
def test_a_deploy_waits_for_a_highstate_that_began_just_before_it(serving_v1):
    site = serving_v1
    with site.load() as users:
        site.lab.run("web1", ["systemd-run", "--unit=slipway-pull", "--collect", "salt-call", "state.apply"])
        wait_for(lambda: site.lab.run("web1", ["sh", "-c", "ls /var/cache/salt/minion/proc"]).stdout.strip(), 20)
        site.must_deploy("tweak")
    assert users["failed"] == 0, users["failures"]
    assert deployed(site, "tweak")
    assert changed(site.apply("web1")) == set()
