"""
What the ledger says is deployed, and who missed it, as the pillar keys ``releases``, ``rollouts`` and ``skipped``, and
which values of secrets are in use, as ``in_use``: pull and push follow the same source of truth.

.. code-block:: yaml

    # Where the tree has a folder `pillar`, module_dirs alone does not find `_pillar`.
    pillar_dirs: [/srv/slipway/_pillar]
    ext_pillar:
      - ledger: {}
"""

import app_spec
import ledger_file
import lock_file


def ext_pillar(minion_id, pillar, *args, **kwargs):
    """
    ``{"releases": {app: {"id", "commit", "revision"}}, "rollouts": {app: id}, "skipped": {app: [host, ...]}, "in_use":
    {app: {secret: {...}}}}``: the keys are always there, so that a host never falls back to the pillar's own revision
    behind the ledger's back. ``rollouts`` are those of which the process is alive and holds the lock, ``in_use`` has
    what the host's own apps and databases need to know.

    Raises CommandExecutionError if a ledger cannot be read: every state run then stops with the reason.
    """
    folder = ledger_file.folder(__opts__)
    noted = {app: ledger["in_use"] for app, ledger in ledger_file.ledgers(folder).items() if ledger["in_use"]}
    return {
        "releases": ledger_file.deployed(folder),
        "rollouts": lock_file.rollouts(folder),
        "skipped": {app: list(hosts) for app, hosts in ledger_file.skipped(folder).items()},
        "in_use": _own(minion_id, noted) if noted else {},
    }


def _own(host, noted):
    """
    What a host is told: nothing about secrets that it has not got itself. ``pillar`` above is no witness for that: in
    it is already what the host has sent along.
    """
    files = __salt__["pillar_top.secrets"]().get(host, [])
    told = {
        app: {path: entry for path, entry in entries.items() if app_spec.secret_file(app, path) in files}
        for app, entries in noted.items()
    }
    return {app: entries for app, entries in told.items() if entries}
