"""Hosts that are off in a deploy, on a real master with real minions and doubles; the database's host is a balancer."""

import json

import pytest
from conftest import APP, INVENTORY, assert_nothing_is_left_open, comment, release, results


@pytest.fixture
def skipping(fleet):
    balanced = INVENTORY.replace("roles: [database]", "roles: [database, balancer]")
    with fleet.inventory(balanced), fleet.pillar(rollout={**APP["rollout"], "unreachable": "skip"}):
        fleet.was_deployed("one")
        yield fleet


def balanced(fleet):
    """Which hosts the balancer was told to send nothing to, each time that it was told."""
    return [json.loads(entry["release"])["shop"] for entry in fleet.details("db1", "balancer")]


def test_a_host_that_is_off_misses_a_deploy_and_has_it_before_it_takes_traffic_again(skipping):
    with skipping.off("web2"):
        done = skipping.deploy("two")
        assert done.returncode == 0, done.stdout
        assert "skipped: web2 does not answer" in comment(done, "plan")
        assert comment(done) == "web2 was skipped: it does not answer"
        assert results(done)["record"]["changes"]["skipped"] == ["web2"]
        assert balanced(skipping) == [["web2"]]
        ledger = skipping.ledger()
        assert (list(ledger["skipped"]), ledger["history"][-1]["skipped"]) == (["web2"], ["web2"])
        assert skipping.run("pillar.show_pillar", "db1").data["skipped"] == {"shop": ["web2"]}
        waiting = skipping.run("rollout.catch_up").data
        assert [row["result"] for row in waiting["hosts"]] == ["it does not answer"]
    assert skipping.serving() == ["two", "one"]
    done = skipping.run("rollout.catch_up")
    assert (done.returncode, done.data["hosts"][0]["result"]) == (0, "takes traffic again"), done.data
    assert skipping.serving() == ["two", "two"]
    assert skipping.log("resolve", "preflight")[-5:] == [
        "stage web2",
        "migrate web2",
        "activate web2",
        "retire web2",
        "balancer db1",
    ]
    assert balanced(skipping)[-1] == []
    assert skipping.ledger()["skipped"] == {}
    assert_nothing_is_left_open(skipping)


def test_a_deploy_takes_in_again_a_host_that_missed_the_last_one(skipping):
    with skipping.off("web1"):
        assert skipping.deploy("two").returncode == 0
    predicted = results(skipping.deploy("three", "test=True"))
    done = skipping.deploy("three")
    assert skipping.serving() == ["three", "three"]
    for step in ("record", "balance"):
        assert set(results(done)[step]["changes"]) == set(predicted[step]["changes"]) != set()
    assert balanced(skipping) == [["web1"], []]
    assert skipping.ledger()["deployed"] == release("three")
    assert skipping.ledger()["skipped"] == {}
