"""
The steps that Django has in a deploy, asked and done by a release's own Python, as the app's user, never as root.

All functions take the same arguments:

python
    The Python of the release, ``/srv/shop/releases/1a2b3c4d5e6f/.venv/bin/python``.
folder
    The release.
settings
    The settings module, ``shop.settings.production``.
user
    Who runs it; empty for the user that Salt runs as.
variables
    The environment of the app's processes.
"""

import contextlib
import json
import os
import time
from pathlib import Path

from salt.exceptions import CommandExecutionError

import command
import django_steps
import staging

# Written into the release when its static files are complete: where they are, relative to the release.
COLLECTED = ".static"

QUESTION_TIMEOUT = 300
COLLECT_TIMEOUT = 1800
# A long migration is normal, and one that is killed may leave half an index: this ends what hangs for a day.
MIGRATE_TIMEOUT = 86400

BLOCKED = (
    "another transaction holds a lock that it needs for longer than {} s: look at pg_stat_activity, then deploy again;"
    " the release before still serves"
)

# Starting Django costs more than all questions together (2.3x, measured), so they are asked at once; an answer serves
# one time, within the same minute, because a minion that does not fork keeps __context__ from run to run.
QUESTIONS = ("check", "pending", "static_root")
FRESH = 60


def check(python, folder, settings, user, variables):
    """
    The warnings of ``check --deploy``, a list of texts. Raises CommandExecutionError with the errors if it has any.

    CLI Example:

    .. code-block:: bash

        salt-call manage.check /srv/shop/current/.venv/bin/python /srv/shop/current shop.settings shop '{}'
    """
    found = _ask("check", python, folder, settings, user, variables)
    if found["errors"]:
        raise CommandExecutionError("check --deploy found errors:\n" + "\n".join(found["errors"]))
    return found["warnings"]


def pending_migrations(python, folder, settings, user, variables):
    """
    The migrations that are not applied yet, ``["shop.0002_price", ...]``, in the order in which they would be.

    CLI Example:

    .. code-block:: bash

        salt-call manage.pending_migrations /srv/shop/current/.venv/bin/python /srv/shop/current shop.settings shop '{}'
    """
    return _ask("pending", python, folder, settings, user, variables)


def examine(python, folder, settings, user, variables):
    """
    What django-migration-linter says of the pending migrations: those that may break the release that is served,
    ``unsafe``, as ``{migration: [reason, ...]}``, and those that it could not judge, ``unknown``, ``{migration: why}``,
    for example because the release has no such package. Both are in the order in which they would be applied.

    CLI Example:

    .. code-block:: bash

        salt-call manage.examine /srv/shop/current/.venv/bin/python /srv/shop/current shop.settings shop '{}'
    """
    found = _run(["unsafe"], python, folder, settings, user, variables, QUESTION_TIMEOUT)["unsafe"]
    return {**found, "unknown": {name: command.mask(why) for name, why in found["unknown"].items()}}


def migrate(python, folder, settings, user, variables, lock_timeout=0):
    """
    Apply the migrations that are pending; returns those that this call applied.

    lock_timeout
        Seconds for which a migration is tried while others hold locks that it needs in PostgreSQL; 0: it waits.

    On PostgreSQL hosts that do this at once take turns, and only the first finds something to do. Raises
    CommandExecutionError with the traceback's end; its ``changes`` name what had been applied until then.

    CLI Example:

    .. code-block:: bash

        salt-call manage.migrate /srv/shop/current/.venv/bin/python /srv/shop/current shop.settings shop '{}'
    """
    _answers().clear()
    options = {"migrate": {"lock_timeout": lock_timeout}}
    done = _run(["migrate"], python, folder, settings, user, variables, MIGRATE_TIMEOUT, options)["migrate"]
    if done["error"]:
        at = f" at {done['left'][0]}" if done["left"] else ""
        why = f" {BLOCKED.format(lock_timeout)}" if done["blocked"] and lock_timeout else ""
        error = CommandExecutionError(f"migrate failed{at}:{why}\n{command.mask(done['error'])}")
        error.changes = {"applied": done["applied"]} if done["applied"] else {}
        raise error
    return done["applied"]


def static_root(python, folder, settings, user, variables):
    """
    Where the release collects its static files, or an empty text if it has none to collect.

    Raises CommandExecutionError if that is not a folder of its own inside the release: releases would share a manifest.

    CLI Example:

    .. code-block:: bash

        salt-call manage.static_root /srv/shop/current/.venv/bin/python /srv/shop/current shop.settings shop '{}'
    """
    root = _ask("static_root", python, folder, settings, user, variables)
    if not root:
        return ""
    release = Path(folder).resolve()
    if release not in (release / root).resolve().parents:
        raise CommandExecutionError(
            f"STATIC_ROOT is {root} and must be inside the release: write STATIC_ROOT = BASE_DIR / 'staticfiles'"
        )
    return str((release / root).resolve())


def is_collected(folder):
    """
    Whether the static files of a release have been collected completely.

    CLI Example:

    .. code-block:: bash

        salt-call manage.is_collected /srv/shop/current
    """
    return Path(folder, COLLECTED).is_file()


