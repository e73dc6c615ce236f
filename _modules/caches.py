"""
The Redis server of this host, the apps' users in it, and ours.

Redis is spoken to on its unix socket, as a user of our own whose password was made by chance on this host: no password,
and no hash of one, is ever among the arguments of a process.
"""

import os
import secrets
import socket
import stat
from pathlib import Path

from salt.exceptions import CommandExecutionError

import app_spec
import atomic_file
import redis_acl
import redis_client

SOCKET = "/run/redis/redis-server.sock"
# Beside what Redis itself would keep: it writes the file, by ACL SAVE.
USERS = "/var/lib/redis/users.acl"

# Who we are; no app can have this name.
ADMINISTRATOR = "slipway"
PASSWORD = "/etc/slipway/redis-password"

# Nobody gets in without a name.
DEFAULT = "user default off"


def servers():
    """
    What the states need to know of the Redis server of this host, in a list that is empty without the role ``cache``.

    ``address`` and ``port`` to listen on, ``memory`` in MiB, ``socket`` and ``users``, the files of these names.

    CLI Example:

    .. code-block:: bash

        salt-call caches.servers
    """
    return [{**server, "socket": SOCKET, "users": USERS} for server in __salt__["apps.cache_servers"]()]


def reachable():
    """
    Whether a Redis server answers on the socket of this host.

    CLI Example:

    .. code-block:: bash

        salt-call caches.reachable
    """
    with socket.socket(socket.AF_UNIX) as door:
        return door.connect_ex(SOCKET) == 0


def is_ready():
    """
    Whether the server runs, and lets us in: without that, what a state needs is known after a restart only.

    CLI Example:

    .. code-block:: bash

        salt-call caches.is_ready
    """
    return reachable() and is_administered()


def is_administered():
    """
    Whether we get in with our password, now and after a restart, and nobody gets in without a name.

    CLI Example:

    .. code-block:: bash

        salt-call caches.is_administered
    """
    if not _is_private(PASSWORD):
        return False
    kept = redis_acl.users(_text(USERS))
    if not _is_ours(kept):
        return False
    try:
        return not reachable() or _is_ours(_users())
    except CommandExecutionError:
        return False


def administer():
    """
    Make a password of ours, if there is none, and write us into the file of users; those who are in it stay.

    Redis reads it when it starts.

    CLI Example:

    .. code-block:: bash

        salt-call caches.administer
    """
    if not _is_private(PASSWORD):
        Path(PASSWORD).parent.mkdir(mode=0o755, exist_ok=True)
        atomic_file.write(PASSWORD, secrets.token_urlsafe(32).encode(), mode=0o600)
    own = f"user {ADMINISTRATOR} on #{_own_hash()} ~* +@all"
    others = [line for line in _text(USERS).splitlines() if line.split()[1:2] not in ([ADMINISTRATOR], ["default"])]
    atomic_file.write(USERS, "\n".join([DEFAULT, own, *others, ""]).encode(), "redis", "redis", 0o640)


def inspect(user, prefix, passwords=(), live=True):
    """
    What is there of a user: ``there``, ``on``, ``keys`` (his are those of the prefix, and no other), ``passwords`` (he
    gets in with each of these), ``others`` (with others too), and ``kept``: it is so after a restart as well.

    passwords
        A Secret each.
    live
        False for a server that has to start first: it will know what is in the file of users.

    CLI Example:

    .. code-block:: bash

        salt-call caches.inspect shop shop:
    """
    kept = redis_acl.users(_text(USERS))
    users, wanted = _users() if live else kept, redis_acl.wanted(prefix, passwords)
    found = users.get(user, redis_acl.User())
    return {
        "there": user in users,
        "on": found.on,
        "keys": found.keys == wanted.keys,
        "passwords": wanted.hashes <= found.hashes and redis_acl.ANY not in found.hashes,
        "others": not found.hashes <= wanted.hashes,
        "kept": kept.get(user) == users.get(user),
    }


def set_user(user, prefix, passwords, alone):
    """
    Make a user, or make him what he should be: now, and in the file from which Redis knows its users after a restart.

    passwords
        A Secret each, as a state has it; no argument for a command line. Only their hashes leave this process.
    alone
        Whether no other password gets in from now on. Who is connected stays in any case.
    """
    wanted = redis_acl.wanted(prefix, passwords)
    others = frozenset() if alone else _users().get(user, wanted).hashes - {redis_acl.ANY}
    rules = redis_acl.rules(redis_acl.User(True, wanted.hashes | others, wanted.keys))
    _redis(["ACL", "SETUSER", user, *rules], ["ACL", "SAVE"])


def _redis(*commands):
    """What Redis answers us."""
    password = _text(PASSWORD)
    if not password:
        raise CommandExecutionError(f"{PASSWORD} is missing: apply the host's highstate, which makes it anew")
    return redis_client.ask(SOCKET, ["AUTH", ADMINISTRATOR, password], *commands)[1:]


def _users():
    (lines,) = _redis(["ACL", "LIST"])
    return redis_acl.users("\n".join(lines))


def _is_ours(users):
    ours, default = users.get(ADMINISTRATOR, redis_acl.User()), users.get("default", redis_acl.User(on=True))
    return ours.on and ours.hashes == {_own_hash()} and not default.on


def _own_hash():
    return redis_acl.hash_of(app_spec.Secret(_text(PASSWORD)))


def _is_private(path):
    """Whether a file is there, and root's alone."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, os.geteuid())


def _text(path):
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
