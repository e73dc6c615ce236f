"""
Processes as systemd units: asked, configured, started and stopped; the same functions as ``supervisor`` has.

A name is that of a unit ``<name>.service`` whose file is ours. Units are never enabled: what runs after a boot is
decided by whoever knows which slot has the traffic.
"""

import os
import re
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from salt.exceptions import CommandExecutionError

import command
import config_file

FOLDER = "/etc/systemd/system"
# The first line of every file of ours; any other file is left alone.
MARK = "# Managed by Salt: apps"

# Seconds between two looks at a unit that starts or stops; one look costs about 5 ms.
INTERVAL = 0.1
# Seconds that a process must run to count as started: as long as Supervisor's ``startsecs`` (process_sections).
SETTLE = 10.0
# Seconds for one answer of systemctl, which never waits for a job here.
ANSWER_TIME = 60
# With one of these exit codes (systemd.exec(5), "Process Exit Codes") a process ended before its command began: no such
# program, say, or no such folder. Only the journal knows more.
NOT_BEGUN = range(200, 246)
# Bytes at the end of a log in which the last lines are looked for.
TAIL_BYTES = 65536

PROPERTIES = ("Id", "LoadState", "LoadError", "NeedDaemonReload", "ActiveState", "SubState", "Job", "MainPID")
PROPERTIES += ("Result", "ExecMainCode", "ExecMainStatus", "ExecMainStartTimestampMonotonic")

# Supervisor's words for systemd's ActiveState.
STATES = {
    "active": "RUNNING",
    "reloading": "RUNNING",
    "refreshing": "RUNNING",
    "activating": "STARTING",
    "deactivating": "STOPPING",
    "inactive": "STOPPED",
    "failed": "FATAL",
}
ENDED = ("STOPPED", "FATAL")

# What ExecMainCode says of a process that was ended by a signal: CLD_KILLED, CLD_DUMPED (signal.h).
BY_SIGNAL = ("2", "3")

__virtualname__ = "systemd"


def __virtual__():
    return __virtualname__


def programs(name="", folder=FOLDER):
    """
    Every process that systemd runs from a file of ours, by its name; ``{}`` for a name that it does not know.

    name
        Only this one, whoever wrote its file.

    Each has ``state`` in Supervisor's words (STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, FATAL or UNKNOWN), ``pid``
    (0: none), ``since`` (when it was last started, in seconds since 1970; 0: not that systemd knows), ``error`` (how it
    failed) and ``log`` (the path).

    CLI Example:

    .. code-block:: bash

        salt web1 systemd.programs
    """
    units = _show([name] if name else _ours(folder))
    return {key: _program(unit, _path(key, folder)) for key, unit in units.items() if unit["LoadState"] == "loaded"}


def is_configured(name, folder=FOLDER):
    """
    Whether there is a file of this module for ``name``; systemd is not asked.

    CLI Example:

    .. code-block:: bash

        salt web1 systemd.is_configured worker
    """
    return config_file.read(_path(name, folder)).startswith(MARK)


def pending(name, section, folder=FOLDER):
    """
    What ``configure`` with the same arguments would change; nothing is touched.

    An option is shown as it stands in the file, ``Environment`` never with its values.

    CLI Example:

    .. code-block:: bash

        salt web1 systemd.pending worker '{"Service": {"ExecStart": "/usr/bin/sleep 600"}}'
    """
    path, text = _path(name, folder), _text(section)
    return config_file.changes(path, text, _options) or _unloaded(_show([name])[name], path)


def configure(name, section, folder=FOLDER):
    """
    Write ``<folder>/<name>.service`` and make systemd read it; returns what changed, ``{}`` for nothing.

    What runs goes on as it is, and what is stopped stays stopped: a new command counts from the next start.

    section
        ``{"Unit": {...}, "Service": {...}}`` in the order in which it is to be written. A value is written as it is
        given, already quoted as systemd wants it; true and false become yes and no; a list is one line for each.

    Raises CommandExecutionError when systemd refuses the file, or there is one that is not ours; the old one stays.

    CLI Example:

    .. code-block:: bash

        salt web1 systemd.configure worker '{"Service": {"ExecStart": "/usr/bin/sleep 600"}}'
    """
    path, text = _path(name, folder), _text(section)
    changes = pending(name, section, folder)
    if not changes:
        return {}
    with _written(path, text):
        _systemctl("daemon-reload")
        unit = _show([name])[name]
        if unit["LoadState"] != "loaded":
            why = unit["LoadError"] or "it does not read this folder"
            raise CommandExecutionError(f"systemd refuses {path}: {why}: journalctl -b | grep {name}")
    return changes


