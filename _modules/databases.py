"""
The PostgreSQL server of this host: its settings, the apps' roles and databases, dumps.

Everything is asked and done as the user postgres on the server's unix socket, in SQL over standard input: no password,
and no verifier of one, is ever among the arguments of a process.
"""

import fcntl
import ipaddress
import json
import os
import pwd
import re
import socket
import time
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from salt.exceptions import CommandExecutionError

import atomic_file
import command
import scram

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

# Seconds, a limit for a dump that hangs, not for one that is long: 4 h are 280 GB at 20 MB/s.
DUMP_TIMEOUT = 4 * 3600

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

    Returns the ``path`` of the dump, its ``size`` in bytes and the ``seconds`` it took. Its mode is 0600.

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
    with _only_dump(home, name):
        _dump_to(path, name)
        size = path.stat().st_size
        for old in dumps(name, folder)[keep:]:
            Path(old["path"]).unlink()
    return {"path": str(path), "size": size, "seconds": round(time.monotonic() - started, 1)}


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
        {
            "path": str(path),
            "label": parts["label"],
            "made": datetime.strptime(parts["made"], MADE).isoformat(timespec="seconds") + "Z",
            "size": path.stat().st_size,
        }
        for path, parts in found
        if parts
    ]


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


def _psql(statements):
    settings = [f"--set={setting}" for setting in PSQL_SETTINGS]
    return _postgres(
        ["psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", *settings, "--dbname=postgres", "--file=-"],
        stdin=statements,
        what="PostgreSQL",
    )


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
def _only_dump(home, name):
    """Only one dump of a database at a time, so that what another one left behind may be deleted."""
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise CommandExecutionError(f"Another dump of the database {name} is being made: wait for its end") from error
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


def _superuser():
    try:
        return pwd.getpwnam(SUPERUSER)
    except KeyError as error:
        raise CommandExecutionError("PostgreSQL is not installed on this host: there is no user postgres") from error
