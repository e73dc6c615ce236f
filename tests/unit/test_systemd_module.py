"""How the execution module reads what systemd says, what it writes, and what it asks systemd to do."""

import time
from unittest.mock import create_autospec

import pytest
from salt.exceptions import CommandExecutionError

import command

# What `systemctl show` of systemd 252 prints for a unit that it does not know.
UNKNOWN = {
    "LoadState": "not-found",
    "LoadError": 'org.freedesktop.systemd1.NoSuchUnit "Unit worker.service not found."',
    "NeedDaemonReload": "no",
    "ActiveState": "inactive",
    "SubState": "dead",
    "Job": "",
    "MainPID": "0",
    "Result": "success",
    "ExecMainCode": "0",
    "ExecMainStatus": "0",
    "ExecMainStartTimestampMonotonic": "0",
}
STOPPED = {**UNKNOWN, "LoadState": "loaded", "LoadError": ""}
RUNNING = {**STOPPED, "ActiveState": "active", "SubState": "running", "MainPID": "4711"}
STOPPING = {**RUNNING, "ActiveState": "deactivating", "SubState": "stop-sigterm"}
FAILED = {**STOPPED, "ActiveState": "failed", "Result": "exit-code", "ExecMainCode": "1", "ExecMainStatus": "3"}
BACKOFF = {**FAILED, "ActiveState": "activating", "SubState": "auto-restart"}

SECTION = {"Service": {"ExecStart": "/bin/x"}}
FILE = "# Managed by Salt: apps\n\n[Service]\nExecStart=/bin/x\n"


class Systemd:
    """Answers like systemctl; each look at a unit takes the next of its states, the last one stays."""

    def __init__(self):
        self.units, self.calls, self.refused, self.journal = {}, [], (), ""

    def run(self, argv, *_arguments, **_keywords):
        program, verb, *rest = argv
        if program == "journalctl":
            return self.journal
        if verb == "show":
            return "\n".join(self._shown(name) for name in rest[rest.index("--") + 1 :])
        self.calls.append(" ".join([verb, *rest]))
        if verb in self.refused:
            raise CommandExecutionError(f"systemctl {verb} failed")
        return ""

    def _shown(self, unit):
        states = self.units.get(unit.removesuffix(".service"), [UNKNOWN])
        state = states.pop(0) if len(states) > 1 else states[0]
        return "".join(f"{key}={value}\n" for key, value in {**state, "Id": unit}.items())


@pytest.fixture
def systemd(monkeypatch):
    systemd = Systemd()
    monkeypatch.setattr(command, "run", create_autospec(command.run, side_effect=systemd.run))
    return systemd


@pytest.fixture
def module(load, systemd, tmp_path, monkeypatch):
    module = load("_modules/systemd.py")
    monkeypatch.setattr(module, "INTERVAL", 0)
    return module


def started(seconds_ago, **more):
    return {**RUNNING, "ExecMainStartTimestampMonotonic": str(int((time.monotonic() - seconds_ago) * 1e6)), **more}


@pytest.mark.parametrize(
    ("active", "sub", "job", "word"),
    [
        ("activating", "start", "", "STARTING"),
        ("activating", "start-pre", "", "STARTING"),
        ("activating", "auto-restart", "", "BACKOFF"),
        ("activating", "auto-restart-queued", "12", "BACKOFF"),
        ("active", "running", "", "RUNNING"),
        ("reloading", "reload", "", "RUNNING"),
        ("deactivating", "stop-sigterm", "12", "STOPPING"),
        ("inactive", "dead", "", "STOPPED"),
        ("failed", "failed", "", "FATAL"),
        ("maintenance", "cleaning", "", "UNKNOWN"),
    ],
)
def test_states_have_the_words_of_supervisor(module, systemd, active, sub, job, word):
    systemd.units["worker"] = [{**STOPPED, "ActiveState": active, "SubState": sub, "Job": job}]
    assert module.programs("worker")["worker"]["state"] == word


@pytest.mark.parametrize("state", [STOPPED, FAILED])
def test_a_start_that_still_waits_in_the_queue_is_no_end(module, systemd, state):
    systemd.units["worker"] = [{**state, "Job": "231"}]
    assert module.programs("worker")["worker"]["state"] == "STARTING"


def test_a_unit_that_systemd_does_not_know_is_not_in_the_answer(module):
    assert module.programs("worker") == {}


