# ruff: noqa: F821  Salt injects its dunders when it loads a module.
"""A double of _modules/databases.py: a database is what it says, ``now`` or the path of the dump it is from."""


def dump(name, label="manual"):
    """As the original."""
    __salt__["doubles.act"]("dump", label=label)
    return {"path": f"/var/backups/slipway/{name}/{label}.dump", "room": 8_000_000}


def restorable(name, path, room=0):
    """As the original."""
    __salt__["doubles.act"]("restorable", path=path, room=room)
    return {"made": "2026-11-25T18:41:01Z"}


def restore(name, path, room=0):
    """As the original; it is killed with a half database."""
    __salt__["doubles.databases"]({**_all(), f"{name}_restored": "half"})
    __salt__["doubles.act"]("restore", path=path)
    __salt__["doubles.databases"]({**_all(), f"{name}_restored": path})
    return {"database": f"{name}_restored", "seconds": 0.1}


def swap(name, new, old):
    """As the original."""
    __salt__["doubles.act"]("swap", new=new, old=old)
    found = _all()
    found[old], found[name] = found[name], found.pop(new)
    __salt__["doubles.databases"](found)


def names():
    """As the original."""
    __salt__["doubles.act"]("names")
    return sorted(_all())


def drop(name):
    """As the original."""
    found = _all()
    __salt__["doubles.act"]("drop", name=name)
    was_there = found.pop(name, None) is not None
    __salt__["doubles.databases"](found)
    return [name] * was_there


def _all():
    return __salt__["doubles.databases"]()
