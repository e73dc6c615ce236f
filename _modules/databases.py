"""
The PostgreSQL server of this host: its settings, the apps' roles and databases, dumps and what is restored from them.

Everything is asked and done as the user postgres on the server's unix socket, in SQL over standard input: no password,
and no verifier of one, is ever among the arguments of a process.
"""

import fcntl
import ipaddress
import json
import os
import pwd
import re
import shutil
import socket
import time
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from salt.exceptions import CommandExecutionError

import atomic_file
import command
import scram
import spare_databases

SUPERUSER = "postgres"

# Where the packages of Debian and Ubuntu put the socket of the server, and the port in its name.
SOCKETS = "/var/run/postgresql"
PORT = 5432

# Beside the folders of Debian's own backups.
BACKUPS = "/var/backups/slipway"

# Our statements hold verifiers: whatever the server is set to, they stay out of its log. The last one makes the
# quoting of `literal` right on any server.
SESSION = (
    "log_statement=none",
    "log_min_error_statement=panic",
    "log_min_duration_statement=-1",
    "log_min_duration_sample=-1",
    "log_transaction_sample_rate=0",
    "standard_conforming_strings=on",
)

# Terse, because the other forms of an error repeat the statement.
PSQL_SETTINGS = ("ON_ERROR_STOP=1", "VERBOSITY=terse")

# A role acts as another one that it is a member of, and that it is set to be from the first statement of a session on.
QUESTIONS = """
SELECT json_build_object(
    'owner', (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = {name}),
    'roles', (SELECT json_object_agg(role.rolname, json_build_object(
        'login', role.rolcanlogin,
        'verifier', role.rolpassword,
        'acts_as', (
            SELECT owner.rolname FROM pg_auth_members JOIN pg_roles owner ON owner.oid = roleid
            WHERE member = role.oid AND 'role=' || owner.rolname IN (
                SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setdatabase = 0 AND setrole = role.oid))))
        FROM pg_authid role WHERE role.rolname IN ({roles})));
"""

ROLE = r"""
SELECT {create} WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {user}) \gexec
{membership}
ALTER ROLE {role} {login};
"""
MEMBERSHIP = """
GRANT {owner} TO {role};
ALTER ROLE {role} SET role = {acts_as};
"""

# C.UTF-8 exists on every Debian and Ubuntu host and sorts the same on all of them, so that a dump can be restored
# anywhere; the cluster's own locale is whatever was set while the package was installed.
CREATE_DATABASE = "CREATE DATABASE {database} OWNER {owner} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
DATABASE = r"""
SELECT {create} WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = {name}) \gexec
ALTER DATABASE {database} OWNER TO {owner};
"""

# Seconds, a limit for a dump or restore that hangs, not for one that is long: 4 h are 280 GB at 20 MB/s.
DUMP_TIMEOUT = RESTORE_TIMEOUT = 4 * 3600

SIZE = """
SELECT json_build_object('size', pg_database_size({name}), 'folder', current_setting('data_directory'));
"""

# Bytes for the log of what a restore writes, beside what it writes: PostgreSQL's own default of max_wal_size.
WAL = 1024**3

# The second name is free only when the first has been given away, and nobody may be connected: whoever comes back
# before the lock of the first statement is ours is sent away again. In one transaction, so it is both or neither.
SWAP = """
BEGIN
    FOR attempt IN 1..3 LOOP
        BEGIN
            PERFORM pg_stat_clear_snapshot();
            PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ({both});
            ALTER DATABASE {name} RENAME TO {old};
            ALTER DATABASE {new} RENAME TO {name};
            RETURN;
        EXCEPTION WHEN object_in_use THEN
            IF attempt = 3 THEN RAISE; END IF;
        END;
    END LOOP;
END
"""

WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
DUMP = re.compile(r"(?P<made>\d{8}T\d{6}\.\d{6}Z)-(?P<label>.+)\.dump")
MADE = "%Y%m%dT%H%M%S.%fZ"


def servers():
    """
    What the states need to know of the database server of this host: a list of one, or none if no app uses it.

    ``service``, ``folder`` (its configuration), ``address`` and ``port`` to listen on, ``max_connections``, and
    ``rules``: which ``users`` may come to which ``database`` from which ``address``.

    CLI Example:

    .. code-block:: bash

        salt-call databases.servers
    """
    databases = __salt__["apps.databases"]()
    return [_server(databases)] if databases else []


