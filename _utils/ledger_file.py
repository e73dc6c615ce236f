"""
The ledger of an app, a JSON file on the master: what is deployed, what is being deployed, and what was tried before.

    {"deployed":    {"id": ..., "commit": ..., "revision": ...}            {} before a first deploy
     "in_progress": {"token": ..., "who": ..., "started": ..., "release": {...}, "before": {host: {"slot", "release"}},
                     "skipped": [host, ...]}
     "skipped":     {host: since}
     "history":     [{"id", "commit", "revision", "who", "started", "finished", "result", "reason", "phases",
                      "applied", "unsafe", "skipped"}, ...]}

``skipped`` are the app's hosts that missed what is deployed, each since the first deploy that it missed; in an entry
those that its deploy went on without, absent where it had all.
``before`` is what a failed deploy goes back to, ``applied`` are the migrations that ran, ``unsafe`` those of them with
which an older release may fail, ``{migration: [reason, ...]}``; it is absent where nobody examined them. ``result`` is
one of the three words below. Only the one who holds the app's lock writes.
"""

import getpass
import grp
import json
import os
import pwd
from datetime import datetime, timezone
from pathlib import Path

from salt.exceptions import CommandExecutionError

import atomic_file

FOLDER = "/var/lib/slipway"

# Entries, the oldest go first. Every minion's pillar reads this file: 50 entries take 0.2 ms.
HISTORY = 50

# What became of an attempt.
DEPLOYED, ROLLED_BACK, FAILED = "deployed", "rolled back", "failed"

NOT_EXAMINED = "it was not examined"

EMPTY = {"deployed": {}, "in_progress": {}, "skipped": {}, "history": []}
# Ledgers of before there was this key are right without it.
LATER = {"skipped"}


def folder(opts):
    """Where the ledgers and locks are: the master option ``slipway_dir``."""
    return opts.get("slipway_dir", FOLDER)


def read(folder, app):
    """
    The ledger of an app; an empty one if nothing was ever deployed.

    Raises CommandExecutionError if there is a file that is not a ledger: it must not pass for "nothing is deployed".
    """
    return _load(path(folder, app, "json"), EMPTY)


def deployed(folder):
    """
    ``{app: release}`` of every app that has been deployed.

    Raises CommandExecutionError if a ledger cannot be read.
    """
    return {app: ledger["deployed"] for app, ledger in ledgers(folder).items() if ledger["deployed"]}


def skipped(folder):
    """``{app: {host: since}}`` of every app with hosts that missed what is deployed."""
    return {app: ledger["skipped"] for app, ledger in ledgers(folder).items() if ledger["skipped"]}


def ledgers(folder):
    """``{app: ledger}`` of every app that has one. Raises CommandExecutionError if one cannot be read."""
    return {file.stem: _load(file, EMPTY) for file in sorted(Path(folder).glob("*.json"))}


def begin(folder, app, attempt):
    """
    Note that a deploy has begun. One that never ended (its process was killed) goes into the history as failed.

    attempt
        ``token``, ``who``, ``started``, ``release``, ``before`` and ``skipped``, as above.
    """
    ledger = read(folder, app)
    abandoned = ledger["in_progress"]
    if abandoned:
        _append(ledger, _entry(abandoned, FAILED, "it ended without finishing: its process was killed", {}, []))
    _write(folder, app, ledger | {"in_progress": attempt})
    return abandoned


def way_back(folder, app, to=""):
    """
    ``(release, unsafe)``: the release to go back to, and ``{migration: [reason, ...]}`` of those with which it may fail
    among what was applied since it was deployed. What only added is none of them, what nobody examined is one.

    to
        Its revision or id; empty for what was deployed before what is deployed now. Rollbacks do not count for that:
        one after the other leads further back, and not forth.

    Raises CommandExecutionError if there is none.
    """
    ledger = read(folder, app)
    history, now = ledger["history"], ledger["deployed"].get("id")
    good = [number for number, entry in enumerate(history) if entry["result"] != FAILED]
    if to:
        found = [number for number in good if to in (history[number]["revision"], history[number]["id"])]
    else:
        came = [number for number in good if history[number]["id"] == now and history[number]["result"] == DEPLOYED]
        found = [number for number in good if number < max(came, default=0) and history[number]["id"] != now]
    if not found:
        raise CommandExecutionError(_no_way_back(app, to, [history[number] for number in good]))
    at = found[-1]
    unsafe = {name: reasons for entry in history[at + 1 :] for name, reasons in _unsafe(entry).items()}
    return {key: history[at][key] for key in ("id", "commit", "revision")}, unsafe


