"""
What the disk says about the slots of an app: which one has the traffic, what each was started with, who still waits.

Links are replaced by one rename and records by one rename, so that a crash leaves the old or the new and nothing else.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from salt.exceptions import CommandExecutionError

import atomic_file
import editions


def active(slots):
    """Return the slot that has the traffic; ``None`` if none has."""
    return next((slot for slot in slots if has_traffic(slot)), None)


def has_traffic(slot):
    """Return whether the slot has the traffic: whether the link ``live`` names its door, of whatever server."""
    try:
        return Path(slot["live"]).readlink().stem == slot["name"]
    except OSError:
        return False


def flipped(slot):
    """Return when the app's traffic went where it is, in seconds since 1970; 0 if it never went anywhere."""
    try:
        return os.lstat(slot["live"]).st_mtime
    except OSError:
        return 0


def since_flip(slot):
    """Return how many seconds ago the traffic went where it is; a clock that was put back counts from now."""
    return max(time.time() - flipped(slot), 0)


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


def take(slot, path):
    """
    Let the slot lead to the release at ``path``, and keep the app's files as they are now, until it is started again.

    Releases with files in them, and files, that no slot has any more are removed.
    """
    point(slot["link"], editions.led_to(path))
    if Path(slot["file_set"]).is_symlink():
        point(slot["files"], editions.led_to(slot["file_set"]))
    else:
        Path(slot["files"]).unlink(missing_ok=True)
    editions.clean(slot["furnished"], Path(slot["link"]).parent)
    editions.clean(Path(slot["files"]).parent)


def give_files_back(slot):
    """Let the app's files, with which another slot has failed, be again those that the slot was started with."""
    # A slot that was started before there were files has none.
    if "files" in slot:
        tree = editions.led_to(slot["link"])
        editions.give_back(tree.with_suffix(""), slot["link"])
        editions.give_back(slot["file_set"], slot["files"])


def read(slot):
    """
    Return what the slot was last started with, ``{}`` if not known.

    ``release``, ``fingerprint``, ``started`` (seconds since 1970), ``confirmed`` (its watch window is over) and
    ``slot``, the slot as it was then.
    """
    try:
        record = json.loads(Path(slot["record"]).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def started(slot):
    """Return the slot as it was last started: the pillar may have given it another server or manager since."""
    return read(slot).get("slot", slot)


def app(slot):
    """Return the name of the slot's app."""
    return slot["program"].removesuffix(f"-{slot['name']}")


def write(slot, record):
    """Note what the slot is started with."""
    atomic_file.write(slot["record"], json.dumps(record, indent=1).encode() + b"\n")


def refuse(slot, fingerprint, reason):
    """Note why what the slot was started with lost the traffic again, if the disk takes it."""
    refused = {"fingerprint": fingerprint, "at": int(time.time()), "reason": reason}
    with suppress(OSError):
        atomic_file.write(_refusal(slot), json.dumps(refused, indent=1).encode() + b"\n")


def refusal(slot, fingerprint):
    """Return ``at`` (seconds since 1970) and ``reason`` of the last refusal if it is for this fingerprint, else {}."""
    try:
        refused = json.loads(_refusal(slot).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return refused if refused["fingerprint"] == fingerprint else {}


def pardon(slot):
    """Remove that note: what was refused has proved itself."""
    _refusal(slot).unlink(missing_ok=True)


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
    # In one order: Jinja sorts what an SLS passes on.
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def folder_of(pid):
    """
    Return the folder that a process runs in, its links resolved; empty if there is no such process.

    :raises CommandExecutionError: this host does not tell: root needs CAP_SYS_PTRACE for it, which a container may lack
    """
    link = f"/proc/{pid}/cwd"
    try:
        return os.path.realpath(link, strict=True)
    except PermissionError as error:
        raise CommandExecutionError(
            f"root may not read {link}, and cannot tell which release runs: give this container CAP_SYS_PTRACE"
        ) from error
    except OSError:
        return ""


def stand_down(slot):
    """Let nobody stand by any more if it is this slot that does: it is about to end."""
    with suppress(OSError):
        if Path(slot["standby"]).readlink().stem == slot["name"]:
            point(slot["standby"], slot["nobody"])


def renew_door(slot):
    """Give the file of the slot's door, if it has one, a time of its own, by which Apache sees that it is another."""
    if slot["target"].endswith(".map"):
        with suppress(OSError):
            os.utime(slot["target"])


def note(path, lines):
    """Append lines to a log."""
    if lines:
        with suppress(OSError), open(path, "a", encoding="utf-8") as log:
            log.writelines(f"{line}\n" for line in lines)


def _refusal(slot):
    return Path(slot["record"]).with_suffix(".refused")


def _stamp(path):
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return [path, status.st_mtime_ns, status.st_size, status.st_ino]
