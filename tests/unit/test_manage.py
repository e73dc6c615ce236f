"""Django's steps, asked of a real Django project by a Python of its own."""

import os
import shutil
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec

import django
import django.db
import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from salt.exceptions import CommandExecutionError

import command
import django_steps

SYSTEM_PYTHON = "/usr/bin/python3"

SETTINGS = """
from pathlib import Path
import os
BASE_DIR = Path(__file__).resolve().parent
SECRET_KEY = "x" * 60
ALLOWED_HOSTS = ["shop.example.com"]
INSTALLED_APPS = ["django.contrib.staticfiles", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
print("settings print what they like")
"""
MIGRATION = """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = {dependencies}
    operations = [{operation}]
"""
CREATE = 'migrations.CreateModel("Thing", [("id", models.BigAutoField(primary_key=True))])'
FAIL = "migrations.RunPython(lambda apps, editor: 1 / 0)"


class Shop:
    """A release of a small Django project, and how to call for it."""

    def __init__(self, module, home):
        self.module, self.folder, self.shared = module, home / "releases/1", home / "static"
        self.python, self.settings, self.user = sys.executable, "settings", ""
        self.variables = {"DATABASE": str(home / "data/db.sqlite3")}
        (home / "data").mkdir()
        self.write("settings.py", SETTINGS)
        self.write("shop/__init__.py")
        self.write("shop/migrations/__init__.py")
        self.migration("0001_initial", [], CREATE)
        self.write("shop/static/shop/shop.css", "body {}\n")

    def write(self, name, text=""):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def append(self, text):
        self.write("settings.py", SETTINGS + text + "\n")

    def migration(self, name, dependencies, operation):
        text = MIGRATION.format(dependencies=dependencies, operation=operation)
        self.write(f"shop/migrations/{name}.py", text)

    def __getattr__(self, name):
        function = getattr(self.module, name)
        arguments = self.python, str(self.folder), self.settings, self.user, self.variables
        return lambda *more: function(*arguments, *more)

    def collect(self):
        return self.collect_static(str(self.shared))

    def unshared(self):
        return self.module.unshared(str(self.folder), str(self.shared))


