"""
Programs of Supervisor as they should be: configured, running, stopped or absent.

Needs ``_modules/supervisor.py`` and nothing else of this tree than ``supervisor_rpc``, ``state_result`` and
``atomic_file`` from ``_utils``; docs/supervisor.md is its manual.

There is no ``mod_run_check``: with one, Salt would ignore ``unless`` and ``onlyif`` on these states without a word.
"""

from pathlib import Path

import state_result
import supervisor_rpc
from supervisor_rpc import ENDED, SOCKET

# Where Debian's supervisord.conf includes *.conf from.
FOLDER = "/etc/supervisor/conf.d"

__virtualname__ = "supervisor"


def __virtual__():
    return __virtualname__


@state_result.failures_are_results
def present(name, section, kind="program", timeout=60, folder=FOLDER, socket=SOCKET):
    """
    Ensure that a program is configured; whether it runs stays as it is.

    A new program starts when ``autostart`` says so, which is Supervisor's default.

    name
        The program, or the group.
    section
        Its options, see ``supervisor.configure``.
    kind
        ``program``, or ``group``: then ``section`` holds ``programs``.
    timeout
        Seconds for its processes to stop before they are replaced; more than ``stopwaitsecs``.
    folder
        Where Supervisor includes ``*.conf`` from.
    socket
        Supervisor's unix socket.

    .. code-block:: yaml

        worker:
          supervisor.present:
            - section:
                command: /usr/bin/sleep 600
                autostart: false
    """
    changes = __salt__["supervisor.pending"](name, section, folder, kind, socket)
    if not changes:
        return state_result.unchanged(name, f"{name} is configured")
    if __opts__["test"]:
        return state_result.would(name, changes, f"{name} would be configured")
    __salt__["supervisor.configure"](name, section, folder, kind, timeout, socket)
    return state_result.changed(name, changes, f"{name} was configured")


@state_result.failures_are_results
def running(name, section=None, kind="program", timeout=60, folder=FOLDER, socket=SOCKET):
    """
    Ensure that a program runs, with this configuration if ``section`` is given; ``watch`` restarts it.

    It runs when Supervisor calls it RUNNING: it has lasted ``startsecs``. When it does not come up, the comment ends
    with the last lines of its own log.

    name
        The program or the group; without ``section`` also ``group:program``, ``group:*``.
    timeout
        Seconds to stop it and to start it, each; more than ``stopwaitsecs``, than ``startsecs``, and than all of
        ``startretries`` take.

    The other arguments are those of ``supervisor.present``.

    .. code-block:: yaml

        worker:
          supervisor.running:
            - section:
                command: /usr/bin/sleep 600
                user: nobody
            - watch:
              - file: worker-config
    """
    pending = __salt__["supervisor.pending"](name, section, folder, kind, socket) if section else {}
    changes = {**pending, **_restarts(name, pending, socket)}
    if not changes:
        return state_result.unchanged(name, f"{name} is running")
    if __opts__["test"]:
        return state_result.would(name, changes, f"{name} would be started")
    if pending:
        __salt__["supervisor.configure"](name, section, folder, kind, timeout, socket)
    _start(name, pending, timeout, socket)
    return state_result.changed(name, changes, f"{name} is running now")


@state_result.failures_are_results
def stopped(name, timeout=60, socket=SOCKET):
    """
    Ensure that a program does not run, until Supervisor starts again; for ever: ``autostart: false``.

    name
        The program, the group, ``group:program``, ``group:*``.
    timeout
        Seconds for it to stop; more than ``stopwaitsecs``.

    .. code-block:: yaml

        worker:
          supervisor.stopped
    """
    active = [full for full, program in _programs(name, socket).items() if program["state"] not in ENDED]
    if not active:
        return state_result.unchanged(name, f"{name} does not run")
    if __opts__["test"]:
        return state_result.would(name, {"stopped": active}, f"{name} would be stopped")
    __salt__["supervisor.stop"](name, timeout=timeout, socket=socket)
    return state_result.changed(name, {"stopped": active}, f"{name} was stopped")


@state_result.failures_are_results
def absent(name, timeout=60, folder=FOLDER, socket=SOCKET):
    """
    Ensure that Supervisor has neither the program nor its file; it is stopped first.

    name
        The program or the group.

    The other arguments are those of ``supervisor.present``.

    .. code-block:: yaml

        worker:
          supervisor.absent
    """
    file = Path(folder, f"{name}.conf")
    removed = [*_programs(name, socket), *([str(file)] if file.exists() else [])]
    if not removed:
        return state_result.unchanged(name, f"{name} is absent")
    if __opts__["test"]:
        return state_result.would(name, {"removed": removed}, f"{name} would be removed")
    __salt__["supervisor.remove"](name, folder, timeout, socket)
    return state_result.changed(name, {"removed": removed}, f"{name} was removed")


@state_result.failures_are_results
def mod_watch(name, sfun, timeout=60, socket=SOCKET, **_arguments):
    """Restart what ``running`` found running, because something that it watches has changed."""
    if sfun != "running":
        return state_result.unchanged(name, f"{name} is not restarted: only supervisor.running does that")
    changes = {"restarted": list(_programs(name, socket))}
    if __opts__["test"]:
        return state_result.would(name, changes, f"{name} would be restarted")
    __salt__["supervisor.restart"](name, timeout=timeout, socket=socket)
    return state_result.changed(name, changes, f"{name} was restarted")


def _programs(name, socket):
    """The processes of ``name``; none without Supervisor, which takes its programs with it when it stops."""
    try:
        return __salt__["supervisor.programs"](name, socket)
    except supervisor_rpc.SupervisorMissing:
        return {}


def _restarts(name, pending, socket):
    """Which processes a start of ``name`` begins, and which a pending change of its configuration restarts."""
    try:
        programs = __salt__["supervisor.programs"](name, socket)
    except supervisor_rpc.SupervisorDown:
        programs = {}
    states = {full: program["state"] for full, program in programs.items()} or {name: ""}
    started = [full for full, state in states.items() if state != "RUNNING"]
    restarted = [full for full, state in states.items() if state == "RUNNING" and pending]
    return {key: names for key, names in (("started", started), ("restarted", restarted)) if names}


def _start(name, done, timeout, socket):
    """Start ``name``; a failure carries what had been ``done`` before it."""
    try:
        __salt__["supervisor.start"](name, timeout=timeout, socket=socket)
    except supervisor_rpc.CommandExecutionError as error:
        error.changes = done
        raise
