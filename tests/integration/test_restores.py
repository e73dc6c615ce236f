"""Rollbacks that restore a dump, on a real master with real minions; the hosts' own work is done by doubles."""

from types import SimpleNamespace

import pytest
from conftest import MATRIX, QUESTIONS, UNSAFE, assert_nothing_is_left_open, comment, release, results

DUMP = f"/var/backups/slipway/shop/before-{release('two')['id']}.dump"
ASKED = (*QUESTIONS, "restorable", "drop")


@pytest.fixture
def two(fleet):
    """The fleet with the release two, which has applied a migration that one may fail with, after a dump."""
    begin(fleet)
    return fleet


def begin(fleet):
    fleet.was_deployed("one")
    dumps = {"shop": {"path": DUMP, "host": "db1", "room": 8_000_000}}
    fleet.was_deployed("two", applied=["shop.0002_price"], unsafe=UNSAFE, dumps=dumps)


@pytest.fixture(scope="module")
def restored(daemons, tmp_path_factory):
    """A rollback in test mode, the real one, and two more: what they said, and what was to be seen after each."""

    def now():
        return daemons.as_it_is(tmp_path_factory.mktemp("seen"))

    daemons.reset()
    begin(daemons)
    before, planned, foretold = now(), daemons.rollback("test=True", restore=True), now()
    daemons.forget_log()
    done, after = daemons.rollback(restore=True), now()
    again, named, last = daemons.rollback(restore=True), daemons.rollback(restore=True, to="one"), now()
    runs = {"planned": planned, "done": done, "again": again, "named": named}
    return SimpleNamespace(**runs, before=before, foretold=foretold, after=after, last=last)


def replaced(fleet):
    """The database that was put aside, in a list."""
    return [name for name in fleet.databases() if name.startswith("shop_replaced_")]


def assert_nothing_has_changed(fleet):
    assert fleet.databases() == {"shop": "now"}
    assert fleet.serving() == ["two", "two"]
    assert fleet.closed_for() == ["", ""]
    assert fleet.ledger()["deployed"] == release("two")


def assert_one_is_back_with_its_database(fleet):
    assert fleet.databases() == {"shop": DUMP, replaced(fleet)[0]: "now"}
    assert fleet.serving() == ["one", "one"]
    assert fleet.closed_for() == ["", ""]
    assert fleet.ledger()["deployed"] == release("one")
    assert_nothing_is_left_open(fleet)


def test_users_are_served_while_the_dump_is_restored_and_kept_out_until_all_hosts_have_the_release(restored):
    assert restored.done.returncode == 0, restored.done.stdout
    log = restored.after.log(*ASKED)
    assert sorted(log[:2]) == ["stage web1", "stage web2"]
    assert log[2] == "restore db1"
    steps = [line.split()[0] for line in log[3:]]
    assert steps == [
        *["maintenance-on"] * 2, *["quiet"] * 2, "swap", *["distrust"] * 2, "migrate", *["activate"] * 2,
        *["settle"] * 2, *["maintenance-off"] * 2, *["retire"] * 2,
    ]  # fmt: skip
    assert_one_is_back_with_its_database(restored.after)


def test_the_ledger_and_the_last_lines_say_what_was_restored_and_where_the_other_database_is(two):
    done = two.run("rollout.rollback", "shop", "restore=True")
    (aside,) = replaced(two)
    entry = two.ledger()["history"][-1]
    assert (entry["result"], entry["restored"], entry["replaced"]) == ("rolled back", DUMP, aside)
    assert "closed" not in entry
    assert done.data["told"].startswith(f"{aside} on db1 is the database of before")
    assert done.data["told"].endswith(f"salt db1 databases.drop {aside}")


