"""A process that dies by itself is told on the master's bus, under both process managers; what was asked for is not."""

import json

import pytest
from conftest import by_id, failed, matrix, wait_for

MANAGERS = {"web1": "supervisor", "web2": "systemd"}
TAG, FILE, UNIT = "salt/beacon/*/processes/*", "/run/deaths.txt", "slipway-deaths"
# Seconds: the beacon looks every 5, and systemd waits 2 before it starts a process again.
TOLD = 30


def manage(site, host, manager):
    """Have a host's app run under a process manager, and nothing of it under another."""
    app = {"process_manager": manager, "keep_warm": 0, "rollout": {"watch": 1, "confirm": 0}}
    pillar = {"releases": {"shop": site.release("v1")}, "only": "shop", "apps": {"shop": app}}
    assert failed(by_id(site.salt(host, "state.apply", "app", f"pillar={json.dumps(pillar)}")[host])) == {}


@pytest.fixture
def bus(serving_v1):
    """web1 has Supervisor, web2 systemd, and what the master's bus is told of processes goes to a file."""
    site = serving_v1
    manage(site, "web2", MANAGERS["web2"])
    listen = f"exec timeout 600 salt-run state.event '{TAG}' >{FILE} 2>/dev/null </dev/null"
    site.lab.run("master", ["systemd-run", "--collect", f"--unit={UNIT}", "sh", "-c", listen])
    try:
        wait_for(lambda: hears(site), 30)
        yield site
    finally:
        site.lab.run("master", ["systemctl", "stop", UNIT])
        manage(site, "web2", "supervisor")


def hears(site):
    """Whether the listener hears what is said now."""
    site.run_runner("event.send", "salt/beacon/nobody/processes/ready", "{}")
    return "nobody" in site.lab.run("master", ["cat", FILE]).stdout


def events(site, host):
    """What the bus was told of the processes of a host."""
    lines = site.lab.run("master", ["cat", FILE]).stdout.splitlines()
    return [json.loads(line.split("\t")[1]) for line in lines if line.startswith(f"salt/beacon/{host}/processes/shop/")]


def live(site, host):
    """The process of the slot that has the traffic, and what its manager says of it."""
    name = f"shop-{site.salt(host, 'slots.serving', 'shop')[host]['slot']}"
    return name, site.salt(host, f"{MANAGERS[host]}.programs")[host][name]


def kill(site, host):
    """SIGKILL for the live process; its name, when it is told, and serves again."""
    before = len(events(site, host))
    name, program = live(site, host)
    site.lab.run(host, ["kill", "-KILL", str(program["pid"])])
    wait_for(lambda: len(events(site, host)) > before, TOLD)
    wait_for(lambda: live(site, host)[1]["state"] == "RUNNING", TOLD)
    assert live(site, host)[1]["pid"] != program["pid"]
    assert site.release_of(host) == site.commit("v1")
    return name


@pytest.mark.parametrize("host", MANAGERS)
def test_a_process_that_was_killed_runs_again_and_is_told_with_its_signal_and_a_restart_is_not(bus, host):
    name, _ = live(bus, host)
    bus.salt(host, f"{MANAGERS[host]}.restart", name)
    assert kill(bus, host) == name
    (event,) = events(bus, host)
    told = {key: event[key] for key in ("app", "host", "id", "process", "manager", "what", "reason")}
    assert told == {
        "app": "shop",
        "host": host,
        "id": host,
        "process": name,
        "manager": MANAGERS[host],
        "what": "died",
        "reason": "killed by SIGKILL",
    }
    line = f"{host}: {name} died at {event['when']} (killed by SIGKILL), {MANAGERS[host]} starts it again"
    wait_for(lambda: line in bus.lab.run("master", ["cat", "/var/log/salt/master"]).stdout, TOLD)


def test_minions_log_nothing_of_beacons_not_even_before_they_had_ours(serving_v1):
    logs = [serving_v1.lab.run(host, ["cat", "/var/log/salt/minion"]).stdout for host in ("web1", "db1")]
    assert [line for log in logs for line in log.splitlines() if "beacon" in line.lower()] == []


@matrix
def test_a_change_of_slots_and_a_process_manager_that_hands_over_are_no_events(bus):
    # Under Supervisor again, as the pillar has it: both slots of web2 are stopped and started by one of the two.
    manage(bus, "web2", "supervisor")
    manage(bus, "web2", "systemd")
    bus.must_deploy("tweak")
    bus.must_deploy("v1")
    manage(bus, "web2", "systemd")
    for host in MANAGERS:
        kill(bus, host)
        assert len(events(bus, host)) == 1


def test_what_died_while_the_minion_was_down_is_told_when_it_is_back_and_nothing_twice(bus):
    bus.lab.run("web1", ["systemctl", "stop", "salt-minion"])
    name = bus.lab.run("web1", ["readlink", "/srv/shop/run/web"]).stdout.strip().partition(".")[0]
    bus.lab.run("web1", ["sh", "-c", f"kill -KILL $(supervisorctl pid shop-{name})"])
    bus.lab.run("web1", ["systemctl", "start", "salt-minion"])
    wait_for(lambda: len(events(bus, "web1")) == 1, 60)
    bus.lab.run("web1", ["systemctl", "restart", "salt-minion"])
    wait_for(lambda: bus.salt("web1", "test.ping", timeout=5).get("web1") is True, 60)
    kill(bus, "web1")
    assert len(events(bus, "web1")) == 2
