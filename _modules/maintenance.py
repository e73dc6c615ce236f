"""Whether visitors are kept out of an app on this host. ``salt/maintenance`` does it."""

from pathlib import Path

import app_spec


def closed_for(app):
    """
    Why visitors of an app are kept out here: for ``maintenance``, as somebody wants it, or for a ``restore``, at whose
    end they are let in again. Empty if they are not kept out, or do not come here.

    CLI Example:

    .. code-block:: bash

        salt lb1 maintenance.closed_for shop
    """
    flags = [Path(found["flag"]) for found in __salt__["apps.maintenance"]() if found["app"] == app]
    said = [flag.read_text("utf-8") for flag in flags if flag.exists()]
    return ("restore" if app_spec.CLOSED_FOR_RESTORE in said[0] else "maintenance") if said else ""