def test_test_mode_says_what_is_lost_and_kept_and_touches_nothing(restored):
    assert restored.planned.returncode == 0, restored.planned.stdout
    assert comment(restored.planned, "plan").splitlines()[:5] == [
        f"rollback: shop one ({release('one')['id']})",
        "activate-1: web1 + web2",
        f"restore: shop on db1 as of 2026-11-25T18:41:01Z, without what was written since: {DUMP}",
        "visitors: get the maintenance page while databases and releases change: web1 + web2",
        "kept: the database as it is until then, as shop_replaced_<time> on db1",
    ]
    assert (restored.foretold.ledger(), "restore db1" in restored.foretold.log()) == (restored.before.ledger(), False)
    assert_nothing_has_changed(restored.foretold)
    predicted, real = (
        {step: result["changes"] for step, result in results(run).items()} for run in (restored.planned, restored.done)
    )
    for step in ("heal", "restore", "close", "swap", "record", "open"):
        assert predicted[step] == real[step], step


def test_what_an_operator_has_closed_stays_closed(two):
    two.maintain(True, allow=["203.0.113.7"])
    done = two.rollback(restore=True)
    assert done.returncode == 0, done.stdout
    assert two.closed_for() == ["maintenance", "maintenance"]
    assert two.serving() == ["one", "one"]
    assert results(done)["close"]["changes"] == results(done)["open"]["changes"] == {}


def test_a_second_time_nothing_is_restored(restored):
    assert restored.again.returncode == 1
    assert "shop: nothing was deployed before" in comment(restored.again)
    assert "nothing is in the way of one" in comment(restored.named)
    before, last = restored.after, restored.last
    assert (last.databases(), last.ledger()) == (before.databases(), before.ledger())


def test_a_dump_that_is_gone_stops_the_rollback_before_anything_is_touched(two):
    two.script("db1", restorable={"fail": f"the dump {DUMP} is gone"})
    done = two.rollback(restore=True)
    assert done.returncode == 1
    assert f"db1: the dump {DUMP} is gone" in comment(done)
    assert_nothing_has_changed(two)


@pytest.mark.parametrize(("host", "step"), [("db1", "restore"), ("web2", "maintenance-on"), ("db1", "swap")])
def test_a_rollback_that_fails_before_the_swap_has_changed_nothing(two, host, step):
    two.script(host, **{step: {"fail": "no room"}})
    done = two.rollback(restore=True)
    assert done.returncode == 1
    assert comment(done).endswith("no room")
    assert_nothing_has_changed(two)
    assert two.ledger()["history"][-1]["result"] == "failed"
    assert_nothing_is_left_open(two)


def test_a_rollback_that_fails_after_the_swap_gives_the_database_its_name_again_before_hosts_and_visitors(two):
    two.script("web2", activate={"fail": "boom"})
    done = two.rollback(restore=True)
    assert done.returncode == 1
    assert "shop is again what it was before it was restored" in comment(done)
    assert comment(done).endswith("boom")
    assert_nothing_has_changed(two)
    back = [line for line in two.log() if line.split()[0] in ("swap", "revert", "maintenance-off")]
    assert back[:3] == ["swap db1", "swap db1", "revert web1"]
    assert sorted(back[3:]) == ["maintenance-off web1", "maintenance-off web2"]
    assert_nothing_is_left_open(two)


def test_a_database_that_could_not_be_given_its_name_again_is_the_first_thing_of_the_next_deploy(two):
    two.script("web1", activate={"fail": "boom"})
    two.script("db1", names={"fail": "PostgreSQL does not run"})
    failed = two.rollback(restore=True)
    assert "NOT everything was brought back" in comment(failed)
    assert "PostgreSQL does not run" in comment(failed)
    assert two.closed_for() == ["restore", "restore"]
    assert two.lock() == {}
    two.calm()
    done = two.deploy("three")
    assert done.returncode == 0, done.stdout
    assert "shop is again what it was before it was restored" in comment(done, "heal")
    assert (two.databases(), two.serving(), two.closed_for()) == ({"shop": "now"}, ["three", "three"], ["", ""])
    assert [entry["result"] for entry in two.ledger()["history"]][-2:] == ["failed", "deployed"]
    assert "boom" in two.ledger()["history"][-2]["reason"]