def reachable():
    """
    Whether a PostgreSQL server answers on the socket of this host.

    CLI Example:

    .. code-block:: bash

        salt-call databases.reachable
    """
    with socket.socket(socket.AF_UNIX) as door:
        return door.connect_ex(f"{SOCKETS}/.s.PGSQL.{PORT}") == 0


def inspect(name, roles=()):
    """
    What is there of a database and of some roles: ``owner`` of the database (empty: there is no database), and of each
    of the ``roles`` that exists ``login`` (it may log in), ``password`` (it is this one), ``acts_as`` (the role as
    which it does all it does; empty: as itself).

    roles
        Their names; or a dictionary that has the password of each, a Secret, or None to leave that question out.

    CLI Example:

    .. code-block:: bash

        salt-call databases.inspect shop '[shop, shop-2]'
    """
    passwords = roles if isinstance(roles, dict) else dict.fromkeys(roles)
    names = ", ".join([literal(role) for role in passwords]) or "NULL"
    found = json.loads(_psql(QUESTIONS.format(name=literal(name), roles=names)))
    known = {role: _role(answer, passwords[role]) for role, answer in (found["roles"] or {}).items()}
    return {"owner": found["owner"] or "", "roles": known}


def create_role(user, password=None, acts_as=""):
    """
    Make a role that logs in with this password, or give a role that exists the password.

    password
        A Secret, as a state has it; it is no argument for a command line. Only its verifier leaves this process. With
        None nobody logs in as this role any more; who is connected stays.
    acts_as
        A role that exists, as which this one does all it does: what it makes belongs to that one.
    """
    role = identifier(user)
    owner = {"owner": identifier(acts_as), "acts_as": literal(acts_as), "role": role}
    # The login comes last: nobody gets in as a role that is half made.
    parts = {
        "create": literal(f"CREATE ROLE {role}"),
        "membership": MEMBERSHIP.format(**owner) if acts_as else "",
        "login": "NOLOGIN PASSWORD NULL",
    }
    if password is not None:
        parts["login"] = f"LOGIN PASSWORD {literal(scram.verifier(password.reveal()))}"
    _psql(ROLE.format(user=literal(user), role=role, **parts))


def create_database(name, user):
    """
    Make a database in UTF-8 that the role ``user`` owns, or give a database that exists to that role.

    CLI Example:

    .. code-block:: bash

        salt-call databases.create_database shop shop
    """
    names = {"database": identifier(name), "owner": identifier(user)}
    _psql(DATABASE.format(create=literal(CREATE_DATABASE.format(**names)), name=literal(name), **names))


def dump(name, label="manual", folder=BACKUPS, keep=5):
    """
    Dump a database (``pg_dump`` custom format, complete or absent), and delete all but its newest ``keep`` dumps.

    Returns the ``path`` of the dump, its ``size`` in bytes, the ``room`` that the database takes (3 to 30 times that by
    our measurement), and the ``seconds`` it took. Its mode is 0600.

    label
        A word for the file's name: what the dump was made for.
    folder
        Holds one folder a database; what is missing of it is made.

    Raises CommandExecutionError if there is no such database, no room, or a dump of this database is being made.

    CLI Example:

    .. code-block:: bash

        salt-call databases.dump shop before-v1.4.3
    """
    if keep < 1:
        raise CommandExecutionError(f"keep: {keep} would delete the dump just made: give 1 or more")
    started = time.monotonic()
    made = datetime.now(timezone.utc).strftime(MADE)
    home = _dump_folder(Path(folder), _word("name", name))
    path = home / f"{made}-{_word('label', label)}.dump"
    with _alone(home, f"Another dump of the database {name} is being made"):
        _dump_to(path, name)
        size = path.stat().st_size
        for old in dumps(name, folder)[keep:]:
            Path(old["path"]).unlink()
    return {"path": str(path), "size": size, "room": _room(name)["size"], "seconds": _since(started)}


