"""What is deployed, what is being deployed and what was tried, as the master keeps it."""

import json

import pytest
from salt.exceptions import CommandExecutionError

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
    assert ledger_file.read(tmp_path, "shop") == {"deployed": {}, "in_progress": {}, "skipped": {}, "history": []}
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
    assert module.ext_pillar("web1", {}, {}) == {"releases": {}, "rollouts": {}, "skipped": {}}
    deploy(tmp_path, V1, skipped=["web3"])
    assert module.ext_pillar("web1", {}, {}) == {
        "releases": {"shop": V1},
        "rollouts": {},
        "skipped": {"shop": ["web3"]},
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