def test_without_a_name_the_units_of_our_files_are_shown(module, systemd, tmp_path):
    (tmp_path / "worker.service").write_text(FILE)
    (tmp_path / "web.service").write_text(FILE)
    (tmp_path / "other.service").write_text("[Service]\nExecStart=/bin/x\n")
    systemd.units = {"worker": [RUNNING], "web": [STOPPED], "other": [RUNNING]}
    states = {name: program["state"] for name, program in module.programs(folder=str(tmp_path)).items()}
    assert states == {"web": "STOPPED", "worker": "RUNNING"}


def test_many_units_are_one_question(module, systemd, tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.service").write_text(FILE)
    module.programs(folder=str(tmp_path))
    assert command.run.call_count == 1


def test_without_units_of_ours_systemd_is_not_asked(module, tmp_path):
    assert module.programs(folder=str(tmp_path)) == {}
    assert not command.run.called


def test_a_process_is_shown_with_pid_start_and_log(module, systemd, tmp_path):
    (tmp_path / "worker.service").write_text("[Service]\nStandardOutput=append:/var/log/100%%.log\n")
    systemd.units["worker"] = [started(60)]
    program = module.programs("worker", str(tmp_path))["worker"]
    assert abs(program.pop("since") - (time.time() - 60)) < 2
    assert program == {"state": "RUNNING", "pid": 4711, "error": "", "log": "/var/log/100%.log"}


@pytest.mark.parametrize(
    ("result", "code", "status", "error"),
    [
        ("success", "1", "0", ""),
        ("exit-code", "1", "3", "exit-code: exit code 3"),
        ("oom-kill", "2", "9", "oom-kill: signal 9"),
        ("core-dump", "3", "11", "core-dump: signal 11"),
    ],
)
def test_a_failure_is_told_with_the_exit_code_or_the_signal(module, systemd, result, code, status, error):
    systemd.units["worker"] = [{**FAILED, "Result": result, "ExecMainCode": code, "ExecMainStatus": status}]
    assert module.programs("worker")["worker"]["error"] == error


def test_a_list_is_written_as_one_line_for_each_and_the_rest_as_it_is_given(module):
    section = {
        "Unit": {"Description": "a 100%% worker"},
        "Service": {
            "Environment": ["A=1", '"B=a b"'],
            "NoNewPrivileges": True,
            "CapabilityBoundingSet": "",
            "LimitCORE": 0,
        },
    }
    assert module._text(section) == (
        "# Managed by Salt: apps\n\n[Unit]\nDescription=a 100%% worker\n\n"
        '[Service]\nEnvironment=A=1\nEnvironment="B=a b"\nNoNewPrivileges=yes\nCapabilityBoundingSet=\nLimitCORE=0\n'
    )


@pytest.mark.parametrize("value", ["a\nUser=root", None, {"a": 1}, ["a", None]])
def test_a_value_that_a_unit_cannot_hold_is_refused(module, value):
    with pytest.raises(CommandExecutionError, match="ExecStart: .* is no text in one line"):
        module._text({"Service": {"ExecStart": value}})


@pytest.mark.parametrize("name", ["a:b", "../a", "", ".hidden", "a b", "-x"])
def test_a_name_that_is_no_file_name_is_refused(module, name):
    with pytest.raises(CommandExecutionError, match="is no name for a unit"):
        module.pending(name, SECTION)


def test_a_changed_file_is_loaded_again_and_the_change_is_shown(module, systemd, tmp_path):
    systemd.units["worker"] = [STOPPED]
    (tmp_path / "worker.service").write_text(FILE)
    changes = module.configure("worker", {"Service": {"ExecStart": "/bin/y"}}, str(tmp_path))
    assert changes == {"config": {"Service": {"ExecStart": {"old": "/bin/x", "new": "/bin/y"}}}}
    assert systemd.calls == ["daemon-reload"]
    assert "ExecStart=/bin/y" in (tmp_path / "worker.service").read_text()


def test_an_unchanged_file_is_not_loaded_again(module, systemd, tmp_path):
    systemd.units["worker"] = [RUNNING]
    (tmp_path / "worker.service").write_text(FILE)
    assert module.configure("worker", SECTION, str(tmp_path)) == {}
    assert systemd.calls == []


@pytest.mark.parametrize(
    ("unit", "old"), [({**RUNNING, "NeedDaemonReload": "yes"}, "an earlier configuration"), (UNKNOWN, "")]
)
def test_a_file_that_systemd_has_not_read_is_loaded(module, systemd, tmp_path, unit, old):
    systemd.units["worker"] = [unit, RUNNING]
    (tmp_path / "worker.service").write_text(FILE)
    changes = module.configure("worker", SECTION, str(tmp_path))
    assert changes == {"loaded": {"old": old, "new": str(tmp_path / "worker.service")}}
    assert systemd.calls == ["daemon-reload"]


@pytest.mark.parametrize(
    ("text", "configured"), [(FILE, True), ("[Service]\nExecStart=/bin/x\n", False), (None, False)]
)
def test_only_a_file_of_ours_makes_a_unit_ours(module, tmp_path, text, configured):
    if text:
        (tmp_path / "worker.service").write_text(text)
    assert module.is_configured("worker", str(tmp_path)) is configured
    assert not command.run.called


def test_pending_touches_nothing(module, systemd, tmp_path):
    changes = module.pending("worker", SECTION, str(tmp_path))
    assert changes == {"config": {"Service": {"ExecStart": {"old": "", "new": "/bin/x"}}}}
    assert systemd.calls == list(tmp_path.iterdir()) == []


def test_the_values_of_the_environment_are_never_shown(module, tmp_path):
    changes = module.pending("worker", {"Service": {"Environment": ["A=hunter2"]}}, str(tmp_path))
    assert changes == {"config": {"Service": {"Environment": {"old": "", "new": "********"}}}}


@pytest.mark.parametrize("old", [FILE, None])
def test_a_file_that_systemd_refuses_is_taken_back(module, systemd, tmp_path, old):
    path = tmp_path / "worker.service"
    if old:
        path.write_text(old)
    bad = {**STOPPED, "LoadState": "bad-setting", "LoadError": 'org.freedesktop.systemd1.BadUnitSetting "..."'}
    systemd.units["worker"] = [bad]
    with pytest.raises(CommandExecutionError, match="systemd refuses .*worker.service: .*BadUnitSetting"):
        module.configure("worker", {"Service": {"ExecStart": ""}}, str(tmp_path))
    assert (path.read_text() if path.exists() else None) == old
    assert systemd.calls == ["daemon-reload", "daemon-reload"]


def test_a_file_of_somebody_else_is_neither_replaced_nor_deleted(module, tmp_path):
    (tmp_path / "worker.service").write_text("[Service]\nExecStart=/bin/other\n")
    for act in (
        lambda: module.configure("worker", SECTION, str(tmp_path)),
        lambda: module.remove("worker", str(tmp_path)),
    ):
        with pytest.raises(CommandExecutionError, match="worker.service is not ours"):
            act()
    assert (tmp_path / "worker.service").read_text() == "[Service]\nExecStart=/bin/other\n"


def test_a_start_without_waiting_only_puts_the_job_into_the_queue(module, systemd):
    systemd.units["worker"] = [STOPPED, {**STOPPED, "Job": "231"}]
    assert module.start("worker", wait=False) == {"worker": "STARTING"}
    assert systemd.calls == ["reset-failed worker.service", "start --no-block worker.service"]


def test_failures_of_before_do_not_refuse_a_start_nor_does_their_absence(module, systemd):
    systemd.refused = ("reset-failed",)
    systemd.units["worker"] = [STOPPED, RUNNING]
    assert module.start("worker", wait=False) == {"worker": "RUNNING"}


def test_what_runs_is_not_started_again(module, systemd):
    systemd.units["worker"] = [started(60)]
    assert module.start("worker") == {"worker": "RUNNING"}
    assert systemd.calls == []


def test_what_is_still_stopping_is_started_only_after_it_has_ended(module, systemd):
    systemd.units["worker"] = [STOPPING, STOPPING, STOPPED, RUNNING]
    module.start("worker", wait=False)
    assert systemd.calls[-1] == "start --no-block worker.service"


def test_a_process_counts_as_started_when_it_has_run_for_ten_seconds(module, systemd):
    systemd.units["worker"] = [STOPPED, started(1), started(9), BACKOFF, started(11)]
    assert module.start("worker") == {"worker": "RUNNING"}
    assert len(systemd.units["worker"]) == 1


def test_a_process_that_does_not_come_up_is_a_failure_with_its_last_words(module, systemd, tmp_path, monkeypatch):
    (tmp_path / "worker.log").write_text("no database at db1\n")
    monkeypatch.setattr(module, "_log", create_autospec(module._log, return_value=str(tmp_path / "worker.log")))
    systemd.units["worker"] = [STOPPED, BACKOFF, FAILED]
    with pytest.raises(CommandExecutionError, match="worker is FATAL: exit-code: exit code 3\n.*\nno database at db1"):
        module.start("worker")


def test_a_process_that_has_not_run_long_enough_asks_for_more_time(module, systemd):
    systemd.units["worker"] = [STOPPED, started(1)]
    with pytest.raises(CommandExecutionError, match="has run for less than 10 s when 0 s were over"):
        module.start("worker", timeout=0)


def test_a_stop_waits_for_the_end(module, systemd):
    systemd.units["worker"] = [RUNNING, STOPPING, STOPPING, STOPPED]
    assert module.stop("worker") == {"worker": "STOPPED"}
    assert systemd.calls == ["stop --no-block worker.service"]


def test_a_stop_without_waiting_returns_at_once(module, systemd):
    systemd.units["worker"] = [RUNNING, STOPPING]
    assert module.stop("worker", wait=False) == {"worker": "STOPPING"}


def test_a_stop_that_takes_too_long_says_what_to_do(module, systemd):
    systemd.units["worker"] = [RUNNING, STOPPING]
    with pytest.raises(CommandExecutionError, match="still STOPPING 0 s after .* or end it with systemd.kill"):
        module.stop("worker", timeout=0)


def test_what_was_to_end_has_not_failed_however_it_ended(module, systemd):
    systemd.units["worker"] = [RUNNING, STOPPING, FAILED, STOPPED]
    assert module.stop("worker") == {"worker": "STOPPED"}
    assert systemd.calls == ["stop --no-block worker.service", "reset-failed worker.service"]


def test_what_waits_for_its_next_try_is_stopped_too(module, systemd):
    systemd.units["worker"] = [BACKOFF, STOPPED]
    module.stop("worker")
    assert systemd.calls == ["stop --no-block worker.service"]


def test_a_killed_process_is_stopped_first_so_that_it_does_not_come_back(module, systemd):
    systemd.units["worker"] = [RUNNING, STOPPING, STOPPING, FAILED, STOPPED]
    assert module.kill("worker") == {"worker": "STOPPED"}
    assert systemd.calls == [
        "stop --no-block worker.service",
        "kill --signal=SIGKILL worker.service",
        "reset-failed worker.service",
    ]


def test_nothing_left_to_kill_is_no_failure(module, systemd):
    systemd.refused = ("kill",)
    systemd.units["worker"] = [STOPPED]
    assert module.kill("worker") == {"worker": "STOPPED"}


def test_a_restart_is_a_stop_and_a_start(module, systemd):
    systemd.units["worker"] = [RUNNING, STOPPING, STOPPED, STOPPED, STOPPED, started(11)]
    assert module.restart("worker") == {"worker": "RUNNING"}
    assert [call.split()[0] for call in systemd.calls] == ["stop", "reset-failed", "start"]


def test_a_removed_unit_is_stopped_and_forgotten(module, systemd, tmp_path):
    (tmp_path / "worker.service").write_text(FILE)
    systemd.units["worker"] = [RUNNING, RUNNING, RUNNING, STOPPED, STOPPED, UNKNOWN]
    module.remove("worker", str(tmp_path))
    assert systemd.calls == ["stop --no-block worker.service", "daemon-reload"]
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_removed_without_a_word(module, systemd, tmp_path):
    module.remove("worker", str(tmp_path))
    assert systemd.calls == []


def test_an_unknown_unit_is_named_with_those_there_are(module, monkeypatch):
    monkeypatch.setattr(module, "_ours", create_autospec(module._ours, return_value=["shop-blue"]))
    with pytest.raises(CommandExecutionError, match="systemd has no unit worker.service: of ours it has shop-blue"):
        module.start("worker")


def test_the_tail_is_the_last_lines_whatever_bytes_they_hold(module, systemd, tmp_path):
    (tmp_path / "a.log").write_bytes(b"x" * 70000 + b"\none\n\x1b[31mtw\xff\n")
    (tmp_path / "worker.service").write_text(f"[Service]\nStandardOutput=append:{tmp_path}/a.log\n")
    systemd.units["worker"] = [RUNNING]
    assert module.tail("worker", 2, str(tmp_path)) == "one\n\x1b[31mtw\ufffd"
    assert module.tail("worker", "1", str(tmp_path)) == "\x1b[31mtw\ufffd"


def test_the_tail_of_a_command_that_could_not_begin_is_what_systemd_says(module, systemd, tmp_path):
    systemd.journal = "worker.service: Failed at step EXEC spawning /bin/x: No such file or directory\n"
    systemd.units["worker"] = [{**BACKOFF, "ExecMainStatus": "203"}]
    assert module.tail("worker", folder=str(tmp_path)) == systemd.journal.strip()
