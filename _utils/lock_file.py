"""
The lock of an app, a JSON file on the master: it has an owner, a reason and an expiry, so that it never blocks
for ever.

    {"owner": ..., "token": ..., "reason": ..., "since": ..., "expires": ...}

``token`` (the job's id) proves who may release it. Expired, it is taken over by the next one who asks.
"""

import contextlib
import fcntl
import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

from salt.exceptions import CommandExecutionError

import ledger_file


def show(folder, app):
    """The lock of an app, with ``expired``; {} if nobody holds it. Raises CommandExecutionError if it is unreadable."""
    file = ledger_file.path(folder, app, "lock")
    try:
        lock = json.loads(file.read_bytes())
        return lock | {"expired": datetime.fromisoformat(lock["expires"]) <= datetime.now(timezone.utc)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandExecutionError(
            f"the lock {file} cannot be read ({error}): remove it if nothing of {app} is being deployed"
        ) from error


def acquire(folder, app, token, owner, reason, seconds):
    """
    Take the lock of an app, and return the expired one that was in the way, or {}.

    token
        What only its owner knows to be his: the id of the job.
    owner, reason
        For the people who read it.
    seconds
        After which others may take it over.

    Raises CommandExecutionError, with all of it and the way to release it, if somebody else holds it.
    """
    with _alone(folder):
        held = show(folder, app)
        if held and not held["expired"]:
            raise CommandExecutionError(_refusal(app, held))
        since = datetime.now(timezone.utc)
        lock = {"owner": owner, "token": token, "reason": reason, "since": _text(since)}
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


def is_held(folder, app, token):
    """Whether the lock of an app still belongs to ``token``: it may have expired and been taken over."""
    return show(folder, app).get("token") == token


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
    return (
        f"{app} is locked by {held['owner']} (job {held['token']}) since {held['since']} for: {held['reason']}. "
        f"The lock expires at {held['expires']}; if that job is dead: salt-run rollout.unlock {app}"
    )


def _text(moment):
    return moment.isoformat(timespec="seconds")
