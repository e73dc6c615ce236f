"""
Programs of Supervisor: asked, configured, started and stopped through its XML-RPC interface.

Needs Supervisor 4 with the socket of section ``unix_http_server``, and nothing else of this tree than
``supervisor_rpc``, ``config_file`` and ``atomic_file`` from ``_utils``.

A name is a program (``worker``), one process of a group (``shop:web``), or all of them (``shop``, ``shop:``,
``shop:*``). A program with ``numprocs`` is a group of its own name.
"""

import configparser
import os
import re
import signal
import time
import xmlrpc.client
from contextlib import suppress
from pathlib import Path

from salt.exceptions import CommandExecutionError

import config_file
import supervisor_rpc
from supervisor_rpc import ACTIVE, ENDED, SOCKET

# Where Debian's supervisord.conf includes *.conf from.
FOLDER = "/etc/supervisor/conf.d"

# Seconds between two looks at a process that starts or stops; one look costs 0.25 ms.
INTERVAL = 0.1
# Bytes at the end of a log in which the last lines are looked for.
TAIL_BYTES = 65536

# What Supervisor replaces in a value; every other percent sign is meant as one.
EXPANSION = re.compile(r"%(?!\((?:here|program_name|group_name|host_node_name|process_num|numprocs|ENV_\w+)\)\w)")
# Supervisor takes this for the beginning of a comment.
COMMENT = re.compile(r"(?:^|(?<=\s))(?=[;#])")

__virtualname__ = "supervisor"


def __virtual__():
    return __virtualname__


def programs(name="", socket=SOCKET):
    """
    Every process that Supervisor knows, by its full name.

    name
        Only the processes of this program or group.
    socket
        Supervisor's unix socket.

    Each has ``group``, ``state`` (STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN), ``pid`` (0:
    none), ``since`` (when it was last started, in seconds since 1970; 0: never), ``error`` (why it did not start) and
    ``log`` (the path).

    CLI Example:

    .. code-block:: bash

        salt web1 supervisor.programs
    """
    with supervisor_rpc.connect(socket) as server:
        return {
            _full(info): {
                "group": info["group"],
                "state": info["statename"],
                "pid": info["pid"],
                "since": info["start"],
                "error": info["spawnerr"],
                "log": info["stdout_logfile"],
            }
            for info in _processes(server, name)
        }


def is_configured(name, folder=FOLDER):
    """
    Whether there is a file of this module for ``name``; Supervisor is not asked.

    CLI Example:

    .. code-block:: bash

        salt web1 supervisor.is_configured worker
    """
    return Path(_path(name, folder)).exists()


def pending(name, section, folder=FOLDER, kind="program", socket=SOCKET):
    """
    What ``configure`` with the same arguments would change; nothing is touched.

    An option is shown as it stands in the file, ``environment`` never with its values. Supervisor reads its files again
    (``supervisorctl reread``): no other way tells whether it runs what they say.

    CLI Example:

    .. code-block:: bash

        salt web1 supervisor.pending worker '{"command": "/usr/bin/sleep 600"}'
    """
    path, text = _path(name, folder), _text(name, section, kind)
    changes = config_file.changes(path, text, _options)
    if changes:
        return changes
    try:
        with supervisor_rpc.connect(socket) as server:
            answer = _reread(server, name)
    except supervisor_rpc.SupervisorDown as error:
        return {"supervisor": {"old": str(error), "new": "answers"}}
    return _loaded(answer, path)


