"""The master's own steps of an orchestration, against hosts that answer what the test says."""

import pytest
from orchestration import BLUE, GREEN, UNSAFE, V1, Hosts, deployed, hook, hosts_with_hooks, in_progress, on_hosts, step

import asking
import ledger_file
import lock_file
import notices
import state_result


@pytest.fixture
def rollout(steps_of):
    def make(hosts=None, running=None, test=False, jid="1"):
        return steps_of("_states/rollout.py", hosts, running, test, jid)

    return make


def test_a_plan_with_problems_fails_with_all_of_them(rollout):
    ret = rollout().planned("plan", problems=["one", "two"], summary="")
    assert (ret["result"], ret["comment"]) == (False, "one\ntwo")


LOOK = {
    "host": "web1",
    "questions": {"path": "/srv/shop/releases/1"},
    "told": [["deploy", "shop v1 (1a2b3c4d5e6f)"], ["activate-1", "web1"]],
    "databases": [{"name": "shop", "host": "db1"}],
    "back": [],
}


def test_a_real_run_shows_its_plan_without_asking(rollout):
    ret = rollout().planned("plan", problems=[], summary="shop v1: web1", look=LOOK)
    assert (ret["result"], ret["changes"], ret["comment"]) == (True, {}, "shop v1: web1")


def test_in_test_mode_the_plan_says_all_that_is_known_before(rollout):
    found = {"migrations": ["shop.0002"], "requirements": {}}
    ret = rollout(Hosts(releases_preview=found), test=True).planned("plan", [], "shop v1: web1", look=LOOK)
    assert (ret["result"], ret["changes"]) == (True, {})
    assert ret["comment"].splitlines() == [
        "deploy: shop v1 (1a2b3c4d5e6f)",
        "activate-1: web1",
        "migrations: shop.0002",
        "requirements: as they are",
        "dump: shop on db1, before the migrations",
        "way back: none: nothing is deployed yet",
    ]


def test_in_test_mode_a_preview_that_fails_is_shown_and_stops_nothing(rollout):
    ret = rollout(Hosts(releases_preview=None), test=True).planned("plan", [], "shop v1: web1", look=LOOK)
    assert ret["result"] is True
    assert ret["comment"].endswith("problem: web1: it does not answer")


def test_the_plan_of_a_rollback_tells_no_way_back(rollout):
    ret = rollout(Hosts(releases_preview={}), test=True).planned("plan", [], "", {**LOOK, "back": None})
    assert "way back" not in ret["comment"]


def test_time_passes_between_two_waves(rollout, monkeypatch):
    slept = []
    module = rollout(running=step(1, "activate-1", True, {"ret": {"web1": {}}}))
    monkeypatch.setattr(module.time, "sleep", slept.append)
    assert module.waited("wait-1", "shop", 60) == state_result.unchanged("wait-1", "60 s have passed")
    assert slept == [60]


@pytest.mark.parametrize("test", [True, False])
def test_no_time_passes_in_test_mode_or_where_nothing_has_changed(rollout, monkeypatch, test):
    module = rollout(running=step(1, "activate-1", True, {"ret": {"web1": {}}}) if test else {}, test=test)
    monkeypatch.setattr(module.time, "sleep", None)
    ret = module.waited("wait-1", "shop", 60)
    assert (ret["result"], ret["changes"]) == (True, {})


def test_the_lock_is_no_change(rollout):
    module = rollout()
    ret = module.locked("lock", "shop", "deploy v1", 60)
    assert (ret["result"], ret["changes"]) == (True, {})
    assert lock_file.is_held(module.folder, "shop", "1")


def test_in_test_mode_no_lock_is_taken(rollout):
    module = rollout(test=True)
    assert module.locked("lock", "shop", "deploy v1", 60)["result"] is True
    assert lock_file.show(module.folder, "shop") == {}


@pytest.mark.parametrize("failed", [True, False])
def test_the_ledger_notes_which_of_the_migrations_that_ran_were_unsafe(rollout, failed):
    migrated = step(0, "shop-migrated", True, {"applied": ["shop.0002", "shop.0004"]})
    running = step(1, "examine", True, {"unsafe": UNSAFE}) | step(2, "migrate", True, {"ret": {"web1": migrated}})
    running |= step(3, "activate-1", False, on_hosts(web1="boom")) if failed else {}
    module = rollout(Hosts(slots_serving=BLUE, slots_settle=None), running)
    in_progress(module, {"web1": BLUE})
    _ = module.finished("finish", ["shop"]) if failed else module.recorded("record", "shop", ["web1"], V1)
    entry = ledger_file.read(module.folder, "shop")["history"][-1]
    assert (entry["applied"], entry["unsafe"]) == (["shop.0002", "shop.0004"], {"shop.0002": UNSAFE["shop.0002"]})


