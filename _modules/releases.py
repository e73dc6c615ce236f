"""
Releases of an app on this host: what a revision means, staging, and removing what is no longer needed.

A release is complete or absent, whatever fails or is killed on the way.
"""

import contextlib
import json
import os
from pathlib import Path

from salt.exceptions import CommandExecutionError

import app_files
import app_spec
import app_spec_files
import archives
import command
import editions
import folders
import launch
import repository
import staging
import venv_packages
import venvs as environments

ID_LENGTH = 12
ID = ".release"
INPUTS = ".inputs.json"
VENV = ".venv"
# Names that are ours in a release, whatever the code brings along; `.static` is that of `manage.collect_static`.
OURS = (VENV, ID, INPUTS, ".static", app_files.NOTE)


def resolve(source, revision, mirror):
    """
    What to release: ``{"id": <12 characters>, "commit": <what the source calls it in full>}``.

    source
        ``{"kind": "git" | "archive" | "path", "url", "hash", "deploy_key", "known_hosts"}``. The commit of an archive
        is its SHA-256, of a folder the hash of what is in it.
    revision
        Of git: a tag, a branch, a full or short commit. Only a full commit is understood without asking anybody.
    mirror
        The bare repository on this host, which answers when the other does not.

    Raises CommandExecutionError if there is no such revision.

    CLI Example:

    .. code-block:: bash

        salt-call releases.resolve '{kind: git, url: https://git.example.com/shop.git}' v1.4.2 /srv/shop/source.git
    """
    if source["kind"] == "git":
        commit = repository.resolve(source, revision, mirror)
    elif source["kind"] == "archive":
        commit = source["hash"]
    else:
        commit = folders.digest(source["url"])
    return {"id": commit[:ID_LENGTH], "commit": commit}


def lacks(path, requirements, python, environment):
    """
    What is missing of a release: ``release``, ``venv`` or nothing (an empty text). Starts no process.

    A venv is missing too if the release was staged with another ``requirements``, ``python`` or ``environment``.

    CLI Example:

    .. code-block:: bash

        salt-call releases.lacks /srv/shop/releases/1a2b3c4d5e6f '' python3 production
    """
    release = Path(path)
    if not _is_complete(release):
        return "release"
    inputs = _inputs(requirements, python, environment)
    same = _read(release / INPUTS) == inputs and environments.is_complete(release / VENV)
    return "" if same else "venv"


def missing_packages(path, packages):
    """
    Those of the requirements ``packages`` that are not in the venv of a staged release. Starts no process.

    CLI Example:

    .. code-block:: bash

        salt-call releases.missing_packages /srv/shop/releases/1a2b3c4d5e6f '["gunicorn==27.0.1"]'
    """
    return venv_packages.missing(Path(path, VENV).resolve(), packages)


def stage(path, source, commit, mirror, downloads, venvs, requirements, python, environment, packages=()):
    """
    Make a release ready at ``path``, with its venv, and touch nothing that is in use; returns what was lacking.

    path
        Where the release shall be; the last part is its id.
    source, commit, mirror
        As ``releases.resolve`` takes and gives them.
    downloads, venvs
        The folders of the app's archives and virtual environments.
    requirements, python, environment
        What decides the venv: a file in the release or empty, what uv takes for a Python, ``production``.
    packages
        Requirements of the app's server: what the venv lacks of them is added to it, and nothing in it is changed.

    Raises CommandExecutionError; then nothing new is there, and what was there still is.

    CLI Example:

    .. code-block:: bash

        salt-call releases.stage /srv/shop/releases/1a2b3c4d5e6f '{kind: path, url: /home/me/shop}' 1a2b3c4d5e6f...
            /srv/shop/source.git /srv/shop/downloads /srv/shop/venvs '' python3 production
    """
    release = Path(path)
    with staging.failing(f"{path} was not staged"), _alone(release.parent, venvs, downloads):
        lacking = lacks(path, requirements, python, environment)
        new = staging.temporary(release)
        if lacking == "release":
            _fetch(source, commit, mirror, downloads, new)
            _equip(new, release, venvs, requirements, python, environment, packages)
            staging.publish(new, release)
            _empty(downloads)
        elif lacking == "venv":
            _equip(release, release, venvs, requirements, python, environment, packages)
        else:
            venv_packages.add((release / VENV).resolve(), release, requirements, environment, packages)
    return lacking


