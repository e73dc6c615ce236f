"""
What the ledger says, as the pillar keys ``releases``, ``rollouts`` and ``skipped``: pull and push follow the same
source of truth.

.. code-block:: yaml

    # Where the tree has a folder `pillar`, module_dirs alone does not find `_pillar`.
    pillar_dirs: [/srv/slipway/_pillar]
    ext_pillar:
      - ledger: {}
"""

import ledger_file
import lock_file


def ext_pillar(minion_id, pillar, *args, **kwargs):
    """
    ``{"releases": {app: {"id", "commit", "revision"}}, "rollouts": {app: id}, "skipped": {app: [host, ...]}}``: the
    keys are always there, so that a host never falls back to the pillar's own revision behind the ledger's back.
    ``rollouts`` are those of which the process is alive and holds the lock.

    Raises CommandExecutionError if a ledger cannot be read: every state run then stops with the reason.
    """
    folder = ledger_file.folder(__opts__)
    skipped = {app: list(hosts) for app, hosts in ledger_file.skipped(folder).items()}
    return {"releases": ledger_file.deployed(folder), "rollouts": lock_file.rollouts(folder), "skipped": skipped}
