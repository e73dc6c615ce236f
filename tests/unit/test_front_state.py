from unittest.mock import create_autospec

import pytest

CHANGES = {"front": {"old": "", "new": "nginx"}}


@pytest.fixture
def state(load):
    """``state(test, holder=..., pending=...)``: the state module, and the calls that change something."""

    def load_state(test=False, holder="nginx", pending=None):
        fronts, calls = load("_modules/fronts.py"), []
        salt = {
            "fronts.holder": create_autospec(fronts.holder, return_value=holder),
            "fronts.pending": create_autospec(fronts.pending, return_value=pending or {}),
            "fronts.take": create_autospec(fronts.take, side_effect=lambda front: calls.append(front) or pending),
            "service.reload": lambda unit: calls.append(f"reload {unit}") or True,
        }
        return load("_states/front.py", salt=salt, test=test), calls

    return load_state


def test_one_that_has_the_port_is_unchanged(state):
    module, calls = state()
    assert (module.running("nginx")["changes"], calls) == ({}, [])


def test_one_that_nobody_has_taken_the_port_from_is_started(state):
    module, calls = state(holder="", pending=CHANGES)
    assert (module.running("nginx")["changes"], calls) == (CHANGES, ["nginx"])


def test_in_test_mode_nothing_is_started(state):
    module, calls = state(test=True, holder="", pending=CHANGES)
    result = module.running("nginx")
    assert (result["result"], result["changes"], calls) == (None, CHANGES, [])


def test_a_package_that_has_just_come_is_not_started_at_boots_while_the_other_one_has_the_port(state):
    boot = {"boot": {"apache": {"old": "enabled", "new": "disabled"}}}
    module, calls = state(pending=boot)
    assert module.running("apache")["changes"] == boot
    assert calls == ["nginx"]


@pytest.mark.parametrize("test", [False, True])
def test_the_other_one_keeps_the_port(state, test):
    module, calls = state(test=test, holder="apache")
    results = [module.running("nginx"), module.mod_watch("nginx")]
    assert [(result["result"], result["changes"]) for result in results] == [(True, {})] * 2
    assert calls == []


def test_changed_files_are_loaded(state):
    module, calls = state()
    assert module.mod_watch("nginx", sfun="running")["result"] is True
    assert calls == ["reload nginx"]


def test_in_test_mode_changed_files_are_not_loaded(state):
    module, calls = state(test=True)
    assert (module.mod_watch("nginx")["result"], calls) == (None, [])
