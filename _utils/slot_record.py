"""
What the disk says about the slots of an app: which one has the traffic, what each was started with, who still waits.

Links are replaced by one rename and records by one rename, so that a crash leaves the old or the new and nothing else.
"""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from salt.exceptions import CommandExecutionError

import atomic_file

# State of a connection in /proc/net/unix that nobody has accepted yet: SS_CONNECTING in linux/net.h.
NOT_ACCEPTED = "02"


def active(slots, front):
    """Return the slot that has the traffic: the one whose socket the link ``front`` names; ``None`` if none has."""
    try:
        target = Path(front).readlink().name
    except OSError:
        return None
    return next((slot for slot in slots if Path(slot["socket"]).name == target), None)


def flipped(front):
    """Return when the traffic got its slot, in seconds since 1970; 0 if no slot has it."""
    try:
        return os.lstat(front).st_mtime
    except OSError:
        return 0


def point(link, target):
    """Make ``link`` point to ``target`` by a relative path, in one step: who follows it finds the old or the new."""
    link = Path(link)
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(os.path.relpath(target, link.parent))
    new.replace(link)
    atomic_file.sync_folder(link.parent)


def leads_to(link, target):
    """Return whether ``link`` leads to ``target``."""
    return Path(link).is_symlink() and os.path.realpath(link) == os.path.realpath(target)


def read(slot):
    """Return what the slot was last started with: release, fingerprint, started, confirmed; ``{}`` if not known."""
    try:
        record = json.loads(Path(slot["record"]).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def write(slot, record):
    """Note what the slot is started with."""
    atomic_file.write(slot["record"], json.dumps(record, indent=1).encode() + b"\n")


def forget(slot):
    """Remove the note: from now on nobody may take the slot for ready."""
    with suppress(FileNotFoundError):
        Path(slot["record"]).unlink()


def fingerprint(slot, release, config_files):
    """
    Return a hash that differs when a process of the slot would start with something else.

    It covers the release's id, the options of the program, and of each config file what changes when it is replaced
    (time, size, inode): the contents are secret, and a hash of a short secret can be guessed.
    """
    parts = [release, slot["section"], [_stamp(path) for path in config_files]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def folder_of(pid):
    """Return the folder that a process runs in, its links resolved; empty if there is no such process."""
    try:
        return os.path.realpath(f"/proc/{pid}/cwd", strict=True)
    except OSError:
        return ""


def waiting(slot):
    """Return how many connections to the slot's socket nobody has accepted yet."""
    try:
        lines = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise CommandExecutionError(f"/proc/net/unix cannot be read: {error.strerror}") from error
    entries = (line.split(maxsplit=7) for line in lines)
    return sum(len(entry) == 8 and entry[5] == NOT_ACCEPTED and entry[7] == slot["socket"] for entry in entries)


def _stamp(path):
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return [path, status.st_mtime_ns, status.st_size, status.st_ino]