def configure(name, section, folder=FOLDER, kind="program", timeout=60, socket=SOCKET):
    """
    Write ``<folder>/<name>.conf`` and make Supervisor run it; returns what changed, ``{}`` for nothing.

    Only this group is added or replaced, whatever other files have changed. A replaced group is stopped first. What ran
    before runs afterwards (``autostart`` or not), what was stopped stays stopped; a new group starts if ``autostart``
    says so, which is Supervisor's default.

    section
        Options of section ``[program:name]`` in the order in which they are to be written. ``environment`` may be a
        mapping. A percent sign is written once; Supervisor's own expansions (``%(process_num)02d``) work.
    kind
        ``program``, or ``group``: then ``section`` is ``{programs: {web: {...}, worker: {...}}}``, with ``priority`` if
        wanted.
    timeout
        Seconds for the old processes to stop; more than their ``stopwaitsecs``.

    Raises CommandExecutionError when Supervisor is down or refuses the file; then the old file is back.

    CLI Example:

    .. code-block:: bash

        salt web1 supervisor.configure worker '{"command": "/usr/bin/sleep 600"}'
    """
    path, text = _path(name, folder), _text(name, section, kind)
    with supervisor_rpc.connect(socket) as server:
        before = {_full(info): info["statename"] for info in _processes(server, name)}
        changes = config_file.changes(path, text, _options)
        with config_file.written(path, text):
            answer = _reread(server, name)
            if answer in ("removed", "unread"):
                raise CommandExecutionError(f"Supervisor does not read {path}: [include] files = {folder}/*.conf")
        changes = changes or _loaded(answer, path)
        try:
            _load(server, name, answer, before, timeout)
        except CommandExecutionError as error:
            error.changes = changes
            raise
    return changes


def start(name, wait=True, timeout=60, socket=SOCKET):
    """
    Start what does not run of ``name``; returns the state of each process.

    wait
        Return when each is RUNNING, which it is after its ``startsecs``.
    timeout
        Seconds to wait; more than ``startsecs``, and than all of the ``startretries`` take.

    Raises CommandExecutionError with the last lines of the program's own log when one does not come up.

    CLI Example:

    .. code-block:: bash

        salt web1 supervisor.start worker
    """
    with supervisor_rpc.connect(socket) as server:
        # Supervisor must not be asked to start what has not ended yet.
        for info in _wait(server, name, lambda state: state != "STOPPING", timeout):
            if info["statename"] not in ACTIVE:
                _start_process(server, _full(info))
        if wait:
            infos = _wait(server, name, lambda state: state == "RUNNING" or state in ENDED, timeout)
            failures = [_failure(info, timeout) for info in infos if info["statename"] != "RUNNING"]
            if failures:
                raise CommandExecutionError("\n".join(failures))
        return _states(server, name)


def stop(name, wait=True, timeout=60, socket=SOCKET):
    """
    Stop what runs of ``name``; returns the state of each process.

    wait
        Return when each has ended.
    timeout
        Seconds to wait; more than ``stopwaitsecs``, after which Supervisor kills.

    CLI Example:

    .. code-block:: bash

        salt web1 supervisor.stop shop:web
    """
    with supervisor_rpc.connect(socket) as server:
        _stop(server, name, timeout if wait else None)
        return _states(server, name)


def kill(name, timeout=10, socket=SOCKET):
    """
    End ``name`` and its children with SIGKILL, for what hangs: a stop would wait for ``stopwaitsecs``.

    CLI Example:

    .. code-block:: bash

        salt web1 supervisor.kill worker
    """
    with supervisor_rpc.connect(socket) as server:
        infos = _processes(server, name)
        # Stopped first, or Supervisor would start again what has been killed.
        _stop(server, name, None)
        for info in infos:
            # A process is the leader of its own process group; 0 would be ours.
            if info["pid"]:
                with suppress(ProcessLookupError):
                    os.killpg(info["pid"], signal.SIGKILL)
        _stop(server, name, timeout)
        return _states(server, name)


def restart(name, wait=True, timeout=60, socket=SOCKET):
    """
    Stop ``name`` and start it; arguments and answer as for ``start``.

    CLI Example:

    .. code-block:: bash

        salt web1 supervisor.restart 'shop:*'
    """
    stop(name, timeout=timeout, socket=socket)
    return start(name, wait, timeout, socket)


def remove(name, folder=FOLDER, timeout=60, socket=SOCKET):
    """
    Stop ``name``, delete its file and make Supervisor forget it.

    Without Supervisor (no socket) only the file is deleted.

    CLI Example:

    .. code-block:: bash

        salt web1 supervisor.remove worker
    """
    path = Path(_path(name, folder))
    try:
        with supervisor_rpc.connect(socket) as server:
            if _processes(server, name):
                _stop(server, name, timeout)
            path.unlink(missing_ok=True)
            answer = _reread(server, name)
            if answer == "removed":
                server.supervisor.removeProcessGroup(name)
            elif answer != "unread":
                raise CommandExecutionError(f"{name} is in another file of Supervisor than {path}: delete it there")
    except supervisor_rpc.SupervisorMissing:
        path.unlink(missing_ok=True)


