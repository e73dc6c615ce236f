"""What is deployed, what is being deployed and what was tried, as the master keeps it."""

import json

import pytest
from salt.exceptions import CommandExecutionError

import app_spec
import ledger_file

V1 = {"id": "1a2b3c4d5e6f", "commit": "1a2b3c4d5e6f" + "0" * 28, "revision": "v1"}
V3 = {"id": "3a2b3c4d5e6f", "commit": "3a2b3c4d5e6f" + "0" * 28, "revision": "v3"}
V2 = {"id": "2a2b3c4d5e6f", "commit": "2a2b3c4d5e6f" + "0" * 28, "revision": "v2"}


def attempt(release, token="1", **more):
    before = {"web1": {"slot": "blue", "release": ""}}
    return {"token": token, "who": "ann", "started": ledger_file.now(), "release": release, "before": before, **more}


def deploy(folder, release, applied=(), result="deployed", unsafe=None, **more):
    ledger_file.begin(folder, "shop", attempt(release, **more))
    ledger_file.succeed(folder, "shop", {"stage": 1.5}, applied, result, unsafe)


def test_before_a_first_deploy_nothing_is_deployed(tmp_path):
    assert ledger_file.read(tmp_path, "shop") == {
        "deployed": {},
        "in_progress": {},
        "skipped": {},
        "history": [],
        "in_use": {},
    }
    assert ledger_file.deployed(tmp_path / "missing") == {}


def test_a_deploy_that_succeeds_is_deployed_and_in_the_history(tmp_path):
    deploy(tmp_path, V1)
    ledger = ledger_file.read(tmp_path, "shop")
    assert ledger["deployed"] == V1
    assert ledger["in_progress"] == {}
    assert ledger["history"][0]["result"] == "deployed"
    assert ledger["history"][0]["phases"] == {"stage": 1.5}
    assert ledger_file.deployed(tmp_path) == {"shop": V1}


def test_a_deploy_in_progress_is_not_deployed_yet(tmp_path):
    deploy(tmp_path, V1)
    ledger_file.begin(tmp_path, "shop", attempt(V2))
    assert ledger_file.deployed(tmp_path) == {"shop": V1}


def test_a_deploy_that_fails_leaves_deployed_what_was(tmp_path):
    deploy(tmp_path, V1)
    ledger_file.begin(tmp_path, "shop", attempt(V2))
    ledger_file.fail(tmp_path, "shop", "web2 failed", {})
    ledger = ledger_file.read(tmp_path, "shop")
    assert ledger["deployed"] == V1
    assert ledger["in_progress"] == {}
    assert (ledger["history"][-1]["result"], ledger["history"][-1]["reason"]) == ("failed", "web2 failed")


def test_the_ledger_knows_since_when_a_host_is_behind_and_each_entry_who_was_skipped(tmp_path):
    deploy(tmp_path, V1, skipped=["web2", "web3"], started="2026-11-25T12:00:00+00:00")
    deploy(tmp_path, V2, skipped=["web3", "web4"], started="2026-11-25T13:00:00+00:00")
    assert ledger_file.skipped(tmp_path) == {
        "shop": {
            "web2": "2026-11-25T12:00:00+00:00",
            "web3": "2026-11-25T12:00:00+00:00",
            "web4": "2026-11-25T13:00:00+00:00",
        }
    }
    first, second = ledger_file.read(tmp_path, "shop")["history"]
    assert (first["skipped"], second["skipped"]) == (["web2", "web3"], ["web3", "web4"])


def test_the_entry_of_a_deploy_with_all_hosts_names_nobody(tmp_path):
    deploy(tmp_path, V1, skipped=[])
    assert ledger_file.skipped(tmp_path) == {}
    assert "skipped" not in ledger_file.read(tmp_path, "shop")["history"][-1]


def test_a_deploy_that_fails_leaves_behind_who_was(tmp_path):
    deploy(tmp_path, V1, skipped=["web3"])
    before = ledger_file.skipped(tmp_path)
    ledger_file.begin(tmp_path, "shop", attempt(V2, skipped=["web2"]))
    ledger_file.fail(tmp_path, "shop", "web1 failed", {})
    assert ledger_file.skipped(tmp_path) == before


def test_hosts_that_have_caught_up_are_behind_no_more(tmp_path):
    deploy(tmp_path, V1, skipped=["web2", "web3"])
    ledger_file.caught_up(tmp_path, "shop", ["web2"])
    assert list(ledger_file.skipped(tmp_path)["shop"]) == ["web3"]


