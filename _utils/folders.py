"""Code from a folder: a hash of what is in it, a copy of it, and file modes as releases have them."""

import hashlib
import os
import shutil
from pathlib import Path

from salt.exceptions import CommandExecutionError

# What belongs to the place where the code was written, not to the code.
IGNORED = (".git", ".venv", "__pycache__", "node_modules", "*.pyc")


def digest(folder):
    """The SHA-256 over names, contents, links and which files may be executed. Raises CommandExecutionError."""
    if not Path(folder).is_dir():
        raise CommandExecutionError(f"there is no folder {folder} on this host to release the code from")
    total = hashlib.sha256()
    for path in _entries(Path(folder), IGNORED):
        record = (str(path.relative_to(folder)), _kind(path), _content(path))
        total.update("\0".join(record).encode("utf-8", "surrogateescape") + b"\n")
    return total.hexdigest()


def copy(folder, target):
    """Copy a folder, links as links, without what is ``IGNORED``."""
    shutil.copytree(folder, target, symlinks=True, ignore=shutil.ignore_patterns(*IGNORED))


def open_to_all(folder):
    """Let everybody read, and nobody but the owner write, what is in a folder. A release holds no secrets."""
    Path(folder).chmod(0o755)
    for path in _entries(Path(folder), ()):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or _is_program(path) else 0o644)


def _entries(folder, ignored):
    ignore = shutil.ignore_patterns(*ignored)
    for parent, folders, files in os.walk(folder):
        left_out = ignore(parent, folders + files)
        folders[:] = sorted(set(folders) - left_out)
        yield from (Path(parent, name) for name in (*folders, *sorted(set(files) - left_out)))


def _kind(path):
    if path.is_symlink():
        return "link"
    if path.is_dir():
        return "folder"
    if not path.is_file():
        raise CommandExecutionError(f"{path} is neither a file nor a folder: it cannot be released")
    return "program" if _is_program(path) else "file"


def _is_program(path):
    return bool(path.stat().st_mode & 0o111)


def _content(path):
    if path.is_symlink():
        return str(path.readlink())
    return "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