def tail(name, lines=20, socket=SOCKET):
    """
    The last lines of the log of ``name``; of several logs, each under its path.

    CLI Example:

    .. code-block:: bash

        salt web1 supervisor.tail worker lines=50
    """
    with supervisor_rpc.connect(socket) as server:
        infos = _known(server, name)
    logs = list(dict.fromkeys(log for info in infos for log in _logs(info)))
    if len(logs) == 1:
        return _last_lines(logs[0], lines)
    return "\n".join(f"==> {log} <==\n{_last_lines(log, lines)}" for log in logs)


def _full(info):
    """The name as supervisorctl prints it: a program alone in its group goes by one name."""
    return info["name"] if info["name"] == info["group"] else f"{info['group']}:{info['name']}"


def _processes(server, name=""):
    group, _colon, process = name.partition(":")
    return [
        info
        for info in server.supervisor.getAllProcessInfo()
        if group in ("", info["group"]) and process in ("", "*", info["name"])
    ]


def _known(server, name):
    infos = _processes(server, name)
    if not infos:
        names = ", ".join(_full(info) for info in _processes(server)) or "none"
        raise CommandExecutionError(f"Supervisor has no program {name!r}: it has {names}")
    return infos


def _states(server, name):
    return {_full(info): info["statename"] for info in _known(server, name)}


def _wait(server, name, settled, timeout):
    """The processes as soon as each is ``settled``, or when the time is over."""
    deadline = time.monotonic() + timeout
    while True:
        infos = _known(server, name)
        if all(settled(info["statename"]) for info in infos) or time.monotonic() > deadline:
            return infos
        time.sleep(INTERVAL)


def _start_process(server, full):
    try:
        # Without waiting: Supervisor would call the first of its start retries a failure.
        supervisor_rpc.attempt(server.supervisor.startProcess, full, False, unless=supervisor_rpc.ALREADY_STARTED)
    except xmlrpc.client.Fault as fault:
        raise CommandExecutionError(f"{full} does not start: {fault.faultString}: correct its command") from fault


def _stop(server, name, timeout):
    """Ask ``name`` to stop; wait until it has, unless the time is None."""
    for info in _known(server, name):
        if info["statename"] in ACTIVE:
            supervisor_rpc.attempt(server.supervisor.stopProcess, _full(info), False, unless=supervisor_rpc.NOT_RUNNING)
    if timeout is None:
        return
    infos = _wait(server, name, lambda state: state in ENDED, timeout)
    left = ", ".join(_full(info) for info in infos if info["statename"] not in ENDED)
    if left:
        raise CommandExecutionError(
            f"{left} still runs {timeout} s after it was asked to stop: give a timeout above its stopwaitsecs, "
            "or end it with supervisor.kill"
        )


def _reread(server, name):
    """
    How the files differ from what Supervisor runs as ``name``.

    ``""`` (not at all), ``added``, ``changed``, ``removed``, or ``unread``: neither the files nor Supervisor know it.
    """
    try:
        (groups,) = server.supervisor.reloadConfig()
    except xmlrpc.client.Fault as fault:
        raise CommandExecutionError(f"Supervisor refuses its configuration: {fault.faultString}") from fault
    for answer, names in zip(("added", "changed", "removed"), groups, strict=True):
        if name in names:
            return answer
    return "" if _processes(server, name) else "unread"


def _loaded(answer, path):
    if not answer:
        return {}
    return {"loaded": {"old": "an earlier configuration" if answer == "changed" else "", "new": path}}


def _load(server, name, answer, before, timeout):
    if answer == "changed":
        _stop(server, name, timeout)
        server.supervisor.removeProcessGroup(name)
    if answer:
        _add(server, name, before)


