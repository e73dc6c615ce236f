"""What the master asks before a rollout changes anything, of hosts that answer what the test says."""

import pytest
from orchestration import BLUE, UNSAFE, V1, Hosts

import ledger_file


@pytest.fixture
def preflight(steps_of):
    def make(hosts=None, test=False):
        return steps_of("_states/preflight.py", hosts, test=test)

    return make


def empty_digest(host):
    return "e3b0c44298fc1c14"


def test_hosts_that_are_silent_are_all_named(preflight):
    module = preflight(Hosts(saltutil_refresh_pillar=lambda host: None if host != "web1" else True))
    ret = module.ready("preflight", "shop", ["web1", "web2"], ["db1"], V1)
    assert (ret["result"], ret["comment"]) == (False, "web2: it does not answer\ndb1: it does not answer")


def test_what_each_host_serves_is_noted_before_anything_changes(preflight):
    report = {"time": 0, "problems": [], "serving": BLUE}
    module = preflight(Hosts(preflight_modules=empty_digest, preflight_report=report))
    module.CLOCK_SKEW = float("inf")
    ret = module.ready("preflight", "shop", ["web1"], ["db1"], V1)
    assert (ret["result"], ret["changes"]) == (True, {})
    assert ledger_file.read(module.folder, "shop")["in_progress"]["before"] == {"web1": BLUE}


def test_the_hosts_that_a_deploy_goes_on_without_are_noted_and_not_asked(preflight):
    report = {"time": 0, "problems": [], "serving": BLUE}
    hosts = Hosts(preflight_modules=empty_digest, preflight_report=report)
    module = preflight(hosts)
    module.CLOCK_SKEW = float("inf")
    ret = module.ready("preflight", "shop", ["web1"], ["db1"], V1, skipped=["web2"])
    assert (ret["result"], ret["changes"]) == (True, {})
    attempt = ledger_file.read(module.folder, "shop")["in_progress"]
    assert (list(attempt["before"]), attempt["skipped"]) == (["web1"], ["web2"])
    assert not any("web2" in asked[1] for asked in hosts.asked)


def test_hosts_with_other_modules_are_synced(preflight):
    synced = []
    hosts = Hosts(
        preflight_modules=lambda host: "e3b0c44298fc1c14" if host != "web2" or synced else "old",
        preflight_report={"time": 0, "problems": [], "serving": BLUE},
        saltutil_sync_all=lambda host: synced.append(host) or {},
    )
    module = preflight(hosts)
    module.CLOCK_SKEW = float("inf")
    ret = module.ready("preflight", "shop", ["web1", "web2"], [], V1)
    assert (ret["result"], ret["changes"]) == (True, {"synced": ["web2"]})
    assert synced == ["web2"]


def test_in_test_mode_nothing_is_synced_or_noted(preflight):
    report = {"time": 0, "problems": [], "serving": BLUE}
    hosts = Hosts(preflight_modules="old", preflight_report=report)
    module = preflight(hosts, test=True)
    module.CLOCK_SKEW = float("inf")
    ret = module.ready("preflight", "shop", ["web1"], [], V1)
    assert (ret["result"], ret["changes"]) == (None, {"synced": ["web1"]})
    assert "saltutil.sync_all" not in {asked[0] for asked in hosts.asked}
    assert ledger_file.read(module.folder, "shop")["in_progress"] == {}


@pytest.mark.parametrize("test", [False, True])
def test_before_a_host_is_provisioned_the_mistakes_of_every_hosts_pillar_are_told(preflight, test):
    wrong = ValueError("passwords:cache:shop: missing")
    hosts = Hosts(preflight_modules=empty_digest, preflight_pillar=lambda host: ["app"] if host == "web1" else wrong)
    ret = preflight(hosts, test).synced("modules", ["web1", "web2", "db1"])
    both = "web2: passwords:cache:shop: missing\ndb1: passwords:cache:shop: missing"
    assert (ret["result"], ret["changes"], ret["comment"]) == (False, {}, both)
    assert hosts.asked[0][0] == "saltutil.refresh_pillar"


