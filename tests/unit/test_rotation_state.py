"""The master's own steps of a rotation, against hosts that answer what the test says."""

import pytest
from orchestration import BLUE, GREEN, V1, Hosts, in_progress, step

import ledger_file
import lock_file

KEY, PASSWORD = "secrets:shop:SECRET_KEY", "passwords:database:shop"
ROTATES = {KEY: {"value": "1a2b3c4d", "overlap": True}, PASSWORD: {"value": "5e6f7a8b", "login": 2, "overlap": True}}
OVERLAP = {PASSWORD: {"value": "0f1e2d3c", "login": 1, "overlap": True}}
STRAY = "it does not serve with its files as they are now (configuration)"


def served(slot, **pending):
    return {**slot, "since": "", "pending": pending}


@pytest.fixture
def rotation(steps_of):
    """The module for some hosts, in the middle of a rotation that holds the lock."""

    def make(hosts=None, running=None, test=False, rotates=ROTATES, begun=True):
        module = steps_of("_states/rotation.py", hosts, running, test)
        module.__salt__ = {"saltutil.runner": lambda name, arg: {"rotates": rotates}}
        if begun:
            in_progress(module, {"web1": BLUE})
        return module

    return make


def ledger(module):
    return ledger_file.read(module.folder, "shop")


def test_a_deploy_key_is_tried_on_every_host_and_the_reason_of_each_is_told(rotation):
    refused = RuntimeError("Permission denied (publickey).")
    hosts = Hosts(rotation_try_deploy_key=lambda host: refused if host == "web2" else True)
    ret = rotation(hosts).tried("try-key", "shop", ["web1", "web2"])
    assert ret["result"] is False
    first, second = ret["comment"].splitlines()
    assert first == "web2: Permission denied (publickey)."
    assert "add its public half to the git server, then rotate again; the old one stays" in second


def test_a_deploy_key_is_tried_in_test_mode_too(rotation):
    ret = rotation(Hosts(rotation_try_deploy_key=True), test=True).tried("try-key", "shop", ["web1"])
    assert (ret["result"], ret["comment"]) == (True, "web1 get in with the new deploy key")


def test_without_a_new_deploy_key_nobody_is_asked(rotation):
    hosts = Hosts()
    assert rotation(hosts).tried("try-key", "shop", [])["result"] is True
    assert hosts.asked == []


def test_what_fails_once_the_secrets_are_accepted_goes_back_to_what_accepts_them(rotation):
    module = rotation(Hosts(rotation_serving=served(GREEN)))
    ret = module.accepted("accepted", "shop", ["web1"], OVERLAP)
    assert (ret["result"], ret["changes"]) == (True, {})
    noted = ledger(module)
    assert noted["in_progress"]["before"] == {"web1": GREEN}
    assert noted["in_use"][PASSWORD].items() >= OVERLAP[PASSWORD].items()
    assert noted["in_use"][PASSWORD]["since"]


@pytest.mark.parametrize(
    ("answer", "reason"), [(None, "it does not answer"), (served(BLUE, configuration={"old": "", "new": ""}), STRAY)]
)
def test_as_long_as_one_host_does_not_accept_them_nobody_uses_them(rotation, answer, reason):
    module = rotation(Hosts(rotation_serving=lambda host: answer if host == "web2" else served(GREEN)))
    before = ledger(module)
    ret = module.accepted("accepted", "shop", ["web1", "web2"], OVERLAP)
    assert (ret["result"], ret["comment"]) == (False, f"web2: {reason}")
    assert ledger(module) == before


def test_when_all_hosts_use_the_newest_the_ledger_says_so(rotation):
    hosts = Hosts(rotation_serving=served(GREEN), slots_settle=None)
    module = rotation(hosts, running=step(1, "use-1", True, {"ret": {"web1": {}}}))
    ret = module.recorded("record", "shop", ["web1"], ROTATES)
    assert (ret["result"], list(ret["changes"])) == (True, [KEY, PASSWORD])
    noted = ledger(module)
    assert {path: {**entry, "since": ""} for path, entry in noted["in_use"].items()} == {
        path: {**entry, "since": ""} for path, entry in ROTATES.items()
    }
    assert (noted["in_progress"], noted["history"][-1]["result"], noted["deployed"]) == ({}, "rotated", V1)
    assert hosts.asked[-1] == ("slots.settle", ("web1",), "shop")


def test_the_result_of_a_rotation_shows_no_fingerprint(rotation):
    module = rotation(Hosts(rotation_serving=served(GREEN), slots_settle=None))
    assert "1a2b3c4d" not in str(module.recorded("record", "shop", ["web1"], ROTATES))


def test_a_rotation_that_was_recorded_before_leaves_no_entry(rotation):
    module = rotation(Hosts(rotation_serving=served(GREEN), slots_settle=None), rotates={})
    ret = module.recorded("record", "shop", ["web1"], {})
    assert (ret["result"], ret["changes"]) == (True, {})
    assert (ledger(module)["in_progress"], ledger(module)["history"]) == ({}, [])


def test_a_pillar_that_has_changed_meanwhile_is_not_taken_for_the_one_that_hosts_have(rotation):
    module = rotation(Hosts(rotation_serving=served(GREEN)), rotates={KEY: {"value": "ffffffff"}})
    before = ledger(module)
    ret = module.recorded("record", "shop", ["web1"], ROTATES)
    assert (ret["result"], ret["comment"]) == (False, "the secrets in the pillar have changed meanwhile: rotate again")
    assert ledger(module) == before


@pytest.mark.parametrize("name", ["accepted", "recorded"])
def test_a_rotation_that_lost_its_lock_notes_nothing(rotation, name):
    module = rotation(Hosts(rotation_serving=served(GREEN)))
    lock_file.release(module.folder, "shop")
    before = ledger(module)
    ret = getattr(module, name)(name, "shop", ["web1"], ROTATES)
    assert ret["result"] is False
    assert "the lock of shop expired and is not ours any more" in ret["comment"]
    assert ledger(module) == before


def test_at_the_end_the_ledger_says_that_nothing_runs_with_other_secrets(rotation):
    module = rotation()
    entries = {path: {**entry, "since": ledger_file.now()} for path, entry in ROTATES.items()}
    ledger_file.use(module.folder, "shop", entries)
    ret = module.ended("ended", "shop")
    assert (ret["result"], ret["changes"]) == (True, {"overlap": {"old": True, "new": False}})
    assert ledger(module)["in_use"] == {path: entry | {"overlap": False} for path, entry in entries.items()}


def test_test_mode_says_what_would_be_noted_and_notes_nothing(rotation):
    module = rotation(test=True, begun=False)
    before = ledger(module)
    results = [
        module.accepted("accepted", "shop", ["web1"], OVERLAP),
        module.recorded("record", "shop", ["web1"], ROTATES),
        module.recorded("record", "shop", ["web1"], {}),
        module.ended("ended", "shop"),
    ]
    assert [result["result"] for result in results] == [True, None, True, None]
    assert ledger(module) == before