@pytest.fixture
def shop(load, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sync", lambda: None)
    return Shop(load("_modules/manage.py"), tmp_path)


@pytest.fixture
def processes(monkeypatch):
    started = []
    run = command.run
    monkeypatch.setattr(command, "run", lambda argv, **options: (started.append(argv), run(argv, **options))[1])
    return started


def failure(call, *arguments):
    with pytest.raises(CommandExecutionError) as caught:
        call(*arguments)
    return caught.value


def test_check_gives_the_warnings_of_a_deploy(shop):
    assert any("(security.W" in warning for warning in shop.check())


def test_check_raises_what_is_wrong(shop):
    shop.append("STATICFILES_DIRS = 'not a list'")
    assert "staticfiles.E001" in str(failure(shop.check))


def test_settings_that_cannot_be_imported_show_the_end_of_the_traceback(shop):
    shop.append("import no_such_module")
    assert str(failure(shop.check)).endswith("ModuleNotFoundError: No module named 'no_such_module'")


def test_a_password_in_an_address_is_not_shown_by_a_traceback(shop):
    shop.append("raise ValueError('postgresql://shop:s3cret@db1/shop')")
    error = str(failure(shop.check))
    assert "ValueError" in error
    assert "s3cret" not in error


def test_all_questions_of_a_run_take_one_process(shop, processes):
    shop.check()
    shop.pending_migrations()
    shop.static_root()
    assert len(processes) == 1


def test_an_answer_serves_once(shop, processes):
    assert shop.pending_migrations() == ["shop.0001_initial"]
    shop.migration("0002_more", [("shop", "0001_initial")], "")
    assert shop.pending_migrations() == ["shop.0001_initial", "shop.0002_more"]
    assert len(processes) == 2


def test_an_answer_is_asked_again_after_a_while(shop, processes, monkeypatch):
    shop.check()
    monkeypatch.setattr(shop.module, "FRESH", -1)
    shop.pending_migrations()
    assert len(processes) == 2


def test_a_database_that_does_not_answer_stops_no_check_and_is_asked_again(shop):
    good = shop.variables["DATABASE"]
    shop.variables["DATABASE"] = "/no/such/folder/db"
    shop.check()
    assert "unable to open database file" in str(failure(shop.pending_migrations))
    shop.variables["DATABASE"] = good
    assert shop.pending_migrations() == ["shop.0001_initial"]


def test_an_app_without_a_database_has_nothing_to_migrate(shop):
    shop.append("DATABASES = {}")
    assert shop.pending_migrations() == []


def test_migrate_applies_what_is_pending_and_names_it(shop):
    assert shop.migrate() == ["shop.0001_initial"]
    assert shop.pending_migrations() == []
    assert shop.migrate() == []


def test_a_failing_migration_says_why_and_what_was_applied_before_it_and_heals(shop):
    shop.migration("0002_fails", [("shop", "0001_initial")], FAIL)
    error = failure(shop.migrate)
    assert "ZeroDivisionError" in str(error)
    assert error.changes == {"applied": ["shop.0001_initial"]}
    assert shop.pending_migrations() == ["shop.0002_fails"]
    shop.migration("0002_fails", [("shop", "0001_initial")], "")
    assert shop.migrate() == ["shop.0002_fails"]


def test_what_was_pending_is_forgotten_when_it_is_applied(shop):
    shop.check()
    shop.migrate()
    assert shop.pending_migrations() == []


def test_hosts_that_migrate_a_postgresql_at_once_take_turns(monkeypatch):
    seen = []
    cursor = SimpleNamespace(execute=lambda *statement: seen.append(statement))
    holder = SimpleNamespace(cursor=lambda: nullcontext(cursor), close=lambda: seen.append("closed"))
    connection = create_autospec(BaseDatabaseWrapper, instance=True, vendor="postgresql")
    connection.copy.return_value = holder
    monkeypatch.setattr(django.db, "connection", connection)
    monkeypatch.setattr(django_steps, "pending", lambda: seen.append("pending") or [])
    assert django_steps.migrate() == {"applied": [], "left": [], "error": "", "blocked": False}
    unlimited = [("SET lock_timeout = 0",), ("SET statement_timeout = 0",)]
    assert seen == [*unlimited, ("SELECT pg_advisory_lock(%s)", [django_steps.LOCK]), "pending", "closed"]


def test_a_migration_that_waited_in_vain_says_how_to_go_on_first(shop, monkeypatch):
    done = {"applied": ["shop.0001_initial"], "left": ["shop.0002_more"], "error": "Traceback\nboom", "blocked": True}
    monkeypatch.setattr(shop.module, "_run_all", lambda names, *_: {"migrate": {"answer": done}})
    first, *rest = str(failure(shop.migrate, 5)).splitlines()
    assert first == (
        "migrate failed at shop.0002_more: another transaction holds a lock that it needs for longer than 5 s: look at"
        " pg_stat_activity, then deploy again; the release before still serves"
    )
    assert rest == ["Traceback", "boom"]


@pytest.fixture
def judged(shop):
    """A shop of which the first migration is applied, as the release that is served left it."""
    pytest.importorskip("django_migration_linter")
    shop.migration("0001_initial", [], CREATE.replace("))])", ")), ('name', models.TextField(null=True))])"))
    shop.migrate()
    return shop


def unsafe(shop, *operations):
    """What is said of migrations with these operations."""
    before = "0001_initial"
    for number, operation in enumerate(operations, 2):
        shop.migration(f"000{number}_change", [("shop", before)], operation)
        before = f"000{number}_change"
    return shop.examine()


DROP = 'migrations.RemoveField("thing", "name")'
ADD = 'migrations.AddField("thing", "size", models.IntegerField({}))'


def test_migrations_that_break_the_release_that_is_served_are_named_with_reasons(judged):
    assert unsafe(judged, ADD.format("null=True"), DROP, 'migrations.RenameModel("Thing", "Item")') == {
        "unsafe": {
            "shop.0003_change": ["DROP_COLUMN: DROPPING columns (table shop_thing, column name)"],
            "shop.0004_change": ["RENAME_TABLE: RENAMING tables (table shop_thing)"],
        },
        "unknown": {},
    }


def test_a_first_migration_of_all_is_safe_whatever_it_does(shop):
    pytest.importorskip("django_migration_linter")
    assert unsafe(shop, ADD.format("default=1"), 'migrations.RenameModel("Thing", "Item")')["unsafe"] == {}


def test_what_changes_a_table_that_comes_with_the_same_deploy_is_safe(judged):
    create = 'migrations.CreateModel("Box", [("id", models.BigAutoField(primary_key=True)), ("a", models.TextField())])'
    assert unsafe(judged, create, 'migrations.RemoveField("box", "a")') == {"unsafe": {}, "unknown": {}}


def test_the_sql_of_the_way_back_is_not_judged(judged):
    sql = 'migrations.RunSQL("ALTER TABLE shop_thing ADD COLUMN b int", "ALTER TABLE shop_thing DROP COLUMN b")'
    assert unsafe(judged, sql)["unsafe"] == {}


def test_the_sql_of_a_migration_is_judged(judged):
    sql = 'migrations.RunSQL("ALTER TABLE shop_thing DROP COLUMN name", migrations.RunSQL.noop)'
    assert list(unsafe(judged, sql)["unsafe"]) == ["shop.0002_change"]


def test_a_migration_can_say_itself_that_it_is_fine(judged):
    assert unsafe(judged, f"__import__('django_migration_linter').IgnoreMigration(), {DROP}")["unsafe"] == {}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("settings.py", SETTINGS + "MIGRATION_LINTER_OPTIONS = {'exclude_migration_tests': ['DROP_COLUMN']}"),
        ("pyproject.toml", "[tool.django_migration_linter]\nignore_name = ['0002_change']"),
    ],
)
def test_what_the_project_tells_the_linter_counts(judged, file, text):
    judged.write(file, text)
    assert unsafe(judged, DROP) == {"unsafe": {}, "unknown": {}}


