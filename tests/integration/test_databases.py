"""The database modules against a real PostgreSQL server in a temporary folder, on a unix socket and one TCP port."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import jinja2
import pytest

TREE = Path(__file__).parents[2]
sys.path[:0] = [str(TREE), str(TREE / "_utils")]

from salt.exceptions import CommandExecutionError  # noqa: E402
from tests.local import free_port, module  # noqa: E402

import app_spec  # noqa: E402
import rotation  # noqa: E402
import scram  # noqa: E402
import spare_databases  # noqa: E402

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)
PASSWORD = app_spec.Secret("p'a\"s\\s:w$ö\u2168rd %s {x} \\gexec")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or BINARIES is None, reason="needs root and PostgreSQL: apt-get install postgresql"
)


def as_postgres(*argv):
    # What the server writes must not keep our pipe open.
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.run(["runuser", "-u", "postgres", "--", *argv], stdout=output, stderr=output, cwd="/")
        output.seek(0)
        assert process.returncode == 0, output.read()


def rendered(template, values):
    text = (TREE / "salt/database/files" / template).read_text()
    return jinja2.Template(text, undefined=jinja2.StrictUndefined, keep_trailing_newline=True).render(server=values)


@pytest.fixture(scope="module")
def server():
    """A server with the settings of the tree that logs every statement, and whose folder and port tests may use."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-postgresql-"))
    account = pwd.getpwnam("postgres")
    os.chown(folder, account.pw_uid, account.pw_gid)
    data, port, control = folder / "data", free_port(), BINARIES.with_name("pg_ctl")
    as_postgres(str(BINARIES), "-D", str(data), "-A", "peer", "-E", "SQL_ASCII", "--no-locale", "--no-sync")
    rules = [{"database": "shop", "users": ["shop", "shop-2"], "address": "127.0.0.1/32"}]
    values = {"address": "127.0.0.1", "port": port, "max_connections": 100, "rules": rules}
    (data / "pg_hba.conf").write_text(rendered("pg_hba.conf", values))
    with open(data / "postgresql.conf", "a") as file:
        file.write(rendered("slipway.conf", values))
    settings = f"-k {folder} -c log_statement=all -c log_min_duration_statement=0 -c fsync=off"
    as_postgres(str(control), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", settings, "start")
    yield folder, port
    as_postgres(str(control), "-D", str(data), "-w", "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture
def databases(server):
    """The execution module on the test's server, with no database on it and the server's log emptied."""
    loaded = module("_modules/databases.py", __salt__={"apps.databases": lambda: [{"name": "shop"}]})
    loaded.SOCKETS, loaded.PORT, loaded.WAL = str(server[0]), server[1], 0
    for spare in filter(spare_databases.is_spare, loaded.names()):
        loaded.drop(spare)
    drop = 'DROP DATABASE IF EXISTS shop WITH (FORCE); DROP DATABASE IF EXISTS "odd\'""name";'
    loaded._psql(f'{drop} DROP ROLE IF EXISTS "shop-2", shop, other;')
    os.truncate(server[0] / "log", 0)
    return loaded


@pytest.fixture
def present(databases):
    """The state function, with ``test`` given by keyword."""
    pillar = {
        "hosts": {"one": {"address": "127.0.0.1", "roles": ["app", "database"]}},
        "apps": {"shop": {"source": {"path": "/srv/code"}, "revision": "v1", "domains": ["shop.example.com"]}},
        "passwords": {"database": {"shop": PASSWORD.reveal()}},
    }
    functions = {f"databases.{name}": getattr(databases, name) for name in dir(databases) if name[0] != "_"}

    def run(test=False, **more):
        given = {**pillar, **more}
        state = module(
            "_states/database.py", __salt__=functions, __opts__={"test": test}, __pillar__=given, __grains__={}
        )
        return state.present("shop", "shop", "shop")

    return run


@pytest.fixture
def backups():
    """A folder that the user postgres can reach, as pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="slipway-backups-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def full_disk(backups):
    """A folder with room for one megabyte."""
    options = ["-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", str(backups)]
    if subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("this machine allows no mounts")
    yield backups
    subprocess.run(["umount", str(backups)], check=True)


def client(server, password, tmp_path, user="shop"):
    """The arguments and the environment of psql as the app would connect over TCP."""
    entry = password.replace("\\", "\\\\").replace(":", "\\:")
    pgpass = tmp_path / f"pgpass-{user}"
    pgpass.write_text(f"127.0.0.1:{server[1]}:shop:{user}:{entry}\n")
    pgpass.chmod(0o600)
    argv = ["psql", "-w", "-At", f"host=127.0.0.1 port={server[1]} dbname=shop user={user}"]
    return argv, {"PATH": os.environ["PATH"], "PGPASSFILE": str(pgpass), "PGCLIENTENCODING": "UTF8"}


def login(server, password, tmp_path, user="shop", sql="SELECT current_user"):
    """What psql answers to one of the app's roles over TCP."""
    argv, env = client(server, password, tmp_path, user)
    return subprocess.run([*argv, "-c", sql], env=env, capture_output=True, text=True)


def test_the_app_logs_in_with_its_password(server, present, tmp_path):
    assert present()["result"] is True
    assert login(server, PASSWORD.reveal(), tmp_path).stdout == "shop\n"


def test_another_password_is_refused(server, present, tmp_path):
    present()
    assert "password authentication failed" in login(server, "pencil", tmp_path).stderr


def test_a_first_run_makes_the_role_and_the_database(present):
    assert present()["changes"] == {"role": "shop created", "database": "shop created"}


def test_a_second_run_changes_nothing(present):
    present()
    assert present() == {
        "name": "shop", "result": True, "changes": {},
        "comment": "The database shop and its logins are as they should be",
    }  # fmt: skip


def test_test_mode_foretells_the_changes_and_makes_none(databases, present):
    foretold = present(test=True)
    assert foretold["result"] is None
    assert databases.inspect("shop")["owner"] == ""
    assert present()["changes"] == foretold["changes"]


def test_test_mode_after_a_run_says_that_nothing_would_change(present):
    present()
    assert present(test=True)["result"] is True


def test_a_changed_password_is_set_again(databases, present, server, tmp_path):
    present()
    databases.create_role("shop", app_spec.Secret("old"))
    assert present()["changes"] == {"role": "shop given its password"}
    assert login(server, PASSWORD.reveal(), tmp_path).stdout == "shop\n"


def test_a_role_that_may_not_log_in_is_let_in(databases, present):
    present()
    databases._psql("ALTER ROLE shop NOLOGIN;")
    assert present()["changes"] == {"role": "shop given its password"}
    assert present()["changes"] == {}


def test_a_database_of_another_owner_is_given_to_the_role(databases, present):
    databases.create_role("other", PASSWORD)
    databases.create_database("shop", "other")
    assert present()["changes"]["database"] == "shop given from other to shop"
    assert databases.inspect("shop")["owner"] == "shop"


def test_the_role_has_no_right_beyond_its_login(databases, present):
    present()
    rights = "rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls"
    assert databases._psql(f"SELECT {rights} FROM pg_roles WHERE rolname = 'shop'") == "f\n"


def test_the_database_is_in_utf8_even_in_a_cluster_that_is_not(databases, present):
    present()
    query = "SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = 'shop'"
    assert databases._psql(query) == "UTF8|C.UTF-8\n"


def test_neither_password_nor_verifier_reaches_the_log_of_the_server(databases, present, server):
    present()
    query = "SELECT rolpassword FROM pg_authid WHERE rolname = 'shop'"
    stored = databases._psql(query).strip()
    log = (server[0] / "log").read_text()
    assert stored.startswith("SCRAM-SHA-256$")
    assert stored not in log
    assert PASSWORD.reveal() not in log
    assert "ALTER ROLE" not in log


def test_an_error_does_not_repeat_the_statement(databases, server):
    with pytest.raises(CommandExecutionError) as error:
        databases._psql("ALTER ROLE nobody PASSWORD 'SCRAM-SHA-256$secret';")
    assert "does not exist" in str(error.value)
    assert "secret" not in str(error.value) + (server[0] / "log").read_text()


def test_names_are_quoted(databases):
    databases.create_role("other", PASSWORD)
    databases.create_database("odd'\"name", "other")
    databases.create_role("o'd\"d-2", PASSWORD, acts_as="other")
    assert databases.inspect("odd'\"name", {"o'd\"d-2": PASSWORD}) == {
        "owner": "other", "roles": {"o'd\"d-2": {"login": True, "password": True, "acts_as": "other"}},
    }  # fmt: skip
    databases._psql("""DROP ROLE "o'd""d-2";""")


@pytest.mark.parametrize(
    "password",
    ["pencil", "I\u00adX", "\u2168", "a\u00a0b", "a\u200bb", "\u06271", "\u0627\u2168\u0628", "\u00ad", "\u00e9\x07",
     "\u0221\u2168", "\u2028\u2168", "\u0627x", "\u0627\u0628\u2168", "\U0001f511", "e\u0301", "\ufb01", "\ue000\u2168",
     "\u0340a\u2168", "\u1e9b\u0323", "\uff21"],
)  # fmt: skip
def test_a_verifier_that_the_server_made_matches(databases, password):
    databases._psql(f"CREATE ROLE shop PASSWORD {databases.literal(password)};")
    stored = databases._psql("SELECT rolpassword FROM pg_authid WHERE rolname = 'shop'").strip()
    assert scram.matches(password, stored)


def test_a_dump_can_be_restored(databases, present, backups):
    present()
    databases._postgres(["psql", "--quiet", "-d", "shop", "-f-"], stdin="CREATE TABLE t AS SELECT 42 AS answer;")
    made = databases.dump("shop", "before-v2", folder=backups)
    databases._psql("DROP DATABASE shop;")
    databases._postgres(["pg_restore", "--create", "-d", "postgres", made["path"]])
    assert databases._postgres(["psql", "-Atc", "SELECT answer FROM t", "shop"]) == "42\n"


def test_a_dump_says_where_and_how_large_it_is(databases, present, backups):
    present()
    made = databases.dump("shop", "before-v2", folder=backups)
    [listed] = databases.dumps("shop", folder=backups)
    assert (made["path"], made["size"]) == (listed["path"], listed["size"])
    assert made["size"] == Path(made["path"]).stat().st_size > 0
    assert listed["label"] == "before-v2"
    json.dumps([made, listed])


def test_a_dump_can_be_read_by_postgres_alone(databases, present, backups):
    present()
    path = Path(databases.dump("shop", folder=backups)["path"])
    assert (path.owner(), oct(path.stat().st_mode)) == ("postgres", "0o100600")
    assert oct(path.parent.stat().st_mode) == "0o40700"


def test_only_the_newest_dumps_are_kept(databases, present, backups):
    present()
    for label in ("one", "two", "three"):
        databases.dump("shop", label, folder=backups, keep=2)
    assert [dump["label"] for dump in databases.dumps("shop", folder=backups)] == ["three", "two"]


def test_a_dump_of_no_database_leaves_nothing(databases, backups):
    with pytest.raises(CommandExecutionError, match='The dump of the database shop.*"shop" does not exist'):
        databases.dump("shop", folder=backups)
    assert list((backups / "shop").iterdir()) == []


def test_a_full_disk_leaves_the_old_dumps_and_no_half_one(databases, present, full_disk):
    present()
    old = databases.dump("shop", "old", folder=full_disk, keep=1)
    noise = "CREATE TABLE t AS SELECT random()::text || random()::text AS x FROM generate_series(1, 100000);"
    databases._postgres(["psql", "--quiet", "-d", "shop", "-f-"], stdin=noise)
    with pytest.raises(CommandExecutionError, match="No space left on device"):
        databases.dump("shop", "new", folder=full_disk, keep=1)
    assert [str(path) for path in (full_disk / "shop").iterdir()] == [old["path"]]


@pytest.fixture
def dumped(databases, present, backups, monkeypatch):
    """A dump of a database that says `then`, which by now says `now`."""
    monkeypatch.setattr(databases, "BACKUPS", str(backups))
    present()
    say(databases, "then")
    made = databases.dump("shop", "before-v2", folder=backups)
    say(databases, "now")
    return made


def say(databases, word):
    own = "DROP TABLE IF EXISTS said; CREATE TABLE said AS SELECT {} AS word; ALTER TABLE said OWNER TO shop;"
    databases._psql(own.format(databases.literal(word)), "shop")


def said(databases, name="shop"):
    return databases._psql("SELECT word FROM said", name).strip()


def test_a_dump_is_restored_beside_the_database_which_stays_as_it_is(databases, dumped):
    assert databases.restore("shop", dumped["path"])["database"] == "shop_restored"
    assert (said(databases), said(databases, "shop_restored")) == ("now", "then")


def test_a_restored_database_and_its_tables_belong_to_the_same_role(databases, dumped):
    databases.restore("shop", dumped["path"])
    assert databases.inspect("shop_restored", "shop")["owner"] == "shop"
    assert databases._psql("SELECT tableowner FROM pg_tables WHERE tablename = 'said'", "shop_restored") == "shop\n"


def test_a_restored_database_has_the_statistics_that_queries_are_planned_with(databases, dumped):
    databases.restore("shop", dumped["path"])
    assert databases._psql("SELECT reltuples FROM pg_class WHERE relname = 'said'", "shop_restored") == "1\n"


def test_what_a_killed_restore_left_is_replaced(databases, dumped):
    databases.create_database("shop_restored", "shop")
    databases._psql("CREATE TABLE half();", "shop_restored")
    databases.restore("shop", dumped["path"])
    assert databases._psql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", "shop_restored") == "said\n"


def test_a_dump_tells_when_it_was_made_and_what_a_restore_needs(databases, dumped):
    found = databases.restorable("shop", dumped["path"])
    assert found["made"] == databases.dumps("shop", Path(dumped["path"]).parents[1])[0]["made"]
    assert found["needs"] >= dumped["room"] > dumped["size"]


def test_a_dump_that_is_gone_or_damaged_is_refused_and_nothing_is_left(databases, dumped):
    path = Path(dumped["path"])
    whole = path.read_bytes()
    for content, sentence in ((None, f"the dump {path} is gone"), (b"PGDMP", "cannot be read: pg_restore")):
        path.unlink() if content is None else path.write_bytes(content)
        for ask in (databases.restorable, databases.restore):
            with pytest.raises(CommandExecutionError, match=sentence):
                ask("shop", str(path))
    path.write_bytes(whole[:-20])
    with pytest.raises(CommandExecutionError, match="The restore of .* failed"):
        databases.restore("shop", str(path))
    assert databases.names() == ["postgres", "shop"]


def test_without_room_for_what_the_database_was_nothing_is_restored(databases, dumped):
    room = shutil.disk_usage("/").total * 2
    with pytest.raises(CommandExecutionError, match="MiB are free in .* make room"):
        databases.restore("shop", dumped["path"], room)
    assert databases.names() == ["postgres", "shop"]


def test_two_restores_of_a_database_at_once_are_refused(databases, dumped, backups):
    with databases._alone(backups / "shop/.restore", ""), pytest.raises(CommandExecutionError, match="Another restore"):
        databases.restore("shop", dumped["path"])


OLD = "shop_replaced_20261125_184101"


def test_a_swap_gives_the_name_to_the_restored_database_and_keeps_the_other(databases, dumped):
    databases.restore("shop", dumped["path"])
    databases.swap("shop", "shop_restored", OLD)
    assert databases.names() == ["postgres", "shop", OLD]
    assert (said(databases), said(databases, OLD)) == ("then", "now")


def test_a_swap_can_be_swapped_back(databases, dumped):
    databases.restore("shop", dumped["path"])
    databases.swap("shop", "shop_restored", OLD)
    databases.swap("shop", OLD, "shop_restored")
    assert (said(databases), said(databases, "shop_restored")) == ("now", "then")


@pytest.mark.parametrize(("new", "old"), [("shop_restored", OLD), ("shop_restored", "postgres")])
def test_a_swap_that_fails_renames_neither(databases, dumped, new, old):
    if old != OLD:
        databases.create_database(new, "shop")
    before = databases.names()
    with pytest.raises(CommandExecutionError, match="PostgreSQL failed"):
        databases.swap("shop", new, old)
    assert (databases.names(), said(databases)) == (before, "now")


def test_a_swap_cuts_those_off_who_are_connected_and_those_who_come_back_at_once(databases, dumped, server, tmp_path):
    databases.restore("shop", dumped["path"])
    entry = f"127.0.0.1:{server[1]}:shop:shop:{PASSWORD.reveal()}"
    databases.create_role("shop", app_spec.Secret("pencil"))
    (tmp_path / "pgpass").write_text(entry.replace(PASSWORD.reveal(), "pencil") + "\n")
    (tmp_path / "pgpass").chmod(0o600)
    url = f"host=127.0.0.1 port={server[1]} dbname=shop user=shop"
    again = f"while :; do psql -w -Atc 'SELECT pg_sleep(60)' '{url}'; done"
    env = {"PATH": os.environ["PATH"], "PGPASSFILE": str(tmp_path / "pgpass")}
    users = [subprocess.Popen(["sh", "-c", again], env=env, start_new_session=True, stderr=-3) for _ in range(8)]
    try:
        while int(databases._psql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop'")) < 8:
            assert all(user.poll() is None for user in users)
        databases.swap("shop", "shop_restored", OLD)
        assert databases._psql(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{OLD}'") == "0\n"
    finally:
        for user in users:
            os.killpg(user.pid, signal.SIGKILL)
            user.wait()
    assert said(databases) == "then"


def test_what_a_restore_has_left_can_be_dropped(databases, dumped):
    databases.restore("shop", dumped["path"])
    databases.swap("shop", "shop_restored", OLD)
    assert (databases.drop(OLD), databases.drop(OLD)) == ([OLD], [])
    assert databases.names() == ["postgres", "shop"]


@pytest.mark.parametrize("name", ["shop", "postgres", "blog_restored", "shop_replaced_by"])
def test_no_other_database_can_be_dropped(databases, dumped, name):
    databases.__salt__["apps.databases"] = lambda: [{"name": "shop"}, {"name": "blog_restored"}]
    with pytest.raises(CommandExecutionError, match=f"{name} is no database that a restore has left"):
        databases.drop(name)


def test_the_server_understands_our_rules_and_has_no_other(databases):
    columns = "type, database, user_name, address, auth_method, error"
    assert databases._psql(f"SELECT {columns} FROM pg_hba_file_rules ORDER BY line_number").splitlines() == [
        "local|{all}|{postgres}||peer|",
        "host|{shop}|{shop,shop-2}|127.0.0.1|scram-sha-256|",
    ]


def test_a_server_that_does_not_run_is_not_reachable(databases, tmp_path):
    assert databases.reachable()
    databases.SOCKETS = str(tmp_path)
    assert not databases.reachable()


NEW = "the-new-one"
TWO = {"passwords": {"database": {"shop": [NEW, PASSWORD.reveal()]}}}


def in_use(value, **more):
    path = "passwords:database:shop"
    noted = {"value": rotation.fingerprint(path, app_spec.Secret(value)), "since": "2026-11-25T18:41:17+00:00"}
    return {"in_use": {"shop": {path: noted | more}}}


AFTER = TWO | in_use(NEW, login=2)


def test_while_a_password_is_rotated_both_get_in_and_the_second_run_changes_nothing(server, present, tmp_path):
    present()
    foretold = present(test=True, **TWO)
    assert (foretold["result"], foretold["changes"]) == (None, {"login": "shop-2 created"})
    assert present(**TWO)["changes"] == foretold["changes"]
    assert present(**TWO)["changes"] == present(test=True, **TWO)["changes"] == {}
    assert login(server, PASSWORD.reveal(), tmp_path).stdout == "shop\n"
    assert login(server, NEW, tmp_path, "shop-2", "SELECT current_user, session_user").stdout == "shop|shop-2\n"


def test_what_the_second_login_makes_belongs_to_the_owner_and_both_can_change_it(server, present, tmp_path):
    present(**TWO)
    assert login(server, NEW, tmp_path, "shop-2", "CREATE TABLE t (a int)").returncode == 0
    owner = "SELECT tableowner FROM pg_tables WHERE tablename = 't'"
    assert login(server, PASSWORD.reveal(), tmp_path, sql=owner).stdout == "shop\n"
    assert login(server, PASSWORD.reveal(), tmp_path, sql="ALTER TABLE t ADD b int").returncode == 0
    present(**AFTER)
    assert login(server, NEW, tmp_path, "shop-2", "ALTER TABLE t ADD c int; DROP TABLE t").returncode == 0


def test_at_the_end_the_old_password_is_refused_and_connections_that_are_open_stay(server, present, tmp_path):
    present(**TWO)
    argv, env = client(server, PASSWORD.reveal(), tmp_path)
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as open_one:
        open_one.stdin.write("SELECT 1;\n")
        open_one.stdin.flush()
        assert open_one.stdout.readline() == "1\n"
        assert present(**AFTER)["changes"] == {"role": "shop shut out"}
        assert open_one.communicate("SELECT 2;\n")[0] == "2\n"
    assert "password authentication failed" in login(server, PASSWORD.reveal(), tmp_path).stderr
    assert login(server, NEW, tmp_path, "shop-2").stdout == "shop\n"
    assert present(**AFTER)["changes"] == present(test=True, **AFTER)["changes"] == {}


def test_the_next_rotation_goes_the_other_way(server, present, tmp_path):
    present(**AFTER)
    third = {"passwords": {"database": {"shop": ["third", NEW]}}}
    assert present(**third, **in_use(NEW, login=2))["changes"] == {"role": "shop given its password"}
    assert [login(server, *who).stdout for who in (("third", tmp_path), (NEW, tmp_path, "shop-2"))] == ["shop\n"] * 2
    assert present(**third, **in_use("third", login=1))["changes"] == {"login": "shop-2 shut out"}
    assert login(server, NEW, tmp_path, "shop-2").returncode != 0


def test_a_second_login_that_acts_as_itself_is_put_right(databases, server, present, tmp_path):
    present(**TWO)
    databases._psql('ALTER ROLE "shop-2" RESET role;')
    assert present(**TWO)["changes"] == {"login": "shop-2 given its password"}
    databases._psql('REVOKE shop FROM "shop-2";')
    assert present(**TWO)["changes"] == {"login": "shop-2 given its password"}
    assert login(server, NEW, tmp_path, "shop-2").stdout == "shop\n"


def test_a_server_that_is_new_gets_the_login_in_use_and_an_owner_who_does_not_log_in(server, present, tmp_path):
    made = present(**AFTER)["changes"]
    assert made == {"role": "shop created", "login": "shop-2 created", "database": "shop created"}
    assert login(server, NEW, tmp_path, "shop-2").stdout == "shop\n"
    assert login(server, PASSWORD.reveal(), tmp_path).returncode != 0


def test_a_dump_is_made_and_restored_while_the_second_login_is_in_use(databases, server, present, backups, tmp_path):
    present(**AFTER)
    assert login(server, NEW, tmp_path, "shop-2", "CREATE TABLE t AS SELECT 42 AS answer").returncode == 0
    made = databases.dump("shop", folder=backups)
    databases._psql("DROP DATABASE shop;")
    databases._postgres(["pg_restore", "--create", "-d", "postgres", made["path"]])
    assert login(server, NEW, tmp_path, "shop-2", "ALTER TABLE t ADD b int; SELECT answer FROM t").stdout == (
        "ALTER TABLE\n42\n"
    )


def test_no_password_of_a_rotation_reaches_the_log_of_the_server(present, server):
    present(**TWO)
    present(**AFTER)
    log = (server[0] / "log").read_text()
    assert [word for word in (NEW, PASSWORD.reveal(), "SCRAM-SHA-256$", "ALTER ROLE") if word in log] == []
