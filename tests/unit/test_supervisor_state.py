"""What the states decide, in test mode and without."""

from unittest.mock import create_autospec

import pytest
from salt.exceptions import CommandExecutionError

import supervisor_rpc

SECTION = {"command": "/bin/x"}
CONFIG = {"config": {"program:worker": {"command": {"old": "", "new": "/bin/x"}}}}


@pytest.fixture
def states(load):
    """``states(test, pending=..., programs=...)``: the state module above mocked execution functions."""
    execution = load("_modules/supervisor.py")

    def load_states(test, pending=None, programs=None):
        names = ("programs", "pending", "configure", "start", "stop", "restart", "remove")
        functions = {f"supervisor.{name}": create_autospec(getattr(execution, name)) for name in names}
        functions["supervisor.pending"].return_value = pending or {}
        functions["supervisor.programs"].return_value = {
            name: {"state": state} for name, state in (programs or {}).items()
        }
        return load("_states/supervisor.py", salt=functions, test=test)

    return load_states


def acted(module):
    asking = ("supervisor.programs", "supervisor.pending")
    return [name for name, mock in module.__salt__.items() if mock.called and name not in asking]


@pytest.mark.parametrize("test", [True, False])
def test_nothing_is_done_when_everything_is_as_it_should_be(states, tmp_path, test):
    module = states(test, programs={"worker": "RUNNING"})
    results = [module.present("worker", SECTION), module.running("worker", SECTION), module.running("worker")]
    stopped = states(test, programs={"worker": "STOPPED"}), states(test, programs={"worker": "FATAL"}), states(test)
    results += [each.stopped("worker") for each in stopped]
    results.append(stopped[2].absent("worker", folder=str(tmp_path)))
    assert [(result["result"], result["changes"]) for result in results] == [(True, {})] * 7
    assert [acted(each) for each in (module, *stopped)] == [[]] * 4


CASES = [
    ("present", [SECTION], CONFIG, {}, CONFIG, ["configure"]),
    ("running", [SECTION], CONFIG, {}, {**CONFIG, "started": ["worker"]}, ["configure", "start"]),
    ("running", [SECTION], CONFIG, {"worker": "RUNNING"}, {**CONFIG, "restarted": ["worker"]}, ["configure", "start"]),
    ("running", [SECTION], {}, {"worker": "FATAL"}, {"started": ["worker"]}, ["start"]),
    ("running", [], {}, {"worker:1": "RUNNING", "worker:2": "STOPPED"}, {"started": ["worker:2"]}, ["start"]),
    ("stopped", [], {}, {"worker": "BACKOFF"}, {"stopped": ["worker"]}, ["stop"]),
    ("absent", [60, "/nowhere"], {}, {"worker": "STOPPED"}, {"removed": ["worker"]}, ["remove"]),
    ("mod_watch", ["running"], {}, {"worker": "RUNNING"}, {"restarted": ["worker"]}, ["restart"]),
]


@pytest.mark.parametrize(("function", "arguments", "pending", "programs", "changes", "calls"), CASES)
def test_a_change_is_foretold_and_then_made(states, function, arguments, pending, programs, changes, calls):
    for test in (True, False):
        module = states(test, pending, programs)
        result = getattr(module, function)("worker", *arguments)
        assert (result["result"], result["changes"]) == (None if test else True, changes)
        assert acted(module) == ([] if test else [f"supervisor.{call}" for call in calls])


@pytest.mark.parametrize(("function", "arguments", "pending", "programs", "changes", "calls"), CASES)
def test_a_failure_is_a_result_without_changes(states, function, arguments, pending, programs, changes, calls):
    module = states(False, pending, programs)
    module.__salt__[f"supervisor.{calls[0]}"].side_effect = CommandExecutionError("no database at db1")
    result = getattr(module, function)("worker", *arguments)
    assert (result["result"], result["changes"], result["comment"]) == (False, {}, "no database at db1")


def test_a_program_that_does_not_start_shows_the_configuration_that_was_written(states):
    module = states(False, CONFIG)
    module.__salt__["supervisor.start"].side_effect = CommandExecutionError("no database at db1")
    result = module.running("worker", SECTION)
    assert (result["result"], result["changes"]) == (False, CONFIG)


@pytest.mark.parametrize("error", [supervisor_rpc.SupervisorDown, supervisor_rpc.SupervisorMissing])
def test_before_supervisor_is_there_a_program_would_be_started(states, error):
    module = states(True, CONFIG)
    module.__salt__["supervisor.programs"].side_effect = error("no Supervisor")
    result = module.running("worker", SECTION)
    assert (result["result"], result["changes"]) == (None, {**CONFIG, "started": ["worker"]})


@pytest.mark.parametrize("test", [True, False])
def test_without_supervisor_a_program_is_stopped_but_behind_a_stale_socket_nobody_knows(states, test):
    module = states(test)
    module.__salt__["supervisor.programs"].side_effect = supervisor_rpc.SupervisorMissing("no Supervisor")
    assert module.stopped("worker")["result"] is True
    module.__salt__["supervisor.programs"].side_effect = supervisor_rpc.SupervisorDown("stale")
    assert (module.stopped("worker")["result"], module.stopped("worker")["comment"]) == (False, "stale")


def test_a_file_alone_is_removed(states, tmp_path):
    (tmp_path / "worker.conf").touch()
    result = states(False).absent("worker", folder=str(tmp_path))
    assert result["changes"] == {"removed": [str(tmp_path / "worker.conf")]}


@pytest.mark.parametrize("function", ["present", "stopped", "absent"])
def test_only_running_restarts_when_something_watched_changes(states, function):
    module = states(False, programs={"worker": "RUNNING"})
    result = module.mod_watch("worker", sfun=function, section=SECTION)
    assert (result["result"], result["changes"], acted(module)) == (True, {}, [])
