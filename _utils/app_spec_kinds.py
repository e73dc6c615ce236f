"""
What a pillar value may be: a ``Kind`` of value, and the functions that make kinds.

What goes into a config file or a command is held by its kind to characters that cannot break out of it.
"""

import dataclasses
import ipaddress
import json
import re
import shlex
from collections.abc import Callable, Mapping
from datetime import datetime


@dataclasses.dataclass(frozen=True)
class Kind:
    """
    What a value may be.

    ``words`` name it in messages and docs, ``fits`` tells a good value, ``fix`` says what to write. A list has
    ``items``, a mapping with names of the operator's own has ``names`` and ``items``, one with fixed keys has ``keys``.
    ``choices`` are for the did-you-mean, ``refused`` says of words that people may expect why they are none, ``hidden``
    keeps the value out of messages.
    """

    words: str
    fits: Callable = lambda value: True
    fix: str = ""
    items: object = None
    names: object = None
    keys: tuple = ()
    choices: tuple = ()
    refused: Mapping = dataclasses.field(default_factory=dict)
    least: int = 0
    hidden: bool = False


def text(words, pattern, fix, longest=255, hidden=False):
    """A text that matches ``pattern`` as a whole and has at most ``longest`` characters."""
    whole = re.compile(pattern, re.ASCII | re.DOTALL)

    def fits(value):
        return isinstance(value, str) and len(value) <= longest and bool(whole.fullmatch(value))

    return Kind(words, fits, fix, hidden=hidden)


def number(words, lowest, highest, types=(int,)):
    """A number from ``lowest`` to ``highest``. YAML's true and false are none."""

    def fits(value):
        return isinstance(value, types) and not isinstance(value, bool) and lowest <= value <= highest

    return Kind(f"{words}, {lowest} to {highest}", fits, f"write a number from {lowest} to {highest}")


def choice(*choices, fix, refused=None):
    """A text that is one of ``choices``; ``refused`` has reasons for others."""
    words = " or ".join(f"`{word}`" for word in choices)
    return Kind(
        words,
        lambda value: isinstance(value, str) and value in choices,
        fix,
        choices=choices,
        refused=refused or {},
    )


def listing(items, least=0):
    """A list of ``items``, ``least`` of them at least."""
    fix = "write a list: [one, two]"
    return Kind(
        f"list of: {items.words}", lambda value: isinstance(value, (list, tuple)), fix, items=items, least=least
    )


def either(one, other):
    """A value of one kind, or of another, which may be a list."""
    return Kind(
        f"{one.words}, or {other.words}",
        lambda value: one.fits(value) or other.fits(value),
        f"{one.fix}, or {other.fix}",
        items=other.items,
        least=other.least,
    )


def several(kind):
    """A secret value of a kind, or a list of several while it is rotated. Nothing of them is in a message."""

    def fits(value):
        values = value if isinstance(value, (list, tuple)) else [value]
        return bool(values) and all(map(kind.fits, values)) and len(set(values)) == len(values)

    fix = f"{kind.fix}; while it is rotated a list, [new, old], of values that differ"
    return Kind(f"{kind.words}, or list of them", fits, fix, hidden=True)


def mapping(names, items, words, fix="write `name: value` lines", hidden=False):
    """A mapping from names of the operator's own to ``items``."""
    return Kind(words, is_mapping, fix, names=names, items=items, hidden=hidden)


def table(*keys, fix="write `key: value` lines", hidden=False):
    """A mapping with fixed keys."""
    return Kind("mapping", is_mapping, fix, keys=keys, hidden=hidden)


def table_or_none(*keys):
    """A mapping with fixed keys, or the word ``none``."""
    fix = "write `key: value` lines, {} for the defaults, or none"
    return Kind("mapping or `none`", lambda value: is_mapping(value) or value == "none", fix, keys=keys)


def is_mapping(value):
    return isinstance(value, Mapping)


def is_address(value):
    try:
        address = ipaddress.ip_address(value) if isinstance(value, str) else None
    except ValueError:
        return False
    return address is not None and not (address.is_unspecified or address.is_multicast or "%" in value)


def is_domain(value):
    """A host name of RFC 1123 in small letters, or an IPv4 address. ``1.2.3`` and ``300.1.1.1`` are neither."""
    if not isinstance(value, str) or len(value) > 253:
        return False
    labels = value.split(".")
    if labels[-1].isdigit():
        return is_address(value)
    return all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label) for label in labels)


def is_variable(value):
    """Supervisor's ``environment`` has no escape for quotes, and cuts a line at a ``;`` or ``#`` after a space."""
    return isinstance(value, str) and value.isprintable() and not re.search(r"[\"']|\s[;#]", value)


def is_command(value):
    """One line that is the words of one program: no shell is there to join two of them or to lead output elsewhere."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > 4096:
        return False
    try:
        words = shlex.split(value)
    except ValueError:
        return False
    return bool(words) and all(words) and not any(re.fullmatch(r"[|&;<>]+", word) for word in words)


def is_check(value):
    """A command that is told of which file it is asked."""
    return is_command(value) and "{file}" in value


def is_status(value):
    """``200`` or ``"200-399"``, from low to high."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return False
    if isinstance(value, int):
        return 100 <= value <= 599
    limits = re.fullmatch(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", value, re.ASCII)
    return bool(limits) and limits[1] <= (limits[2] or limits[1])


def is_json(value):
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def is_time(value):
    """A moment with its time zone, as ledgers have it."""
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def seconds(lowest, highest):
    return number("seconds", lowest, highest, types=(int, float))