def test_without_the_linter_nothing_is_known(judged):
    judged.write("django_migration_linter.py", "raise ImportError('No module named x')")
    why = "django-migration-linter is not installed: No module named x"
    assert unsafe(judged, DROP) == {"unsafe": {}, "unknown": {"shop.0002_change": why}}


def test_a_migration_on_which_the_linter_fails_keeps_no_other_from_being_judged(judged):
    found = unsafe(judged, "migrations.RunPython(print)", DROP)
    assert list(found["unsafe"]) == ["shop.0003_change"]
    assert found["unknown"]["shop.0002_change"].startswith("django-migration-linter failed: TypeError: ")


def test_where_nothing_is_pending_no_linter_is_needed(judged):
    judged.write("django_migration_linter.py", "raise ImportError")
    assert judged.examine() == {"unsafe": {}, "unknown": {}}


def test_static_files_are_collected_and_linked_once(shop, processes):
    assert shop.collect() == 1
    collected = shop.folder / "staticfiles/shop/shop.css"
    assert (shop.shared / "shop/shop.css").samefile(collected)
    assert shop.module.is_collected(str(shop.folder))
    assert shop.unshared() == []
    processes.clear()
    assert shop.collect() == 0
    assert not processes


def test_a_file_that_is_gone_from_the_shared_folder_is_linked_again(shop):
    shop.collect()
    (shop.shared / "shop/shop.css").unlink()
    assert shop.unshared() == ["shop/shop.css"]
    assert shop.collect() == 1