def unshared(folder, shared, replace=False):
    """
    The collected files of a release that the ``shared`` folder, which the web server serves, does not have; a list.

    replace
        Count those as well that are there with another content: names without a hash, of another release.

    CLI Example:

    .. code-block:: bash

        salt-call manage.unshared /srv/shop/current /srv/shop/static
    """
    root = Path(folder, Path(folder, COLLECTED).read_text("utf-8").strip())
    if replace:
        return [name for name in _files(root) if not _is_same(root / name, Path(shared, name))]
    return [name for name in _files(root) if not Path(shared, name).exists()]


def collect_static(python, folder, settings, user, variables, shared):
    """
    Collect the static files into the release, if they are not yet, and link them into the ``shared`` folder.

    There a file stays when its release goes, because pages of that release still ask for it, and none is replaced,
    because another release serves. Returns how many files were linked. Raises CommandExecutionError.

    CLI Example:

    .. code-block:: bash

        salt-call manage.collect_static /srv/shop/current/.venv/bin/python /srv/shop/current shop.settings shop '{}'
            /srv/shop/static
    """
    try:
        if not is_collected(folder):
            root = static_root(python, folder, settings, user, variables)
            if not root:
                return 0
            with _writable(Path(root), user):
                _run(["collect"], python, folder, settings, user, variables, COLLECT_TIMEOUT)
            os.sync()
            staging.write(Path(folder, COLLECTED), os.path.relpath(root, Path(folder).resolve()) + "\n")
        return share(folder, shared)
    except OSError as error:
        raise CommandExecutionError(f"the static files of {folder} were not collected: {error}") from error


def share(folder, shared, replace=False):
    """
    Link the collected static files of a release into the ``shared`` folder; returns how many were linked.

    replace
        Put them also in the place of those of another release: right for the release that is served.

    CLI Example:

    .. code-block:: bash

        salt-call manage.share /srv/shop/current /srv/shop/static replace=True
    """
    root = Path(folder, Path(folder, COLLECTED).read_text("utf-8").strip())
    names = unshared(folder, shared, replace)
    for name in names:
        place = Path(shared, name)
        staging.make_folder(place.parent)
        new = staging.temporary(place)
        new.unlink(missing_ok=True)
        staging.link_or_copy(root / name, new)
        new.replace(place)
    return len(names)


def _ask(question, python, folder, settings, user, variables):
    """The answer to one question; the others are asked along, because they will come."""
    key = (python, folder, settings, user, tuple(sorted(variables.items())))
    asked, answers = _answers().pop(key, (0, {}))
    if question not in answers or time.monotonic() > asked + FRESH:
        answers = _run_all(QUESTIONS, python, folder, settings, user, variables, QUESTION_TIMEOUT)
        asked = time.monotonic()
    answer = answers.pop(question)
    # A failure may be over when its question comes: that one is asked again.
    _answers()[key] = asked, {name: other for name, other in answers.items() if "answer" in other}
    return _result(question, answer)


def _answers():
    return __context__.setdefault("manage.answers", {})


def _run(names, *arguments):
    return {name: _result(name, answer) for name, answer in _run_all(names, *arguments).items()}


def _run_all(names, python, folder, settings, user, variables, timeout, options=None):
    """
    Have the release's Python answer questions of ``django_steps``: ``{name: {"answer"} or {"error"}}``.

    options
        ``{name: arguments}`` of questions that take some. Other users of the host can see them.
    """
    output = command.run(
        [python, "-", json.dumps(options or {}), *names],
        user=user,
        cwd=folder,
        env={**variables, "DJANGO_SETTINGS_MODULE": settings},
        stdin=Path(django_steps.__file__).read_text("utf-8"),
        timeout=timeout,
        what=f"Django in {folder}",
    )
    lines = [line for line in output.splitlines() if line.startswith(django_steps.MARK)]
    if not lines:
        raise CommandExecutionError(f"Django in {folder} gave no answer: {command.last_lines(output)}")
    return json.loads(lines[-1].removeprefix(django_steps.MARK))


def _result(name, answer):
    if "error" in answer:
        raise CommandExecutionError(f"{name} failed: {command.mask(answer['error'])}")
    return answer["answer"]


@contextlib.contextmanager
def _writable(root, user):
    """Let the app's user write into a folder of root's for a while."""
    staging.make_folder(root)
    if not user:
        yield
        return
    account, owner = command.find(user), root.parent.stat()
    _own(root, account.pw_uid, account.pw_gid)
    try:
        yield
    finally:
        _own(root, owner.st_uid, owner.st_gid)


def _own(root, uid, gid):
    os.lchown(root, uid, gid)
    for parent, folders, files in os.walk(root):
        for name in (*folders, *files):
            os.lchown(Path(parent, name), uid, gid)


def _files(root):
    """The files below a folder, relative to it; not links, which could lead anywhere."""
    paths = (Path(parent, name) for parent, _, files in os.walk(root) for name in files)
    return sorted(str(path.relative_to(root)) for path in paths if not path.is_symlink())


def _is_same(file, place):
    """Whether a file is in its place: the same file, or (a copy on another file system) of the same size and time."""
    try:
        ours, theirs = file.stat(), place.stat()
    except FileNotFoundError:
        return False
    same = (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
    return same or (ours.st_size, ours.st_mtime_ns) == (theirs.st_size, theirs.st_mtime_ns)
