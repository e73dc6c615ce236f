"""A host gets its own secrets and no other's, whatever it says about itself."""

import pytest

SECRET_KEYS = ("secrets", "passwords")


def test_an_app_host_gets_the_secrets_of_its_app(fleet):
    assert "shop" in fleet.call("web1", "pillar.raw")["secrets"]


def test_the_database_host_gets_no_secret_of_the_app(fleet):
    assert "secrets" not in fleet.call("db1", "pillar.raw")


@pytest.mark.parametrize("claim", [["--id=stranger"], ["--id=web1x"]])
def test_an_unknown_host_gets_no_pillar_of_another(fleet, claim):
    """An id that the master did not accept gets nothing at all: the key decides, not the name."""
    done = fleet.minions["db1"].salt_call_cli(timeout=30).run(*claim, "pillar.items")
    assert not isinstance(done.data, dict) or not set(SECRET_KEYS) & set(done.data)


def test_a_host_that_calls_itself_another_is_refused(fleet):
    done = fleet.minions["db1"].salt_call_cli(timeout=30).run("--id=web1", "pillar.items")
    assert not isinstance(done.data, dict) or not set(SECRET_KEYS) & set(done.data)


def test_what_every_host_gets_holds_no_secret(fleet):
    shown = fleet.run("pillar.show_pillar").data
    assert set(SECRET_KEYS) & set(shown) == set()