STAGED = {"out": "highstate", "ret": {"web1": {}}}
BUSY_HOST = ['The function "state.apply" is running as PID 4711 and was started at 2026, Nov 25 with jid 2026']


class Client:
    """A double of LocalClient: ``rounds`` of ``{host: what it returns}``; a host that is missing does not answer."""

    def __init__(self, *rounds):
        self.rounds, self.asked = list(rounds), []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def cmd_iter(self, tgt, fun, arg, tgt_type, kwarg, expect_minions):
        assert (fun, tgt_type, expect_minions) == ("state.sls" if arg else "state.highstate", "list", True)
        self.asked.append((list(tgt), arg, kwarg))
        answers = self.rounds.pop(0)
        for host in tgt:
            yield {host: {"ret": answers[host]} if host in answers else {"failed": True}}


@pytest.fixture
def applied(rollout, monkeypatch):
    """``applied(round, ...)``: the result of the step for web1 and web2, who was asked, and what the bus was told."""

    def apply(*rounds, test=False):
        client = Client(*rounds)
        module = rollout(client, test=test)
        monkeypatch.setattr(asking, "BUSY_INTERVAL", 0)
        ret = module.applied("stage", ["web1", "web2"], "shop", "app.stage", {"only": "shop"})
        return ret, client.asked, module.told

    return apply


def states(result=True, comment="", **changes):
    return step(0, "shop-release", result, changes, comment)


def test_a_step_is_applied_to_all_hosts_at_once_and_shows_those_that_changed(applied):
    ret, asked, _ = applied({"web1": states(staged="release"), "web2": states()})
    assert asked == [(["web1", "web2"], ["app.stage"], {"pillar": {"only": "shop"}, "test": False})]
    assert (ret["result"], ret["comment"]) == (True, "changed: web1")
    assert ret["changes"] == {"out": "highstate", "ret": {"web1": states(staged="release")}}


def test_without_an_sls_the_highstate_is_applied_and_a_busy_host_is_waited_for(rollout, monkeypatch):
    monkeypatch.setattr(asking, "BUSY_INTERVAL", 0)
    client = Client({"web1": BUSY_HOST}, {"web1": states(installed="nginx")})
    ret = rollout(client).applied("app-hosts", ["web1"])
    assert (ret["result"], ret["comment"]) == (True, "changed: web1")
    assert client.asked[1] == (["web1"], [], {"pillar": {}, "test": False})


def test_a_step_that_changes_nothing_has_no_changes(applied):
    ret, _, _ = applied({"web1": states(), "web2": states()})
    assert (ret["result"], ret["changes"]) == (True, {})


def test_in_test_mode_a_step_predicts_and_tells_nobody(applied):
    ret, asked, told = applied({"web1": states(None, staged="release"), "web2": states()}, test=True)
    assert (ret["result"], list(ret["changes"]["ret"]), told) == (None, ["web1"], [])
    assert asked[0][2]["test"] is True


def test_a_host_that_fails_or_does_not_answer_fails_the_step_and_the_bus_is_told(applied):
    ret, _, told = applied({"web1": states(False, "no room")})
    assert (ret["result"], ret["comment"]) == (False, "it failed on web1, web2")
    assert ret["changes"]["ret"]["web2"] is False
    assert told == [
        ("shop", "stage", "web1", "begun"),
        ("shop", "stage", "web2", "begun"),
        ("shop", "stage", "web1", "failed"),
        ("shop", "stage", "web2", "failed"),
    ]


def test_a_host_that_is_at_another_state_run_is_asked_again_when_the_others_are_done(applied):
    first, second = {"web1": BUSY_HOST, "web2": states()}, {"web1": states(staged="release")}
    ret, asked, told = applied(first, {"web1": BUSY_HOST}, second)
    assert [hosts for hosts, *_ in asked] == [["web1", "web2"], ["web1"], ["web1"]]
    assert (ret["result"], ret["comment"]) == (True, "changed: web1")
    assert told[2:] == [("shop", "stage", "web2", "done"), ("shop", "stage", "web1", "done")]


