"""
The config files of an app, as the pillar's ``apps:<app>:files`` wants them.

Core's ``file.managed`` is not used on purpose: see ``secrets``. The files are in a folder that is never changed: new
ones make another edition of it, and a link is moved. So a slot keeps the files with which it was started, and what
serves does not meet new ones before they have proved themselves.
"""

import os
from pathlib import Path

from salt.exceptions import CommandExecutionError

import app_files
import app_spec
import app_spec_files
import editions
import staging
import state_result

CHECK_SECONDS = 60


@state_result.failures_are_results
def written(name, app, folder, release, python):
    """
    Ensure that the files of an app that go into its folder of ``/etc`` are there, checked, and none that were before.

    name
        The link to the edition that holds them, in a folder that exists.
    folder
        The folder in which each of them has a link to it.
    release, python
        Where the commands ``check`` of the files are run, and its Python.

    The result has a diff of each file, and of a secret one only that it changed.

    .. code-block:: yaml

        shop-files:
          app_files.written:
            - name: /etc/shop/files/set
            - app: shop
            - folder: /etc/shop
            - release: /srv/shop/releases/1a2b3c4d5e6f
            - python: /srv/shop/releases/1a2b3c4d5e6f/.venv/bin/python
    """
    spec = _spec(app)
    files = app_files.wanted(spec, "etc", __salt__["cp.cache_file"])
    changes, links = app_files.differences(name, files, spec.group), _links(name, folder, files)
    told = {link.name: {"link": "removed" if target is None else "added"} for link, target in links.items()} | changes
    if not told:
        return state_result.unchanged(name, "The files are as they should be")
    with staging.failing(f"the files in {folder} were not written"):
        if changes:
            _renew(name, spec, files, changes, release=release, python=python)
        if __opts__["test"]:
            return state_result.would(name, told, f"{', '.join(told)} would be changed")
        _lead(links)
    return state_result.changed(name, told, f"{', '.join(told)} changed")


@state_result.failures_are_results
def furnished(name, app, code):
    """
    Ensure that there is a copy of a release with the files of the app that go into releases, checked.

    name
        The link to the edition of the copy, in a folder that exists. Where no file goes into releases there is none.
    code
        The release, which stays as it is. Its files are not copied, but have a second name.

    The result has a diff of each file, and of a secret one only that it changed.

    .. code-block:: yaml

        shop-release-files:
          app_files.furnished:
            - name: /srv/shop/furnished/1a2b3c4d5e6f
            - app: shop
            - code: /srv/shop/releases/1a2b3c4d5e6f
    """
    spec = _spec(app)
    files = app_files.wanted(spec, "release", __salt__["cp.cache_file"])
    changes = app_files.differences(name, files, spec.group)
    if not changes:
        return state_result.unchanged(name, "The files are as they should be")
    with staging.failing(f"no files went into {code}"):
        _renew(name, spec, files, changes, base=code)
    if __opts__["test"]:
        return state_result.would(name, changes, f"{', '.join(changes)} would be changed")
    return state_result.changed(name, changes, f"{', '.join(changes)} changed")


def _spec(app):
    return app_spec.load(__pillar__, __grains__).app(app)


def _renew(link, spec, files, changes, base="", release="", python=""):
    """
    Make another edition with the files, and have those that changed checked; in test mode nothing is left of it.

    The checks run in ``release``, or in the edition itself, which is then a copy of the release ``base``.
    """
    checked = [file for file in files if file.check and file.name in changes]
    able = Path(link).parent.is_dir() and Path(base or python).exists()
    if __opts__["test"] and not (checked and able):
        return
    if not files:
        Path(link).unlink()
        return
    with editions.next_of(link) as new:
        app_files.fill(new, files, spec.group, base)
        for file in checked:
            _check(spec, file, new, release or new, python or new / app_files.PYTHON)
        if not __opts__["test"]:
            editions.publish(new, link)


def _check(spec, file, new, folder, python):
    """Have the file's own command look at it, and at the others that are new with it."""
    command = [part.replace("{file}", str(new / file.name)) for part in file.check]
    others = app_spec_files.variables(spec.files, new) if file.into == "etc" else {}
    try:
        __salt__["hooks.run"](command, str(folder), str(python), spec.user, spec.variables | others, CHECK_SECONDS)
    except CommandExecutionError as error:
        said = "the command failed; what it said is not shown, because the file is secret" if file.secret else error
        problem = f"apps:{spec.name}:files:{file.name}:check: nothing was changed: {said}"
        raise CommandExecutionError(problem) from None


def _links(name, folder, files):
    """``{link: where it shall lead}`` of the links in a folder that are lacking; None for one that is left over."""
    ours, folder = os.path.relpath(name, folder), Path(folder)
    wanted = {folder / top: f"{ours}/{top}" for top in sorted({file.name.partition("/")[0] for file in files})}
    found = {link: str(link.readlink()) for link in folder.glob("*") if link.is_symlink()}
    for link in wanted:
        if os.path.lexists(link) and found.get(link) != wanted[link]:
            raise CommandExecutionError(
                f"{link} is not Slipway's: move it away, then run this again; nothing was changed"
            )
    lacking = {link: target for link, target in wanted.items() if link not in found}
    gone = [link for link, target in found.items() if link not in wanted and target.startswith(f"{ours}/")]
    return lacking | dict.fromkeys(gone)


def _lead(links):
    for link, target in links.items():
        if target is None:
            link.unlink()
        else:
            staging.point(link, target)
