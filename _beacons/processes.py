"""
Events of the processes of apps that died by themselves, and that their manager starts again or has given up.

A look at what Supervisor and systemd have written down since the last one: supervisord's own log, and the journal's
entries about our units. Which was the last is kept in a file, so that a minion that starts anew tells nothing twice and
forgets nothing. What an app has printed is never read, and of what is read only names, numbers and signals are told.

Nothing of ``_utils`` is imported: the minion itself runs this, and its jobs are forks of it. A module that it had once
imported would stay in all of them as it was, whatever is synced later.
"""

import json
import logging
import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

log = logging.getLogger(__name__)

# Each app has a folder here, with its slots.
APPS = "/srv"
# Where Debian's supervisord writes, and where its programs and systemd's units are.
LOG = "/var/log/supervisor/supervisord.log"
PROGRAMS = "/etc/supervisor/conf.d"
UNITS = "/etc/systemd/system"
# With one of these the files begin that the modules `supervisor` and `systemd` write; others belong to somebody else.
MARKS = (b"; Managed by Salt", b"# Managed by Salt: apps")
STATE = "slipway-processes.json"

# Seconds for the journal's answer, which takes a few milliseconds: the minion does nothing else meanwhile.
TIMEOUT = 5
# Bytes of a log for one look; the next one goes on from there.
MOST = 1 << 20

# Of a process that was told to stop Supervisor says "stopped"; "expected" only means that the exit code is 0: it is
# started again all the same.
EXITED = r"exited: (?P<exited>\S+) \((?P<ending>[\w ]+)(?: \(core dumped\))?; (?:not )?expected\)"
GAVE_UP = r"gave up: (?P<gave_up>\S+) entered FATAL state.*"
STATEMENT = re.compile(rf"(?P<when>\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d),\d{{3}} [A-Z]{{4}} (?:{EXITED}|{GAVE_UP})")

# MESSAGE_ID of systemd's own messages (sd-messages.h): the main process ended, badly or well, the unit failed, it is
# about to be started again, it is stopped. That a process ended is also said where it was told to.
ENDED_BADLY = "98e322203f7a4ed290d09fe03c09fe15"
ENDED_WELL = "7ad2d189f7e94e70a38c781354912448"
FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
RESTARTED = "5eb03494b6584870a536b337290809b3"
STOPPED = "9d1aaa27d60140bd96365438aad20286"
MESSAGES = (ENDED_BADLY, ENDED_WELL, FAILED, RESTARTED, STOPPED)
FIELDS = ("UNIT", "MESSAGE_ID", "EXIT_CODE", "EXIT_STATUS")

# Words of an event.
DIED, GIVEN_UP = "died", "given up"
# Of these systemd does not say which it was.
WELL = "exit code 0, or a signal that asks it to end"
RETRIES = "too many starts too quickly"

_warned = set()


def validate(config):
    """Return whether the configuration is one; Salt asks before each look."""
    if isinstance(config, list):
        return True, "Valid beacon configuration"
    return False, "Configuration for the beacon processes must be a list: [{interval: 5}]"


def beacon(config):
    """
    Return an event for each process of an app that died since the last look, without being told to.

    :param config: as of all beacons; none of its keys is ours
    :return: dictionaries with ``tag`` (``<app>/<process>``), ``app``, ``host``, ``process``, ``manager``, ``what``
        (``died``: it is started again; ``given up``: it is not), ``reason`` and ``when`` (UTC)

    Nothing is raised: what cannot be read is in the minion's log, once.

    .. code-block:: yaml

        beacons:
          processes: [{interval: 5}]
    """
    path = Path(__opts__["cachedir"], STATE)
    before = _remembered(path)
    looks = {"supervisor": _supervisor, "systemd": _systemd}
    found = {manager: _looked(look, before.get(manager)) for manager, look in looks.items()}
    after = {manager: position for manager, (_, position) in found.items()}
    # Not remembered, not told: or the same would be told each few seconds.
    if after != before and not _remember(path, after):
        return []
    return [_event(manager, *death) for manager, (deaths, _) in found.items() for death in deaths]


def close(config):
    """Do nothing: Salt asks for it at each refresh, and would load all of its own beacons to look for one."""


def _looked(look, position):
    """What a look finds, and the position after it; where it fails, nothing, and the position of before."""
    try:
        return look(position, sorted(path.parent.name for path in Path(APPS).glob("*/slots")))
    except Exception as error:  # whatever it is, the minion goes on
        log.debug("processes that died", exc_info=True)
        _warn(f"processes that died are not told: {look.__name__}: {type(error).__name__}")
        return [], position


def _event(manager, app, process, what, reason, when):
    told = {"app": app, "host": __opts__["id"], "process": process, "manager": manager}
    at = datetime.fromtimestamp(int(when), tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"tag": f"{app}/{process}", **told, "what": what, "reason": reason, "when": at}


def _supervisor(position, apps):
    if position is None:
        return [], _end(LOG)
    lines, position = _behind(LOG, position)
    deaths = [death for line in lines for death in _statement(line, apps) if _is_ours(f"{PROGRAMS}/{death[1]}.conf")]
    return deaths, position