def test_hosts_that_moved_are_brought_back_and_the_reason_ends_the_comment(rollout):
    hosts = Hosts(slots_serving=lambda host: GREEN if host == "web1" else BLUE, slots_revert=BLUE)
    running = step(1, "activate-1") | step(2, "activate-2", False, on_hosts(web2="boom\nImportError: no x"))
    module = rollout(hosts, running)
    in_progress(module, {"web1": BLUE, "web2": BLUE})
    ret = module.finished("finish", ["shop"])
    assert ret["result"] is False
    assert ("slots.revert", ("web1",), "shop", {"web1": "blue"}) in hosts.asked
    assert ret["comment"].endswith("web2 failed at the step activate-2: shop-web: boom\nImportError: no x")
    assert ledger_file.read(module.folder, "shop")["history"][-1]["phases"] == {"activate-1": 1.5, "activate-2": 1.5}
    assert lock_file.show(module.folder, "shop") == {}


def test_hosts_that_served_from_different_slots_go_back_at_once(rollout):
    hosts = Hosts(slots_serving=lambda host: GREEN if host == "web1" else BLUE, slots_revert=BLUE)
    module = rollout(hosts, step(1, "activate-2", False, on_hosts(web2="boom")))
    in_progress(module, {"web1": BLUE, "web2": GREEN})
    module.finished("finish", ["shop"])
    reverts = [asked for asked in hosts.asked if asked[0] == "slots.revert"]
    assert reverts == [("slots.revert", ("web1", "web2"), "shop", {"web1": "blue", "web2": "green"})]


def test_a_host_that_does_not_answer_is_said_to_go_back_by_itself(rollout):
    hosts = Hosts(slots_serving=lambda host: None if host == "web2" else BLUE, slots_revert=BLUE)
    module = rollout(hosts, step(1, "activate-2", False, {"ret": {"web2": False}}))
    in_progress(module, {"web1": BLUE, "web2": BLUE})
    comment = module.finished("finish", ["shop"])["comment"]
    assert "web2 was NOT brought back to old: it does not answer; it goes back by itself" in comment


def test_a_host_that_served_nothing_before_serves_nothing_again(rollout):
    hosts = Hosts(slots_serving=GREEN, slots_revert={"slot": "", "release": ""})
    module = rollout(hosts, step(1, "activate-2", False, on_hosts(web2="boom")))
    in_progress(module, {"web1": {"slot": "", "release": ""}})
    assert "web1 serves nothing again" in module.finished("finish", ["shop"])["comment"]


def test_a_lock_of_somebody_else_is_neither_released_nor_are_his_hosts_touched(rollout):
    hosts = Hosts()
    module = rollout(hosts, step(1, "lock", False, comment="shop is locked by bob"), jid="2")
    in_progress(module, {"web1": BLUE})
    ret = module.finished("finish", ["shop"])
    assert ret["comment"] == "the step lock failed: shop is locked by bob"
    assert hosts.asked == []
    assert lock_file.is_held(module.folder, "shop", "1")


def test_who_lost_the_lock_records_nothing(rollout):
    module = rollout(jid="2")
    in_progress(module, {"web1": BLUE})
    assert module.recorded("record", "shop", ["web1"], V1)["result"] is False
    assert ledger_file.read(module.folder, "shop")["deployed"] == {}


def test_test_mode_says_that_a_release_would_be_recorded(rollout):
    module = rollout(test=True)
    ret = module.recorded("record", "shop", ["web1"], V1)
    assert (ret["result"], ret["changes"]) == (None, {"deployed": {"old": {}, "new": V1}})


def behind(module, *hosts):
    """A module of which the ledger says that v1 is deployed and these hosts missed it; another deploy has begun."""
    deployed(module, skipped=list(hosts))
    lock_file.release(module.folder, "shop")
    return module


@pytest.mark.parametrize(("test", "result"), [(True, None), (False, True)])
def test_who_missed_a_release_is_recorded(rollout, test, result):
    module = behind(rollout(Hosts(slots_settle=None), step(1, "stage", changes=STAGED), test=test), "web2")
    in_progress(module, {"web1": BLUE}, skipped=["web2", "web3"])
    ret = module.recorded("record", "shop", ["web1"], V1, ["web2", "web3"])
    assert (ret["result"], ret["changes"]["skipped"]) == (result, ["web3"])
    assert set(ledger_file.skipped(module.folder)["shop"]) == ({"web2"} if test else {"web2", "web3"})


