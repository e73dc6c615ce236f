"""What every state function answers."""

import inspect

import pytest
import salt.utils.args
from salt.exceptions import CommandExecutionError

import state_result


@state_result.failures_are_results
def migrated(name, folder, timeout=5):
    """Ensure something."""
    error = CommandExecutionError(f"{folder} is missing after {timeout} s: create it")
    if timeout == 1:
        error.changes = {"applied": ["app.0001"]}
    if timeout == 2:
        raise ZeroDivisionError
    raise error


def test_an_expected_failure_is_a_result_that_says_what_to_do():
    assert migrated("shop", "/srv", timeout=3) == {
        "name": "shop",
        "result": False,
        "changes": {},
        "comment": "/srv is missing after 3 s: create it",
        "skip_watch": True,
    }


def test_a_failure_keeps_the_changes_that_were_made_before_it():
    assert migrated(name="shop", folder="/srv", timeout=1)["changes"] == {"applied": ["app.0001"]}


def test_a_mistake_in_our_code_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        migrated("shop", "/srv", timeout=2)


def test_salt_sees_the_arguments_of_a_decorated_state():
    spec = salt.utils.args.get_function_argspec(migrated)
    assert (spec.args, spec.defaults) == (["name", "folder", "timeout"], (5,))
    assert inspect.getdoc(migrated) == "Ensure something."


def test_the_three_good_answers_differ_in_result_and_changes():
    answers = [
        state_result.unchanged("shop", "a"),
        state_result.would("shop", {"x": 1}, "b"),
        state_result.changed("shop", {"x": 1}, "c"),
    ]
    assert [(a["result"], a["changes"], a["comment"]) for a in answers] == [
        (True, {}, "a"),
        (None, {"x": 1}, "b"),
        (True, {"x": 1}, "c"),
    ]
