"""Rotations of secrets on a real master with real minions; the hosts' own work is done by doubles."""

import contextlib
import json
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import APP_HOSTS, INVENTORY, MATRIX, assert_nothing_is_left_open, comment, results

OLD = {"SECRET_KEY": "old-key", "password": "old-word", "cache": "old-pass"}
NEW = {"SECRET_KEY": "new-key", "password": "new-word", "cache": "new-pass"}
KEY, PASSWORD, CACHE = "secrets:shop:SECRET_KEY", "passwords:database:shop", "passwords:cache:shop"
BOTH = {name: [NEW[name], OLD[name]] for name in OLD}
QUESTIONS = ("preflight", "settle")


def secrets(key, login, cache, others=()):
    """What the file of an app's host holds."""
    name, password = login
    urls = {
        "DATABASE_URL": f"postgresql://{name}:{password}@127.0.0.21:5432/shop",
        "CACHE_URL": f"rediss://shop:{cache}@127.0.0.21:6379/0?ssl_cert_reqs=none",
    }
    fallbacks = {"SECRET_KEY_FALLBACKS": list(others)} if others else {}
    return {"ALLOWED_HOSTS": ["shop.example.com"], **urls, "SECRET_KEY": key, **fallbacks}


BEFORE = secrets("old-key", ("shop", "old-word"), "old-pass")
ACCEPTED = secrets("old-key", ("shop", "old-word"), "old-pass", ["new-key"])
AFTER = secrets("new-key", ("shop-2", "new-word"), "new-pass", ["old-key"])


@contextlib.contextmanager
def pillar(fleet, cache, **more):
    """A host that serves the cache too, and other secrets, for as long as the block runs."""
    file = Path(fleet.master.config["pillar_roots"]["base"][-1], "secrets/shop_cache.sls")
    before = file.read_text()
    with fleet.inventory(INVENTORY.replace("[database]", "[database, cache]")), fleet.secrets(**more):
        file.write_text(json.dumps({"passwords": {"cache": {"shop": cache}}}))
        try:
            yield
        finally:
            file.write_text(before)


@pytest.fixture
def rotating(fleet):
    """Hosts that serve what is deployed, with the old secrets, and a pillar with new ones before them."""
    begin(fleet)
    with pillar(fleet, **BOTH):
        yield fleet


def begin(fleet):
    fleet.was_deployed("one")
    fleet.started_with(BEFORE, {"shop": "old-word", "cache": ["old-pass"]})


def strangers(moment):
    """What somebody would meet that he does not know: keys of other hosts, passwords of the database and the cache."""
    hosts = [moment[host] for host in APP_HOSTS]
    known = [{host["SECRET_KEY"], *host.get("SECRET_KEY_FALLBACKS", ())} for host in hosts]
    keys = [host["SECRET_KEY"] for host in hosts for accepted in known if host["SECRET_KEY"] not in accepted]
    logins = [urlsplit(host["DATABASE_URL"]) for host in hosts]
    words = [urlsplit(host["CACHE_URL"]).password for host in hosts]
    keys += [login.username for login in logins if moment["db1"].get(login.username) != login.password]
    return keys + [word for word in words if word not in moment["db1"]["cache"]]


def last(fleet):
    return list(fleet.moments())[-1]


def assert_it_is_over(fleet):
    served = {"shop": None, "shop-2": "new-word", "cache": ["new-pass"]}
    assert last(fleet) == {"web1": AFTER, "web2": AFTER, "db1": served}
    in_use = fleet.ledger()["in_use"]
    assert {path: entry.get("overlap") for path, entry in in_use.items()} == {KEY: False, PASSWORD: False, CACHE: False}
    assert (in_use[PASSWORD]["login"], "login" in in_use[CACHE]) == (2, False)
    assert_nothing_is_left_open(fleet)