@pytest.mark.parametrize("test", [True, False])
def test_a_host_that_is_off_and_missed_nothing_is_not_behind(rollout, test):
    module = behind(rollout(test=test))
    in_progress(module, {"web1": BLUE}, skipped=["web2"])
    ret = module.recorded("record", "shop", ["web1"], V1, ["web2"])
    assert (ret["result"], ret["changes"]) == (True, {})
    assert ledger_file.skipped(module.folder) == {}


@pytest.mark.parametrize(("test", "result"), [(True, None), (False, True)])
def test_balancers_learn_who_takes_traffic_and_then_the_ledger_who_is_behind_no_more(rollout, test, result):
    client = Client({"lb1": states(result, configured="nginx")})
    module = behind(rollout(client, test=test), "web2", "web3")
    ret = module.balanced("balance", "shop", ["lb1"], ["web3"])
    assert (ret["result"], ret["comment"]) == (result, "changed: lb1")
    assert client.asked == [(["lb1"], ["balancer"], {"pillar": {"skipped": {"shop": ["web3"]}}, "test": test})]
    assert list(ledger_file.skipped(module.folder)["shop"]) == (["web2", "web3"] if test else ["web3"])


def test_where_a_balancer_fails_the_host_stays_behind(rollout):
    module = behind(rollout(Client({})), "web2")
    ret = module.balanced("balance", "shop", ["lb1"], [])
    assert (ret["result"], ret["comment"]) == (False, "it failed on lb1")
    assert list(ledger_file.skipped(module.folder)["shop"]) == ["web2"]


def test_without_a_balancer_the_ledger_alone_learns_it(rollout):
    module = behind(rollout(), "web2")
    assert module.balanced("balance", "shop", [], [])["changes"] == {}
    assert ledger_file.skipped(module.folder) == {}


def test_no_balancer_is_asked_where_every_host_has_the_release(rollout):
    hosts = Hosts()
    ret = behind(rollout(hosts)).balanced("balance", "shop", ["lb1"], [])
    assert (ret["result"], ret["changes"], hosts.asked) == (True, {}, [])


def test_the_end_names_the_hosts_that_were_skipped(rollout, told):
    module = rollout(running=step(1, "record", changes={"deployed": {}}))
    deployed(module, skipped=["web2"])
    ret = module.finished("finish", ["shop"], ["web1"])
    assert (ret["result"], ret["comment"].splitlines()[0]) == (True, "web2 was skipped: it does not answer")
    assert told[0]["told"] == ["web2 was skipped: it does not answer"]


def test_of_many_hosts_with_one_failure_a_few_are_shown_and_all_are_named(rollout):
    failures = on_hosts(**{f"web{number}": f"boom {number}" for number in range(9)})
    comment = rollout(None, step(1, "stage", False, failures)).finished("finish", [])["comment"]
    assert comment.splitlines()[0] == "web3, web4, web5, web6, web7, web8 failed at the step stage, too"
    assert comment.count("boom") == 3


@pytest.mark.parametrize(
    ("returned", "reason"),
    [(False, "it did not answer"), (["Pillar failed", "why"], "Pillar failed\nwhy"), ("no such sls", "no such sls")],
)
def test_a_host_that_returned_no_states_is_explained(rollout, returned, reason):
    failures = {"ret": {"web1": returned}}
    comment = rollout(None, step(1, "stage", False, failures)).finished("finish", [])["comment"]
    assert comment == f"web1 failed at the step stage: {reason}"


def test_a_long_reason_keeps_its_first_line_and_its_end(rollout):
    why = "\n".join(f"line {number}" for number in range(100))
    lines = rollout(None, step(1, "stage", False, on_hosts(web1=why))).finished("finish", [])["comment"].splitlines()
    assert lines[0].endswith("line 0")
    assert lines[-1] == "line 99"
    assert len(lines) == 16


def test_a_step_that_only_followed_a_failure_is_not_blamed(rollout):
    running = step(1, "stage", False, on_hosts(web1="boom")) | step(2, "migrate", False, ran=False)
    assert "migrate" not in rollout(None, running).finished("finish", [])["comment"]


