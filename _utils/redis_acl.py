"""Users of Redis as ``ACL LIST`` and an ACL file write them, a line each: who gets in, how, and to which keys."""

import dataclasses
import hashlib

# What an app may do with its keys. Not: administration, and what meets the keys of others (FLUSHDB, KEYS; SCAN and
# RANDOMKEY tell their names, and in one of Django's may be the id of a session). Functions would be shared, scripts are
# not. No rule for channels: Redis 6.0 knows none, and since 7.0 nobody has any who was not given them.
COMMANDS = ("+@all", "-@admin", "-@dangerous", "-scan", "-randomkey")
COMMANDS += ("-@scripting", "+eval", "+evalsha", "+script|load")

# What stands in the place of hashes where every password gets in.
ANY = "nopass"


@dataclasses.dataclass(frozen=True)
class User:
    """
    A user: whether he is ``on``, the SHA-256 ``hashes`` of the passwords with which he gets in, or ``ANY``, and the
    ``keys`` that are his, as rules.

    The rules about commands are left out: versions of Redis write the same ones differently.
    """

    on: bool = False
    hashes: frozenset = frozenset()
    keys: frozenset = frozenset()


def users(text):
    """Return ``{name: User}`` of lines as ``user shop on #5fcf... ~shop:* +@all``; other lines are left out."""
    lines = [line.split() for line in text.splitlines()]
    return {words[1]: _user(words[2:]) for words in lines if len(words) > 1 and words[0] == "user"}


def wanted(prefix, passwords):
    """Return the ``User`` that an app should be: with these passwords, a ``Secret`` each, and the keys of a prefix."""
    return User(True, frozenset(hash_of(password) for password in passwords), frozenset([f"~{prefix}*"]))


def hash_of(password):
    """Return the hash by which Redis knows a password."""
    return hashlib.sha256(password.reveal().encode()).hexdigest()


def rules(user):
    """Return what makes somebody such a user, whatever he was before; who is connected stays."""
    return ["reset", "on", *(f"#{digits}" for digits in sorted(user.hashes)), *sorted(user.keys), *COMMANDS]


def _user(words):
    # Patterns for reading or writing only, and selectors, are since Redis 7.0.
    keys = [word for word in words if word[0] in "~%("]
    hashes = [word[1:] for word in words if word[0] == "#"] + [word for word in words if word == ANY]
    return User("on" in words, frozenset(hashes), frozenset(keys))