def dumps(name, folder=BACKUPS):
    """
    The dumps of a database, the newest first: ``path``, ``label``, ``made`` (UTC), ``size`` in bytes.

    CLI Example:

    .. code-block:: bash

        salt-call databases.dumps shop
    """
    paths = sorted((Path(folder) / _word("name", name)).glob("*.dump"), reverse=True)
    found = ((path, DUMP.fullmatch(path.name)) for path in paths)
    return [
        {"path": str(path), "label": parts["label"], "made": _made(path), "size": path.stat().st_size}
        for path, parts in found
        if parts
    ]


def restorable(name, path, room=0):
    """
    What ``restore`` would find: when the dump was ``made`` (UTC), the bytes that it ``needs`` and that are ``free``.

    room
        Bytes that the database took when it was dumped. It may be small by now, and a dump does not tell.

    Raises CommandExecutionError if the dump is gone or cannot be read, if there is no room, or no database ``name``.

    CLI Example:

    .. code-block:: bash

        salt db1 databases.restorable shop /var/backups/slipway/shop/20261125T184101.123456Z-before-v2.dump
    """
    dump = Path(path)
    if not dump.is_file():
        raise CommandExecutionError(f"the dump {dump} is gone: only the newest of each database stay")
    _postgres(["pg_restore", "--list", dump], what=f"The dump {dump} cannot be read: pg_restore")
    found = _room(name)
    needs, free = max(found["size"], room) + WAL, shutil.disk_usage(found["folder"]).free
    if free < needs:
        left = f"{free // 1024**2} MiB are free in {found['folder']}"
        raise CommandExecutionError(f"{left}, a restore of {dump} may take {needs // 1024**2}: make room")
    return {"made": _made(dump), "needs": needs, "free": free}


def restore(name, path, room=0):
    """
    Restore a dump beside the database ``name``, into ``<name>_restored`` of the same owner, complete or not at all.

    Nothing uses that one before ``swap`` gives it the name; one that an earlier run left is dropped. Returns its name
    as ``database``, and the ``seconds`` it took. The dump may be of another database, or from another host.

    room
        As for ``restorable``.

    Raises CommandExecutionError as ``restorable``, or if another restore of this database is running.

    CLI Example:

    .. code-block:: bash

        salt db1 databases.restore shop /var/backups/slipway/shop/20261125T184101.123456Z-before-v2.dump
    """
    started, side = time.monotonic(), spare_databases.restored(name)
    home = _dump_folder(Path(BACKUPS), _word("name", name))
    with _alone(home / ".restore", f"Another restore of the database {name} is running"):
        drop(side)
        restorable(name, path, room)
        try:
            _restore_into(side, name, path)
        except CommandExecutionError:
            drop(side)
            raise
    return {"database": side, "seconds": _since(started)}


def swap(name, new, old):
    """
    Give the name of a database to another one: ``new`` is ``name`` from now on, and what was ``name`` is ``old``.

    Both happen or neither. Whoever is connected to one of the two is cut off. ``swap(name, old, new)`` undoes it.

    CLI Example:

    .. code-block:: bash

        salt db1 databases.swap shop shop_restored shop_replaced_20261125_184101
    """
    names = {"name": identifier(name), "new": identifier(new), "old": identifier(old)}
    body = SWAP.format(both=f"{literal(name)}, {literal(new)}", **names)
    _psql(f"DO {literal(body)};")


def names():
    """
    The names of the databases of this server, among them what a restore has left: ``<name>_replaced_<time>``.

    CLI Example:

    .. code-block:: bash

        salt db1 databases.names
    """
    return json.loads(_psql("SELECT json_agg(datname ORDER BY datname) FROM pg_database WHERE NOT datistemplate;"))


def drop(name):
    """
    Drop a database that a restore has left, ``<name>_restored`` or ``<name>_replaced_<time>``.

    Returns its name in a list, which is empty if there was none. Raises CommandExecutionError for any other name, and
    for the database of an app.

    CLI Example:

    .. code-block:: bash

        salt db1 databases.drop shop_replaced_20261125_184101
    """
    if not spare_databases.is_spare(name) or name in [database["name"] for database in __salt__["apps.databases"]()]:
        raise CommandExecutionError(f"{name} is no database that a restore has left: it is not dropped")
    found = [other for other in names() if other == name]
    _psql(f"DROP DATABASE IF EXISTS {identifier(name)} WITH (FORCE);")
    return found


