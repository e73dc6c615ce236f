from unittest.mock import create_autospec

import pytest
from salt.exceptions import CommandExecutionError

PASSWORD = "Tr0ub4dor"
THERE = {"role": True, "login": True, "password": True, "owner": "shop"}
NOTHING = {"role": False, "login": False, "password": False, "owner": ""}


def pillar(passwords):
    return {
        "hosts": {"db1": {"address": "10.213.7.21", "roles": ["app", "database"]}},
        "apps": {"shop": {"source": {"path": "/src"}, "revision": "v1", "domains": ["shop.example.com"]}},
        "passwords": {"database": passwords},
    }


@pytest.fixture
def databases(load):
    """The functions that the state calls, with the signatures of the real ones."""
    module = load("_modules/databases.py")
    names = ("reachable", "inspect", "create_role", "create_database")
    functions = {f"databases.{name}": create_autospec(getattr(module, name)) for name in names}
    functions["databases.reachable"].return_value = True
    return functions


@pytest.fixture
def present(load, databases):
    def run(found=NOTHING, test=False, passwords=None):
        databases["databases.inspect"].return_value = found
        given = {"shop": PASSWORD} if passwords is None else passwords
        state = load("_states/database.py", salt=databases, test=test, pillar=pillar(given), grains={"id": "db1"})
        return state.present("shop", "shop", "shop")

    return run


def called(databases):
    return [name for name in ("create_role", "create_database") if databases[f"databases.{name}"].called]


@pytest.mark.parametrize(
    ("found", "changes", "calls"),
    [
        (THERE, {}, []),
        (NOTHING, {"role": "shop created", "database": "shop created"}, ["create_role", "create_database"]),
        (THERE | {"owner": ""}, {"database": "shop created"}, ["create_database"]),
        (THERE | {"owner": "postgres"}, {"database": "shop given from postgres to shop"}, ["create_database"]),
        (THERE | {"password": False}, {"role": "shop given its password"}, ["create_role"]),
        (THERE | {"login": False}, {"role": "shop given its password"}, ["create_role"]),
    ],
)
def test_only_what_differs_is_done(present, databases, found, changes, calls):
    result = present(found)
    assert (result["result"], result["changes"]) == (True, changes)
    assert called(databases) == calls


@pytest.mark.parametrize("found", [NOTHING, THERE | {"owner": ""}, THERE | {"password": False}])
def test_test_mode_foretells_the_changes_and_makes_none(present, databases, found):
    foretold = present(found, test=True)
    assert foretold["result"] is None
    assert called(databases) == []
    assert present(found)["changes"] == foretold["changes"]


def test_test_mode_knows_that_nothing_would_change(present):
    assert present(THERE, test=True)["result"] is True


def test_test_mode_before_the_server_is_installed_foretells_the_first_run(present, databases):
    databases["databases.reachable"].return_value = False
    databases["databases.inspect"].side_effect = CommandExecutionError("psql: not found")
    foretold = present(test=True)
    assert (foretold["result"], foretold["changes"]) == (None, {"role": "shop created", "database": "shop created"})


def test_a_server_that_cannot_be_asked_is_a_failure(present, databases):
    databases["databases.inspect"].side_effect = CommandExecutionError("PostgreSQL failed: no such file")
    failed = present()
    assert (failed["result"], failed["changes"]) == (False, {})
    assert "PostgreSQL failed" in failed["comment"]


def test_a_failure_halfway_tells_what_was_done(present, databases):
    databases["databases.create_database"].side_effect = CommandExecutionError("disk full")
    failed = present()
    assert (failed["result"], failed["changes"], failed["comment"]) == (False, {"role": "shop created"}, "disk full")


def test_a_missing_password_names_the_pillar_key(present, databases):
    failed = present(passwords={})
    assert failed["result"] is False
    assert "passwords:database:shop: missing" in failed["comment"]
    assert called(databases) == []


def test_the_password_is_not_seen_in_results_logs_or_arguments(present, databases, caplog):
    caplog.set_level(1)
    results = [present(test=True), present(), present(THERE), present(passwords={})]
    calls = [function.mock_calls for function in databases.values()]
    assert PASSWORD not in repr(results) + caplog.text + repr(calls)