def start(name, wait=True, timeout=60):
    """
    Start ``name`` if it does not run; returns its state as ``{name: state}``.

    wait
        Return when it has run for 10 seconds.
    timeout
        Seconds to wait; more than those 10, and than what is started again after failures takes.

    Raises CommandExecutionError with the last lines of the process's own log when it does not come up.

    CLI Example:

    .. code-block:: bash

        salt web1 systemd.start worker
    """
    deadline = time.monotonic() + timeout
    # Another start would wait for the stop to end, and it is the stop's state that would be seen.
    program = _wait(name, lambda program: program["state"] != "STOPPING", deadline)
    if program["state"] in ENDED:
        # Failures of before are no reason to refuse this start; a unit that has none to forget is an error here.
        with suppress(CommandExecutionError):
            _systemctl("reset-failed", f"{name}.service")
        _systemctl("start", "--no-block", f"{name}.service")
    if wait:
        program = _wait(name, lambda program: program["state"] in ENDED or _settled(program), deadline)
        if not _settled(program):
            raise CommandExecutionError(_failure(name, program, timeout))
    return _states(name)


def stop(name, wait=True, timeout=60):
    """
    Stop ``name``; returns its state as ``{name: state}``.

    wait
        Return when it has ended.
    timeout
        Seconds to wait; more than ``TimeoutStopSec``, after which systemd kills.

    CLI Example:

    .. code-block:: bash

        salt web1 systemd.stop worker
    """
    if _known(name)["state"] not in ENDED:
        _systemctl("stop", "--no-block", f"{name}.service")
    if wait:
        _await_end(name, timeout)
    return _states(name)


def kill(name, timeout=10):
    """
    End ``name`` and all that it started with SIGKILL, for what hangs: a stop would wait for ``TimeoutStopSec``.

    CLI Example:

    .. code-block:: bash

        salt web1 systemd.kill worker
    """
    # Stopped first, or systemd would start again what has been killed.
    stop(name, wait=False)
    # There may be nothing left to kill; whether it has ended is asked below.
    with suppress(CommandExecutionError):
        _systemctl("kill", "--signal=SIGKILL", f"{name}.service")
    _await_end(name, timeout)
    return _states(name)


def restart(name, wait=True, timeout=60):
    """
    Stop ``name`` and start it; arguments and answer as for ``start``.

    CLI Example:

    .. code-block:: bash

        salt web1 systemd.restart worker
    """
    stop(name, timeout=timeout)
    return start(name, wait, timeout)


def remove(name, folder=FOLDER, timeout=60):
    """
    Stop ``name``, delete its file and make systemd forget it.

    CLI Example:

    .. code-block:: bash

        salt web1 systemd.remove worker
    """
    path = Path(_path(name, folder))
    if not path.exists() and not programs(name, folder):
        return
    _check_ours(path)
    if programs(name, folder):
        # A failure that systemd remembers would keep the unit in its memory; a stop forgets it.
        stop(name, timeout=timeout)
    path.unlink(missing_ok=True)
    _systemctl("daemon-reload")
    if programs(name, folder):
        raise CommandExecutionError(f"{name}.service is in another folder than {folder}, too: delete it there")


def tail(name, lines=20, folder=FOLDER):
    """
    The last lines of the log of ``name``: the file to which its ``StandardOutput`` is appended.

    Then what systemd says, if it could not begin to run the command.

    CLI Example:

    .. code-block:: bash

        salt web1 systemd.tail worker lines=50
    """
    text = _last_lines(_known(name, folder)["log"], lines)
    unit = _show([name])[name]
    if _status(unit) not in NOT_BEGUN or unit["Result"] == "success":
        return text
    asked = [f"--unit={name}.service", "--priority=err", "--lines=2", "--output=cat", "--boot"]
    return f"{text}\n{command.run(['journalctl', *asked], timeout=ANSWER_TIME)}".strip()


def _systemctl(*arguments):
    return command.run(["systemctl", *arguments], timeout=ANSWER_TIME, what=f"systemctl {' '.join(arguments)}")


def _show(names):
    """The properties of units, as ``{name: {property: text}}``: one question for all of them."""
    if not names:
        return {}
    asked = [f"--property={','.join(PROPERTIES)}", "--", *(f"{name}.service" for name in names)]
    # Not in the error: the list of properties.
    answer = command.run(["systemctl", "show", *asked], timeout=ANSWER_TIME, what="systemctl show")
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in answer.strip().split("\n\n")]
    return {block["Id"].removesuffix(".service"): {**dict.fromkeys(PROPERTIES, ""), **block} for block in blocks}


def _program(unit, path):
    return {
        "state": _state(unit),
        "pid": int(unit["MainPID"] or 0),
        "since": _since(int(unit["ExecMainStartTimestampMonotonic"] or 0)),
        "error": _error(unit),
        "log": _log(config_file.read(path)),
    }


def _state(unit):
    state = STATES.get(unit["ActiveState"], "UNKNOWN")
    if unit["SubState"].startswith("auto-restart"):
        return "BACKOFF"
    # The job of `start --no-block` may wait for a moment; what has ended can wait for no other.
    return "STARTING" if state in ENDED and unit["Job"] not in ("", "0") else state