def _add(server, name, before):
    """Load the group ``name``; its processes are left as they were ``before``: {full name: state}."""
    calls = [("addProcessGroup", name)]
    for full in _held(server, name, before):
        # Supervisor starts what it adds, unless it has been started once. So it is, and killed in the same call: it
        # lives for about a millisecond, too short for an interpreter to read a program, and is STOPPED afterwards.
        calls += [("startProcess", full, False), ("stopProcess", full, False), ("signalProcess", full, "KILL")]
    answers = server.system.multicall([{"methodName": f"supervisor.{call}", "params": rest} for call, *rest in calls])
    if answers[0] is not True:
        raise CommandExecutionError(f"Supervisor does not load {name}: {answers[0]['faultString']}")
    for info in _processes(server, name):
        if before.get(_full(info)) in ACTIVE:
            _start_process(server, _full(info))


def _held(server, name, before):
    """Names of the processes that Supervisor would start although they had been stopped."""
    all_stopped = set(before.values()) == {"STOPPED"}
    return [
        _full(config)
        for config in server.supervisor.getAllConfigInfo()
        if config["group"] == name and config["autostart"] and (all_stopped or before.get(_full(config)) == "STOPPED")
    ]


def _failure(info, timeout):
    """Why a process is not RUNNING, in its own words."""
    if info["statename"] == "STARTING":
        return f"{_full(info)} is still STARTING after {timeout} s: give a timeout above its startsecs"
    # Supervisor keeps no exit status of a process that did not last its startsecs.
    reason = info["spawnerr"] or f"it ended with status {info['exitstatus']}"
    logs = [f"Last lines of {log}:\n{_last_lines(log, 20)}" for log in _logs(info)]
    return "\n".join([f"{_full(info)} is {info['statename']}: {reason}", *logs])


def _logs(info):
    """Paths of the logs of a process that say something; a pipe or a terminal is none."""
    paths = [Path(info["stdout_logfile"]), Path(info["stderr_logfile"])]
    return [str(path) for path in paths if path.is_file() and path.stat().st_size]


def _last_lines(path, lines):
    # Read here: over XML-RPC a colour code, or a character cut in two, is an error.
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-int(lines) :])


def _path(name, folder):
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise CommandExecutionError(f"{name!r} is no name for a program: use letters, digits, '-', '_' and '.'")
    return str(Path(folder, f"{name}.conf"))


def _text(name, section, kind):
    """The configuration file of ``name``."""
    lines = ["; Managed by Salt: supervisor.configure"]
    for header, options in _sections(name, section, kind).items():
        lines += ["", f"[{header}]", *(f"{option} = {_value(option, value)}" for option, value in options.items())]
    return "\n".join(lines) + "\n"


def _sections(name, section, kind):
    if kind == "program":
        return {f"program:{name}": section}
    if kind != "group" or "programs" not in section:
        raise CommandExecutionError(f"{name}: kind is 'program', or 'group' with a section that has 'programs'")
    programs = section["programs"]
    return {
        f"group:{name}": {**section, "programs": ",".join(programs)},
        **{f"program:{program}": options for program, options in programs.items()},
    }


def _value(option, value):
    """The value as Supervisor must read it to mean it."""
    if isinstance(value, dict):
        value = ",".join(f"{key}={_quoted(key, item)}" for key, item in value.items())
    if isinstance(value, bool):
        value = str(value).lower()
    if value is None or isinstance(value, list) or "\n" in str(value):
        raise CommandExecutionError(f"{option}: {value!r} is no text in one line: use a text, a number or true/false")
    # Supervisor expands the path of a log twice.
    for _time in range(2 if option.endswith("_logfile") else 1):
        value = EXPANSION.sub("%%", str(value))
    # An expansion to nothing keeps the sign of a comment away from the blank before it.
    return COMMENT.sub("%(here).0s", value)


def _quoted(key, value):
    value = str(value).lower() if isinstance(value, bool) else str(value)
    if value != value.strip("'\"") or {"'", '"'} <= set(value):
        raise CommandExecutionError(
            f"environment:{key}: Supervisor cannot hold a quote at an end, or both kinds: put the value into a file"
        )
    return f"'{value}'" if '"' in value else f'"{value}"'


def _options(text):
    """The options of a configuration file: {section: {option: text}}."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.optionxform = str
    with suppress(configparser.Error):
        parser.read_string(text)
    return {header: {option: value or "" for option, value in parser.items(header)} for header in parser.sections()}
