"""
Folders that are complete or absent.

What takes long to make is made under a temporary name beside its place and renamed when it is complete. Whoever makes
or removes such folders holds the lock of the folder they are in, so a temporary name that he finds there has been left
by a process that died.
"""

import contextlib
import fcntl
import os
import shutil
from pathlib import Path

from salt.exceptions import CommandExecutionError

TEMPORARY = ".tmp-"


@contextlib.contextmanager
def locked(folder):
    """Work in ``folder`` alone: another process waits here until this one is done or dead. Makes the folder."""
    descriptor = os.open(make_folder(folder), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def failing(what):
    """Raise CommandExecutionError with ``what`` and the reason, where the system refuses what is done inside."""
    try:
        yield
    except OSError as error:
        raise CommandExecutionError(f"{what}: {error}") from error


def make_folder(folder):
    """The path of a folder that all may enter, made with its parents if it was missing."""
    folder = Path(folder)
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    return folder


def temporary(place):
    """The temporary name for what will be at ``place``."""
    return place.with_name(TEMPORARY + place.name)


def leftovers(folder):
    """The temporary names in a folder."""
    return sorted(Path(folder).glob(f"{TEMPORARY}*"))


def clear(folder):
    """Remove what a process that died has left in a folder."""
    for path in leftovers(folder):
        remove(path)


def publish(new, place):
    """Give what is complete at ``new`` its name; power may fail from now on. What is at ``place`` is replaced."""
    # One call for thousands of files; without it the rename may reach the disk before what the files hold.
    os.sync()
    old = temporary(place.with_name(f"{place.name}.old"))
    remove(old)
    if os.path.lexists(place):
        place.rename(old)
    new.rename(place)
    _sync_folder(place.parent)
    remove(old)


def discard(place):
    """Remove a complete folder so that no half of it is ever seen under its name."""
    doomed = temporary(place)
    place.rename(doomed)
    remove(doomed)


def remove(path):
    """Remove a file, a link or a folder, whichever it is, if it is there at all."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def point(link, target):
    """Make ``link`` a symbolic link to ``target``; readers see the old target or the new."""
    new = temporary(link)
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.rename(link)


def link_or_copy(file, new):
    """Let ``new`` be the same file; where the file system cannot do that, a copy of it."""
    try:
        os.link(file, new)
    except OSError:
        # Another file system, or one without hard links.
        shutil.copy2(file, new)


def write(path, text):
    """Replace the text of a file; readers see the old text or the new, never through a link that was there."""
    new = temporary(path)
    new.unlink(missing_ok=True)
    with open(new, "x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.chmod(0o644)
    new.rename(path)


def _sync_folder(folder):
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
