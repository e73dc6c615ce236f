from unittest.mock import create_autospec

import pytest
from salt.exceptions import CommandExecutionError

import app_spec
import rotation

OLD, NEW = "Tr0ub4dor", "correct horse"
KEY = "passwords:cache:shop"
THERE = {"there": True, "on": True, "keys": True, "passwords": True, "others": False, "kept": True}
NOTHING = {"there": False, "on": False, "keys": False, "passwords": False, "others": False, "kept": True}
APP = {"source": {"path": "/src"}, "revision": "v1", "domains": ["shop.example.com"], "database": "none"}
HOSTS = {"db1": {"address": "10.213.7.21", "roles": ["app", "cache"]}}


@pytest.fixture
def caches(load):
    """The functions that the states call, with the signatures of the real ones."""
    module = load("_modules/caches.py")
    names = ("is_ready", "is_administered", "administer", "inspect", "set_user")
    functions = {f"caches.{name}": create_autospec(getattr(module, name)) for name in names}
    functions["caches.is_ready"].return_value = True
    return functions


@pytest.fixture
def present(load, caches):
    def run(found=NOTHING, values=(OLD,), test=False, **more):
        caches["caches.inspect"].return_value = found
        passwords = {"cache": {"shop": list(values)}} if values else {}
        given = {"hosts": HOSTS, "apps": {"shop": APP}, "passwords": passwords, **more}
        state = load("_states/cache.py", salt=caches, test=test, pillar=given, grains={"id": "db1"})
        return state.present("shop", "shop")

    return run


@pytest.fixture
def administered(load, caches):
    def run(well, test=False):
        caches["caches.is_administered"].return_value = well
        return load("_states/cache.py", salt=caches, test=test).administered("redis-administrator")

    return run


@pytest.mark.parametrize("test", [False, True])
def test_redis_that_lets_us_in_is_left_alone(administered, caches, test):
    result = administered(True, test)
    assert (result["result"], result["changes"], caches["caches.administer"].called) == (True, {}, False)


def test_redis_that_does_not_know_us_gets_to_know_us_and_test_mode_says_so(administered, caches):
    foretold = administered(False, test=True)
    assert (foretold["result"], caches["caches.administer"].called) == (None, False)
    done = administered(False)
    assert (done["result"], caches["caches.administer"].called) == (True, True)
    assert done["changes"] == foretold["changes"] == {"administrator": "slipway given its password"}


def in_use(value, **more):
    noted = {"value": rotation.fingerprint(KEY, app_spec.Secret(value)), "since": "2026-11-25T18:41:17+00:00"}
    return {"in_use": {"shop": {KEY: noted | more}}}


BOTH = {"values": (NEW, OLD)}
DECISIONS = [
    ({}, THERE, {}),
    ({}, NOTHING, {"user": "shop created"}),
    ({}, THERE | {"on": False}, {"password": "shop given its password"}),
    ({}, THERE | {"passwords": False}, {"password": "shop given its password"}),
    ({}, THERE | {"others": True}, {"others": "other passwords of shop refused"}),
    ({}, THERE | {"keys": False}, {"keys": "shop given its keys"}),
    ({}, THERE | {"kept": False}, {"file": "shop written into the file of users"}),
    ({}, THERE | {"keys": False, "kept": False}, {"keys": "shop given its keys"}),
    # A newer value waits; one that is not in the pillar any more may still be in use.
    (BOTH, THERE | {"passwords": False}, {"password": "shop given its password"}),
    (BOTH, THERE | {"others": True}, {}),
    (BOTH | in_use(NEW, overlap=True), THERE | {"others": True}, {}),
    # The end of a rotation, and after it.
    (
        BOTH | in_use(NEW, overlap=True) | {"newest": "shop"},
        THERE | {"others": True},
        {"others": "other passwords of shop refused"},
    ),
    (BOTH | in_use(NEW), THERE | {"others": True}, {"others": "other passwords of shop refused"}),
]


@pytest.mark.parametrize(("pillar", "there", "changes"), DECISIONS)
def test_only_what_differs_is_done_and_test_mode_says_so_before(present, caches, pillar, there, changes):
    foretold = present(there, test=True, **pillar)
    assert not caches["caches.set_user"].called
    done = present(there, **pillar)
    assert (done["result"], done["changes"]) == (True, changes)
    assert (foretold["result"], foretold["changes"]) == (None if changes else True, changes)
    assert caches["caches.set_user"].called == bool(changes)


@pytest.mark.parametrize(
    ("pillar", "words", "alone"),
    [
        ({}, [OLD], True),
        (BOTH, [NEW, OLD], False),
        (BOTH | in_use(OLD, overlap=True), [NEW, OLD], False),
        (BOTH | in_use(NEW, overlap=True), [NEW, OLD], False),
        (BOTH | in_use(NEW, overlap=True) | {"newest": "shop"}, [NEW], True),
        (BOTH | in_use(NEW), [NEW], True),
    ],
)
def test_while_a_password_is_rotated_all_of_its_values_get_in(present, caches, pillar, words, alone):
    present(NOTHING, **pillar)
    (user, prefix, passwords, is_alone), _ = caches["caches.set_user"].call_args
    assert (user, prefix, [password.reveal() for password in passwords], is_alone) == ("shop", "shop:", words, alone)


def test_test_mode_goes_by_the_file_where_the_server_has_to_start_first(present, caches):
    for ready, live in ((False, False), (True, True)):
        caches["caches.is_ready"].return_value = ready
        present(test=True)
        assert caches["caches.inspect"].call_args.args[-1] is live
    caches["caches.is_ready"].return_value = False
    present()
    assert caches["caches.inspect"].call_args.args[-1] is True


def test_a_server_that_cannot_be_asked_is_a_failure(present, caches):
    caches["caches.inspect"].side_effect = CommandExecutionError("Redis does not answer")
    failed = present()
    assert (failed["result"], failed["changes"], failed["comment"]) == (False, {}, "Redis does not answer")


def test_a_missing_password_names_the_pillar_key(present, caches):
    failed = present(values=())
    assert failed["result"] is False
    assert "passwords:cache:shop: missing: write it into pillar/secrets/shop_cache.sls" in failed["comment"]
    assert not caches["caches.set_user"].called


def test_the_password_is_not_seen_in_results_logs_or_arguments(present, caches, caplog):
    caplog.set_level(1)
    results = [present(test=True), present(), present(THERE), present(values=())]
    calls = [function.mock_calls for function in caches.values()]
    assert OLD not in repr(results) + caplog.text + repr(calls)
