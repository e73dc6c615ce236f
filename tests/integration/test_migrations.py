"""Migrations of a real Django project on a real PostgreSQL server in a temporary folder, on a unix socket."""

import contextlib
import importlib.util
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
sys.path.insert(0, str(TREE / "_utils"))

from salt.exceptions import CommandExecutionError  # noqa: E402

import django_steps  # noqa: E402

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)

pytest.importorskip("psycopg")
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or BINARIES is None, reason="needs root and PostgreSQL: apt-get install postgresql"
)

# What the app says when it connects must not count.
SETTINGS = """
import os
SECRET_KEY = "x" * 60
INSTALLED_APPS = ["shop"]
OPTIONS = {"options": "-c lock_timeout=60s"}
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "HOST": os.environ["SOCKETS"], "NAME": "shop",
    "USER": "postgres", "OPTIONS": OPTIONS}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
MIGRATION = """
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
class Migration(migrations.Migration):
    atomic = {atomic}
    dependencies = {dependencies}
    operations = [{operation}]
"""
WAIT = 'migrations.RunSQL("SELECT pg_sleep({})")'
CREATE = (
    'migrations.CreateModel("Thing", [("id", models.BigAutoField(primary_key=True)), ("name", models.TextField())])'
)
INDEX = 'AddIndexConcurrently("thing", models.Index(fields=["name"], name="thing_name"))'
OTHER = CREATE.replace("Thing", "Other")
HELD = "LOCK TABLE shop_thing"
READ = "SELECT count(*) FROM shop_thing"
TAKEN = "SELECT count(*) FROM pg_locks WHERE relation = 'shop_thing'::regclass AND mode = 'AccessExclusiveLock'"
WAITS = "SELECT count(*) FROM pg_locks WHERE relation = 'shop_other'::regclass AND NOT granted"
CHAIN = (("shop", "0002_other"),)


def add(options, model="thing"):
    return f'migrations.AddField("{model}", "size", models.IntegerField({options}))'


def as_postgres(*argv):
    subprocess.run(["runuser", "-u", "postgres", "--", *argv], check=True, stdout=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="module")
def sockets():
    """The folder of the server's socket."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-migrations-"))
    account = pwd.getpwnam("postgres")
    os.chown(folder, account.pw_uid, account.pw_gid)
    data, control = folder / "data", str(BINARIES.with_name("pg_ctl"))
    as_postgres(str(BINARIES), "-D", str(data), "-A", "trust", "--no-sync")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    as_postgres(control, "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    yield folder
    as_postgres(control, "-D", str(data), "-w", "-m", "immediate", "stop")
    shutil.rmtree(folder)


class Shop:
    """A release of a small project with an empty database, and how to migrate it."""

    def __init__(self, sockets, folder):
        self.sockets, self.folder, self.settings = sockets, folder, "settings"
        self.variables = {"SOCKETS": str(sockets)}
        spec = importlib.util.spec_from_file_location("manage_on_postgresql", TREE / "_modules/manage.py")
        self.manage = importlib.util.module_from_spec(spec)
        self.manage.__context__ = {}
        spec.loader.exec_module(self.manage)
        (folder / "shop/migrations").mkdir(parents=True)
        for name in ("shop/__init__.py", "shop/migrations/__init__.py"):
            (folder / name).touch()
        (folder / "settings.py").write_text(SETTINGS)
        self.migration("0001_initial", CREATE, [])

    def migration(self, name, operation, dependencies=(("shop", "0001_initial"),), atomic=True):
        text = MIGRATION.format(atomic=atomic, dependencies=list(dependencies), operation=operation)
        (self.folder / f"shop/migrations/{name}.py").write_text(text)

    def ask(self, function, *more):
        arguments = sys.executable, str(self.folder), self.settings, "", self.variables
        return getattr(self.manage, function)(*arguments, *more)

    def sql(self, text):
        return subprocess.run([*self.psql(), "-Atc", text], check=True, capture_output=True, text=True).stdout.strip()

    def psql(self, database="shop"):
        return ["psql", "-X", "-q", "-h", str(self.sockets), "-U", "postgres", database]

    @contextlib.contextmanager
    def holding(self, statement):
        """A session with a transaction that has done this and goes on for as long as the block runs."""
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        session = subprocess.Popen([*self.psql(), "-At"], **streams)
        session.stdin.write(f"BEGIN; {statement};\n\\echo held\n")
        session.stdin.flush()
        while session.stdout.readline() != "held\n":
            assert session.poll() is None
        try:
            yield session
        finally:
            session.communicate("COMMIT;\n", timeout=10)


@pytest.fixture
def shop(sockets, tmp_path):
    shop = Shop(sockets, tmp_path)
    for statement in ("DROP DATABASE IF EXISTS shop WITH (FORCE)", "CREATE DATABASE shop"):
        subprocess.run([*shop.psql("postgres"), "-c", statement], check=True)
    return shop


@pytest.fixture
def migrated(shop):
    shop.ask("migrate", 1)
    return shop


def test_a_migration_gives_up_a_table_that_another_transaction_holds_and_says_how_to_go_on(migrated):
    migrated.migration("0002_size", add("null=True"))
    with migrated.holding(HELD):
        began = time.monotonic()
        with pytest.raises(CommandExecutionError) as caught:
            migrated.ask("migrate", 0.5)
        assert time.monotonic() - began < 10
    first, *rest = str(caught.value).splitlines()
    assert first.startswith("migrate failed at shop.0002_size: another transaction holds a lock that it needs for")
    assert "lock timeout" in rest[-1]
    assert caught.value.changes == {}
    assert migrated.ask("migrate", 0.5) == ["shop.0002_size"]


@pytest.mark.parametrize(
    ("holder", "limit", "atomic"),
    [
        pytest.param(HELD, 0, True, id="for a table, without a limit"),
        pytest.param(HELD, 10, True, id="for a table, try after try"),
        # What came before in the migration is not done again.
        pytest.param(HELD, 10, False, id="for a table, without a transaction"),
        pytest.param(f"SELECT pg_advisory_lock({django_steps.LOCK})", 0.2, True, id="for the host that migrates"),
    ],
)
def test_a_migration_waits(migrated, holder, limit, atomic):
    migrated.migration("0002_size", f"{OTHER}, {add('null=True')}", atomic=atomic)
    applied = []
    with migrated.holding(holder):
        thread = threading.Thread(target=lambda: applied.extend(migrated.ask("migrate", limit)))
        thread.start()
        thread.join(3)
        assert thread.is_alive()
    thread.join(10)
    assert applied == ["shop.0002_size"]


@pytest.mark.parametrize("pause", [pytest.param(0.3, id="a user first"), pytest.param(0, id="the migration first")])
def test_a_migration_and_a_user_who_wait_for_each_other_both_end_well(migrated, pause):
    migrated.migration("0002_other", OTHER)
    migrated.ask("migrate", 1)
    # A transaction that has one table and needs the other, as an order does that refers to a product.
    migrated.migration("0003_both", ", ".join([add("null=True"), WAIT.format(pause), add("null=True", "other")]), CHAIN)
    applied = []
    with migrated.holding("INSERT INTO shop_other (name) VALUES ('a')") as user:
        thread = threading.Thread(target=lambda: applied.extend(migrated.ask("migrate", 5)))
        thread.start()
        while migrated.sql(TAKEN) == "0" or (not pause and migrated.sql(WAITS) == "0"):
            assert thread.is_alive()
        user.stdin.write(f"{READ};\n\\echo answered\n")
        user.stdin.flush()
        # An error goes to stderr.
        assert list(iter(user.stdout.readline, "answered\n")) == ["0\n"]
    thread.join(10)
    assert applied == ["shop.0003_both"]
    assert migrated.sql("SELECT count(*) FROM shop_other") == "1"


def test_an_index_that_is_built_beside_the_users_waits_longer_than_the_limit_and_becomes_valid(migrated):
    migrated.migration("0002_index", INDEX, atomic=False)
    applied = []
    with migrated.holding(f"{READ}; INSERT INTO shop_thing (name) VALUES ('a')"):
        thread = threading.Thread(target=lambda: applied.extend(migrated.ask("migrate", 0.2)))
        thread.start()
        thread.join(3)
        assert thread.is_alive()
    thread.join(10)
    assert applied == ["shop.0002_index"]
    assert migrated.sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'thing_name'::regclass") == "t"


@pytest.mark.parametrize(
    ("operation", "codes"),
    [
        (add("null=True"), []),
        (add("db_default=1"), []),
        (add("default=1"), ["NOT_NULL"]),
        ('migrations.RemoveField("thing", "name")', ["DROP_COLUMN"]),
        ('migrations.RenameField("thing", "name", "title")', ["RENAME_COLUMN"]),
        ('migrations.AlterField("thing", "name", models.CharField(max_length=9))', ["ALTER_COLUMN"]),
        ('migrations.DeleteModel("Thing")', ["DROP_TABLE"]),
    ],
)
def test_a_migration_is_judged_by_its_sql_for_this_database(migrated, operation, codes):
    pytest.importorskip("django_migration_linter")
    migrated.migration("0002_change", operation)
    found = migrated.ask("examine")
    assert found["unknown"] == {}
    reasons = found["unsafe"].get("shop.0002_change", [])
    assert [reason.partition(":")[0] for reason in reasons] == codes, json.dumps(reasons)


def test_a_first_deploy_is_safe(shop):
    shop.migration("0002_change", 'migrations.RemoveField("thing", "name")')
    assert shop.ask("examine") == {"unsafe": {}, "unknown": {}}


@pytest.fixture
def example(shop, tmp_path):
    """The example with v1's migrations applied, and how to lay the files of a later tag over it."""
    shop.folder = tmp_path / "example"
    shop.settings = "shop.settings.production"
    shutil.copytree(TREE / "examples/shop", shop.folder, ignore=shutil.ignore_patterns(".venv"))
    address = f"postgresql://postgres@{str(shop.sockets).replace('/', '%2F')}/shop"
    secrets = {"SECRET_KEY": "x" * 60, "ALLOWED_HOSTS": ["shop.example.com"], "DATABASE_URL": address}
    (tmp_path / "secrets.json").write_text(json.dumps(secrets))
    shop.variables["SECRETS_FILE"] = str(tmp_path / "secrets.json")
    shop.ask("migrate", 1)

    def change(tag):
        shutil.copytree(TREE / "examples/changes" / tag, shop.folder, dirs_exist_ok=True)
        return shop.ask("examine")

    return change


@pytest.mark.parametrize(
    ("tag", "codes"),
    [
        ("v2", {}),
        ("broken-migration", {}),
        ("unsafe-migration", {"catalogue.0003_remove_product_description": ["DROP_COLUMN"]}),
    ],
)
def test_the_releases_of_the_example_are_as_safe_as_its_readme_says(example, tag, codes):
    pytest.importorskip("django_migration_linter")
    found = example(tag)
    assert found["unknown"] == {}
    named = {name: [reason.partition(":")[0] for reason in reasons] for name, reasons in found["unsafe"].items()}
    assert named == codes