@pytest.fixture(scope="module")
def rotated(daemons):
    """A rotation: what test mode said of it, what it did, and what a second one did, with what is to be seen then."""
    daemons.reset()
    begin(daemons)
    with pillar(daemons, **BOTH):
        planned = daemons.rotate("test=True")
        untouched = (last(daemons), daemons.log("preflight"))
        done = daemons.rotate()
        log, moments, ledger = daemons.log(*QUESTIONS), list(daemons.moments()), daemons.ledger()
        assert_it_is_over(daemons)
        again = daemons.rotate()
    seen = {"log": log, "moments": moments, "ledger": ledger, "last": last(daemons), "after": daemons.ledger()}
    return {"planned": planned, "untouched": untouched, "done": done, "again": again, **seen}


def test_all_hosts_accept_the_newest_secrets_before_the_first_one_uses_them(rotated):
    assert rotated["done"].returncode == 0, rotated["done"].stdout
    first, log = ["database db1", "cache db1"], rotated["log"]
    assert log[:6] == [*first, "activate web1", "activate web2", "use web1", "use web2"]
    assert (sorted(log[6:8]), log[8:]) == (["retire web1", "retire web2"], ["close db1", "close-cache db1"])


def test_nobody_ever_meets_a_key_or_a_password_that_he_does_not_know(rotated):
    assert len(rotated["moments"]) > 6
    assert [strangers(moment) for moment in rotated["moments"] if len(moment) == 3 and strangers(moment)] == []


def test_a_rotation_is_in_the_history_of_the_ledger_and_no_value_is(rotated):
    (*_, entry) = rotated["ledger"]["history"]
    assert (entry["revision"], entry["result"], entry["reason"]) == ("one", "rotated", "")
    assert [value for value in (*OLD.values(), *NEW.values()) if value in json.dumps(rotated["ledger"])] == []


def test_no_value_passes_through_the_orchestration(rotated):
    told = "".join(rotated[run].stdout + rotated[run].stderr for run in ("planned", "done", "again"))
    assert KEY in told
    assert [value for value in (*OLD.values(), *NEW.values()) if value in told] == []


def test_a_second_rotation_changes_nothing_and_says_what_is_left_to_do(rotated):
    again = rotated["again"]
    assert again.returncode == 0
    assert {step for step, result in results(again).items() if result["changes"]} == set()
    assert rotated["last"] == rotated["moments"][-1]
    assert rotated["after"] == rotated["ledger"]
    key, password, cache = comment(again, "plan").splitlines()
    assert key.startswith(f"{KEY}: the newest value is in use; those before it are accepted until 2")
    assert password == f"{PASSWORD}: shop-2 is in use, and shop is shut out: take the other values out of the pillar"
    assert cache == f"{CACHE}: the newest value is in use, and no other is accepted: take them out of the pillar"


def test_test_mode_says_which_steps_would_change_something_and_touches_nothing(rotated):
    would, did = (
        {step for step, result in results(rotated[run]).items() if result["changes"]} for run in ("planned", "done")
    )
    # Of what ends in `retire` the doubles know nothing.
    hosts = {"accept-1", "accept-2", "use-1", "use-2"}
    assert would == did == hosts | {"database", "cache", "record", "close", "close-cache", "ended"}
    moment, log = rotated["untouched"]
    served = {"shop": "old-word", "cache": ["old-pass"]}
    assert (moment, log) == ({"web1": BEFORE, "web2": BEFORE, "db1": served}, [])


NEWEST = "the newest secrets are in use on every host; what failed came after that"
FAILURES = [
    ("db1", "database", BEFORE, "every host of shop still serves what it served before", "shop-database"),
    ("db1", "cache", BEFORE, "every host of shop still serves what it served before", "shop-cache"),
    ("web2", "activate", BEFORE, "web1 serves", "shop-activate"),
    ("web2", "use", ACCEPTED, "web1 serves", "shop-activate"),
    ("web2", "retire", AFTER, NEWEST, "shop-retire"),
    ("db1", "close", AFTER, NEWEST, "shop-database"),
    ("db1", "close-cache", AFTER, NEWEST, "shop-cache"),
]


