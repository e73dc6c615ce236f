"""Hosts that lose their power, and deploys that are cut short: users are served, and a re-run heals."""

import time

from conftest import APP_HOSTS


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.5)


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


def test_a_killed_deploy_leaves_users_served_and_its_lock_names_it_until_it_is_released(serving_v1):
    site = serving_v1
    command = """salt-run state.orchestrate orch.deploy pillar='{"app": "shop", "revision": "v2"}' >/dev/null 2>&1"""
    with site.load() as users:
        site.lab.run("master", ["systemd-run", "--unit=slipway-killed", "sh", "-c", f"exec {command}"])
        wait_for(lambda: (site.ledger() or {}).get("in_progress"), 60)
        site.lab.run("master", ["systemctl", "kill", "--signal=KILL", "slipway-killed"])
        refused = site.deploy("v2")
        time.sleep(15)  # what the hosts were told to do they finish
    assert refused.returncode == 1
    assert "salt-run rollout.unlock shop" in refused.stdout
    assert users["failed"] == 0, users
    site.run_runner("rollout.unlock", "shop")
    site.must_deploy("v2")
    assert {site.release_of(host) for host in APP_HOSTS} == {site.commit("v2")}
    site.must_deploy("v1")
