"""Replace a file in one step: readers see the old content or the new, and a crash leaves one of the two."""

import grp
import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

from salt.exceptions import CommandExecutionError


def write(path, content, user="root", group="root", mode=0o644):
    """
    Put ``content`` at ``path``; nothing of it can be read by anybody before its owner and mode are right.

    content
        Bytes.
    user, group
        Names of the owners.
    mode
        The permissions, a number such as 0o640.

    Raises CommandExecutionError; what was at ``path`` is then still there, and nothing else is left behind.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.urandom(8).hex()}")
    uid, gid = _number(pwd.getpwnam, user, path), _number(grp.getgrnam, group, path)
    try:
        _fill(temporary, content, uid, gid, mode)
        temporary.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise CommandExecutionError(f"{path} was not written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def attributes(path, user, group, mode):
    """What of the owner and the mode of a file is not as ``write`` would make it; nothing of one that is not there."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return {}
    pairs = {
        "owner": (f"{_name(pwd.getpwuid, found.st_uid)}:{_name(grp.getgrgid, found.st_gid)}", f"{user}:{group}"),
        "mode": (f"{stat.S_IMODE(found.st_mode):04o}", f"{mode:04o}"),
    }
    return {key: f"{old} -> {new}" for key, (old, new) in pairs.items() if old != new}


def sync_folder(folder):
    """Make the names in a folder last: without it a rename may be undone by a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fill(path, content, uid, gid, mode):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)


def _number(lookup, name, path):
    try:
        # Third field of both kinds of entry: uid of a user, gid of a group.
        return lookup(name)[2]
    except KeyError as error:
        raise CommandExecutionError(f"{path} was not written: there is no {name!r} on this host") from error


def _name(lookup, number):
    # First field of both kinds of entry. An owner that was deleted is left as a number.
    try:
        return lookup(number)[0]
    except KeyError:
        return str(number)