@pytest.mark.parametrize(("host", "step", "serves", "words", "state"), FAILURES)
def test_hosts_go_back_unless_the_ledger_has_it_already(rotating, host, step, serves, words, state):
    rotating.script(host, **{step: {"fail": "boom"}})
    done = rotating.rotate()
    assert done.returncode == 1
    assert words in comment(done)
    assert comment(done).endswith(f"{state}: boom")
    moment = last(rotating)
    assert (moment["web1"], moment["web2"]) == (serves, serves)
    assert moment["db1"]["shop"] == (None if step == "close-cache" else "old-word")
    assert "old-pass" in moment["db1"]["cache"]
    assert [strangers(moment) for moment in rotating.moments() if len(moment) == 3 and strangers(moment)] == []
    assert_nothing_is_left_open(rotating)


def test_a_host_that_went_back_by_itself_keeps_all_of_them_from_using_what_it_does_not_know(rotating):
    rotating.script("web1", activate={"goes_back": True})
    done = rotating.rotate()
    assert done.returncode == 1
    assert "the step accepted failed: web1: it does not serve with its files as they are now" in comment(done)
    assert "use web2" not in rotating.log()


def test_a_deploy_key_that_the_git_server_refuses_stops_it_before_anything_is_touched(fleet):
    begin(fleet)
    fleet.script("web2", **{"try-key": {"fail": "Permission denied (publickey)."}})
    with pillar(fleet, **OLD, deploy_key=["new-deploy-key", "old-deploy-key"]):
        done = fleet.rotate()
        assert done.returncode == 1
        assert "web2: Permission denied (publickey).\nthe newest deploy key is not let in" in comment(done)
        assert sorted(fleet.log("preflight")) == ["try-key web1", "try-key web2"]
        fleet.script("web2")
        assert fleet.rotate().returncode == 0
    assert list(fleet.ledger()["in_use"]) == ["secrets:shop:deploy_key"]


def test_an_app_that_is_not_deployed_has_nothing_to_rotate(fleet):
    done = fleet.rotate()
    assert done.returncode == 1
    assert comment(done).endswith("shop is not deployed yet: leave one value of each secret, and deploy it")


def in_log(line):
    return lambda fleet: line in fleet.log()


def noted(path, **entry):
    return lambda fleet: fleet.ledger()["in_use"].get(path, {}).items() >= entry.items()


def is_used(fleet):
    return noted(PASSWORD, login=2)(fleet)


STEPS = {
    "database": in_log("database db1"),
    "cache": in_log("cache db1"),
    "accept-1": in_log("activate web1"),
    "accept-2": in_log("activate web2"),
    "accepted": noted(PASSWORD, login=1, overlap=True),
    "use-1": in_log("use web1"),
    "use-2": in_log("use web2"),
    "record": is_used,
    "retire": in_log("retire web1"),
    "close": in_log("close db1"),
    "close-cache": in_log("close-cache db1"),
}


# Those after which the hosts differ; `make matrix` takes all.
KILLED_AT = STEPS if MATRIX else ("accept-1", "use-1", "record")


def test_a_rotation_that_is_killed_at_one_step_after_the_other_ends_right_at_last(rotating):
    """Meanwhile hosts apply their states by themselves, and nobody ever meets what he does not know."""
    for step in KILLED_AT:
        rotating.forget_log()
        rotating.kill_rotation(when=partial(STEPS[step], rotating))
        rotating.run("rollout.unlock", "shop")
        if step in ("accept-1", "use-1"):
            for host, sls in (("db1", "database"), ("db1", "cache"), ("web1", "app.activate")):
                rotating.call(host, "state.apply", sls, 'pillar={"only": "shop"}')
        wrong = [strangers(moment) for moment in rotating.moments() if len(moment) == 3 and strangers(moment)]
        assert wrong == [], step
    done = rotating.rotate()
    assert done.returncode == 0, done.stdout
    assert_it_is_over(rotating)


def test_rollout_rotate_shows_each_step_and_a_table(rotating):
    done = rotating.shown("rollout.rotate", "shop")
    assert done.returncode == 0, done.stderr
    assert "use-2 web2: done" in done.stderr
    assert done.stdout.splitlines()[0].split()[:3] == ["Host", "App", "Release"]
    assert "rotated" in rotating.shown("rollout.history", "shop").stdout
