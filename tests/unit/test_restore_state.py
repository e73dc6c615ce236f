"""The steps of a rollback that restores a dump, against hosts that answer what the test says."""

import pytest
from orchestration import BLUE, GREEN, V1, Hosts, in_progress, on_hosts, step

import ledger_file
import lock_file

DUMP = "/var/backups/slipway/shop/20261125T184101.123456Z-before-1a2b3c4d5e6f.dump"
NOTES = {"database": "shop", "host": "db1", "path": DUMP, "fronts": ["lb1", "web1"]}
REPLACED = "shop_replaced_20261125_184101"
OPENED = {"shop-open": {"__id__": "shop-open", "__run_num__": 0, "result": True, "changes": {"removed": "on"}}}


@pytest.fixture
def restore(steps_of):
    """The module for some hosts, with a rollback in progress of which the ledger has notes."""

    def make(hosts=None, running=None, test=False, jid="1", notes=None, before=BLUE, path="_states/restore.py"):
        module = steps_of(path, hosts, running, test, jid)
        if notes != "nothing":
            in_progress(module, {"web1": before})
        if isinstance(notes, dict):
            ledger_file.note(module.folder, "shop", restore=notes)
        return module

    return make


def noted(module):
    return ledger_file.read(module.folder, "shop")["in_progress"].get("restore")


def asked(hosts):
    """What the hosts were asked to do, without the questions."""
    questions = ("databases.names", "maintenance.closed_for", "slots.serving")
    return [(name, *where) for name, where, *_ in hosts.asked if name not in questions]


def restored(module):
    return module.restored("restore", "shop", "db1", "shop", DUMP, 8000000, ["lb1", "web1"])


@pytest.mark.parametrize(("test", "result"), [(True, None), (False, True)])
def test_a_dump_is_restored_beside_the_database(restore, test, result):
    hosts = Hosts(databases_restore={"database": "shop_restored", "seconds": 3.2})
    ret = restored(restore(hosts, test=test))
    assert (ret["result"], ret["changes"]) == (result, {"restored": {"path": DUMP, "database": "shop_restored"}})
    assert asked(hosts) == ([] if test else [("databases.restore", "db1")])


def test_what_is_going_to_be_restored_is_noted_before(restore):
    module = restore(Hosts(databases_restore=lambda host: RuntimeError("no room")))
    assert restored(module)["comment"] == "db1: no room"
    assert noted(module) == NOTES


def closed(module):
    return module.closed("close", "shop", ["web1"], ["lb1", "web1"])


CLOSED_BY_HAND = {"lb1": "maintenance", "web1": ""}


@pytest.mark.parametrize(("test", "result"), [(True, None), (False, True)])
def test_visitors_are_kept_out_where_they_are_not_yet_and_requests_are_waited_for(restore, test, result):
    hosts = Hosts(maintenance_closed_for=CLOSED_BY_HAND.get, state_sls=OPENED, slots_quiet=0)
    ret = closed(restore(hosts, test=test))
    assert (ret["result"], ret["changes"]) == (result, {"closed": ["web1"]})
    assert asked(hosts) == ([] if test else [("state.sls", "web1"), ("slots.quiet", "web1")])


@pytest.mark.parametrize("test", [True, False])
def test_where_all_is_closed_by_hand_nothing_is_closed_and_requests_are_waited_for_nevertheless(restore, test):
    hosts = Hosts(maintenance_closed_for="maintenance", slots_quiet=0)
    ret = closed(restore(hosts, test=test))
    assert (ret["result"], ret["changes"]) == (True, {})
    assert asked(hosts) == ([] if test else [("slots.quiet", "web1")])


def test_requests_that_are_cut_are_told(restore):
    hosts = Hosts(maintenance_closed_for="", state_sls=OPENED, slots_quiet=2)
    assert "web1: 2 connections are cut, which did not end in time" in closed(restore(hosts))["comment"]


@pytest.mark.parametrize("silent", ["maintenance_closed_for", "state_sls", "slots_quiet"])
def test_a_host_that_does_not_keep_visitors_out_stops_the_rollback(restore, silent):
    answers = {"maintenance_closed_for": "", "state_sls": OPENED, "slots_quiet": 0}
    ret = closed(restore(Hosts(**{**answers, silent: None})))
    assert ret["result"] is False
    assert "web1: it d" in ret["comment"]


def swapped(module):
    return module.swapped("swap", "shop", "db1", "shop", ["web1"])


