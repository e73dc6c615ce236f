"""
What is asked of a release's own Django. Salt's Python never runs this: it goes by stdin to the Python of the release,
which runs it as the app's user in the release's folder and prints one line of JSON.

One process for several questions, because starting Django costs more than all of them. Any Django from 3.2 on.
"""

import contextlib
import functools
import json
import math
import sys
import time
import traceback
import zlib

MARK = "slipway-answers:"
ERROR_LINES = 20

# The advisory lock that hosts which migrate the same database at once take in turn. PostgreSQL counts such locks per
# database, so that one number does for all apps.
LOCK = zlib.crc32(b"slipway.migrate")

# What PostgreSQL calls a statement that gave up waiting for a lock, lock_not_available, and one that was ended because
# two transactions waited for each other, deadlock_detected: https://www.postgresql.org/docs/current/errcodes-appendix.html
IN_THE_WAY = {"55P03", "40P01"}

# Who has waited for a lock for deadlock_timeout (1 s by default) looks whether that one waits for him, and if so is
# ended. We give up in half of that: the migration is what is tried again, and not the request of a user that fails.
TRY_FOR = """
SELECT set_config('lock_timeout', least(%s, greatest(1, setting::int / 2))::text, false)
FROM pg_settings WHERE name = 'deadlock_timeout'
"""

# Seconds in which those who waited behind a try get their turn.
PAUSE = 0.2

# Options of django-migration-linter that say what is judged, as the app's developers may have set them for themselves.
LINTER_OPTIONS = ("exclude_migration_tests", "include_apps", "exclude_apps", "ignore_initial_migrations")
LINTER_OPTIONS += ("ignore_name", "ignore_name_contains", "include_name", "include_name_contains")
LINTER_OPTIONS += ("ignore_sqlmigrate_errors",)


def check():
    """What ``check --deploy`` finds, by how bad it is."""
    from django.core import checks

    found = [message for message in checks.run_checks(include_deployment_checks=True) if not message.is_silenced()]
    errors = [str(message) for message in found if message.is_serious()]
    warnings = [str(message) for message in found if not message.is_serious()]
    return {"errors": errors, "warnings": warnings}


def pending():
    """The migrations that have not been applied, in the order in which they would be; none if there is no database."""
    from django.db import connection

    return [] if connection.vendor == "unknown" else [_name(migration) for migration in _plan()]


def unsafe():
    """
    Which pending migrations may break the release that is served, ``unsafe``: ``{migration: [reason, ...]}``, and which
    could not be judged, ``unknown``: ``{migration: why}``. django-migration-linter judges, by the SQL that they run.

    In a database in which nothing was migrated yet no release can be served, so that anything is safe.
    """
    from django.db import connection
    from django.db.migrations.recorder import MigrationRecorder

    names = pending()
    if not names or not MigrationRecorder(connection).applied_migrations():
        return {"unsafe": {}, "unknown": {}}
    try:
        linter = _linter(connection.vendor)
    except Exception as error:
        return {"unsafe": {}, "unknown": dict.fromkeys(names, _in_short(error))}
    tables = connection.introspection.table_names(include_views=True)
    return _judge_all(linter, names, tables)


def migrate(lock_timeout=0):
    """
    The migrations that were applied now, those that are left, the error that ended it, if one did, and whether it was
    ``blocked``: a lock of somebody else was not given back in time.

    lock_timeout
        Seconds for which a migration is tried while others hold locks that it needs in PostgreSQL; 0: it waits.
    """
    with _alone(), _impatient(lock_timeout):
        before, error, blocked = pending(), "", False
        try:
            if before:
                _apply(lock_timeout)
        except Exception as caught:
            error, blocked = _reason(), _code(caught) in IN_THE_WAY
        left = pending() if before else []
    applied = [name for name in before if name not in left]
    return {"applied": applied, "left": left, "error": error, "blocked": blocked}


def static_root():
    """Where ``collectstatic`` would write, or an empty text if the app has nothing to collect."""
    from django.apps import apps
    from django.conf import settings

    return str(settings.STATIC_ROOT or "") if apps.is_installed("django.contrib.staticfiles") else ""


def collect():
    """Collect the static files."""
    from django.core.management import call_command

    call_command("collectstatic", interactive=False, verbosity=0)


@contextlib.contextmanager
def _alone():
    """Hold PostgreSQL's lock in a connection of its own: a migration may close the one that it runs in."""
    from django.db import connection

    if connection.vendor != "postgresql":
        yield
        return
    holder = connection.copy()
    try:
        with holder.cursor() as cursor:
            # Whatever the app's settings say: another host's migrations take as long as they take.
            cursor.execute("SET lock_timeout = 0")
            cursor.execute("SET statement_timeout = 0")
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        yield
    finally:
        holder.close()


def _apply(seconds):
    """Apply what is pending. A migration that others are in the way of is tried again, if it leaves nothing behind."""
    from django.core.management import call_command

    def failed():
        return next((_name(migration) for migration in _plan()[:1] if migration.atomic), None)

    _insist(seconds, lambda: call_command("migrate", interactive=False, verbosity=0), failed)


def _insist(seconds, work, failed):
    """
    What ``work`` returns. For so many seconds it is called again while others hold locks that the same thing needs:
    ``failed()``, ``None`` if it cannot be done again.
    """
    at, end = None, 0
    while True:
        try:
            return work()
        except Exception as error:
            now, it = time.monotonic(), failed() if seconds and _code(error) in IN_THE_WAY else None
            if it is None or (it == at and now >= end):
                raise
            at, end = it, end if it == at else now + seconds
        time.sleep(PAUSE)