def preview(
    path, home, current, source, commit, mirror, venvs, requirements, python, environment, packages, django, files_of=""
):
    """
    What staging a release would bring, told by a throwaway copy of it beside ``home``: nothing below that is touched.

    path, source, commit, mirror, venvs, requirements, python, environment, packages
        As ``releases.stage`` takes them. A release that is staged already is asked itself, unless it gets files.
    home, current
        The app's folder, and the link to the release that serves.
    django
        ``{"settings", "user", "variables"}`` as ``manage.pending_migrations`` takes them.
    files_of
        The app whose config files the copy gets; empty if it has none.

    Returns a dictionary: ``requirements`` as ``{name: [old version, new version]}``, ``migrations`` that are pending,
    ``unsafe`` as ``{migration: [reasons]}``, ``unexamined`` as ``{migration: why}``; ``unknown``, why something is not
    known yet (and None), and ``problem``, what Django has to say against the release.

    Raises CommandExecutionError if the copy cannot be made, as the release could not then.

    CLI Example:

    .. code-block:: bash

        salt-call releases.preview path=/srv/shop/releases/1a2b3c4d5e6f home=/srv/shop ...
    """
    if not Path(environments.UV).exists():
        return {"unknown": f"there is no {environments.UV} yet: orch.provision"}
    lacking = lacks(path, requirements, python, environment) or missing_packages(path, packages)
    if not files_of and not lacking:
        return _foreseen(Path(path), current, **django)
    what = (source, commit, mirror, venvs, requirements, python, environment, packages)
    with staging.failing(f"no copy of {path} was made"), _throwaway(Path(home)) as box:
        tree = _sketch(box, Path(path).name, *what)
        if files_of and not _unprovided(django["user"], django["variables"]):
            django = {**django, "variables": django["variables"] | _place_files(files_of, tree, box / "files")}
        return _foreseen(tree, current, **django)


def prunable(folder, keep, slots, release, protect, venvs, furnished=""):
    """
    What can be removed: old releases, venvs that no release links to, and what killed runs have left; a list of paths.

    folder, venvs
        The folders of the app's releases and venvs.
    keep
        How many releases shall be there, with ``release``, whether that is there already or not.
    slots
        The folder whose links name the releases that run.
    release
        The path of the release that is wanted.
    protect
        Ids of releases that must stay, such as the one to roll back to.
    furnished
        The folder of the releases' copies with files in them, which go with their release.

    CLI Example:

    .. code-block:: bash

        salt-call releases.prunable /srv/shop/releases 5 /srv/shop/slots /srv/shop/releases/1a2b3c '[]' /srv/shop/venvs
    """
    return [str(path) for path in _prunable(folder, keep, slots, Path(release), protect, venvs)]


def prune(folder, keep, slots, release, protect, venvs, furnished=""):
    """
    Remove what ``releases.prunable`` (with the same arguments) names; returns the paths that were removed.

    CLI Example:

    .. code-block:: bash

        salt-call releases.prune /srv/shop/releases 5 /srv/shop/slots /srv/shop/releases/1a2b3c '[]' /srv/shop/venvs
    """
    with staging.failing(f"{folder} was not pruned"), staging.locked(folder):
        doomed = _prunable(folder, keep, slots, Path(release), protect, venvs)
        for path in doomed:
            staging.discard(path)
            if furnished:
                Path(furnished, path.name).unlink(missing_ok=True)
        if furnished:
            editions.clean(furnished, slots)
    return [str(path) for path in doomed]


def _prunable(folder, keep, slots, wanted, protect, venvs):
    others = [path for path in _releases(folder) if path != wanted]
    used = {_id(link) for link in Path(slots).glob("*") if link.is_symlink()}
    old = [path for path in others[max(keep - 1, 0) :] if path.name not in {*used, *protect}]
    if not _is_complete(wanted):
        # Which of the venvs it will link to is not known yet, and staging clears the leftovers.
        return old
    staying = [path for path in Path(folder).iterdir() if path not in old]
    needed = {link.resolve() for path in staying for link in path.glob(f"{VENV}*")}
    unused = [path for path in sorted(Path(venvs).glob("[!.]*")) if path.resolve() not in needed]
    return [*old, *unused, *staging.leftovers(folder), *staging.leftovers(venvs)]


@contextlib.contextmanager
def _alone(releases, *others):
    """Hold the app's releases, free of what killed runs have left, and leave nothing half-made."""
    with staging.locked(releases):
        try:
            _clear(releases, *others)
            yield
        finally:
            _clear(releases, *others)


def _clear(*folders):
    for folder in folders:
        staging.clear(folder)


def _fetch(source, commit, mirror, downloads, new):
    """Put the code of a commit into the folder ``new``."""
    if source["kind"] == "git":
        new.mkdir()
        repository.export(source, commit, mirror, new)
    elif source["kind"] == "archive":
        archives.unpack(archives.download(source["url"], commit, downloads), new)
    else:
        folders.copy(source["url"], new)
        if folders.digest(new) != commit:
            raise CommandExecutionError(f"{source['url']} has changed since its hash was {commit}: release it anew")
    folders.open_to_all(new)


