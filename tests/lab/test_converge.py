"""Hosts from nothing to ready, and the promise that a second run changes nothing."""

import pytest
from conftest import HOSTS, changed, failed


@pytest.mark.parametrize("host", HOSTS)
def test_a_first_run_in_test_mode_predicts_what_the_first_run_changes(first_runs, host):
    predicted, done = first_runs
    assert failed(predicted[host]) == {}
    assert failed(done[host]) == {}
    assert changed(predicted[host]) == changed(done[host])


@pytest.mark.parametrize("host", HOSTS)
def test_a_second_run_changes_nothing_and_test_mode_agrees(provisioned, host):
    assert changed(provisioned.apply(host, "test=True")) == set()
    second = provisioned.apply(host)
    assert failed(second) == {}
    assert changed(second) == set()


@pytest.mark.parametrize("host", HOSTS)
def test_a_run_after_a_deploy_changes_nothing_and_test_mode_agrees(serving_v1, host):
    assert changed(serving_v1.apply(host, "test=True")) == set()
    second = serving_v1.apply(host)
    assert failed(second) == {}
    assert changed(second) == set()


def test_provisioning_again_changes_nothing(serving_v1):
    done = serving_v1.provision()
    assert done.returncode == 0, done.stdout[-4000:]
    assert serving_v1.release_of("web1") == serving_v1.commit("v1")


@pytest.mark.parametrize("host", ["web1", "web2"])
def test_a_run_after_a_failed_deploy_changes_nothing(serving_v1, host):
    if host == "web1":
        assert serving_v1.deploy("broken-health").returncode == 1
    assert changed(serving_v1.apply(host, "test=True")) == set()
    assert changed(serving_v1.apply(host)) == set()
