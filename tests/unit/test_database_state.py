from unittest.mock import create_autospec

import pytest
from salt.exceptions import CommandExecutionError

import app_spec
import rotation

PASSWORD = "Tr0ub4dor"
NEW = "correct horse"
RIGHT = {"login": True, "password": True, "acts_as": ""}
SECOND, SHUT = RIGHT | {"acts_as": "shop"}, RIGHT | {"login": False, "password": False}
SINCE = "2026-11-25T18:41:17+00:00"


def found(owner="shop", second=None, **shop):
    """What the server says: the owner as it should be but for ``shop``, and the second login."""
    roles = {"shop": RIGHT | shop, **({"shop-2": second} if second else {})}
    return {"owner": owner, "roles": roles}


THERE, NOTHING = found(), {"owner": "", "roles": {}}


def pillar(passwords, **more):
    return {
        "hosts": {"db1": {"address": "10.213.7.21", "roles": ["app", "database"]}},
        "apps": {"shop": {"source": {"path": "/src"}, "revision": "v1", "domains": ["shop.example.com"]}},
        "passwords": {"database": passwords},
        **more,
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
    def run(found=NOTHING, test=False, passwords=None, **more):
        databases["databases.inspect"].return_value = found
        given = pillar({"shop": PASSWORD} if passwords is None else passwords, **more)
        state = load("_states/database.py", salt=databases, test=test, pillar=given, grains={"id": "db1"})
        return state.present("shop", "shop", "shop")

    return run


def called(databases):
    return [name for name in ("create_role", "create_database") if databases[f"databases.{name}"].called]


@pytest.mark.parametrize(
    ("there", "changes", "calls"),
    [
        (THERE, {}, []),
        (NOTHING, {"role": "shop created", "database": "shop created"}, ["create_role", "create_database"]),
        (found(owner=""), {"database": "shop created"}, ["create_database"]),
        (found(owner="postgres"), {"database": "shop given from postgres to shop"}, ["create_database"]),
        (found(password=False), {"role": "shop given its password"}, ["create_role"]),
        (found(login=False), {"role": "shop given its password"}, ["create_role"]),
        (found(second=SHUT), {}, []),
        (found(second=SECOND), {"login": "shop-2 shut out"}, ["create_role"]),
    ],
)
def test_only_what_differs_is_done(present, databases, there, changes, calls):
    result = present(there)
    assert (result["result"], result["changes"]) == (True, changes)
    assert called(databases) == calls


@pytest.mark.parametrize("there", [NOTHING, found(owner=""), found(password=False), found(second=SECOND)])
def test_test_mode_foretells_the_changes_and_makes_none(present, databases, there):
    foretold = present(there, test=True)
    assert foretold["result"] is None
    assert called(databases) == []
    assert present(there)["changes"] == foretold["changes"]


def in_use(value, **more):
    noted = {"value": rotation.fingerprint("passwords:database:shop", app_spec.Secret(value)), "since": SINCE}
    return {"in_use": {"shop": {"passwords:database:shop": noted | more}}}


TWO = {"passwords": {"shop": [NEW, PASSWORD]}}
AFTER = TWO | in_use(NEW, login=2)
ROTATION = [
    # Accepted: the new password goes to the second login.
    (TWO, THERE, {"login": "shop-2 created"}),
    (TWO, found(second=SHUT), {"login": "shop-2 given its password"}),
    (TWO, found(second=RIGHT), {"login": "shop-2 given its password"}),
    (TWO, found(second=SECOND), {}),
    # All hosts use it, old slots may still run.
    (TWO | in_use(NEW, login=2, overlap=True), found(second=SECOND), {}),
    # They run no more.
    (AFTER | {"newest": "shop"}, found(second=SECOND), {"role": "shop shut out"}),
    (AFTER, found(second=SECOND), {"role": "shop shut out"}),
    (AFTER, found(second=SECOND, login=False), {}),
    # A host that is set up anew: the owner is there and does not log in.
    (AFTER, NOTHING, {"role": "shop created", "login": "shop-2 created", "database": "shop created"}),
]


@pytest.mark.parametrize(("pillar", "there", "changes"), ROTATION)
def test_in_a_rotation_only_what_differs_is_done_and_test_mode_says_so_before(present, pillar, there, changes):
    foretold, done = present(there, test=True, **pillar), present(there, **pillar)
    assert (done["result"], done["changes"]) == (True, changes)
    assert (foretold["result"], foretold["changes"]) == (None if changes else True, changes)


def test_the_second_login_acts_as_the_owner(present, databases):
    present(THERE, **TWO)
    [call] = databases["databases.create_role"].call_args_list
    assert (call.args[0], call.args[1].reveal(), call.args[2]) == ("shop-2", NEW, "shop")


def test_a_login_is_shut_out_only_after_the_other_one_can_log_in(present, databases):
    present(THERE, **AFTER)
    asked = [call.args[:2] for call in databases["databases.create_role"].call_args_list]
    assert asked == [("shop-2", app_spec.Secret(NEW)), ("shop", None)]


def test_a_login_stays_where_the_other_one_could_not_be_made(present, databases):
    databases["databases.create_role"].side_effect = CommandExecutionError("no such role")
    assert present(THERE, **AFTER)["changes"] == {}
    assert databases["databases.create_role"].call_count == 1


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
