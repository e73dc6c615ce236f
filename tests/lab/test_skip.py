"""A deploy that goes on without a host that has no power: users never meet the release before on it again."""

import pytest
from conftest import ROLLOUT, matrix, wait_for
from test_recovery import deployed, serves


@pytest.fixture
def skipping(serving_v1):
    """The shop, deployed without hosts that are off."""
    with serving_v1.rollout(**ROLLOUT, unreachable="skip"):
        yield serving_v1


def serving_with(site, met):
    """Whether the ledger has all hosts; what users are served meanwhile goes into ``met``."""
    met.add(site.health()["release"])
    return site.ledger()["skipped"] == {}


@matrix
def test_a_host_that_is_off_misses_a_deploy_and_serves_only_the_new_release_when_it_is_back(skipping):
    site, met = skipping, set()
    site.lab.kill("web2")
    # The balancer's Nginx is reloaded to take the host in again, and closes its idle connections then.
    with site.load(options=["--resend"]) as users:
        done = site.run_runner("rollout.deploy", "shop", "v2")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "skipped since" in done.stdout
        assert list(site.ledger()["skipped"]) == ["web2"]
        site.lab.boot("web2")
        # It serves what it had, and nobody is sent there.
        wait_for(lambda: serves(site, "web2", "v1"), 60)
        # The master looks each minute.
        wait_for(lambda: serving_with(site, met), 240)
    assert users["failed"] == 0, users["failures"]
    assert met == {site.commit("v2")}
    assert deployed(site, "v2")