def test_a_ledger_of_before_hosts_could_be_skipped_is_read(tmp_path):
    deploy(tmp_path, V1)
    old = json.loads((tmp_path / "shop.json").read_text())
    del old["skipped"]
    (tmp_path / "shop.json").write_text(json.dumps(old))
    assert ledger_file.read(tmp_path, "shop") == {**old, "skipped": {}}
    deploy(tmp_path, V2)
    assert ledger_file.deployed(tmp_path) == {"shop": V2}


def test_a_deploy_that_never_ended_is_in_the_history_as_failed(tmp_path):
    ledger_file.begin(tmp_path, "shop", attempt(V1, token="killed"))
    assert ledger_file.begin(tmp_path, "shop", attempt(V2))["token"] == "killed"
    ledger = ledger_file.read(tmp_path, "shop")
    assert ledger["history"][-1]["revision"] == "v1"
    assert "killed" in ledger["history"][-1]["reason"]


def test_a_deploy_that_found_nothing_to_do_leaves_no_trace(tmp_path):
    deploy(tmp_path, V1)
    before = ledger_file.read(tmp_path, "shop")
    ledger_file.begin(tmp_path, "shop", attempt(V1))
    ledger_file.forget(tmp_path, "shop")
    assert ledger_file.read(tmp_path, "shop") == before


def test_the_history_does_not_grow_for_ever(tmp_path):
    for number in range(ledger_file.HISTORY + 5):
        deploy(tmp_path, V1 | {"revision": f"v{number}"})
    history = ledger_file.read(tmp_path, "shop")["history"]
    assert len(history) == ledger_file.HISTORY
    assert history[-1]["revision"] == f"v{ledger_file.HISTORY + 4}"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"deployed": {}}'])
def test_a_damaged_ledger_is_an_error_that_says_what_to_do(tmp_path, content):
    (tmp_path / "shop.json").write_text(content)
    for ask in (lambda: ledger_file.read(tmp_path, "shop"), lambda: ledger_file.deployed(tmp_path)):
        with pytest.raises(CommandExecutionError, match="restore it from a backup"):
            ask()


