"""
The steps that Django has in a deploy, as states that ask Django and not an event, so that they heal after a failure.

They take what the functions of the execution module ``manage`` take, and ``current``, the link to the release that is
served here: that one was checked and migrated before it was served, so nothing is asked about it.
"""

from pathlib import Path

import state_result


@state_result.failures_are_results
def checked(name, python, folder, settings, user, variables, current=""):
    """
    Ensure that ``check --deploy`` finds no errors in a release.

    .. code-block:: yaml

        shop-checked:
          manage.checked:
            - python: /srv/shop/releases/1a2b3c4d5e6f/.venv/bin/python
            - folder: /srv/shop/releases/1a2b3c4d5e6f
            - settings: shop.settings.production
            - user: shop
            - variables: {SECRETS_FILE: /etc/shop/secrets.json}
            - current: /srv/shop/current
    """
    if _is_served(folder, current):
        return state_result.unchanged(name, "The release is served, so it has been checked")
    if _is_to_come(python):
        return state_result.unchanged(name, "The release is to come: it is checked as soon as it is staged")
    warnings = __salt__["manage.check"](python, folder, settings, user, variables)
    return state_result.unchanged(name, "\n".join([f"No errors, {len(warnings)} warnings", *warnings]))


@state_result.failures_are_results
def migrated(name, python, folder, settings, user, variables, current="", lock_timeout=0):
    """
    Ensure that every migration of a release is applied. Give it to one host of the fleet.

    lock_timeout
        Seconds for which a migration is tried while others hold locks that it needs in PostgreSQL; 0: it waits.

    .. code-block:: yaml

        shop-migrated:
          manage.migrated:
            - python: /srv/shop/releases/1a2b3c4d5e6f/.venv/bin/python
            - folder: /srv/shop/releases/1a2b3c4d5e6f
            - settings: shop.settings.production
            - user: shop
            - variables: {SECRETS_FILE: /etc/shop/secrets.json}
            - current: /srv/shop/current
            - lock_timeout: 5
    """
    if _is_served(folder, current):
        return state_result.unchanged(name, "The release is served, so it has been migrated")
    if _is_to_come(python):
        return state_result.would(name, {}, "What is pending will be known when the release is staged")
    pending = __salt__["manage.pending_migrations"](python, folder, settings, user, variables)
    if not pending:
        return state_result.unchanged(name, "Every migration is applied")
    if __opts__["test"]:
        return state_result.would(name, {"applied": pending}, f"{len(pending)} migrations would be applied")
    applied = __salt__["manage.migrate"](python, folder, settings, user, variables, lock_timeout)
    if not applied:
        return state_result.unchanged(name, "Every migration is applied: another host was faster")
    return state_result.changed(name, {"applied": applied}, f"{len(applied)} migrations were applied")


@state_result.failures_are_results
def static_collected(name, python, folder, settings, user, variables, shared, current=""):
    """
    Ensure that the static files of a release are collected in it, and linked into the folder that is served.

    .. code-block:: yaml

        shop-static:
          manage.static_collected:
            - python: /srv/shop/releases/1a2b3c4d5e6f/.venv/bin/python
            - folder: /srv/shop/releases/1a2b3c4d5e6f
            - settings: shop.settings.production
            - user: shop
            - variables: {SECRETS_FILE: /etc/shop/secrets.json}
            - shared: /srv/shop/static
            - current: /srv/shop/current
            - watch:
              - app_files: shop-release-files
    """
    if __salt__["manage.is_collected"](folder):
        lacking = __salt__["manage.unshared"](folder, shared)
        if not lacking:
            return state_result.unchanged(name, "The static files are collected")
        changes = {"linked": lacking}
    elif _is_served(folder, current):
        return state_result.unchanged(name, "The release is served, and it has no static files to collect")
    elif _is_to_come(python):
        return state_result.would(name, {"collected": folder}, "The static files would be collected")
    elif not __salt__["manage.static_root"](python, folder, settings, user, variables):
        return state_result.unchanged(name, "STATIC_ROOT is not set, so there is nothing to collect")
    else:
        changes = {"collected": folder}
    if __opts__["test"]:
        return state_result.would(name, changes, "The static files would be collected and linked")
    linked = __salt__["manage.collect_static"](python, folder, settings, user, variables, shared)
    return state_result.changed(name, changes, f"The static files are collected, {linked} were linked")


@state_result.failures_are_results
def static_shared(name, folder, shared):
    """
    Ensure that the folder that is served has the static files of the release that is served.

    ``static_collected`` has added what was new. This replaces what other releases have under the same name: files
    without a hash in theirs, which must not change before the release has the traffic.

    .. code-block:: yaml

        shop-static-shared:
          manage.static_shared:
            - folder: /srv/shop/releases/1a2b3c4d5e6f
            - shared: /srv/shop/static
    """
    if __salt__["manage.is_collected"](folder):
        outdated = __salt__["manage.unshared"](folder, shared, replace=True)
    elif __opts__["test"] and not Path(folder).is_dir() and any(Path(shared).glob("*")):
        outdated = ["those of another release"]
    else:
        outdated = []
    if not outdated:
        return state_result.unchanged(name, "The static files are those of the release that is served")
    changes = {"replaced": outdated}
    if __opts__["test"]:
        return state_result.would(name, changes, "The static files of another release would be replaced")
    __salt__["manage.share"](folder, shared, replace=True)
    return state_result.changed(name, changes, "The static files of another release were replaced")


def mod_watch(name, sfun, folder, **kwargs):
    """
    Predict, in test mode, what follows from files that would go into the release that is served: for its static files
    it is another one. For real the states above find that themselves.
    """
    if not __opts__["test"] or not __salt__["manage.is_collected"](folder):
        return state_result.unchanged(name, "The static files are those of the release")
    what = {"static_collected": "collected", "static_shared": "replaced"}[sfun]
    return state_result.would(name, {what: folder}, "The static files would be collected anew, for the changed files")


def _is_served(folder, current):
    return bool(current) and Path(folder).is_dir() and Path(current).resolve() == Path(folder).resolve()


def _is_to_come(python):
    """Whether the release that we are asked about will be there only when this is no test."""
    return __opts__["test"] and not Path(python).exists()