@pytest.mark.parametrize(("test", "result"), [(True, None), (False, True)])
def test_the_database_is_swapped_and_what_runs_is_distrusted(restore, test, result):
    hosts = Hosts(databases_swap=True, slots_distrust=True)
    ret = swapped(restore(hosts, test=test, notes=NOTES))
    assert (ret["result"], ret["changes"]) == (result, {"swapped": {"shop_restored": "shop"}})
    assert asked(hosts) == ([] if test else [("databases.swap", "db1"), ("slots.distrust", "web1")])
    assert "shop_replaced_2" in ret["comment"]


def test_the_comment_of_a_swap_says_how_to_be_rid_of_the_other_database(restore):
    module = restore(Hosts(databases_swap=True, slots_distrust=True), notes=NOTES)
    comment = swapped(module)["comment"]
    assert comment.endswith(f"salt db1 databases.drop {noted(module)['replaced']}")


def test_the_name_that_the_database_is_going_to_get_is_noted_before_the_swap(restore):
    module = restore(Hosts(databases_swap=RuntimeError("no")), notes=NOTES)
    assert swapped(module)["result"] is False
    assert noted(module)["replaced"].startswith("shop_replaced_2")


def test_who_lost_the_lock_swaps_nothing(restore):
    hosts = Hosts()
    module = restore(hosts, jid="2", notes=NOTES)
    assert swapped(module)["comment"].endswith("nothing was swapped")
    assert hosts.asked == []


def opened(module):
    return module.opened("open", "shop", ["lb1", "web1"])


@pytest.mark.parametrize(("test", "result"), [(True, None), (False, True)])
def test_visitors_are_let_in_where_they_were_kept_out_for_the_restore(restore, test, result):
    reasons = {"lb1": "maintenance", "web1": "restore"}
    hosts = Hosts(maintenance_closed_for=reasons.get, state_sls=OPENED)
    module = restore(hosts, step(1, "close", changes={"closed": ["web1"]}), test, notes={**NOTES, "replaced": REPLACED})
    ledger_file.succeed(module.folder, "shop", {}, result="rolled back")
    ret = opened(module)
    assert (ret["result"], ret["changes"]) == (result, {"opened": ["web1"]})
    assert asked(hosts) == ([] if test else [("state.sls", "web1")])
    assert ("closed" in ledger_file.read(module.folder, "shop")["history"][-1]) == test


def test_a_host_that_does_not_let_visitors_in_is_named_and_the_ledger_knows(restore):
    hosts = Hosts(maintenance_closed_for=lambda host: None if host == "lb1" else "restore", state_sls=OPENED)
    module = restore(hosts, notes={**NOTES, "replaced": REPLACED})
    ledger_file.succeed(module.folder, "shop", {}, result="rolled back")
    assert (opened(module)["result"], opened(module)["comment"]) == (False, "lb1: it does not answer")
    assert ledger_file.read(module.folder, "shop")["history"][-1]["closed"] == ["lb1", "web1"]
    assert ("state.sls", "web1") in asked(hosts)


class Server(Hosts):
    """Hosts that serve GREEN and keep visitors out; the database server has some databases."""

    def __init__(self, *databases, **answers):
        self.databases = {"shop", *databases}
        ours = {"slots_serving": GREEN, "slots_revert": BLUE, "maintenance_closed_for": "restore", "state_sls": OPENED}
        ours["saltutil_is_running"] = []
        own = {"databases_drop": None, "databases_names": None, "databases_swap": None}
        super().__init__(**{**ours, **own, **answers})
        self.silent = [name.replace("_", ".", 1) for name in answers if answers[name] is None]

    def cmd_iter(self, tgt, fun, arg, tgt_type, kwarg, expect_minions):
        if fun.startswith("databases.") and fun not in self.silent:
            self.answers[fun] = getattr(self, fun.partition(".")[2])(*arg, **kwarg)
        yield from super().cmd_iter(tgt, fun, arg, tgt_type, kwarg, expect_minions)

    def names(self):
        return sorted(self.databases)

    def drop(self, name):
        found = self.databases & {name}
        self.databases -= found
        return list(found)

    def swap(self, name, new, old):
        self.databases = self.databases - {new} | {old}
        return True


SWAPPED = {**NOTES, "replaced": REPLACED}


def healed(module):
    return module.healed("heal", "shop")


@pytest.mark.parametrize("test", [True, False])
def test_where_nothing_was_left_nobody_is_asked(restore, test):
    hosts = Hosts()
    ret = healed(restore(hosts, test=test))
    assert (ret["result"], ret["changes"], hosts.asked) == (True, {}, [])


