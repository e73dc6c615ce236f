"""``bin/apply`` tells which state runs, from the log of ``salt-call``."""

import importlib.util
import io
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

APPLY = Path(__file__).parents[2] / "bin/apply"
STATES = (
    "[INFO    ] Loading fresh modules for state activity\n",
    "[INFO    ] Running state [nginx-config] at time 06:15:12.123456\n",
    "[INFO    ] Completed state [nginx-config] at time 06:15:12.223456 (duration_in_ms=100.0)\n",
    "[INFO    ] Running state [shop-venv] at time 06:15:12.3\n",
    "[INFO    ] Executing command uv in directory '/srv'\n",
)
WRONG = ("[ERROR   ] shop-blue did not start\n", "ImportError: no x\n")


@pytest.fixture(scope="module")
def apply():
    loader = SourceFileLoader("apply", str(APPLY))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("apply", loader))
    loader.exec_module(module)
    return module


class Terminal(io.StringIO):
    def isatty(self):
        return True


def told(apply, stream, *lines):
    """What is told of lines that come 3 seconds after each other."""
    seconds = iter(range(0, 300, 3))
    progress = apply.Progress(stream, clock=lambda: next(seconds))
    for line in lines:
        progress.take(line)
    progress.end()
    return stream.getvalue()


def test_a_state_that_takes_long_gets_a_line_when_it_has_ended(apply):
    assert told(apply, io.StringIO(), *STATES).splitlines() == ["    3 s  nginx-config", "    3 s  shop-venv"]


def test_a_short_one_gets_none(apply, monkeypatch):
    monkeypatch.setattr(apply, "LONG", 4)
    assert told(apply, io.StringIO(), *STATES) == ""


def test_on_a_terminal_the_line_of_the_running_state_is_replaced(apply):
    shown = told(apply, Terminal(), *STATES)
    assert " s  nginx-config ..." in shown
    assert shown.count(apply.ERASE) > 3
    assert shown.rpartition(apply.ERASE)[2] == "    3 s  shop-venv\n"


def test_what_salt_complains_of_is_shown_with_all_its_lines_and_nothing_else_of_its_log(apply):
    shown = told(apply, io.StringIO(), STATES[1], *WRONG, STATES[4], "its second line\n")
    assert shown.splitlines()[:2] == [line.rstrip() for line in WRONG]
    assert "second line" not in shown and "Executing" not in shown


def test_the_exit_code_is_that_of_salt_call(tmp_path):
    salt = tmp_path / "salt-call"
    salt.write_text(f"#!/bin/sh\necho \"$@\"\nprintf '{STATES[1].strip()}\\n' >&2\nexit 3\n")
    salt.chmod(0o755)
    argv = [sys.executable, APPLY, "test=True"]
    done = subprocess.run(argv, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stdout == "--log-level=info --retcode-passthrough state.apply test=True\n"
