"""
The config files of an app: what belongs into them, how what is there differs, and the folders that hold them.

What secret files hold goes from here into the file and nowhere else: no diff, no error and no log shows it.
"""

import difflib
import json
import os
import shutil
import traceback
from pathlib import Path

import jinja2
import jinja2.sandbox
from salt.exceptions import CommandExecutionError

import app_spec
import atomic_file
import staging

# Which files were put into a folder, and whether they are secret.
NOTE = ".app_files.json"
# What belongs to one copy of a release: its venv, and where its static files have been collected.
VENV, COLLECTED = ".venv", ".static"
PYTHON = f"{VENV}/bin/python"
DIFF_LINES = 60


def wanted(app, into, fetch):
    """
    Return what the files of an app hold that go ``into`` ("etc", "release"): ``{AppFile: bytes}``.

    :param fetch: gives the path of a local copy of a file of the file server, as ``cp.cache_file`` does
    :raises CommandExecutionError: if a file is not there or a template cannot be rendered; it shows no secret
    """
    return {file: _content(app, file, fetch) for file in app.files if file.into == into}


def differences(link, files, group):
    """Return how the files below a link to an edition differ from what they shall be: ``{name: {what: how}}``."""
    there = _noted(link)
    found = dict.fromkeys(there, {"content": "removed"})
    for file, content in files.items():
        path, known = Path(link, file.name), file.name in there
        secret = file.secret or there.get(file.name)
        attributes = atomic_file.attributes(path, file.owner, group, file.mode) if known else {}
        found[file.name] = _difference(path.read_bytes() if known else None, content, secret) | attributes
    return {name: change for name, change in found.items() if change}


def fill(new, files, group, base=""):
    """
    Make the folder ``new``, with the files in it and, below them, those of the folder ``base``: the same, not copies.

    :raises CommandExecutionError: if a file cannot be written
    """
    if base:
        _furnish(new, Path(base))
    else:
        _make_folder(new, group, 0o750)
    put(new, files, group, 0o755 if base else 0o750)


def put(folder, files, group, folder_mode=0o755):
    """Write the files into a folder, in the place of those that are there, and note which."""
    for file, content in files.items():
        path = Path(folder, file.name)
        _make_parents(path.parent, group, folder_mode)
        if not path.parent.resolve().is_relative_to(Path(folder).resolve()):
            raise CommandExecutionError(f"{path.parent} is a link that leads out of the release: no file was put there")
        atomic_file.write(path, content, file.owner, group, file.mode)
    staging.write(Path(folder, NOTE), json.dumps({file.name: file.secret for file in files}) + "\n")


def _content(app, file, fetch):
    if file.kind == "contents":
        return (file.origin.reveal() if file.secret else file.origin).encode()
    path = fetch(file.origin)
    if not path:
        raise _error(app, file, f"{file.origin} is not on the file server: look at the master's file_roots")
    content = Path(path).read_bytes()
    return _rendered(app, file, content) if file.kind == "template" else content


def _rendered(app, file, content):
    """Not by Salt's renderer, which logs the result."""
    environment = jinja2.sandbox.SandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    secrets = app_spec.secret_values(app) if file.secret else {}
    known = {"app": app_spec.plain(app), "config": app.config} | ({"secrets": secrets} if file.secret else {})
    try:
        return environment.from_string(content.decode()).render(known).encode()
    except Exception as error:  # There is nothing that a template cannot raise.
        reason = _reason(error, secrets.values())
        raise _error(app, file, f"{file.origin} cannot be rendered: {reason}") from None


def _error(app, file, what):
    return CommandExecutionError(f"apps:{app.name}:files:{file.name}: {what}")


def _reason(error, secrets):
    """What is wrong with a template, and in which line of it; without words that a secret is in."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    line = getattr(error, "lineno", None) or (lines[-1] if lines else 0)
    words = str(error)
    texts = [str(text) for value in secrets for text in (value if isinstance(value, list) else [value])]
    if any(text in words for text in texts):
        words = type(error).__name__
    elif words == "'secrets' is undefined":
        words = "only a file with `secret: true` knows the secrets"
    return f"line {line}: {words}" if line else words


def _noted(link):
    """The files that were put into the folder that a link leads to: ``{name: is secret}``, of those that are there."""
    try:
        names = json.loads(Path(link, NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: secret for name, secret in names.items() if Path(link, name).is_file()}


def _difference(old, new, secret):
    if old == new:
        return {}
    if old is None or secret:
        return {"content": "added" if old is None else "changed"}
    return _diff(old, new)


def _diff(old, new):
    try:
        texts = [content.decode().splitlines() for content in (old, new)]
    except UnicodeDecodeError:
        return {"content": "changed"}
    lines = list(difflib.unified_diff(*texts, "old", "new", lineterm=""))
    more = [f"... {len(lines) - DIFF_LINES} more lines"] if len(lines) > DIFF_LINES else []
    # Without a line where they differ in how lines end.
    return {"diff": "\n".join(lines[:DIFF_LINES] + more)} if lines else {"content": "changed"}


def _make_parents(folder, group, mode):
    if not folder.is_dir():
        _make_parents(folder.parent, group, mode)
        _make_folder(folder, group, mode)


def _make_folder(folder, group, mode):
    """A folder of root's, for the group to look into."""
    folder = Path(folder)
    folder.mkdir()
    try:
        shutil.chown(folder, "root", group)
    except LookupError as error:
        raise CommandExecutionError(f"{folder} was not made: there is no {group!r} on this host") from error
    folder.chmod(mode)


def _furnish(new, base):
    """A copy of a release that shares its files, and follows the release to another venv."""
    shutil.copytree(base, new, symlinks=True, copy_function=staging.link_or_copy, ignore=_left_out(base))
    (new / VENV).symlink_to(os.path.relpath(base / VENV, new))


def _left_out(base):
    """Static files are collected anew: with other settings they may be others."""
    collected = base / COLLECTED
    root = base / collected.read_text("utf-8").strip() if collected.is_file() else None

    def names(folder, found):
        paths = {name: Path(folder, name) for name in found}
        own = {name for name in found if name == COLLECTED or name.startswith(VENV)} if Path(folder) == base else set()
        return own | {name for name, path in paths.items() if path == root}

    return names
