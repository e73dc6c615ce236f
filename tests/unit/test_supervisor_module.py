"""What the execution module writes, and how it reads the states of processes."""

import configparser
import os
import signal
import xmlrpc.client
from contextlib import contextmanager
from unittest.mock import MagicMock, create_autospec

import pytest
from salt.exceptions import CommandExecutionError

import supervisor_rpc


@pytest.fixture
def module(load, monkeypatch):
    module = load("_modules/supervisor.py")
    module.server = MagicMock()

    @contextmanager
    def connect(path):
        yield module.server

    monkeypatch.setattr(supervisor_rpc, "connect", connect)
    monkeypatch.setattr(module, "INTERVAL", 0)
    return module


def info(name="worker", group="worker", state="RUNNING", **more):
    base = {"pid": 0, "start": 0, "spawnerr": "", "exitstatus": 0, "stdout_logfile": "", "stderr_logfile": ""}
    return {**base, "name": name, "group": group, "statename": state, **more}


def read(text):
    """The file as Supervisor reads it, before it expands."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    parser.read_string(text)
    return {header: dict(parser.items(header)) for header in parser.sections()}


def test_options_are_written_in_the_order_in_which_they_are_given(module):
    text = module._text("worker", {"command": "/bin/x", "autostart": False, "startsecs": 3}, "program")
    assert text == (
        "; Managed by Salt: supervisor.configure\n\n"
        "[program:worker]\ncommand = /bin/x\nautostart = false\nstartsecs = 3\n"
    )


def test_a_group_is_written_with_its_programs(module):
    section = {"priority": 5, "programs": {"web": {"command": "/bin/a"}, "mail": {"command": "/bin/b"}}}
    assert read(module._text("shop", section, "group")) == {
        "group:shop": {"priority": "5", "programs": "web,mail"},
        "program:web": {"command": "/bin/a"},
        "program:mail": {"command": "/bin/b"},
    }


@pytest.mark.parametrize(
    ("option", "value", "meant"),
    [
        ("command", "date +%F", "date +%F"),
        ("command", "a %(program_name)s", "a worker"),
        ("command", "a ; b # c", "a ; b # c"),
        ("command", "; a", "; a"),
        ("process_name", "%(program_name)s_%(process_num)02d", "worker_07"),
        ("command", "log '%(h)s %(t)s'", "log '%(h)s %(t)s'"),
    ],
)
def test_a_value_is_what_supervisor_makes_of_what_is_written(module, option, value, meant):
    text = module._text("worker", {option: value}, "program")
    expansions = {"program_name": "worker", "process_num": 7, "here": "/etc/supervisor"}
    assert read(text)["program:worker"][option] % expansions == meant


@pytest.mark.parametrize("value", ["a\nb", None, ["a"]])
def test_a_value_that_supervisor_cannot_hold_is_refused(module, value):
    with pytest.raises(CommandExecutionError, match="command: .* is no text in one line"):
        module._text("worker", {"command": value}, "program")


@pytest.mark.parametrize("value", ["'a'", 'it\'s "so"', 'ends"'])
def test_quotes_that_supervisor_would_lose_are_refused_without_the_value(module, value):
    with pytest.raises(CommandExecutionError, match="environment:KEY: Supervisor cannot hold a quote") as error:
        module._text("worker", {"environment": {"KEY": value}}, "program")
    assert value not in str(error.value)


@pytest.mark.parametrize("name", ["a:b", "../a", "", ".hidden", "a b"])
def test_a_name_that_is_no_file_name_is_refused(module, name):
    with pytest.raises(CommandExecutionError, match="is no name for a program"):
        module.pending(name, {"command": "/bin/x"})


@pytest.mark.parametrize(("kind", "section"), [("group", {"command": "/bin/x"}), ("fcgi", {"command": "/bin/x"})])
def test_another_kind_is_refused(module, kind, section):
    with pytest.raises(CommandExecutionError, match="kind is 'program', or 'group'"):
        module.pending("worker", section, kind=kind)


def test_a_file_that_says_the_same_in_other_words_is_rewritten(module, tmp_path):
    (tmp_path / "worker.conf").write_text("[program:worker]\ncommand=/bin/x\n")
    assert module.pending("worker", {"command": "/bin/x"}, str(tmp_path)) == {"config": "rewritten"}


def test_a_file_that_is_no_configuration_is_replaced(module, tmp_path):
    (tmp_path / "worker.conf").write_text("command=/bin/x\n")
    changes = module.pending("worker", {"command": "/bin/x"}, str(tmp_path))
    assert changes == {"config": {"program:worker": {"command": {"old": "", "new": "/bin/x"}}}}


def test_a_name_means_a_program_one_process_or_a_whole_group(module):
    infos = [info("worker", "worker"), info("web", "shop"), info("mail", "shop"), info("web", "other")]
    module.server.supervisor.getAllProcessInfo.return_value = infos
    meant = {name: list(module.programs(name)) for name in ("worker", "shop:web", "shop", "shop:", "shop:*", "web")}
    assert meant == {
        "worker": ["worker"],
        "shop:web": ["shop:web"],
        "shop": ["shop:web", "shop:mail"],
        "shop:": ["shop:web", "shop:mail"],
        "shop:*": ["shop:web", "shop:mail"],
        "web": [],
    }


def test_a_process_that_is_still_stopping_is_started_only_after_it_has_ended(module):
    states = iter(["STOPPING", "STOPPING", "STOPPED"])
    calls = module.server.supervisor
    calls.getAllProcessInfo.side_effect = lambda: [info(state=next(states, "RUNNING"))]
    assert module.start("worker") == {"worker": "RUNNING"}
    calls.startProcess.assert_called_once_with("worker", False)


def test_a_process_that_ends_by_itself_is_a_failure_with_its_status(module):
    states = iter(["STOPPED", "STARTING", "EXITED"])
    module.server.supervisor.getAllProcessInfo.side_effect = lambda: [info(state=next(states), exitstatus=3)]
    with pytest.raises(CommandExecutionError, match="worker is EXITED: it ended with status 3"):
        module.start("worker")


def test_a_process_that_somebody_else_has_started_meanwhile_is_no_failure(module):
    states = iter(["STOPPED", "RUNNING", "RUNNING"])
    module.server.supervisor.getAllProcessInfo.side_effect = lambda: [info(state=next(states))]
    module.server.supervisor.startProcess.side_effect = xmlrpc.client.Fault(60, "ALREADY_STARTED: worker")
    assert module.start("worker") == {"worker": "RUNNING"}


def test_without_waiting_nothing_is_polled(module):
    module.server.supervisor.getAllProcessInfo.return_value = [info(state="STOPPED")]
    assert module.start("worker", wait=False) == {"worker": "STOPPED"}
    module.server.supervisor.getAllProcessInfo.return_value = [info(state="STOPPING")]
    assert module.stop("worker", wait=False) == {"worker": "STOPPING"}


def test_kill_never_signals_its_own_process_group(module, monkeypatch):
    killpg = create_autospec(os.killpg)
    monkeypatch.setattr(module.os, "killpg", killpg)
    infos = [info("a", "shop", "BACKOFF", pid=0), info("b", "shop", "RUNNING", pid=4711)]
    ended = [info("a", "shop", "STOPPED"), info("b", "shop", "STOPPED")]
    module.server.supervisor.getAllProcessInfo.side_effect = [infos, infos, ended, ended, ended]
    assert module.kill("shop") == {"shop:a": "STOPPED", "shop:b": "STOPPED"}
    killpg.assert_called_once_with(4711, signal.SIGKILL)


def test_the_log_of_a_process_may_be_no_file(module):
    module.server.supervisor.getAllProcessInfo.return_value = [info(stdout_logfile="/dev/null", stderr_logfile="")]
    assert module.tail("worker") == ""


def test_the_tail_is_the_last_lines_whatever_bytes_they_hold(module, tmp_path):
    (tmp_path / "a.log").write_bytes(b"x" * 70000 + b"\none\n\x1b[31mtw\xff\n")
    module.server.supervisor.getAllProcessInfo.return_value = [info(stdout_logfile=str(tmp_path / "a.log"))]
    assert module.tail("worker", 2) == "one\n\x1b[31mtw\ufffd"
    assert module.tail("worker", "1") == "\x1b[31mtw\ufffd"
