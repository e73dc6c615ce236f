"""Who is changing an app."""

import ledger_file
import lock_file


def show(app):
    """
    The lock of an app: ``owner``, ``token`` (the job), ``reason``, ``since``, ``expires`` and whether it has expired;
    {} if nobody holds it.

    CLI Example:

    .. code-block:: bash

        salt-run lock.show shop
    """
    return lock_file.show(ledger_file.folder(__opts__), app)


def release(app):
    """
    Take an app's lock away from its owner, whose job must be dead, and return what it was.

    CLI Example:

    .. code-block:: bash

        salt-run lock.release shop
    """
    return lock_file.release(ledger_file.folder(__opts__), app)
