"""
The lock of an app, a JSON file on the master: it has an owner, a reason and an expiry, so that it never blocks
for ever.

    {"owner": ..., "token": ..., "reason": ..., "since": ..., "expires": ..., "process": ...}

``token`` (the job's id) proves who may release it. Expired, it is taken over by the next one who asks. ``process`` is
the one that works under it; empty if somebody locked the app by hand.
"""

import contextlib
import fcntl
import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

from salt.exceptions import CommandExecutionError

import ledger_file

BOOT = Path("/proc/sys/kernel/random/boot_id")


def show(folder, app):
    """
    The lock of an app, with ``expired`` and ``dead`` (its process has ended); {} if nobody holds it.

    Raises CommandExecutionError if it is unreadable.
    """
    file = ledger_file.path(folder, app, "lock")
    try:
        lock = json.loads(file.read_bytes())
        expired = datetime.fromisoformat(lock["expires"]) <= datetime.now(timezone.utc)
        return lock | {"expired": expired, "dead": not _is_alive(lock.get("process", ""))}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandExecutionError(
            f"the lock {file} cannot be read ({error}): remove it if nothing of {app} is being deployed"
        ) from error


def acquire(folder, app, token, owner, reason, seconds, by_hand=False):
    """
    Take the lock of an app, and return the expired one that was in the way, or {}.

    token
        What only its owner knows to be his: the id of the job.
    owner, reason
        For the people who read it.
    seconds
        After which others may take it over.
    by_hand
        Whether nothing runs under it: otherwise it is this process.

    Raises CommandExecutionError, with all of it and the way to release it, if somebody else holds it.
    """
    with _alone(folder):
        held = show(folder, app)
        if held and not held["expired"]:
            raise CommandExecutionError(_refusal(app, held))
        since = datetime.now(timezone.utc)
        lock = {"owner": owner, "token": token, "reason": reason, "since": _text(since)}
        lock["process"] = "" if by_hand else _process(os.getpid())
        lock["expires"] = _text(since + timedelta(seconds=seconds))
        ledger_file.write_json(ledger_file.path(folder, app, "lock"), lock)
        return held


def release(folder, app, token=""):
    """
    Give the lock back, and return what it was; {} if there was none to release.

    token
        Release it only if it is this one's; empty for whoever holds it.
    """
    with _alone(folder):
        held = show(folder, app)
        if not held or (token and held["token"] != token):
            return {}
        ledger_file.path(folder, app, "lock").unlink()
        return held


def rollouts(folder):
    """``{app: id}`` of the releases that are being brought to hosts by a process that is alive and holds the lock."""
    found = {app: ledger["in_progress"] for app, ledger in ledger_file.ledgers(folder).items() if ledger["in_progress"]}
    locks = {app: show(folder, app) for app in found}
    return {app: found[app]["release"]["id"] for app, lock in locks.items() if _is_at_work(lock, found[app]["token"])}


def is_held(folder, app, token):
    """Whether the lock of an app still belongs to ``token``: it may have expired and been taken over."""
    return show(folder, app).get("token") == token


def must_be_held(folder, app, token, otherwise):
    """Raise CommandExecutionError unless ``is_held``; ``otherwise`` is what was not done."""
    if not is_held(folder, app, token):
        raise CommandExecutionError(f"the lock of {app} expired and is not ours any more: {otherwise}")


@contextlib.contextmanager
def _alone(folder):
    # Between reading a lock and replacing it nobody else may do the same.
    Path(folder).mkdir(mode=0o750, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _refusal(app, held):
    dead = "its process has ended" if held["dead"] else "if that job is dead"
    return (
        f"{app} is locked by {held['owner']} (job {held['token']}) since {held['since']} for: {held['reason']}. "
        f"The lock expires at {held['expires']}; {dead}: salt-run rollout.unlock {app}"
    )


def _is_at_work(lock, token):
    return bool(lock) and lock["token"] == token and not lock["expired"] and not lock["dead"]


def _is_alive(process):
    return not process or process == _process(int(process.split()[1]))


def _process(pid):
    """A process in words that no other one ever has: the boot, the id, and when it was started (proc(5), field 22)."""
    try:
        started = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return ""
    return f"{BOOT.read_text(encoding='utf-8').strip()} {pid} {started}"


def _text(moment):
    return moment.isoformat(timespec="seconds")
