"""The master's own steps of an orchestration, against hosts that answer what the test says."""

import pytest

import ledger_file
import lock_file
import state_result

V1 = {"id": "1a2b3c4d5e6f", "commit": "1a2b3c4d5e6f" + "0" * 28, "revision": "v1"}
BLUE, GREEN = {"slot": "blue", "release": "old"}, {"slot": "green", "release": "new"}


class Hosts:
    """A double of ``saltutil.cmd``: ``answers[function]`` is what every host returns, or a function of the host."""

    def __init__(self, **answers):
        self.answers = {"saltutil.refresh_pillar": True, **{key.replace("_", ".", 1): answers[key] for key in answers}}
        self.asked = []

    def cmd(self, tgt, fun, tgt_type, arg, kwarg, expect_minions):
        assert tgt_type == "list"
        assert expect_minions is True
        self.asked.append((fun, tuple(tgt), *arg))
        answer = self.answers[fun]
        return {host: self.shape(answer(host) if callable(answer) else answer) for host in tgt}

    @staticmethod
    def shape(returned):
        if returned is None:
            return {"failed": True}
        if isinstance(returned, Exception):
            return {"ret": f"ERROR: {returned}", "retcode": 1}
        return {"ret": returned, "retcode": 0}


@pytest.fixture
def rollout(load, tmp_path):
    """The module for some hosts and some steps that ran before."""

    def make(hosts=None, running=None, test=False, jid="1"):
        (tmp_path / "root").mkdir(exist_ok=True)
        hosts = hosts or Hosts()
        roots = {"base": [str(tmp_path / "root")]}
        folder = str(tmp_path / "slipway")
        module = load(
            "_states/rollout.py", salt={"saltutil.cmd": hosts.cmd}, test=test, slipway_dir=folder, file_roots=roots
        )
        module.__running__, module.__orchestration_jid__ = running or {}, jid
        module.folder = folder
        return module

    return make


def step(number, name, result=True, changes=None, comment="", ran=True):
    return {
        f"salt_|-{name}_|-{name}_|-state": {
            "__id__": name,
            "__run_num__": number,
            "__state_ran__": ran,
            "result": result,
            "changes": changes or {},
            "comment": comment,
            "duration": 1500.0,
        }
    }


def on_hosts(**comments):
    """The changes of a step that failed on hosts, for these reasons."""
    return {"out": "highstate", "ret": {host: step(0, "shop-web", False, {}, why) for host, why in comments.items()}}


def empty_digest(host):
    return "e3b0c44298fc1c14"


def in_progress(module, before):
    lock_file.acquire(module.folder, "shop", "1", "ann", "deploy v1", 60)
    attempt = {"token": "1", "who": "ann", "started": ledger_file.now(), "release": V1, "before": before}
    ledger_file.begin(module.folder, "shop", attempt)


def test_a_plan_with_problems_fails_with_all_of_them(rollout):
    ret = rollout().planned("plan", problems=["one", "two"], summary="")
    assert (ret["result"], ret["comment"]) == (False, "one\ntwo")


LOOK = {
    "host": "web1",
    "questions": {"path": "/srv/shop/releases/1"},
    "told": [["deploy", "shop v1 (1a2b3c4d5e6f)"], ["activate-1", "web1"]],
    "databases": [{"name": "shop", "host": "db1"}],
    "back": [],
    "new": True,
}


def test_a_real_run_shows_its_plan_without_asking(rollout):
    ret = rollout().planned("plan", problems=[], summary="shop v1: web1", look=LOOK)
    assert (ret["result"], ret["changes"], ret["comment"]) == (True, {}, "shop v1: web1")


def test_in_test_mode_the_plan_says_all_that_is_known_before(rollout):
    found = {"migrations": ["shop.0002"], "requirements": {}}
    ret = rollout(Hosts(releases_preview=found), test=True).planned("plan", [], "shop v1: web1", LOOK)
    assert (ret["result"], ret["changes"]) == (None, {})
    assert ret["comment"].splitlines() == [
        "deploy: shop v1 (1a2b3c4d5e6f)",
        "activate-1: web1",
        "migrations: shop.0002",
        "requirements: as they are",
        "dump: shop on db1, before the migrations",
        "way back: none: nothing is deployed yet",
    ]


def test_in_test_mode_a_preview_that_fails_is_shown_and_stops_nothing(rollout):
    ret = rollout(Hosts(releases_preview=None), test=True).planned("plan", [], "shop v1: web1", LOOK)
    assert ret["result"] is None
    assert ret["comment"].endswith("problem: web1: it does not answer")


def test_in_test_mode_the_plan_of_what_is_deployed_would_change_nothing(rollout):
    ret = rollout(Hosts(releases_preview={}), test=True).planned("plan", [], "", {**LOOK, "new": False})
    assert ret["result"] is True


def test_the_plan_of_a_rollback_tells_no_way_back(rollout):
    ret = rollout(Hosts(releases_preview={}), test=True).planned("plan", [], "", {**LOOK, "back": None})
    assert "way back" not in ret["comment"]


