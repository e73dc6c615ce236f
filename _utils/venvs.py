"""
Virtual environments, built by uv, named by what they are made of, shared by the releases that need the same.

The name is a hash of the lock or requirements files, with everything they include, and of the interpreter.
"""

import hashlib
import json
import re
from pathlib import Path

from salt.exceptions import CommandExecutionError

import command
import staging

UV = "/opt/uv/bin/uv"
# With one folder in it for each folder of Pythons: a package that was built for one Python may load its library, and
# another build of the same version must not get that.
CACHE = "/var/cache/slipway/uv"
# Where uv puts a Python that the system does not have; not in root's home, where no app could read it.
PYTHONS = "/opt/pythons"

RECORD = ".slipway.json"
LOCK = "uv.lock"
NAME_LENGTH = 16
# Building one big package from source takes minutes; an hour is a build that hangs.
TIMEOUT = 3600

PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
INCLUDE = re.compile(r"\s*(?:-r|-c|--requirement|--constraint)[\s=]*(\S+)")
LOCAL_REQUIREMENT = re.compile(r"\s*(?:-e|--editable)\b|\s*(?:[./]|[\w.-]+/|file:|[^#]*@\s*file:)(?!\S*\.whl\b)")
LOCAL_PACKAGE = re.compile(r"source = \{ (?:editable|directory|virtual) = \"(?!\.\")")


def build(venvs, release, tree, requirements, python, environment, others="", bytecode=True):
    """
    The complete venv in the folder ``venvs`` that the code in ``tree`` needs, built if it was not there.

    release
        The id of the release, for the temporary name.
    requirements
        A file in the tree; empty for the first there is of uv.lock, requirements/<environment>.txt, requirements.txt.
    python
        What uv takes for a Python: ``python3``, ``3.12``, a path. Fetched if the system has none like it.
    others
        A further folder of venvs: one that is complete there is taken as it is.
    bytecode
        False for a venv that is soon thrown away.

    The caller holds the lock of ``venvs``. Raises CommandExecutionError with uv's own words.
    """
    file = find(tree, requirements, environment)
    texts = read(tree, file)
    new = staging.temporary(Path(venvs, release))
    # An empty one takes uv 10 ms and tells which Python it is that was asked for.
    uv("venv", "--quiet", "--relocatable", "--no-project", "--python", python, new, what=f"making a venv of {python}")
    interpreter = _interpreter(new)
    venv = Path(venvs, name(texts, interpreter))
    for found in (venv, *([Path(others, venv.name)] if others else [])):
        if is_complete(found):
            staging.remove(new)
            return found
    _install(new, tree, file, bytecode)
    record = {"requirements": sorted(texts), "interpreter": interpreter}
    staging.write(new / RECORD, json.dumps(record, indent=1) + "\n")
    staging.publish(new, venv)
    return venv


def is_complete(venv):
    """Whether all of a venv is there, and the Python that it was made of as well: a system upgrade takes that away."""
    return (venv / RECORD).is_file() and (venv / "bin/python").exists()


def find(tree, requirements, environment):
    """The file in the tree that says what to install. Raises CommandExecutionError if there is none."""
    if Path(requirements).name in PROJECT_FILES:
        raise CommandExecutionError(f"requirements: {requirements} may build the app's own code: name a lock file")
    names = [requirements] if requirements else [LOCK, f"requirements/{environment}.txt", "requirements.txt"]
    found = next((tree / name for name in names if _is_inside(tree, tree / name)), None)
    if not found:
        one = "it has no" if len(names) == 1 else "name the file with `requirements`: it has none of"
        raise CommandExecutionError(f"nothing in the release says what to install: {one} {', '.join(names)}")
    return found


def read(tree, file):
    """The texts that decide what is installed, by their path in the tree. Raises if they would build the app's code."""
    if file.name == LOCK:
        texts = {_path(tree, path): path.read_text("utf-8") for path in (file, file.with_name("pyproject.toml"))}
        _refuse(LOCAL_PACKAGE, {_path(tree, file): texts[_path(tree, file)]})
        return texts
    texts = _included(tree, file, {})
    _refuse(LOCAL_REQUIREMENT, texts)
    return texts


def name(texts, interpreter):
    """The name of the venv that is made of these texts and this interpreter."""
    content = json.dumps([texts, interpreter], sort_keys=True)
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:NAME_LENGTH]


def _included(tree, file, texts):
    """``texts`` with the file and those that it includes by -r and -c, theirs too."""
    if not _is_inside(tree, file):
        raise CommandExecutionError(f"requirements: {file} is included and not in the release")
    path = _path(tree, file)
    if path in texts:
        return texts
    texts[path] = file.read_text("utf-8", errors="surrogateescape")
    for line in texts[path].splitlines():
        include = INCLUDE.match(line)
        if include and "://" not in include[1]:
            _included(tree, file.parent / include[1], texts)
    return texts


def _refuse(pattern, texts):
    """Building a package runs its code, here as root: the app's own code never may."""
    for path, text in texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.match(line):
                raise CommandExecutionError(
                    f"{path}:{number}: {line.strip()}: a folder of the release would be built as root: "
                    "leave it out (the code is imported from the release's folder) or put a wheel there"
                )


def _install(venv, tree, file, bytecode):
    what = f"installing what {_path(tree, file)} asks for"
    if file.name == LOCK:
        options = ("--frozen", "--no-dev", "--no-install-project")
        env = cache(venv) | {"UV_PROJECT_ENVIRONMENT": str(venv)}
        uv("sync", *in_place(venv, bytecode), *options, cwd=file.parent, env=env, what=what)
    else:
        options = ("--requirement", file)
        uv("pip", "install", *in_place(venv, bytecode), *options, cwd=tree, env=cache(venv), what=what)


def in_place(venv, bytecode=True):
    """The options with which uv installs into a venv."""
    # uv leaves the bytecode to the first process, and the app cannot write here: every start would compile anew.
    compiled = "--compile-bytecode" if bytecode else "--no-compile-bytecode"
    return "--quiet", compiled, "--python", venv / "bin/python"


def cache(venv):
    """The variable that gives uv the cache of a venv's Python."""
    return {"UV_CACHE_DIR": str(Path(CACHE, _configuration(venv)["home"].strip("/").replace("/", "-")))}


def uv(*arguments, cwd="/", env=None, stdin="", what):
    """Run uv as this project always does. Raises CommandExecutionError with its words and ``what`` was being done."""
    ours = {
        "UV_CACHE_DIR": CACHE,
        "UV_PYTHON_INSTALL_DIR": PYTHONS,
        # Else "python3" would mean another Python as soon as uv has fetched one for another app.
        "UV_PYTHON_PREFERENCE": "system",
        "UV_NO_PROGRESS": "1",
        "NO_COLOR": "1",
    }
    env = command.network() | ours | (env or {})
    return command.run([UV, *arguments], cwd=cwd, env=env, stdin=stdin, timeout=TIMEOUT, what=what)


def _interpreter(venv):
    """Which Python a venv has: implementation and full version."""
    values = _configuration(venv)
    return f"{values['implementation']} {values['version_info']}"


def _configuration(venv):
    """What uv wrote down about the Python of a venv."""
    lines = (venv / "pyvenv.cfg").read_text("utf-8").splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}


def _is_inside(tree, file):
    return file.is_file() and file.resolve().is_relative_to(tree.resolve())


def _path(tree, file):
    return str(file.resolve().relative_to(tree.resolve()))
