"""A process of an app in the words of the program that keeps it running: Supervisor's options, or a systemd unit."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

# Five times the 2 s that the Django of our measurements took to import: dying sooner is a failed start.
START_SECONDS = 10
# A release that serves and dies, with its database say, is started again for about a minute: Supervisor waits one
# second longer each time. One that only tries to start is given up by `slots` much sooner.
RETRIES = 10
# The same minute for systemd, which always waits the same time, short so that a crash is a short outage: 20 processes
# that live for a second. The interval has room for 20 that live just too short to count as started.
RESTART_SECONDS = 2
STARTS = 20
STARTS_WITHIN = STARTS * (START_SECONDS + RESTART_SECONDS)

# systemd.exec(5) explains each. Left out on purpose: MemoryDenyWriteExecute (libffi and PCRE write the code they run),
# PrivateUsers (files and sockets of other users would be nobody's), RemoveIPC (a slot that stops would take the shared
# memory of the other one away), ProcSubset (psutil reads /proc/meminfo), ~@privileged (Gunicorn gives its socket to
# itself) and ~@resources (a worker may lower its own priority).
HARDENING = {
    "NoNewPrivileges": True,
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "ProtectSystem": "strict",
    "ProtectHome": True,
    "PrivateTmp": True,
    "PrivateDevices": True,
    "ProtectClock": True,
    "ProtectControlGroups": True,
    "ProtectHostname": True,
    "ProtectKernelLogs": True,
    "ProtectKernelModules": True,
    "ProtectKernelTunables": True,
    "ProtectProc": "invisible",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces": True,
    "RestrictRealtime": True,
    "RestrictSUIDSGID": True,
    "LockPersonality": True,
    "KeyringMode": "private",
    "LimitCORE": 0,
    "SystemCallArchitectures": "native",
    "SystemCallFilter": "@system-service",
    # What is refused fails like any other call, instead of ending the process.
    "SystemCallErrorNumber": "EPERM",
}


@dataclass(frozen=True)
class Process:
    """
    A process that runs all the time.

    name: of Supervisor's program, of systemd's unit. command: the program's path and its arguments. directory: where it
    starts; a link is entered once. user, group: who it runs as. environment: its variables. log: the path of the file
    for both outputs. stop_signal: what ends it in good order, ``TERM`` or ``WINCH``. stop_seconds: after which it is
    killed. memory: at most, ``512m`` say; empty for no limit. cpu: at most, in percent of one core; 0 for no limit.
    writable: the folders into which it may write.
    """

    name: str
    command: tuple
    directory: str
    user: str
    group: str
    environment: Mapping
    log: str
    stop_signal: str
    stop_seconds: int
    memory: str = ""
    cpu: int = 0
    writable: tuple = ()


def section(manager, process):
    """Return what ``configure`` of the execution module ``manager`` ("supervisor", "systemd") takes for a process."""
    return {"supervisor": _supervisor, "systemd": _systemd}[manager](process)


def _supervisor(process):
    limits = _limits(process)
    return {
        "command": shlex.join([*_scope(process, limits), *process.command] if limits else process.command),
        # Supervisor enters a link once: the process keeps the release's own path when the link moves.
        "directory": process.directory,
        # Only root can make the scope that limits a process; there setpriv changes the user.
        **({} if limits else {"user": process.user}),
        "environment": ",".join(f'{key}="{value}"' for key, value in process.environment.items()),
        "autostart": "false",
        "autorestart": "true",
        "startsecs": str(START_SECONDS),
        "startretries": str(RETRIES),
        "stopsignal": process.stop_signal,
        # Supervisor kills after this: later than the server itself has given up waiting for its requests.
        "stopwaitsecs": str(process.stop_seconds),
        "stopasgroup": "false",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": process.log,
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "5",
    }


def _scope(process, limits):
    """
    The command that runs another one within limits, which Supervisor has not: both become that one, its pid stays.

    setpriv and not ``--uid``, with which the process would have none of its user's groups, and another HOME.
    """
    options = [f"--property={key}={value}" for key, value in limits.items()]
    # With Delegate the end of one worker for its memory is not the end of all (systemd.scope(5), OOMPolicy).
    run = ["/usr/bin/systemd-run", "--scope", "--quiet", "--collect", "--property=Delegate=yes", *options, "--"]
    return [*run, "/usr/bin/setpriv", f"--reuid={process.user}", f"--regid={process.group}", "--init-groups", "--"]


def _limits(process):
    memory = {"MemoryMax": process.memory.upper(), "MemorySwapMax": 0} if process.memory else {}
    return {**memory, **({"CPUQuota": f"{process.cpu}%"} if process.cpu else {})}


def _systemd(process):
    return {
        "Unit": {
            "Description": _literal(f"{process.name}, a process of an app"),
            "After": "network.target",
            "StartLimitIntervalSec": STARTS_WITHIN,
            "StartLimitBurst": STARTS,
        },
        "Service": {
            "Type": "exec",
            "ExecStart": " ".join(_quoted(part).replace("$", "$$") for part in process.command),
            "User": process.user,
            "Group": process.group,
            # systemd enters a link once: the process keeps the release's own path when the link moves.
            "WorkingDirectory": _literal(process.directory),
            "Environment": [_quoted(f"{key}={value}") for key, value in process.environment.items()],
            "UMask": "0022",
            "StandardOutput": f"append:{_literal(process.log)}",
            "StandardError": "inherit",
            "Restart": "always",
            "RestartSec": RESTART_SECONDS,
            "KillSignal": f"SIG{process.stop_signal}",
            # The first process ends its children in good order; what is left after the time is killed.
            "KillMode": "mixed",
            "TimeoutStopSec": process.stop_seconds,
            # The end of one worker for its memory is not the end of all.
            "OOMPolicy": "continue",
            **_limits(process),
            **HARDENING,
            "ReadWritePaths": [_quoted(folder) for folder in process.writable],
        },
    }


def _literal(text):
    """The text where systemd replaces what follows a percent sign."""
    return text.replace("%", "%%")


def _quoted(text):
    """The text as one word of a line in a unit (systemd.syntax(7), "Quoting")."""
    if re.fullmatch(r"[\w@%+=:,./-]+", text):
        return _literal(text)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{_literal(escaped)}"'