def test_a_first_run_in_test_mode_asks_no_host_for_what_it_has_no_module_for(preflight):
    hosts = Hosts(preflight_modules=lambda host: empty_digest(host) if host == "web1" else "", preflight_pillar=["app"])
    ret = preflight(hosts, test=True).synced("modules", ["web1", "web2"])
    assert (ret["result"], ret["changes"]) == (None, {"synced": ["web2"]})
    assert ("preflight.pillar", ("web1",)) in hosts.asked


def test_a_dump_that_fails_stops_the_deploy(preflight):
    hosts = Hosts(manage_pending_migrations=["shop.0002"], databases_dump=RuntimeError("no room"))
    ret = preflight(hosts).backed_up("backup", "shop", "web1", {}, [{"name": "shop", "host": "db1"}], "before-1")
    assert (ret["result"], ret["comment"]) == (False, "db1: no room")


def test_an_app_without_a_database_of_ours_is_not_asked(preflight):
    hosts = Hosts()
    assert preflight(hosts).backed_up("backup", "shop", "web1", {}, [], "before-1")["result"] is True
    assert hosts.asked == []


QUESTIONS = {"python": "/srv/shop/releases/1a2b/.venv/bin/python", "settings": "shop.settings"}


def examine(preflight, unsafe=(), unknown=(), allow_unsafe=False, test=False, staged=True):
    hosts = Hosts(manage_examine={"unsafe": dict(unsafe), "unknown": dict(unknown)}, file_file_exists=staged)
    ret = preflight(hosts, test=test).examined("examine", "shop", ["web1"], QUESTIONS, allow_unsafe)
    return ret, hosts


@pytest.mark.parametrize("test", [True, False])
def test_unsafe_migrations_stop_a_deploy_and_each_is_told_with_its_reasons_and_what_to_do(preflight, test):
    ret, hosts = examine(preflight, UNSAFE, test=test)
    assert (ret["result"], ret["changes"]) == (False, {})
    lines = ret["comment"].splitlines()
    assert lines[:3] == [
        "with these migrations the release that is served may fail:",
        "shop.0002: DROP_COLUMN: a; NOT_NULL: b",
        "shop.0003: c",
    ]
    assert "allow_unsafe: true" in lines[3]
    assert hosts.asked[-1] == ("manage.examine", ("web1",))
    assert hosts.told == QUESTIONS


@pytest.mark.parametrize(("test", "result"), [(True, None), (False, True)])
def test_unsafe_migrations_that_are_allowed_are_noted(preflight, test, result):
    ret, _ = examine(preflight, UNSAFE, allow_unsafe=True, test=test)
    assert (ret["result"], ret["changes"]) == (result, {"unsafe": UNSAFE})
    assert ret["comment"].startswith("allowed: shop.0002: DROP_COLUMN: a")


@pytest.mark.parametrize("test", [True, False])
def test_safe_migrations_pass(preflight, test):
    ret, _ = examine(preflight, test=test)
    assert (ret["result"], ret["changes"]) == (True, {})


@pytest.mark.parametrize(("test", "result"), [(True, None), (False, True)])
def test_migrations_that_nobody_could_examine_stop_nothing_and_are_noted(preflight, test, result):
    ret, _ = examine(preflight, unknown={"shop.0002": "it is not installed"}, test=test)
    assert (ret["result"], ret["changes"]) == (result, {"unsafe": {"shop.0002": ["it is not installed"]}})
    assert "not examined: shop.0002: it is not installed" in ret["comment"]


def test_before_the_release_is_staged_test_mode_leaves_open_what_is_unsafe(preflight):
    ret, hosts = examine(preflight, UNSAFE, test=True, staged=False)
    assert (ret["result"], ret["changes"]) == (True, {})
    assert "will be known when the release is staged" in ret["comment"]
    assert hosts.asked == [("file.file_exists", ("web1",))]


@pytest.mark.parametrize("test", [True, False])
def test_a_release_that_was_deployed_before_is_not_examined(preflight, test):
    hosts = Hosts()
    ret = preflight(hosts, test=test).examined("examine", "shop", [], QUESTIONS)
    assert (ret["result"], ret["changes"], hosts.asked) == (True, {}, [])