def test_the_shared_folder_keeps_files_of_releases_that_are_gone(shop):
    shop.collect()
    shutil.rmtree(shop.folder)
    assert (shop.shared / "shop/shop.css").read_text() == "body {}\n"


def test_a_release_that_is_only_staged_replaces_no_file_of_the_one_that_is_served(shop):
    (shop.shared / "shop").mkdir(parents=True)
    (shop.shared / "shop/shop.css").write_text("old\n")
    assert shop.collect() == 0
    assert (shop.shared / "shop/shop.css").read_text() == "old\n"


def test_a_release_that_is_served_replaces_files_of_another(shop):
    (shop.shared / "shop").mkdir(parents=True)
    (shop.shared / "shop/shop.css").write_text("old\n")
    shop.collect()
    assert shop.module.unshared(str(shop.folder), str(shop.shared), replace=True) == ["shop/shop.css"]
    assert shop.module.share(str(shop.folder), str(shop.shared), replace=True) == 1
    assert (shop.shared / "shop/shop.css").read_text() == "body {}\n"
    assert shop.module.unshared(str(shop.folder), str(shop.shared), replace=True) == []


def test_static_files_are_copied_where_they_cannot_be_linked(shop, monkeypatch):
    def other_device(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_device)
    assert shop.collect() == 1
    assert shop.unshared() == []


@pytest.mark.parametrize("root", ["'/srv/shop/static'", "BASE_DIR", "BASE_DIR.parent / '10'"])
def test_static_root_must_be_a_folder_inside_the_release(shop, root):
    shop.append(f"STATIC_ROOT = {root}")
    assert "must be inside the release" in str(failure(shop.collect))


def test_static_root_must_not_lead_outside_by_a_link(shop, tmp_path):
    (shop.folder / "staticfiles").symlink_to(tmp_path)
    assert "must be inside the release" in str(failure(shop.collect))


@pytest.mark.parametrize("line", ["STATIC_ROOT = None", "INSTALLED_APPS = ['shop']"])
def test_an_app_without_static_files_has_nothing_to_collect(shop, line):
    shop.append(line)
    assert shop.static_root() == ""
    assert shop.collect() == 0
    assert not shop.module.is_collected(str(shop.folder))


def test_a_failed_collection_is_done_again(shop):
    shop.append("STORAGES = {'staticfiles': {'BACKEND': 'no.such.Storage'}}")
    assert "no.such" in str(failure(shop.collect)) or "No module named 'no'" in str(failure(shop.collect))
    assert not shop.module.is_collected(str(shop.folder))
    shop.append("")
    assert shop.collect() == 1


@pytest.fixture
def open_shop(load, monkeypatch):
    """A shop that another user can reach, with a Python that he may run."""
    monkeypatch.setattr(os, "sync", lambda: None)
    home = Path(tempfile.mkdtemp())
    home.chmod(0o755)
    shop = Shop(load("_modules/manage.py"), home)
    shop.python, shop.user = SYSTEM_PYTHON, "nobody"
    shop.variables["PYTHONPATH"] = str(Path(django.__file__).parents[1])
    shutil.chown(home / "data", "nobody")
    yield shop
    shutil.rmtree(home)


@pytest.mark.skipif(os.geteuid() != 0 or not Path(SYSTEM_PYTHON).exists(), reason="needs root and a system Python")
def test_the_apps_code_runs_as_its_user_and_owns_nothing_of_the_release(open_shop):
    open_shop.append("if os.geteuid() == 0: raise SystemExit('run as root')")
    open_shop.migrate()
    assert Path(open_shop.variables["DATABASE"]).owner() == "nobody"
    assert open_shop.collect() == 1
    assert {path.owner() for path in open_shop.folder.rglob("*")} == {"root"}
    assert (open_shop.shared / "shop/shop.css").owner() == "root"