def a_failed_deploy(rollout, before=BLUE):
    hosts = hosts_with_hooks(slots_serving=before)
    module = rollout(hosts, step(1, "activate-1", False, on_hosts(web1="boom")))
    in_progress(module, {"web1": before})
    return hosts, module


def test_hooks_of_a_failure_run_after_the_hosts_were_brought_back(rollout):
    hosts, module = a_failed_deploy(rollout)
    lines = module.finished("finish", ["shop"], ["web1"], hook(["echo", "a"]))["comment"].splitlines()
    assert lines[0] == "every host of shop still serves what it served before"
    assert lines[1] == "web1 ran: echo a"
    assert lines[-1].endswith("boom")
    assert [asked[0] for asked in hosts.asked][-1] == "hooks.run"


def test_a_hook_of_a_failure_that_fails_is_told_beside_the_reason(rollout):
    _, module = a_failed_deploy(rollout)
    ret = module.finished("finish", ["shop"], ["web1"], hook(["false"]))
    assert ret["result"] is False
    assert "a hook of a failure failed itself: web1: false failed: no" in ret["comment"]
    assert ret["comment"].endswith("boom")
    assert ledger_file.read(module.folder, "shop")["history"][-1]["reason"].endswith("boom")
    assert lock_file.show(module.folder, "shop") == {}


def test_without_a_release_that_serves_no_hook_of_a_failure_runs(rollout):
    hosts, module = a_failed_deploy(rollout, before={"slot": "", "release": ""})
    ret = module.finished("finish", ["shop"], ["web1"], hook(["echo", "a"]))
    assert "web1 serves nothing: no hook of a failure runs" in ret["comment"]
    assert hosts.ran == []


@pytest.fixture
def told(monkeypatch):
    """The messages that are sent, instead of sending them."""
    sent = []
    monkeypatch.setattr(notices, "send", lambda opts, notice: sent.append(notice) or ["nobody was there"])
    return sent


def test_a_failed_deploy_is_told_with_what_was_done_about_it(rollout, told):
    _, module = a_failed_deploy(rollout)
    ret = module.finished("finish", ["shop"], ["web1"])
    [notice] = told
    assert (notice["result"], notice["revision"], notice["hosts"]) == ("failed", "v1", ["web1"])
    assert notice["told"] == ["every host of shop still serves what it served before"]
    assert notice["reason"].endswith("boom")
    assert ret["comment"].splitlines()[1] == "nobody was there"


def test_a_deploy_that_was_recorded_is_told_and_a_failed_message_fails_nothing(rollout, told):
    module = rollout(running=step(1, "record", changes={"deployed": {}}))
    deployed(module)
    ret = module.finished("finish", ["shop"], ["web1"])
    assert (ret["result"], ret["comment"]) == (True, "nobody was there")
    assert [notice["result"] for notice in told] == ["deployed"]


def test_a_step_that_failed_after_the_record_is_told_as_well(rollout, told):
    failed_hook = step(2, "after-deploy", False, comment="web1: false failed: no")
    module = rollout(running=step(1, "record", changes={"deployed": {}}) | failed_hook)
    deployed(module)
    ret = module.finished("finish", ["shop"], ["web1"], hook(["echo", "a"]))
    assert ret["result"] is False
    assert "the release is deployed on every host; what failed came after that" in ret["comment"]
    assert [(notice["result"], notice["reason"]) for notice in told] == [
        ("deployed", "the step after-deploy failed: web1: false failed: no")
    ]


def test_a_deploy_that_changed_nothing_is_not_told(rollout, told):
    module = rollout(running=step(1, "record"))
    deployed(module)
    assert module.finished("finish", ["shop"], ["web1"])["result"] is True
    assert told == []


def test_a_deploy_that_was_refused_is_not_told(rollout, told):
    module = rollout(running=step(1, "lock", False, comment="shop is locked by bob"), jid="2")
    in_progress(module, {"web1": BLUE})
    module.finished("finish", ["shop"], ["web1"])
    assert told == []


def test_in_test_mode_nobody_is_told_and_mistakes_of_the_configuration_are_shown(rollout, told):
    module = rollout(running=step(1, "record", None, changes={"deployed": {}}), test=True)
    module.__opts__["slipway_notify"] = {"mial": {}}
    assert "slipway_notify:mial: unknown key" in module.finished("finish", ["shop"], ["web1"])["comment"]
    assert told == []