def _equip(tree, release, venvs, requirements, python, environment, packages):
    """Give the code in ``tree``, which is or will be at ``release``, its venv, its bytecode and its name."""
    fresh = tree != release
    if fresh:
        for name in OURS:
            staging.remove(tree / name)
    venv = environments.build(venvs, release.name, tree, requirements, python, environment)
    venv_packages.add(venv, tree, requirements, environment, packages)
    if fresh:
        _compile(venv, tree, release)
    _link(tree / VENV, os.path.relpath(venv, release))
    staging.write(tree / INPUTS, json.dumps(_inputs(requirements, python, environment)) + "\n")
    if fresh:
        staging.write(tree / ID, release.name + "\n")


def _link(link, target):
    """Link the venv; the one before keeps a link, because a process that runs in it may still import from there."""
    if link.is_symlink() and str(link.readlink()) != target:
        before = link.readlink()
        staging.point(link.with_name(f"{VENV}.{before.name}"), before)
    staging.point(link, target)


@contextlib.contextmanager
def _throwaway(home):
    """A folder beside the app's, on the same file system, that is gone afterwards; one at a time on a host."""
    with staging.locked(home.parent):
        box = staging.temporary(home)
        try:
            staging.remove(box)
            yield staging.make_folder(box)
        finally:
            staging.remove(box)


def _sketch(box, id, source, commit, mirror, venvs, requirements, python, environment, packages):
    """A release in ``box``, as ``stage`` makes them but for the bytecode; it borrows from ``mirror`` and ``venvs``."""
    tree, own = box / id, staging.make_folder(box / "venvs")
    if source["kind"] == "git":
        repository.borrow(mirror, box / "source.git")
    _fetch(source, commit, box / "source.git", box / "downloads", tree)
    for name in OURS:
        staging.remove(tree / name)
    wanted = (id, tree, requirements, python, environment)
    venv = environments.build(own, *wanted, others=venvs, bytecode=False)
    if venv.parent != own and venv_packages.missing(venv, packages):
        venv = environments.build(own, *wanted, bytecode=False)
    venv_packages.add(venv, tree, requirements, environment, packages)
    _link(tree / VENV, venv)
    staging.write(tree / ID, id + "\n")
    return tree


def _place_files(app, tree, folder):
    """Put an app's files into a copy of a release, and those of its folder of /etc into another; their variables."""
    spec = app_spec.load(__pillar__, __grains__).app(app)
    into = {into: app_files.wanted(spec, into, __salt__["cp.cache_file"]) for into in ("release", "etc")}
    app_files.put(tree, into["release"], spec.group)
    app_files.fill(folder, into["etc"], spec.group)
    return app_spec_files.variables(spec.files, folder)


def _foreseen(tree, current, settings, user, variables):
    """What the release in ``tree`` says of itself, and how its venv differs from that of the release which serves."""
    changed = venv_packages.differences(Path(current, VENV), tree / VENV)
    found = {"requirements": changed, "migrations": None, "unsafe": {}, "unexamined": {}, "problem": ""}
    found["unknown"] = _unprovided(user, variables)
    if found["unknown"]:
        return found
    question = (str(tree / VENV / "bin/python"), str(tree), settings, user, variables)
    try:
        found["migrations"] = __salt__["manage.pending_migrations"](*question)
        if found["migrations"]:
            examined = __salt__["manage.examine"](*question)
            found |= {"unsafe": examined["unsafe"], "unexamined": examined["unknown"]}
        __salt__["manage.check"](*question)
    except CommandExecutionError as error:
        found["problem"] = f"{error}\n(asked with the secrets file as it is here now: a deploy writes it first)"
    return found


def _unprovided(user, variables):
    """Why Django cannot be asked yet: what a highstate makes is not there. Empty if it can."""
    files = [variables[name] for name in ("SECRETS_FILE", launch.FILE) if name in variables]
    try:
        if user:
            command.find(user)
    except CommandExecutionError as error:
        return str(error)
    return next((f"there is no {file} yet" for file in files if not Path(file).exists()), "")


def _empty(downloads):
    """Archives are of no use once they are releases."""
    for path in Path(downloads).glob("*"):
        staging.remove(path)


def _compile(venv, tree, release):
    """Write the bytecode, which the app cannot do in a folder of root's."""
    python = [venv / "bin/python", "-I", "-S", "-m", "compileall", "-qq", "-s", tree, "-p", release, tree]
    # Files that are no Python of this version (templates of code, say) are the app's own business.
    with contextlib.suppress(CommandExecutionError):
        command.run(python, timeout=600)


def _releases(folder):
    """The complete releases in a folder, the one that was staged last first."""
    found = [path for path in Path(folder).glob("[!.]*") if _is_complete(path)]
    return sorted(found, key=lambda path: (path / ID).stat().st_mtime_ns, reverse=True)


def _is_complete(release):
    return not release.is_symlink() and _id(release) == release.name


def _id(folder):
    """The id of the release in a folder, or of which it is a copy; empty if it is none."""
    file = folder / ID
    return file.read_text("utf-8").strip() if file.is_file() else ""


def _inputs(requirements, python, environment):
    return {"requirements": requirements, "python": python, "environment": environment}


def _read(path):
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
