"""
Runs on a host: prints as JSON the processes of the app shop, {pid: who started its family}. Not a test.

A family is what one process manager's program has become: the first process and all below it. Each is
"supervisord", "systemd", or whatever else should not have started one.
"""

import json
import pwd
from pathlib import Path

USER = pwd.getpwnam("shop").pw_uid


def parents():
    """{pid: its parent's} of every process; those that are about to go are left out."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if after_name[0] != "Z":
            found[int(stat.parent.name)] = int(after_name[1])
    return found


def is_ours(pid):
    """Whether it is the app's: runs as its user, or in one of its folders."""
    try:
        folder = str(Path(f"/proc/{pid}/cwd").readlink())
        return Path(f"/proc/{pid}").stat().st_uid == USER or folder.startswith("/srv/shop/")
    except OSError:
        return False


parent_of = parents()
ours = [pid for pid in parent_of if is_ours(pid)]
owners = {}
for pid in ours:
    first = pid
    while parent_of.get(first) in ours:
        first = parent_of[first]
    try:
        owners[pid] = Path(f"/proc/{parent_of[first]}/comm").read_text().strip()
    except OSError:
        owners[pid] = "nobody"
print(json.dumps(owners))
