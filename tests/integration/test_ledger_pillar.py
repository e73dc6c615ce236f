"""What the ledger says is deployed reaches the hosts as pillar."""

from conftest import release


def releases(fleet):
    return fleet.run("pillar.show_pillar", "web1").data["releases"]


def test_a_host_is_told_that_nothing_is_released_before_a_first_deploy(fleet):
    assert releases(fleet) == {}


def test_a_host_is_told_what_was_deployed(fleet):
    fleet.was_deployed("two")
    assert releases(fleet) == {"shop": release("two")}


def test_a_damaged_ledger_stops_state_runs_instead_of_saying_that_nothing_is_deployed(fleet):
    fleet.ledgers.mkdir()
    (fleet.ledgers / "shop.json").write_text("{")
    answer = str(fleet.call("web1", "state.apply", "host"))
    assert "Pillar failed to render" in answer
    assert "highstate web1" not in fleet.log()
