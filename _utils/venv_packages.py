"""
What is added to a venv that is complete and perhaps in use: the packages of the server that runs the app.

They are no part of the venv's name, so that another server needs no other venv.
"""

import json
import os
import re
import tempfile

from salt.exceptions import CommandExecutionError

import staging
import venvs

# In the record of a venv to which something was added: what is installed in full, ``uvicorn`` or ``uvicorn[standard]``.
WHOLE = "whole"

NAME = re.compile(r"\s*([\w.-]+)\s*(?:\[([^]]*)\])?")
INDEX = re.compile(r"\s*(?:-[if]|--(?:extra-)?index-url|--find-links|--no-index)\b")


def missing(venv, packages):
    """
    Those of the requirements ``packages`` that a complete venv lacks. Starts no process.

    Asked is by name: of what the app itself requires any version will do. What was cut short while it was added is
    lacking, and so are extras until they have been added here.
    """
    whole = _whole(venv) if packages else set()
    return [package for package in packages if not _parts(package) <= whole]


def differences(before, after):
    """``{name: [old, new]}`` of what two venvs have in different versions; ``""`` is what is not there at all."""
    old, new = ({name: _version(folder) for name, folder in _installed(venv).items()} for venv in (before, after))
    names = sorted(old.keys() | new.keys())
    return {name: [old.get(name, ""), new.get(name, "")] for name in names if old.get(name) != new.get(name)}


def add(venv, tree, requirements, environment, packages):
    """
    Add to a complete venv, which may be in use, what it lacks of ``packages``; what is installed stays as it is.

    tree, requirements, environment
        As ``venvs.build`` takes them: the app's file may say where packages come from.

    The caller holds the lock of ``venvs``. Raises CommandExecutionError with uv's own words; what a run that was cut
    short has left is done anew.
    """
    lacking = missing(venv, packages)
    if not lacking:
        return
    whole = _whole(venv)
    # Whatever appears from here on is not known to be whole until the last line says so.
    _note(venv, whole)
    for name, folder in _installed(venv).items():
        if name not in whole:
            staging.remove(folder)
    _install_more(venv, tree, venvs.find(tree, requirements, environment), lacking)
    # As before a venv gets its name: the note must not reach the disk before what it is about.
    os.sync()
    _note(venv, whole.union(_installed(venv), *map(_parts, lacking)))


def _install_more(venv, tree, file, packages):
    """Install beside what is there; nothing that is there may get another version."""
    installed = _installed(venv)
    versions = [f"{name}=={_version(folder)}" for name, folder in installed.items()]
    # Of what is there only the extras are lacking.
    wanted = [NAME.match(text)[0] if _parts(text) & installed.keys() else text for text in packages]
    indexes = [line for text in venvs.read(tree, file).values() for line in text.splitlines() if INDEX.match(line)]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as constraint:
        constraint.write("\n".join(versions))
        constraint.flush()
        arguments = ("pip", "install", *venvs.in_place(venv), "--constraint", constraint.name, "--requirement", "-")
        options = {"stdin": "\n".join([*indexes, *wanted]), "cwd": file.parent, "env": venvs.cache(venv)}
        what = f"adding {', '.join(packages)} to a venv, whose packages stay as they are,"
        # First from the cache alone: an index that lets uv keep nothing would have each venv build the same anew.
        try:
            venvs.uv(*arguments, "--offline", **options, what=what)
        except CommandExecutionError:
            venvs.uv(*arguments, **options, what=what)


def _installed(venv):
    """The distributions of a venv: normalised names, and the folders that describe them."""
    folders = venv.glob("lib/*/site-packages/*.dist-info")
    return {_normal(folder.name.partition("-")[0]): folder for folder in folders}


def _version(folder):
    """Also of what came from an address or a file, which uv would otherwise ask again."""
    return folder.name.removesuffix(".dist-info").partition("-")[2]


def _whole(venv):
    """What is installed in full; in a venv to which nothing was added, as it was published, that is all there is."""
    installed = _installed(venv).keys()
    noted = json.loads((venv / venvs.RECORD).read_text("utf-8")).get(WHOLE, installed)
    return {part for part in noted if part.partition("[")[0] in installed}


def _note(venv, whole):
    record = json.loads((venv / venvs.RECORD).read_text("utf-8"))
    staging.write(venv / venvs.RECORD, json.dumps({**record, WHOLE: sorted(whole)}, indent=1) + "\n")


def _parts(package):
    """What a requirement asks for, by name: ``{"uvicorn", "uvicorn[standard]"}``."""
    name, extras = NAME.match(package).groups()
    found = [extra for extra in (extras or "").split(",") if extra.strip()]
    return {_normal(name), *(f"{_normal(name)}[{_normal(extra.strip())}]" for extra in found)}


def _normal(name):
    """https://packaging.python.org/en/latest/specifications/name-normalization/"""
    return re.sub(r"[-_.]+", "-", name).lower()
