"""
Counts how often a run of Salt imports every module of a kind: ``/opt/salt/bin/python - state.apply < full_loads.py``.

Prints the number, after what Salt printed. It happens when Salt looks for a function that does not exist (`unless` on
any state, `watch` on a state without mod_watch, a wrong name in `salt['x.y']`), and costs about half a second of CPU.
"""

import sys

from salt.loader.lazy import LazyLoader
from salt.scripts import salt_call

KINDS = ("states", "module", "utils")

found = []
load, load_all = LazyLoader._load, LazyLoader._load_all


def counting_load(loader, key):
    """As Salt's own; one that finds nothing has imported everything on its way."""
    before = len(loader.loaded_files)
    result = load(loader, key)
    if not result and loader.tag in KINDS and len(loader.loaded_files) > before:
        found.append(f"{loader.tag}: {key}")
    return result


def counting_load_all(loader):
    """As Salt's own."""
    if loader.tag in KINDS:
        found.append(f"{loader.tag}: all")
    return load_all(loader)


LazyLoader._load, LazyLoader._load_all = counting_load, counting_load_all
sys.argv = ["salt-call", *sys.argv[1:]]
try:
    salt_call()
finally:
    print(f"\nfull loads: {len(found)} {', '.join(found)}")
