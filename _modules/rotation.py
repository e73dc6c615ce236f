"""What a rotation of secrets asks an app's host."""

import os
import tempfile
from pathlib import Path

import app_spec
import repository

# In memory, and root's: what is tried out leaves nothing on a disk.
FOLDER = "/run"


def serving(app):
    """
    Return which slot of an app has the traffic, as ``slots.serving``, and as ``pending`` what ``slots.activate`` would
    change: ``{}`` if it was started with the config files and secrets as they are now.

    CLI Example:

    .. code-block:: bash

        salt web1 rotation.serving shop
    """
    spec = __salt__["apps.spec"](app)
    release = spec["releases"][0]
    where = (spec["slots"], spec["paths"]["current"], release["id"], release["path"], spec["config_files"])
    return {**__salt__["slots.serving"](app), "pending": __salt__["slots.pending"](*where)}


def try_deploy_key(app):
    """
    Ask the app's git server something with the newest deploy key of the pillar, and return True.

    :raises CommandExecutionError: with git's own words, if the server does not let it in

    CLI Example:

    .. code-block:: bash

        salt web1 rotation.try_deploy_key shop
    """
    spec = app_spec.load(__pillar__, __grains__).app(app)
    key = spec.values[app_spec.secret_key(app, app_spec.DEPLOY_KEY)].values[0]
    descriptor, path = tempfile.mkstemp(prefix="slipway-key-", dir=FOLDER)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(key.reveal().strip() + "\n")
        repository.reach({**app_spec.plain(spec)["source"], "deploy_key": path})
    finally:
        Path(path).unlink()
    return True