def done_by(step, host):
    """Whether a host has done a step."""
    return lambda fleet: f"{step} {host}" in fleet.log()


KILLED = {
    "while the dump is restored": ("db1", "restore", lambda fleet: "shop_restored" in fleet.databases()),
    "while visitors are kept out": ("web1", "quiet", done_by("maintenance-on", "web1")),
    "after the swap": ("web1", "distrust", done_by("swap", "db1")),
    "while the release is activated": ("web1", "activate", done_by("activate", "web2")),
}


@pytest.mark.parametrize("moment", KILLED if MATRIX else ["after the swap"])
def test_a_rollback_that_was_killed_is_healed_by_the_next_which_says_so(two, moment):
    host, step, is_reached = KILLED[moment]
    two.script(host, **{step: {"sleep": 3}})
    two.kill_rollback(lambda: is_reached(two), restore=True)
    two.calm()
    assert "its process has ended" in comment(two.rollback(restore=True))
    two.run("rollout.unlock", "shop")
    done = two.rollback(restore=True)
    assert done.returncode == 0, done.stdout
    assert f"which restores {DUMP}, never ended" in comment(done, "heal")
    assert_one_is_back_with_its_database(two)
    assert [entry["result"] for entry in two.ledger()["history"]][-2:] == ["failed", "rolled back"]


def test_a_rollback_that_was_killed_after_the_swap_is_put_right_by_a_deploy_too(two):
    two.script("web1", distrust={"sleep": 3})
    two.kill_rollback(lambda: done_by("swap", "db1")(two), restore=True)
    two.run("rollout.unlock", "shop")
    test = two.deploy("three", "test=True")
    assert results(test)["heal"]["result"] is None
    assert two.closed_for() == ["restore", "restore"]
    assert two.deploy("three").returncode == 0
    assert (two.databases(), two.serving(), two.closed_for()) == ({"shop": "now"}, ["three", "three"], ["", ""])


def test_a_rollback_that_was_killed_before_visitors_were_let_in_lets_them_in_when_it_is_run_again(two):
    two.script("web1", **{"maintenance-off": {"sleep": 3}})
    two.kill_rollback(lambda: two.ledger()["deployed"] == release("one"), restore=True)
    two.calm()
    two.run("rollout.unlock", "shop")
    done = two.rollback(restore=True)
    assert done.returncode == 0, done.stdout
    assert_one_is_back_with_its_database(two)
    assert [entry["revision"] for entry in two.ledger()["history"]] == ["one", "two", "one"]


def test_a_host_that_does_not_let_visitors_in_is_named_and_the_next_run_does_it(two):
    two.script("web2", **{"maintenance-off": {"fail": "read-only file system"}})
    failed = two.rollback(restore=True)
    assert failed.returncode == 1
    assert "the release is deployed on every host; what failed came after that" in comment(failed)
    assert comment(failed).endswith("web2: shop-off: read-only file system")
    assert two.closed_for() == ["", "restore"]
    two.calm()
    assert two.rollback(restore=True).returncode == 0
    assert_one_is_back_with_its_database(two)


def test_after_a_failed_deploy_its_release_and_its_database_come_back(fleet):
    fleet.was_deployed("one")
    pending = {"pending": ["shop.0002_price"]}
    applied = {"applied": ["shop.0002_price"]}
    fleet.script("web1", examine={"unsafe": UNSAFE}, migrate=applied, pending=pending, activate={"fail": "boom"})
    assert fleet.deploy("two", allow_unsafe=True).returncode == 1
    fleet.calm()
    done = fleet.rollback(restore=True, to="one")
    assert done.returncode == 0, done.stdout
    assert_one_is_back_with_its_database(fleet)
    assert fleet.ledger()["history"][-1]["restored"] == DUMP
