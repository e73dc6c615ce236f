"""One control group for each host: nspawn puts a host beneath the group that it was started in."""

import contextlib
import os
import signal
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def unified():
    """Where this machine shows cgroup v2: the root itself, ``unified`` on a hybrid one, or None."""
    if (ROOT / "cgroup.controllers").exists():
        return ROOT
    return ROOT / "unified" if (ROOT / "unified").is_dir() else None


def hybrid():
    """Whether the controllers are in cgroup v1 beside an empty v2: systemd from 256 on will not boot on that."""
    return unified() == ROOT / "unified"


def groups(name):
    """The folders of the group ``name`` in every hierarchy that nspawn or systemd touches."""
    trees = [ROOT / tree for tree in ("systemd", "memory") if (ROOT / tree / "cgroup.procs").exists()]
    return [tree / name for tree in [*filter(None, [unified()]), *trees]]


def enter(name):
    """Put the calling process into the group ``name`` (without that all hosts would share one group)."""
    for group in groups(name):
        group.mkdir(exist_ok=True)
        (group / "cgroup.procs").write_text(str(os.getpid()))


def members(name):
    """The process ids in the group ``name`` and beneath it."""
    found = set()
    for group in groups(name):
        for procs in group.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                found.update(int(pid) for pid in procs.read_text().split())
    return found


def end(name):
    """SIGKILL to whatever still runs in the group ``name``."""
    for pid in members(name):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def remove(name):
    """Remove the empty group ``name``, deepest folder first."""
    for group in groups(name):
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
