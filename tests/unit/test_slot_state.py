from unittest.mock import create_autospec

import pytest
from salt.exceptions import CommandExecutionError

CHANGES = {"release": {"old": "0f1e", "new": "1a2b"}}


@pytest.fixture
def state(load):
    """``state(test, name=return or error)``: the state module, with the functions of ``slots`` answering that."""

    def load_state(test=False, **answers):
        slots = load("_modules/slots.py")
        functions = {name: create_autospec(getattr(slots, name)) for name in answers}
        for name, answer in answers.items():
            functions[name].side_effect = answer if isinstance(answer, Exception) else lambda *_, answer=answer: answer
        return load(
            "_states/slot.py", salt={f"slots.{name}": function for name, function in functions.items()}, test=test
        )

    return load_state


def active(module):
    return module.active("shop", "1a2b", "/srv/shop/releases/1a2b", [], "/srv/shop/current", [], {}, {}, 16, 300)


def test_a_release_that_has_the_traffic_is_unchanged(state):
    result = active(state(pending={}))
    assert (result["result"], result["changes"]) == (True, {})


def test_in_test_mode_what_would_change_is_told_and_not_done(state):
    result = active(state(test=True, pending=CHANGES))
    assert (result["result"], result["changes"]) == (None, CHANGES)


def test_what_changed_is_told(state):
    result = active(state(pending=CHANGES, activate=CHANGES))
    assert (result["result"], result["changes"]) == (True, CHANGES)


def test_a_failure_is_a_result_without_changes(state):
    result = active(state(pending=CHANGES, activate=CommandExecutionError("status 500")))
    assert (result["result"], result["changes"], result["comment"]) == (False, {}, "status 500")


@pytest.mark.parametrize("test", [True, False])
def test_a_failure_is_not_replaced_by_the_answer_of_mod_watch(state, test):
    assert active(state(test=test, pending=CommandExecutionError("no Supervisor")))["skip_watch"]


def test_for_real_a_changed_config_file_is_left_to_the_state_itself(state):
    assert active(state(pending={}))["skip_watch"]


def test_in_test_mode_a_config_file_that_would_change_predicts_a_restart(state):
    module = state(test=True, pending={})
    assert not active(module)["skip_watch"]
    assert module.mod_watch("shop", release="1a2b", sfun="active")["result"] is None


def test_no_idle_program_is_unchanged(state):
    assert state(leftovers=[]).retired("shop", [])["changes"] == {}


def test_in_test_mode_an_idle_program_would_be_stopped(state):
    result = state(test=True, leftovers=["shop-blue"]).retired("shop", [])
    assert (result["result"], list(result["changes"])) == (None, ["shop-blue"])


def test_an_idle_program_is_stopped(state):
    result = state(leftovers=["shop-blue"], retire=[]).retired("shop", [])
    assert (result["result"], list(result["changes"])) == (True, ["shop-blue"])
