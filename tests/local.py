"""What tests need that start servers of this machine, and that load modules without Salt's loader."""

import contextlib
import importlib.util
import random
import socket
from pathlib import Path

TREE = Path(__file__).parents[1]


def free_port():
    """Below those that Linux gives to connections, or one of them could take it before the server does."""
    while True:
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def module(path, **dunders):
    """A copy, of its own, of the module at a path of the tree, with ``__salt__`` and the like as they are given."""
    spec = importlib.util.spec_from_file_location(f"{Path(path).stem}_alone", TREE / path)
    loaded = importlib.util.module_from_spec(spec)
    vars(loaded).update(dunders)
    spec.loader.exec_module(loaded)
    return loaded
