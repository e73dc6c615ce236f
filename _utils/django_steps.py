"""
What is asked of a release's own Django. Salt's Python never runs this: it goes by stdin to the Python of the release,
which runs it as the app's user in the release's folder and prints one line of JSON.

One process for several questions, because starting Django costs more than all of them. Any Django from 3.2 on.
"""

import contextlib
import json
import sys
import traceback
import zlib

MARK = "slipway-answers:"
ERROR_LINES = 20

# The advisory lock that hosts which migrate the same database at once take in turn. PostgreSQL counts such locks per
# database, so that one number does for all apps.
LOCK = zlib.crc32(b"slipway.migrate")


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
    from django.db.migrations.executor import MigrationExecutor

    if connection.vendor == "unknown":
        return []
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def migrate():
    """The migrations that were applied now, those that are left, and the error that ended it, if one did."""
    from django.core.management import call_command

    with _alone():
        before, error = pending(), ""
        try:
            if before:
                call_command("migrate", interactive=False, verbosity=0)
        except Exception:
            error = _reason()
        left = pending() if before else []
    return {"applied": [name for name in before if name not in left], "left": left, "error": error}


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
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        yield
    finally:
        holder.close()


def _reason():
    return "\n".join(traceback.format_exc().strip().splitlines()[-ERROR_LINES:])


def _answer(question):
    try:
        return {"answer": question()}
    except Exception:
        return {"error": _reason()}


def main(names):
    """Print the answers to the questions (names of functions above), behind a mark that no app prints by chance."""
    import django

    django.setup()
    questions = {function.__name__: function for function in (check, pending, migrate, static_root, collect)}
    print(f"\n{MARK}{json.dumps({name: _answer(questions[name]) for name in names})}")


if __name__ == "__main__":
    main(sys.argv[1:])