@contextlib.contextmanager
def _impatient(seconds):
    """
    Have PostgreSQL end a statement that waits for a lock: every user of the table waits behind it meanwhile.

    It is set in each session once that is there, because what the app's settings say when they connect comes before.
    """
    from django.db import connection
    from django.db.backends.signals import connection_created

    def limit(connection, **_):
        if connection.vendor == "postgresql":
            _limit_waiting(connection, seconds)

    connection_created.connect(limit, weak=False)
    # One that is open was not told.
    connection.close()
    try:
        with connection.execute_wrapper(functools.partial(_outside_of_transactions, seconds)):
            yield
    finally:
        connection_created.disconnect(limit)


def _limit_waiting(connection, seconds):
    with connection.connection.cursor() as cursor:
        cursor.execute(TRY_FOR, [math.ceil(seconds * 1000)])


def _outside_of_transactions(seconds, execute, sql, params, many, context):
    """
    A statement that is a transaction of its own is tried again by itself: what came before it stays.

    CREATE INDEX CONCURRENTLY blocks nobody while it waits; given up, it would leave an invalid index behind.
    """
    connection = context["connection"]
    if connection.vendor != "postgresql" or connection.in_atomic_block or not seconds:
        return execute(sql, params, many, context)
    if "CONCURRENTLY" in str(sql).upper():
        _limit_waiting(connection, 0)
        done = execute(sql, params, many, context)
        _limit_waiting(connection, seconds)
        return done
    return _insist(seconds, lambda: execute(sql, params, many, context), lambda: sql)


def _code(error):
    """What PostgreSQL calls an error, or the one behind it; an empty text if it has none of PostgreSQL's."""
    while error:
        # Psycopg 3 and 2.
        if code := getattr(error, "sqlstate", "") or getattr(error, "pgcode", ""):
            return code
        error = error.__cause__ or error.__context__
    return ""


def _plan():
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    return [migration for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]


def _name(migration):
    return f"{migration.app_label}.{migration.name}"


def _linter(vendor):
    """The linter with the options that the project has set for it: in its settings, a .cfg file or pyproject.toml."""
    from django_migration_linter import MigrationLinter
    from django_migration_linter.management.commands.lintmigrations import Command

    defaults = vars(Command().create_parser("manage.py", "lintmigrations").parse_args([]))
    readers = (Command.read_toml_file, Command.read_config_file, Command.read_django_settings)
    said = {name: value for read in readers for name, value in read(defaults).items()}
    options = {name: said[name] for name in LINTER_OPTIONS if said.get(name)}
    analyser = said.get("sql_analyser") or vendor
    return MigrationLinter(analyser_string=analyser, no_output=True, no_cache=True, **options)


def _judge_all(linter, names, tables):
    unsafe, unknown = {}, {}
    for name in names:
        try:
            if reasons := _judge(linter, name, tables):
                unsafe[name] = reasons
        except Exception as error:
            unknown[name] = _in_short(error)
    return {"unsafe": unsafe, "unknown": unknown}


def _judge(linter, name, tables):
    """
    Why a migration is unsafe: a list of texts.

    What names no table of the database is not judged by its SQL: what it changes comes with this same deploy.
    """
    from django.db.migrations import RunPython
    from django_migration_linter.sql_analyser import analyse_sql_statements

    migration = linter.migration_loader.disk_migrations[tuple(name.split(".", 1))]
    app, own, operations = migration.app_label, migration.name, migration.operations
    if linter.should_ignore_migration(app, own, operations, is_initial=migration.initial):
        return []
    lines = linter.get_sql(app, own)
    # RunSQL is part of that; only the linter's own command also judges the way back, which no deploy goes.
    issues = [issue for one in operations if isinstance(one, RunPython) for issue in linter.lint_runpython(one)[0]]
    if _names_any(lines, tables):
        issues += analyse_sql_statements(linter.sql_analyser_class, lines, linter.exclude_migration_tests)[0]
    return list(dict.fromkeys(map(_sentence, issues)))


def _names_any(lines, tables):
    text = "\n".join(lines)
    # Django lists the tables of one schema only: what names another is judged.
    return '"."' in text or any(table in text for table in tables)


def _sentence(issue):
    where = [f"{kind} {name}" for kind, name in (("table", issue.table), ("column", issue.column)) if name]
    return f"{issue.code}: {issue.message}" + (f" ({', '.join(where)})" if where else "")


def _in_short(error):
    if isinstance(error, ImportError):
        return f"django-migration-linter is not installed: {error}"
    return f"django-migration-linter failed: {type(error).__name__}: {error}"


def _reason():
    return "\n".join(traceback.format_exc().strip().splitlines()[-ERROR_LINES:])


def _answer(question):
    try:
        return {"answer": question()}
    except Exception:
        return {"error": _reason()}


def main(options, *names):
    """
    Print the answers to the questions (names of functions above), behind a mark that no app prints by chance.

    options
        ``{name: arguments}`` of questions that take some.
    """
    import django

    django.setup()
    questions = {function.__name__: function for function in (check, pending, unsafe, migrate, static_root, collect)}
    answers = {name: _answer(functools.partial(questions[name], **options.get(name, {}))) for name in names}
    print(f"\n{MARK}{json.dumps(answers)}")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), *sys.argv[2:])
