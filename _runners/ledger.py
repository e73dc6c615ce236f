"""What is deployed, what is being deployed, and what was tried before."""

import ledger_file


def show(app):
    """
    The ledger of an app: ``deployed``, ``in_progress``, ``skipped`` (who missed it), ``history`` (newest last).

    CLI Example:

    .. code-block:: bash

        salt-run ledger.show shop
    """
    return ledger_file.read(ledger_file.folder(__opts__), app)