def identifier(name):
    """A name as SQL wants it, whatever it contains."""
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    """A text as SQL wants it, whatever it contains; right in the sessions that this module opens."""
    return "'" + text.replace("'", "''") + "'"


def _role(answer, password):
    matches = password is not None and scram.matches(password.reveal(), answer["verifier"] or "")
    return {"login": answer["login"], "password": matches, "acts_as": answer["acts_as"] or ""}


def _server(databases):
    first = databases[0]
    return {
        "service": f"postgresql@{first['version']}-main",
        "folder": f"/etc/postgresql/{first['version']}/main",
        "address": first["address"],
        "port": first["port"],
        "max_connections": first["max_connections"],
        "rules": [
            {"database": database["name"], "users": database["logins"], "address": str(ipaddress.ip_network(client))}
            for database in databases
            for client in database["clients"]
        ],
    }


def _psql(statements, database="postgres", timeout=300):
    settings = [f"--set={setting}" for setting in PSQL_SETTINGS]
    plain = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]
    argv = ["psql", *plain, *settings, f"--dbname={database}", "--file=-"]
    return _postgres(argv, stdin=statements, timeout=timeout, what="PostgreSQL")


def _postgres(argv, **how):
    """The output of one of PostgreSQL's own clients, run as its superuser on the socket."""
    env = {"PGHOST": SOCKETS, "PGPORT": str(PORT), "PGOPTIONS": " ".join(f"-c {setting}" for setting in SESSION)}
    return command.run(argv, user=SUPERUSER, env=env, **how)


def _word(what, text):
    """``text`` if it can be a part of a file's name."""
    if not WORD.fullmatch(text):
        raise CommandExecutionError(f"{what}: {text!r} must be letters, digits and . _ - and at most 63 of them")
    return text


def _dump_folder(folder, name):
    """The folder for the dumps of one database, which pg_dump can write into and nobody else can read."""
    owner = _superuser()
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o755)
    home = folder / name
    home.mkdir(mode=0o700, exist_ok=True)
    os.chown(home, owner.pw_uid, owner.pw_gid)
    return home


@contextmanager
def _alone(path, otherwise):
    """Only one at a time, so that what another one left behind may be deleted; ``otherwise`` is what that one does."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | (0 if path.is_dir() else os.O_CREAT), 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise CommandExecutionError(f"{otherwise}: wait for its end") from error
    finally:
        os.close(descriptor)


def _dump_to(path, name):
    partial = path.with_name(".partial")
    with suppress(FileNotFoundError):
        partial.unlink()
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        owner = _superuser()
        os.fchown(descriptor, owner.pw_uid, owner.pw_gid)
        what = f"The dump of the database {name}"
        _postgres(
            ["pg_dump", "--format=custom", "--no-password", f"--file={partial}", f"--dbname={name}"],
            timeout=DUMP_TIMEOUT,
            what=what,
        )
        _postgres(["pg_restore", "--list", partial], what=f"{what} cannot be read: pg_restore")
        os.fsync(descriptor)
        partial.replace(path)
        atomic_file.sync_folder(path.parent)
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            partial.unlink()


def _made(path):
    """When a dump was made: our own say so in their names, of another it is when its file was written."""
    parts = DUMP.fullmatch(path.name)
    if parts:
        moment = datetime.strptime(parts["made"], MADE)
    else:
        moment = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc).replace(tzinfo=None)
    return moment.isoformat(timespec="seconds") + "Z"


def _room(name):
    """The ``size`` of a database in bytes, and the ``folder`` of them all."""
    return json.loads(_psql(SIZE.format(name=literal(name))))


def _since(started):
    return round(time.monotonic() - started, 1)


def _restore_into(side, name, path):
    create_database(side, inspect(name, "")["owner"])
    _postgres(
        ["pg_restore", "--exit-on-error", "--no-password", f"--dbname={side}", path],
        timeout=RESTORE_TIMEOUT,
        what=f"The restore of {path}",
    )
    # A dump has no statistics: the first queries would be planned without.
    _psql("ANALYZE;", side, RESTORE_TIMEOUT)


def _superuser():
    try:
        return pwd.getpwnam(SUPERUSER)
    except KeyError as error:
        raise CommandExecutionError("PostgreSQL is not installed on this host: there is no user postgres") from error