@pytest.mark.parametrize(
    ("notes", "databases", "sentence"),
    [
        (NOTES, [], "shop is as it was"),
        (NOTES, ["shop_restored"], "shop is as it was"),
        (SWAPPED, ["shop_restored"], "shop is as it was"),
        (SWAPPED, [REPLACED], "shop is again what it was before it was restored"),
    ],
)
def test_what_a_killed_rollback_left_is_put_right(restore, notes, databases, sentence):
    hosts = Server(*databases)
    module = restore(hosts, notes=notes)
    ret = healed(module)
    assert ret["result"] is True, ret
    assert hosts.databases == {"shop"}
    lines = ret["comment"].splitlines()
    assert f"which restores {DUMP}, never ended" in lines[0]
    assert lines[1:] == [sentence, "web1 serves old again", "visitors are let in again: lb1, web1"]
    assert not noted(module)
    assert healed(module)["changes"] == {}


def test_the_database_comes_before_the_hosts_and_visitors_come_last(restore):
    hosts = Server(REPLACED)
    healed(restore(hosts, notes=SWAPPED))
    order = [name for name, *_ in asked(hosts) if name not in ("databases.drop", "saltutil.is_running")]
    assert order == ["databases.swap", "slots.revert", "state.sls"]


def test_what_the_killed_rollback_has_begun_on_a_host_is_waited_for(restore, monkeypatch):
    hosts, runs = Server(REPLACED), [[{"fun": "state.sls"}], [{"fun": "state.sls"}], []]
    hosts.answers["saltutil.is_running"] = lambda host: runs.pop(0)
    module = restore(hosts, notes=SWAPPED)
    monkeypatch.setattr(module.asking, "BUSY_INTERVAL", 0)
    assert healed(module)["result"] is True
    assert [name for name, *_ in hosts.asked[:4]] == ["saltutil.is_running"] * 3 + ["databases.drop"]


def test_in_test_mode_a_killed_rollback_is_told_and_left(restore):
    hosts = Server(REPLACED)
    ret = healed(restore(hosts, test=True, notes=SWAPPED))
    assert (ret["result"], hosts.asked) == (None, [])
    assert ret["comment"].endswith("never ended: what it left would be put right")


@pytest.mark.parametrize("silent", ["databases_names", "databases_swap", "maintenance_closed_for"])
def test_what_could_not_be_put_right_is_tried_again(restore, silent):
    module = restore(Server(REPLACED, **{silent: None}), notes=SWAPPED)
    assert healed(module)["result"] is False
    assert noted(module) == SWAPPED


def test_a_rollback_that_was_recorded_is_brought_to_its_end_and_not_undone(restore):
    hosts = Server(REPLACED)
    module = restore(hosts, notes=SWAPPED)
    ledger_file.succeed(module.folder, "shop", {}, result="rolled back")
    assert healed(module)["comment"].splitlines()[1:] == ["visitors are let in again: lb1, web1"]
    assert hosts.databases == {"shop", REPLACED}
    assert healed(module)["changes"] == {}


def finished(restore, hosts, notes=SWAPPED):
    module = restore(hosts, step(1, "activate-1", False, on_hosts(web1="boom")), notes=notes, path="_states/rollout.py")
    return module, module.finished("finish", ["shop"])


def test_a_rollback_that_fails_after_the_swap_is_undone(restore):
    hosts = Server(REPLACED)
    module, ret = finished(restore, hosts)
    assert hosts.databases == {"shop"}
    assert ret["comment"].splitlines()[:3] == [
        "shop is again what it was before it was restored",
        "web1 serves old again",
        "visitors are let in again: lb1, web1",
    ]
    assert ledger_file.read(module.folder, "shop")["in_progress"] == {}
    assert lock_file.show(module.folder, "shop") == {}


def test_a_side_database_that_cannot_be_dropped_is_told_and_visitors_are_let_in(restore):
    _, ret = finished(restore, Server(databases_drop=None), NOTES)
    assert "db1: what was restored is still there: it does not answer" in ret["comment"]
    assert "visitors are let in again" in ret["comment"]


def test_where_the_database_cannot_be_swapped_back_visitors_stay_out_and_the_next_run_knows(restore):
    hosts = Server(REPLACED, databases_names=None)
    module, ret = finished(restore, hosts)
    assert ret["comment"].startswith("NOT everything was brought back, and visitors may be kept out: db1: it does not")
    assert ret["comment"].endswith("boom")
    assert ("state.sls", "lb1", "web1") not in asked(hosts)
    assert noted(module) == SWAPPED
    assert lock_file.show(module.folder, "shop") == {}
    ledger_file.begin(module.folder, "shop", {"release": V1})
    assert ledger_file.read(module.folder, "shop")["history"][-1]["reason"].endswith("boom")