def _since(microseconds):
    """Seconds since 1970 from microseconds since the boot: the other timestamps are made for people."""
    return int(time.time() - time.monotonic() + microseconds / 1e6) if microseconds else 0


def _error(unit):
    if unit["Result"] in ("", "success"):
        return ""
    return f"{unit['Result']}: {command.ending(_status(unit))}"


def _status(unit):
    """How the process ended last, as ``subprocess`` has it: the exit code, or the negative number of a signal."""
    status = int(unit["ExecMainStatus"] or 0)
    return -status if unit["ExecMainCode"] in BY_SIGNAL else status


def _settled(program):
    return program["state"] == "RUNNING" and time.time() - program["since"] >= SETTLE


def _known(name, folder=FOLDER):
    found = programs(name, folder)
    if name not in found:
        names = ", ".join(_ours(folder)) or "none"
        raise CommandExecutionError(f"systemd has no unit {name}.service: of ours it has {names}")
    return found[name]


def _states(name):
    return {name: _known(name)["state"]}


def _wait(name, done, deadline):
    """The process as soon as it is ``done``, or when the time is over."""
    while True:
        program = _known(name)
        if done(program) or time.monotonic() > deadline:
            return program
        time.sleep(INTERVAL)


def _await_end(name, timeout):
    program = _wait(name, lambda program: program["state"] in ENDED, time.monotonic() + timeout)
    if program["state"] not in ENDED:
        raise CommandExecutionError(
            f"{name} is still {program['state']} {timeout} s after it was asked to stop: give a timeout above its "
            "TimeoutStopSec, or end it with systemd.kill"
        )
    if program["state"] == "FATAL":
        # However it ended, it was to end.
        _systemctl("reset-failed", f"{name}.service")


def _failure(name, program, timeout):
    """Why a process does not run, in its own words."""
    if program["state"] == "RUNNING":
        return f"{name} has run for less than {SETTLE:g} s when {timeout} s were over: give a longer timeout"
    reason = program["error"] or "it ended by itself"
    said = tail(name)
    return f"{name} is {program['state']}: {reason}" + (f"\nLast lines of {program['log']}:\n{said}" if said else "")


def _ours(folder):
    """The names of the units in ``folder`` whose file is ours."""
    return [path.stem for path in sorted(Path(folder).glob("*.service")) if config_file.read(path).startswith(MARK)]


def _check_ours(path):
    if not config_file.read(path).startswith(MARK):
        raise CommandExecutionError(f"{path} is not ours (it does not begin with {MARK!r}): move it away")


def _last_lines(path, lines):
    if not Path(path).is_file():
        return ""
    # Cut here, and decoded with care: a log may hold anything.
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-int(lines) :])


def _path(name, folder):
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise CommandExecutionError(f"{name!r} is no name for a unit: use letters, digits, '-', '_' and '.'")
    return str(Path(folder, f"{name}.service"))


@contextmanager
def _written(path, text):
    """As ``config_file.written``, of a file that is ours, or not there yet; systemd reads it again if it goes back."""
    if config_file.read(path):
        _check_ours(path)
    try:
        with config_file.written(path, text):
            yield
    except BaseException:
        _systemctl("daemon-reload")
        raise


def _text(section):
    """The unit file."""
    lines = [MARK]
    for header, options in section.items():
        lines += ["", f"[{header}]"]
        for option, value in options.items():
            values = value if isinstance(value, (list, tuple)) else [value]
            lines += [f"{option}={_value(option, item)}" for item in values]
    return "\n".join(lines) + "\n"


def _value(option, value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (str, int, float)) or "\n" in str(value):
        raise CommandExecutionError(f"{option}: {value!r} is no text in one line: use a text, a number or true/false")
    return str(value)


def _log(text):
    """The path of the log in the text of a unit file; empty if it is the journal."""
    paths = re.findall(r"^StandardOutput=append:(.*)$", text, re.MULTILINE)
    return paths[-1].replace("%%", "%") if paths else ""


def _unloaded(unit, path):
    if unit["LoadState"] == "loaded" and unit["NeedDaemonReload"] == "no":
        return {}
    return {"loaded": {"old": "an earlier configuration" if unit["LoadState"] == "loaded" else "", "new": path}}


def _options(text):
    """The options of a unit file: {section: {option: text}}, a line for each time that it is given."""
    sections, header = {}, ""
    for line in text.splitlines():
        if found := re.fullmatch(r"\[(.*)\]", line):
            header = found[1]
        elif header and (found := re.fullmatch(r"(\w+)\s*=\s*(.*)", line)):
            options = sections.setdefault(header, {})
            options[found[1]] = f"{options[found[1]]}\n{found[2]}" if found[1] in options else found[2]
    return sections
