"""Whether a host has the same modules as the master: one digest of all of them."""

import hashlib
from pathlib import Path

# What a minion keeps in one folder each, and the master in `_<kind>` of a file root.
KINDS = ("modules", "states", "utils", "beacons")


def of_host(extension_modules):
    """The digest of the modules that were synced to this host, into the folder of the option of this name."""
    return _digest({kind: [Path(extension_modules, kind)] for kind in KINDS})


def of_tree(roots):
    """The digest of the modules that the master's file roots would sync; of two with one name the first root's."""
    return _digest({kind: [Path(root, f"_{kind}") for root in roots] for kind in KINDS})


def _digest(folders):
    digest = hashlib.sha256()
    for kind, places in folders.items():
        files = {file.name: file for place in reversed(places) for file in sorted(place.glob("*.py"))}
        for name, file in sorted(files.items()):
            digest.update(f"{kind}/{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]