def _statement(line, apps):
    """The death that a line of supervisord's log is about, in a list."""
    found = STATEMENT.fullmatch(line)
    name = found and (found["exited"] or found["gave_up"])
    if not name or not _app(name, apps):
        return []
    # It writes local times.
    when = time.mktime(time.strptime(found["when"], "%Y-%m-%d %H:%M:%S"))
    what, reason = (DIED, _words(found["ending"])) if found["exited"] else (GIVEN_UP, RETRIES)
    return [(_app(name, apps), name, what, reason, when)]


def _words(ending):
    """Supervisor's words for an end, in ours."""
    return ending.replace("terminated by", "killed by").replace("exit status", "exit code")


def _end(path):
    """The position at the end of a log; of one that is not there yet all will be new."""
    with suppress(FileNotFoundError):
        found = Path(path).stat()
        return {"inode": found.st_ino, "offset": found.st_size}
    return {"inode": 0, "offset": 0}


def _behind(path, position):
    """The lines of a log behind a position and the new one; first what is left in the file that was rotated away."""
    if _end(f"{path}.1")["inode"] == position["inode"] != 0:
        lines, position = _read(f"{path}.1", position)
        if lines:
            return lines, position
    return _read(path, position)


def _read(path, position):
    """The whole lines of a file behind a position, and the new one; all of another file than it is of."""
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            is_known = found.st_ino == position["inode"] and found.st_size >= position["offset"]
            offset = file.seek(position["offset"] if is_known else 0)
            text = file.read(MOST)
    except FileNotFoundError:
        return [], position
    whole = text[: text.rfind(b"\n") + 1]
    return whole.decode(errors="replace").splitlines(), {"inode": found.st_ino, "offset": offset + len(whole)}


def _systemd(position, apps):
    """
    ``position`` is ``since``, in microseconds since 1970, and ``ended``: how and when processes ended of which is not
    known yet whether they are started again, as ``{unit: [reason, seconds]}``.
    """
    now = int(time.time() * 1e6)
    if position is None:
        return [], {"since": now, "ended": {}}
    # A clock that was put back: what came since is new.
    since, ended = min(position["since"], now), dict(position["ended"])
    deaths = []
    for entry in _journal(_units(apps), since):
        deaths += _death(entry, ended, apps)
        since = int(entry["__REALTIME_TIMESTAMP"]) + 1
    return deaths, {"since": since, "ended": ended}


def _death(entry, ended, apps):
    """The death that a message of systemd makes sure, in a list; ``ended`` is what the ones before have told."""
    name, message = entry["UNIT"].removesuffix(".service"), entry["MESSAGE_ID"]
    when = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
    if message in (ENDED_BADLY, ENDED_WELL):
        ended[name] = [_ending(entry) if message == ENDED_BADLY else WELL, when]
    elif message == RESTARTED:
        reason, when = ended.pop(name, [WELL, when])
        return [(_app(name, apps), name, DIED, reason, when)]
    elif message == STOPPED:
        # It was told to, before or after it ended. (Some versions say so of a restart too, which was told by then.)
        ended.pop(name, None)
    elif name not in ended:
        # It failed, and no process ended: it was not started any more.
        return [(_app(name, apps), name, GIVEN_UP, RETRIES, when)]
    return []


def _ending(entry):
    """How a process ended, in words."""
    status = int(entry["EXIT_STATUS"])
    if entry["EXIT_CODE"] == "exited":
        return f"exit code {status}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(status).name}"
    return f"killed by signal {status}"


def _units(apps):
    """The names of the units of apps, as the journal has them."""
    files = {file for app in apps for file in Path(UNITS).glob(f"{app}-*.service") if _is_ours(file)}
    return sorted(file.name for file in files)


def _journal(units, since):
    """What systemd itself has said about units since a moment in microseconds; an app can say what it likes."""
    if not units:
        return []
    messages = [f"MESSAGE_ID={message}" for message in MESSAGES]
    options = ["--quiet", "--no-pager", "--output=json", f"--output-fields={','.join(FIELDS)}"]
    options += [f"--since=@{since // 10**6}.{since % 10**6:06}", "_PID=1", *(f"UNIT={unit}" for unit in units)]
    clean = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    done = subprocess.run(
        ["journalctl", *options, *messages],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
        check=True,
        env=clean,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _app(name, apps):
    """The app whose process has a name; of ``shop`` and ``shop-admin`` the longer one. Empty if it is none's."""
    return max((app for app in apps if name.startswith(f"{app}-")), key=len, default="")


def _is_ours(path):
    with suppress(OSError), open(path, "rb") as file:
        return file.readline().startswith(MARKS)
    return False


def _remembered(path):
    """The positions after the last look; none where there was no look, or the file is broken."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def _remember(path, positions):
    """Keep the positions; whether that was possible."""
    new = path.with_suffix(".new")
    try:
        new.write_text(json.dumps(positions), encoding="utf-8")
        new.replace(path)
    except OSError as error:
        _warn(f"processes that died are not told: {path}: {error.strerror}")
        return False
    return True


def _warn(problem):
    """Once for each problem, or the log would have it every few seconds."""
    if problem not in _warned:
        _warned.add(problem)
        log.warning("%s", problem)