@pytest.mark.parametrize("app", ["", "../etc", "a/b", "..", ".shop"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, app):
    with pytest.raises(CommandExecutionError, match="not the name of an app"):
        ledger_file.read(tmp_path, app)


def test_the_file_is_not_for_everybody(tmp_path):
    deploy(tmp_path, V1)
    assert (tmp_path / "shop.json").stat().st_mode & 0o777 == 0o640


def test_the_pillar_always_says_what_is_released(load, tmp_path):
    module = load("_pillar/ledger.py", slipway_dir=str(tmp_path))
    assert module.ext_pillar("web1", {}, {}) == {"releases": {}, "rollouts": {}, "skipped": {}, "in_use": {}}
    deploy(tmp_path, V1, skipped=["web3"])
    assert module.ext_pillar("web1", {}, {}) == {
        "releases": {"shop": V1},
        "rollouts": {},
        "skipped": {"shop": ["web3"]},
        "in_use": {},
    }


def test_the_runner_shows_the_ledger(load, tmp_path):
    deploy(tmp_path, V1)
    shown = load("_runners/ledger.py", slipway_dir=str(tmp_path)).show("shop")
    assert shown == json.loads((tmp_path / "shop.json").read_text())


def test_the_way_back_leads_to_what_was_deployed_before(tmp_path):
    deploy(tmp_path, V1)
    deploy(tmp_path, V2)
    assert ledger_file.way_back(tmp_path, "shop") == (V1, {})


def test_the_way_back_leads_further_back_and_not_forth(tmp_path):
    for release in (V1, V2, V3):
        deploy(tmp_path, release)
    deploy(tmp_path, V2, result="rolled back")
    assert ledger_file.way_back(tmp_path, "shop")[0] == V1


def test_a_release_that_failed_is_no_way_back(tmp_path):
    deploy(tmp_path, V1)
    ledger_file.begin(tmp_path, "shop", attempt(V2))
    ledger_file.fail(tmp_path, "shop", "web2 failed", {})
    deploy(tmp_path, V3)
    assert ledger_file.way_back(tmp_path, "shop")[0] == V1
    with pytest.raises(CommandExecutionError, match="'v2' was never deployed"):
        ledger_file.way_back(tmp_path, "shop", "v2")


@pytest.mark.parametrize("name", ["v1", V1["id"]])
def test_the_way_back_can_be_named(tmp_path, name):
    for release in (V1, V2, V3):
        deploy(tmp_path, release)
    assert ledger_file.way_back(tmp_path, "shop", name)[0] == V1


def test_without_a_release_before_there_is_no_way_back_and_the_sentence_says_so(tmp_path):
    with pytest.raises(CommandExecutionError, match="nothing was deployed before: .* none"):
        ledger_file.way_back(tmp_path, "shop")
    deploy(tmp_path, V1)
    with pytest.raises(CommandExecutionError, match=r"choose one of these with the key to: v1 \(1a2b3c4d5e6f\)"):
        ledger_file.way_back(tmp_path, "shop")


def test_migrations_since_that_nobody_examined_are_known_also_those_of_a_failed_deploy(tmp_path):
    deploy(tmp_path, V1, ["shop.0001"])
    deploy(tmp_path, V2, ["shop.0002"])
    ledger_file.begin(tmp_path, "shop", attempt(V3))
    ledger_file.fail(tmp_path, "shop", "web2 failed", {}, ["shop.0003"])
    nobody = ["it was not examined"]
    assert ledger_file.way_back(tmp_path, "shop") == (V1, {"shop.0002": nobody, "shop.0003": nobody})


def test_of_migrations_since_that_were_examined_the_unsafe_ones_stand_in_the_way(tmp_path):
    deploy(tmp_path, V1)
    deploy(tmp_path, V2, ["shop.0002", "shop.0003"], unsafe={"shop.0003": ["DROP_COLUMN: x"]})
    ledger_file.begin(tmp_path, "shop", attempt(V3))
    ledger_file.fail(tmp_path, "shop", "web2 failed", {}, ["shop.0004"], {"shop.0004": ["a"], "shop.0005": ["b"]})
    assert ledger_file.way_back(tmp_path, "shop") == (V1, {"shop.0003": ["DROP_COLUMN: x"], "shop.0004": ["a"]})


def test_migrations_since_that_only_added_do_not_stand_in_the_way(tmp_path):
    deploy(tmp_path, V1)
    deploy(tmp_path, V2, ["shop.0002"], unsafe={})
    assert ledger_file.way_back(tmp_path, "shop") == (V1, {})


def test_a_ledger_of_before_migrations_were_noted_is_read(tmp_path):
    deploy(tmp_path, V1)
    deploy(tmp_path, V2)
    file = tmp_path / "shop.json"
    ledger = json.loads(file.read_text())
    for entry in ledger["history"]:
        del entry["applied"]
    file.write_text(json.dumps(ledger))
    assert ledger_file.way_back(tmp_path, "shop") == (V1, {})


KEY, PASSWORD = "secrets:shop:SECRET_KEY", "passwords:database:shop"
IN_USE = {path: {"value": "1a2b3c4d", "since": "2026-11-25T18:41:17+00:00"} for path in (KEY, PASSWORD)}


def test_a_ledger_of_before_secrets_were_rotated_is_read(tmp_path):
    deploy(tmp_path, V1)
    file = tmp_path / "shop.json"
    ledger = json.loads(file.read_text())
    del ledger["in_use"]
    file.write_text(json.dumps(ledger))
    assert ledger_file.read(tmp_path, "shop") == {**ledger, "in_use": {}}


def test_what_is_in_use_stays_when_something_is_deployed(tmp_path):
    deploy(tmp_path, V1)
    ledger_file.begin(tmp_path, "shop", attempt(V1))
    ledger_file.succeed(tmp_path, "shop", {}, result=ledger_file.ROTATED, in_use={KEY: IN_USE[KEY]})
    ledger_file.use(tmp_path, "shop", {PASSWORD: IN_USE[PASSWORD]})
    deploy(tmp_path, V2)
    assert ledger_file.read(tmp_path, "shop")["in_use"] == IN_USE


def test_a_rotation_is_no_release_to_go_back_to_that_was_not_deployed(tmp_path):
    deploy(tmp_path, V1)
    deploy(tmp_path, V2)
    ledger_file.begin(tmp_path, "shop", attempt(V2))
    ledger_file.succeed(tmp_path, "shop", {}, result=ledger_file.ROTATED)
    assert ledger_file.way_back(tmp_path, "shop")[0] == V1


def test_an_attempt_that_goes_on_is_taken_back_to_where_it_went_on(tmp_path):
    ledger_file.begin(tmp_path, "shop", attempt(V1))
    before = {"web1": {"slot": "green", "release": V1["id"]}}
    ledger_file.go_on(tmp_path, "shop", before, IN_USE)
    ledger = ledger_file.read(tmp_path, "shop")
    assert (ledger["in_progress"]["before"], ledger["in_progress"]["token"]) == (before, "1")
    assert ledger["in_use"] == IN_USE


FLEET = {
    "hosts": {
        "web1": {"address": "10.0.0.11", "roles": ["app"]},
        "web2": {"address": "10.0.0.12", "roles": ["app"]},
        "db1": {"address": "10.0.0.21", "roles": ["database"]},
        "lb1": {"address": "10.0.0.10", "roles": ["balancer"]},
    },
    "apps": {"shop": {"source": {"path": "/x"}, "revision": "v1", "domains": ["a.example.com"], "hosts": ["web1"]}},
}


@pytest.mark.parametrize(
    ("host", "told"),
    [("web1", {"shop": IN_USE}), ("db1", {"shop": {PASSWORD: IN_USE[PASSWORD]}}), ("web2", {}), ("lb1", {}), ("*", {})],
)
def test_a_host_is_told_of_the_secrets_that_it_has_and_of_no_others(load, tmp_path, host, told):
    ledger_file.use(tmp_path, "shop", IN_USE)
    files = app_spec.secret_files(app_spec.load(FLEET))
    module = load("_pillar/ledger.py", salt={"pillar_top.secrets": lambda: files}, slipway_dir=str(tmp_path))
    # What the host itself sends along is in the pillar by then.
    assert module.ext_pillar(host, {"hosts": {host: {"roles": ["app", "database"]}}})["in_use"] == told


def test_with_a_mistake_in_the_pillar_nobody_is_told_of_secrets(load, tmp_path):
    ledger_file.use(tmp_path, "shop", IN_USE)
    module = load("_pillar/ledger.py", salt={"pillar_top.secrets": dict}, slipway_dir=str(tmp_path))
    assert module.ext_pillar("web1", FLEET)["in_use"] == {}


def dump(name):
    return {"shop": {"path": f"/var/backups/slipway/shop/{name}.dump", "host": "db1", "room": 8000000}}


def migrate(folder, release, *migrations, made, unsafe=(), end="deployed"):
    """A deploy with a dump that applies migrations, some of them unsafe, and ends well, fails or is killed."""
    reasons = {name: ["DROP_COLUMN"] for name in unsafe}
    ledger_file.begin(folder, "shop", attempt(release))
    ledger_file.note(folder, "shop", dumps=dump(made), pending=list(migrations), unsafe=reasons)
    if end == "deployed":
        ledger_file.succeed(folder, "shop", {}, migrations, unsafe=reasons)
    elif end == "failed":
        ledger_file.fail(folder, "shop", "web1 failed", {}, migrations, reasons)


def restore(folder, release, made, open=True):
    """A rollback that restores a dump."""
    path = dump(made)["shop"]["path"]
    ledger_file.begin(folder, "shop", attempt(release))
    ledger_file.note(
        folder,
        "shop",
        restore={"database": "shop", "host": "db1", "path": path, "fronts": ["lb1"], "replaced": "shop_replaced_1"},
    )
    ledger_file.succeed(folder, "shop", {}, result="rolled back")
    if open:
        ledger_file.opened(folder, "shop")


@pytest.mark.parametrize("end", ["deployed", "failed"])
def test_an_entry_names_the_dumps_that_were_made(tmp_path, end):
    migrate(tmp_path, V1, "shop.0001", made="d1", end=end)
    assert ledger_file.read(tmp_path, "shop")["history"][-1]["dumps"] == dump("d1")


@pytest.mark.parametrize("end", ["deployed", "failed", "killed"])
def test_the_dump_to_restore_was_made_before_the_first_migration_that_is_in_the_way(tmp_path, end):
    deploy(tmp_path, V1)
    migrate(tmp_path, V2, "shop.0002", made="d2")
    migrate(tmp_path, V3, "shop.0003", made="d3", unsafe=["shop.0003"], end=end)
    ledger_file.begin(tmp_path, "shop", attempt(V3))
    ledger_file.succeed(tmp_path, "shop", {}, ["shop.0004"], unsafe={"shop.0004": ["NOT_NULL"]})
    release, unsafe = ledger_file.way_back(tmp_path, "shop", "v1")
    assert (release, list(unsafe)) == (V1, ["shop.0003", "shop.0004"])
    assert ledger_file.dumps_before(tmp_path, "shop", unsafe) == dump("d3")


def test_a_killed_deploy_counts_for_the_way_back_before_another_has_begun(tmp_path):
    deploy(tmp_path, V1)
    migrate(tmp_path, V2, "shop.0002", made="d2", unsafe=["shop.0002"], end="killed")
    assert ledger_file.way_back(tmp_path, "shop", "v1") == (V1, {"shop.0002": ["DROP_COLUMN"]})
    assert ledger_file.dumps_before(tmp_path, "shop", ["shop.0002"]) == dump("d2")
    assert ledger_file.read(tmp_path, "shop")["history"][-1]["revision"] == "v1"


def test_of_a_killed_deploy_and_the_next_that_applied_the_same_the_later_dump_is_restored(tmp_path):
    deploy(tmp_path, V1)
    migrate(tmp_path, V2, "shop.0002", made="early", unsafe=["shop.0002"], end="killed")
    migrate(tmp_path, V2, "shop.0002", made="late", unsafe=["shop.0002"])
    assert ledger_file.dumps_before(tmp_path, "shop", ["shop.0002"]) == dump("late")


def test_without_a_dump_there_is_none_to_restore(tmp_path):
    deploy(tmp_path, V1)
    deploy(tmp_path, V2, ["shop.0002"])
    assert ledger_file.dumps_before(tmp_path, "shop", ["shop.0002"]) == {}


def test_a_rollback_that_restored_says_from_what_and_where_the_other_database_is(tmp_path):
    deploy(tmp_path, V1)
    migrate(tmp_path, V2, "shop.0002", made="d2", unsafe=["shop.0002"])
    restore(tmp_path, V1, "d2", open=False)
    entry = ledger_file.read(tmp_path, "shop")["history"][-1]
    assert (entry["result"], entry["restored"]) == ("rolled back", dump("d2")["shop"]["path"])
    assert (entry["replaced"], entry["closed"]) == ("shop_replaced_1", ["lb1"])
    ledger_file.opened(tmp_path, "shop")
    assert "closed" not in ledger_file.read(tmp_path, "shop")["history"][-1]


def test_a_restore_that_failed_is_not_in_the_history_as_one(tmp_path):
    ledger_file.begin(tmp_path, "shop", attempt(V1))
    ledger_file.note(tmp_path, "shop", restore={"path": "/d", "fronts": ["lb1"], "replaced": "shop_replaced_1"})
    ledger_file.fail(tmp_path, "shop", "web1 failed", {})
    assert "restored" not in ledger_file.read(tmp_path, "shop")["history"][-1]


def test_migrations_that_a_restore_has_undone_stand_in_nobodys_way(tmp_path):
    deploy(tmp_path, V3)
    migrate(tmp_path, V1, "shop.0001", made="d1", unsafe=["shop.0001"])
    migrate(tmp_path, V2, "shop.0002", made="d2", unsafe=["shop.0002"])
    restore(tmp_path, V1, "d2")
    assert ledger_file.way_back(tmp_path, "shop", "v3") == (V3, {"shop.0001": ["DROP_COLUMN"]})
    assert ledger_file.dumps_before(tmp_path, "shop", ["shop.0001"]) == dump("d1")


def test_a_release_whose_migrations_a_restore_has_undone_must_be_deployed(tmp_path):
    deploy(tmp_path, V1)
    migrate(tmp_path, V2, "shop.0002", made="d2", unsafe=["shop.0002"])
    restore(tmp_path, V1, "d2")
    with pytest.raises(CommandExecutionError, match=r"since v2 \(2a2b3c4d5e6f\) was deployed .*: deploy v2 again"):
        ledger_file.way_back(tmp_path, "shop", "v2")


def test_a_restore_of_a_dump_that_the_history_has_forgotten_undoes_all_that_it_has(tmp_path):
    deploy(tmp_path, V1)
    migrate(tmp_path, V2, "shop.0002", made="d2", unsafe=["shop.0002"])
    restore(tmp_path, V3, "of another time")
    with pytest.raises(CommandExecutionError, match="deploy v1 again"):
        ledger_file.way_back(tmp_path, "shop", "v1")