def test_time_passes_between_two_waves(rollout, monkeypatch):
    slept = []
    module = rollout(running=step(1, "activate-1", True, {"ret": {"web1": {}}}))
    monkeypatch.setattr(module.time, "sleep", slept.append)
    assert module.waited("wait-1", 60) == state_result.unchanged("wait-1", "60 s have passed")
    assert slept == [60]


@pytest.mark.parametrize("test", [True, False])
def test_no_time_passes_in_test_mode_or_where_nothing_has_changed(rollout, monkeypatch, test):
    module = rollout(running=step(1, "activate-1", True, {"ret": {"web1": {}}}) if test else {}, test=test)
    monkeypatch.setattr(module.time, "sleep", None)
    ret = module.waited("wait-1", 60)
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


def test_hosts_that_are_silent_are_all_named(rollout):
    module = rollout(Hosts(saltutil_refresh_pillar=lambda host: None if host != "web1" else True))
    ret = module.ready("preflight", "shop", ["web1", "web2"], ["db1"], V1)
    assert (ret["result"], ret["comment"]) == (False, "web2: it does not answer\ndb1: it does not answer")


def test_what_each_host_serves_is_noted_before_anything_changes(rollout):
    report = {"time": 0, "problems": [], "serving": BLUE}
    module = rollout(Hosts(preflight_modules=empty_digest, preflight_report=report))
    module.CLOCK_SKEW = float("inf")
    ret = module.ready("preflight", "shop", ["web1"], ["db1"], V1)
    assert (ret["result"], ret["changes"]) == (True, {})
    assert ledger_file.read(module.folder, "shop")["in_progress"]["before"] == {"web1": BLUE}


def test_hosts_with_other_modules_are_synced(rollout):
    synced = []
    hosts = Hosts(
        preflight_modules=lambda host: "e3b0c44298fc1c14" if host != "web2" or synced else "old",
        preflight_report={"time": 0, "problems": [], "serving": BLUE},
        saltutil_sync_all=lambda host: synced.append(host) or {},
    )
    module = rollout(hosts)
    module.CLOCK_SKEW = float("inf")
    ret = module.ready("preflight", "shop", ["web1", "web2"], [], V1)
    assert (ret["result"], ret["changes"]) == (True, {"synced": ["web2"]})
    assert synced == ["web2"]


def test_in_test_mode_nothing_is_synced_or_noted(rollout):
    report = {"time": 0, "problems": [], "serving": BLUE}
    hosts = Hosts(preflight_modules="old", preflight_report=report)
    module = rollout(hosts, test=True)
    module.CLOCK_SKEW = float("inf")
    ret = module.ready("preflight", "shop", ["web1"], [], V1)
    assert (ret["result"], ret["changes"]) == (None, {"synced": ["web1"]})
    assert "saltutil.sync_all" not in {asked[0] for asked in hosts.asked}
    assert ledger_file.read(module.folder, "shop")["in_progress"] == {}


def test_a_dump_that_fails_stops_the_deploy(rollout):
    hosts = Hosts(manage_pending_migrations=["shop.0002"], databases_dump=RuntimeError("no room"))
    ret = rollout(hosts).backed_up("backup", "web1", {}, [{"name": "shop", "host": "db1"}], "before-1")
    assert (ret["result"], ret["comment"]) == (False, "db1: no room")


def test_an_app_without_a_database_of_ours_is_not_asked(rollout):
    hosts = Hosts()
    assert rollout(hosts).backed_up("backup", "web1", {}, [], "before-1")["result"] is True
    assert hosts.asked == []


def test_hosts_that_moved_are_brought_back_and_the_reason_ends_the_comment(rollout):
    hosts = Hosts(slots_serving=lambda host: GREEN if host == "web1" else BLUE, slots_revert=BLUE)
    running = step(1, "activate-1") | step(2, "activate-2", False, on_hosts(web2="boom\nImportError: no x"))
    module = rollout(hosts, running)
    in_progress(module, {"web1": BLUE, "web2": BLUE})
    ret = module.finished("finish", ["shop"])
    assert ret["result"] is False
    assert ("slots.revert", ("web1",), "shop", "blue") in hosts.asked
    assert ret["comment"].endswith("web2 failed at the step activate-2: shop-web: boom\nImportError: no x")
    assert ledger_file.read(module.folder, "shop")["history"][-1]["phases"] == {"activate-1": 1.5, "activate-2": 1.5}
    assert lock_file.show(module.folder, "shop") == {}


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
    assert module.recorded("record", "shop", V1)["result"] is False
    assert ledger_file.read(module.folder, "shop")["deployed"] == {}


def test_test_mode_says_that_a_release_would_be_recorded(rollout):
    module = rollout(test=True)
    ret = module.recorded("record", "shop", V1)
    assert (ret["result"], ret["changes"]) == (None, {"deployed": {"old": {}, "new": V1}})


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