def succeed(folder, app, phases, applied=(), result=DEPLOYED, unsafe=None):
    """
    The deploy in progress has ended well: its release is what is deployed now.

    phases
        ``{step: seconds}``.
    applied
        The migrations that it applied.
    result
        ``DEPLOYED`` or ``ROLLED_BACK``.
    unsafe
        ``{migration: [reason, ...]}`` of those that are unsafe; None if they were not examined.
    """
    ledger = read(folder, app)
    attempt = ledger["in_progress"]
    _append(ledger, _entry(attempt, result, "", phases, applied, unsafe))
    # Who was behind before is so until somebody says that it has caught up.
    skipped = dict.fromkeys(attempt.get("skipped", ()), attempt["started"]) | ledger["skipped"]
    _write(folder, app, ledger | {"deployed": attempt["release"], "in_progress": {}, "skipped": skipped})


def fail(folder, app, reason, phases, applied=(), unsafe=None):
    """The deploy in progress has failed for ``reason``; what was deployed before still is. The rest as ``succeed``."""
    ledger = read(folder, app)
    _append(ledger, _entry(ledger["in_progress"], FAILED, reason, phases, applied, unsafe))
    _write(folder, app, ledger | {"in_progress": {}})


def forget(folder, app):
    """The deploy in progress found nothing to do, and leaves no trace."""
    _write(folder, app, read(folder, app) | {"in_progress": {}})


def caught_up(folder, app, hosts):
    """These hosts have what is deployed, or are none of the app's any more."""
    ledger = read(folder, app)
    skipped = {host: since for host, since in ledger["skipped"].items() if host not in hosts}
    _write(folder, app, ledger | {"skipped": skipped})


def path(folder, app, ending):
    """The file of an app. Raises CommandExecutionError for a name that leads out of the folder."""
    if not app or Path(app).name != app or app.startswith("."):
        raise CommandExecutionError(f"{app!r} is not the name of an app")
    return Path(folder, f"{app}.{ending}")


def write_json(file, data):
    """
    Replace a file by ``data``, readable for the master's user and group.

    Raises CommandExecutionError, for example if the folder cannot be made.
    """
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    try:
        file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandExecutionError(f"{file.parent}: {error.strerror}: make it and give it to {user}") from error
    atomic_file.write(file, json.dumps(data, indent=1).encode() + b"\n", user=user, group=group, mode=0o640)


def title(release):
    """A release in words: ``v1 (1a2b3c4d5e6f)``."""
    return f"{release['revision']} ({release['id']})"


def who():
    """Who is at work here, for the people who read it: the user of the shell, not the root that sudo made of it."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def now():
    """The time as it stands in ledgers and locks: UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _load(file, empty):
    try:
        return empty | _ledger(json.loads(file.read_bytes()))
    except FileNotFoundError:
        return {key: type(value)() for key, value in empty.items()}
    except (OSError, ValueError) as error:
        raise CommandExecutionError(
            f"the ledger {file} cannot be read ({error}): restore it from a backup; "
            "removed, it says that nothing is deployed"
        ) from error


def _ledger(data):
    if not isinstance(data, dict) or set(data) | LATER != set(EMPTY):
        raise ValueError(f"it does not hold {', '.join(EMPTY)}")
    return data


def _write(folder, app, ledger):
    write_json(path(folder, app, "json"), ledger)


def _append(ledger, entry):
    ledger["history"] = [*ledger["history"], entry][-HISTORY:]


def _no_way_back(app, to, good):
    known = ", ".join(dict.fromkeys(title(entry) for entry in reversed(good))) or "none"
    wanted = f"{to!r} was never deployed" if to else "nothing was deployed before"
    return f"{app}: {wanted}: choose one of these with the key to: {known}"


def _unsafe(entry):
    """What of an entry's migrations stands in the way of an older release."""
    unexamined = {name: [NOT_EXAMINED] for name in entry.get("applied", ())}
    return entry.get("unsafe", unexamined)


def _entry(attempt, result, reason, phases, applied, unsafe=None):
    more = {} if unsafe is None else {"unsafe": {name: unsafe[name] for name in applied if name in unsafe}}
    more |= {"skipped": attempt["skipped"]} if attempt.get("skipped") else {}
    return {
        **attempt["release"],
        "who": attempt["who"],
        "started": attempt["started"],
        "finished": now(),
        "result": result,
        "reason": reason,
        "phases": phases,
        "applied": list(applied),
        **more,
    }
