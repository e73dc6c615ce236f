"""
The web server that has port 80 of this host: Nginx or Apache, both installed, one of them in front.

The other one is ended as soon as it has answered what it had accepted; its port is free at once, so that the new one
can start while those requests finish.
"""

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

from salt.exceptions import CommandExecutionError

import command

UNITS = {"nginx": "nginx.service", "apache": "apache2.service"}
# Each ends the listening at once and the process when its last request is answered (nginx.org/en/docs/control.html;
# httpd.apache.org/docs/2.4/stopping.html, "Graceful Stop").
QUIT = {"nginx": signal.SIGQUIT, "apache": signal.SIGWINCH}
CHECK = {"nginx": ["nginx", "-t", "-q"], "apache": ["apache2ctl", "configtest"]}

PORT = 80
LISTENS = "0A"  # TCP_LISTEN in include/net/tcp_states.h

# Seconds that a web server on a busy host may take to give up the port, and to open it; each takes about 0.03.
CLOSING = 5.0
OPENING = 5.0
# Between two looks: the time in which nobody listens is what users may notice.
INTERVAL = 0.001


def holder():
    """
    Return which web server has port 80 of this host: ``nginx`` or ``apache``; empty if neither has.

    CLI Example:

    .. code-block:: bash

        salt web1 fronts.holder
    """
    return _holder(_units())


def is_installed(front):
    """
    Return whether a web server is installed on this host.

    CLI Example:

    .. code-block:: bash

        salt web1 fronts.is_installed apache
    """
    return _units()[front]["LoadState"] == "loaded"


def pending(front, coming=""):
    """
    Return what ``take`` would change: ``front`` (who has the port) and ``boot`` (who is started with the host).

    front
        ``nginx`` or ``apache``.

    coming
        One that is not installed yet and, as Debian's packages do, will be started at boots when it is.

    A web server that is not installed counts as one that has nothing: nothing is asked of it.

    CLI Example:

    .. code-block:: bash

        salt web1 fronts.pending apache
    """
    units = _units()
    if coming and units[coming]["LoadState"] != "loaded":
        units[coming].update(LoadState="loaded", UnitFileState="enabled")
    return {**_handover(units, front), **_boot(units, front)}


def take(front):
    """
    Make ``front`` the web server that has port 80, now and after a boot; returns what was changed.

    front
        ``nginx`` or ``apache``: installed, and its configuration must be accepted.

    ``closed`` is how long nobody listened on the port, in seconds. If ``front`` does not start the other one is started
    again, and CommandExecutionError says why.

    CLI Example:

    .. code-block:: bash

        salt web1 fronts.take apache
    """
    units = _units()
    if units[front]["LoadState"] != "loaded":
        raise CommandExecutionError(f"{UNITS[front]} is not installed: apply the state {front} first")
    changes, boot = _handover(units, front), _boot(units, front)
    if changes:
        command.run(CHECK[front], what=f"The check of the configuration of {front}")
        changes["closed"] = _exchange(units, changes["front"]["old"], front)
    # The new one first: between the two a boot finds both, and one of them gets the port.
    for name in sorted(boot.get("boot", {}), key=lambda name: name != front):
        command.run(["systemctl", "enable" if name == front else "disable", UNITS[name]])
    return {**changes, **boot}


def _handover(units, front):
    holder = _holder(units)
    return {} if holder == front else {"front": {"old": holder, "new": front}}


def _boot(units, front):
    """Which of the two must be started at a boot, or no longer, as changes."""
    wanted = {name: "enabled" if name == front else "disabled" for name in UNITS}
    found = {name: unit["UnitFileState"] for name, unit in units.items() if unit["LoadState"] == "loaded"}
    differing = {name: {"old": old, "new": wanted[name]} for name, old in found.items() if old != wanted[name]}
    return {"boot": differing} if differing else {}


def _exchange(units, old, new):
    """Let ``old`` give up the port and ``new`` take it; returns for how many seconds nobody had it."""
    if old:
        os.kill(int(units[old]["MainPID"]), QUIT[old])
    try:
        if not _wait(lambda: not _listening(), CLOSING):
            raise CommandExecutionError(f"Port {PORT} is still taken: ss -ltnp 'sport = :{PORT}' shows by whom")
        closed = time.monotonic()
        _start(new, units)
    except CommandExecutionError as error:
        if not old:
            raise
        _start(old, _units())
        raise CommandExecutionError(f"{error}\n{old} has been started again, and has port {PORT}") from error
    return round(time.monotonic() - closed, 3)


def _start(front, units):
    """Start a web server and wait until it listens."""
    # One that still answers its last requests is active for systemd, which would not start it: those are cut short.
    active = units[front]["ActiveState"] in ("active", "deactivating")
    try:
        command.run(["systemctl", "restart" if active else "start", UNITS[front]], what=f"The start of {front}")
    except CommandExecutionError as error:
        log = command.run(["journalctl", "--no-pager", "--output=cat", "--lines=20", f"--unit={UNITS[front]}"])
        raise CommandExecutionError(f"{error}\n{command.last_lines(log)}") from error
    if not _wait(_listening, OPENING):
        raise CommandExecutionError(
            f"{front} has started and does not listen on port {PORT}: look at its configuration"
        )


def _wait(done, seconds):
    """Whether ``done()`` came true in time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(INTERVAL)
    return True


def _units():
    """What systemd knows of both: {front: {property: value}}."""
    properties = "Id,LoadState,ActiveState,UnitFileState,MainPID"
    text = command.run(["systemctl", "show", f"--property={properties}", *UNITS.values()])
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    found = {block["Id"]: block for block in blocks}
    return {front: found[unit] for front, unit in UNITS.items()}


def _holder(units):
    """Who has the port: not who is active, which is also one that answers its last requests."""
    sockets = _listening()
    for front, unit in units.items():
        if sockets & _sockets(unit["MainPID"]):
            return front
    return ""


def _listening():
    """The inodes of the sockets that listen on the port: column 10 of proc_net_tcp.txt, after address and state."""
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):
            entries = (line.split() for line in Path("/proc/net", table).read_text().splitlines()[1:])
            found |= {entry[9] for entry in entries if entry[1].endswith(f":{PORT:04X}") and entry[3] == LISTENS}
    return found


def _sockets(pid):
    """The inodes of the sockets that a process has open; none of a process that is gone."""
    found = set()
    with suppress(FileNotFoundError):
        for file in Path("/proc", pid, "fd").iterdir():
            with suppress(FileNotFoundError):
                found |= set(re.findall(r"socket:\[(\d+)\]", str(file.readlink())))
    return found
