"""Hosts that missed a deploy and are back, against hosts that answer what the test says."""

import pytest
from orchestration import V1, Hosts, step

import app_spec
import asking
import catching_up
import ledger_file
import lock_file

HOSTS = {
    "web1": {"address": "10.0.0.11", "roles": ["app"]},
    "web2": {"address": "10.0.0.12", "roles": ["app"]},
    "lb1": {"address": "10.0.0.10", "roles": ["balancer"]},
}
APP = {"source": {"git": "https://git.example.com/x.git"}, "revision": "v1", "database": "none"}
APPS = {name: {**APP, "domains": [f"{name}.example.com"]} for name in ("shop", "blog")}
FLEET = app_spec.load({"hosts": HOSTS, "apps": APPS})

EMPTY_DIGEST = "e3b0c44298fc1c14"
WELL = {"release": V1["id"], "slot": "blue", "answer": "well"}
CHANGED = step(0, "shop-active", changes={"release": V1["id"]})


@pytest.fixture
def catch_up(tmp_path, monkeypatch):
    """``catch_up("web2", hosts=..., ...)``: what comes of it where these hosts of web1 to web3 missed v1."""

    def run(*skipped, hosts=None, balancers=("lb1",), **answers):
        known = {"preflight_modules": EMPTY_DIGEST, "state_sls": CHANGED, "slots_status": WELL}
        run.hosts = Hosts(**{**known, **answers})
        run.folder = str(tmp_path / "slipway")
        monkeypatch.setattr(asking.salt.client, "get_local_client", lambda conf_file: run.hosts)
        attempt = {"token": "0", "who": "ann", "started": ledger_file.now(), "before": {}, "skipped": list(skipped)}
        ledger_file.begin(run.folder, "shop", {**attempt, "release": V1})
        ledger_file.succeed(run.folder, "shop", {})
        opts = {"conf_file": "/etc/salt/master", "slipway_dir": run.folder, "file_roots": {"base": [str(tmp_path)]}}
        return catching_up.CatchUp(opts, "1", "shop", hosts or ("web1", "web2", "web3"), list(balancers)).run()

    run.behind = lambda: list(ledger_file.skipped(run.folder).get("shop", ()))
    run.applied = lambda: [asked[1:] for asked in run.hosts.asked if asked[0] == "state.sls"]
    return run


def test_a_host_that_is_back_gets_the_release_before_the_balancers_send_it_requests(catch_up):
    assert catch_up("web2") == {"web2": ""}
    assert catch_up.applied() == [(("web2",), "app"), (("lb1",), "balancer")]
    assert catch_up.hosts.told == {"pillar": {"skipped": {"shop": []}}, "test": False}
    assert catch_up.behind() == []
    assert lock_file.show(catch_up.folder, "shop") == {}


@pytest.mark.parametrize(("problem", "level"), [("", "INFO"), ("it does not answer", "INFO"), ("no room", "WARNING")])
def test_the_log_says_what_came_of_each_host_of_each_app(monkeypatch, caplog, problem, level):
    asked = []
    monkeypatch.setattr(catching_up.CatchUp, "run", lambda self: asked.append(self) or {"web2": problem})
    caplog.set_level("INFO", catching_up.__name__)
    assert catching_up.bring_back({}, FLEET, {"shop": {"web2": ""}, "gone": {}}) == [("shop", "web2", problem)]
    assert [(one.app, one.hosts, one.balancers) for one in asked] == [("shop", ("web1", "web2"), ["lb1"])]
    assert [(record.levelname, record.message.partition(": ")[0]) for record in caplog.records] == [
        (level, "shop on web2")
    ]


def test_modules_that_are_not_the_masters_are_synced_first(catch_up):
    synced = []
    catch_up(
        "web2",
        preflight_modules=lambda host: EMPTY_DIGEST if synced else "old",
        saltutil_sync_all=lambda host: synced.append(host) or {},
    )
    assert synced == ["web2"]


def test_a_host_that_is_still_off_stays_behind_and_nobody_else_is_asked(catch_up):
    assert catch_up("web2", saltutil_refresh_pillar=None) == {"web2": "it does not answer"}
    assert [asked[0] for asked in catch_up.hosts.asked] == ["saltutil.refresh_pillar"]
    assert catch_up.behind() == ["web2"]


def test_of_two_hosts_the_one_that_is_back_is_taken_in(catch_up):
    outcome = catch_up("web2", "web3", saltutil_refresh_pillar=lambda host: True if host == "web3" else None)
    assert outcome == {"web2": "it does not answer", "web3": ""}
    assert catch_up.hosts.told["pillar"] == {"skipped": {"shop": ["web2"]}}
    assert catch_up.behind() == ["web2"]


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({"state_sls": step(0, "shop-release", False, comment="no room")}, "shop-release: no room"),
        ({"slots_status": {**WELL, "release": "old"}}, f"it serves old instead of {V1['id']}"),
        ({"slots_status": {**WELL, "answer": "status 500"}}, "status 500"),
        ({"slots_status": RuntimeError("no such app")}, "no such app"),
        ({"preflight_modules": "old", "saltutil_sync_all": {}}, "web2: its modules are not the master's"),
    ],
)
def test_a_host_that_cannot_serve_the_release_gets_no_requests(catch_up, answers, problem):
    assert catch_up("web2", **answers) == {"web2": problem}
    assert "balancer" not in [applied[1] for applied in catch_up.applied()]
    assert catch_up.behind() == ["web2"]
    assert lock_file.show(catch_up.folder, "shop") == {}


def test_where_a_balancer_fails_the_next_time_begins_again(catch_up):
    failed = step(0, "nginx-shop", False, comment="no nginx")
    outcome = catch_up("web2", state_sls=lambda host: failed if host == "lb1" else CHANGED)
    assert outcome == {"web2": "lb1: nginx-shop: no nginx"}
    assert catch_up.behind() == ["web2"]


def test_without_a_balancer_only_the_ledger_learns_it(catch_up):
    assert catch_up("web2", balancers=()) == {"web2": ""}
    assert catch_up.applied() == [(("web2",), "app")]
    assert catch_up.behind() == []


def test_while_somebody_holds_the_lock_nothing_is_touched(catch_up, tmp_path):
    lock_file.acquire(str(tmp_path / "slipway"), "shop", "2", "ann", "deploy v2", 60)
    assert catch_up("web2")["web2"].startswith("shop is locked by ann")
    assert catch_up.applied() == []
    assert lock_file.is_held(catch_up.folder, "shop", "2")


def test_a_host_that_is_no_host_of_the_app_any_more_is_forgotten(catch_up):
    assert catch_up("gone") == {}
    assert catch_up.behind() == []
    assert catch_up.applied() == []
