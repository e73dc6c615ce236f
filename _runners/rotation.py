"""The plan of a rotation: which secrets of an app have a newer value in the pillar than the one in use."""

from salt.exceptions import CommandExecutionError, SaltException

import app_spec
import ledger_file
import rotation_plan


def steps(app):
    """
    The steps of a rotation, of which ``salt/orch/rotate.sls`` makes states. No value is among them.

    It never raises for a mistake in what was asked: ``problems`` holds the sentences, and the rest is empty.

    app
        The app's name.

    CLI Example:

    .. code-block:: bash

        salt-run rotation.steps shop
    """
    try:
        known = _fleet().app(app)
        deployed = ledger_file.read(ledger_file.folder(__opts__), app)["deployed"]
        if not deployed:
            raise CommandExecutionError(f"{app} is not deployed yet: leave one value of each secret, and deploy it")
        return rotation_plan.plan(_fleet(known.hosts[0]).app(app), deployed)
    except SaltException as error:
        return rotation_plan.no_plan(error)


def _fleet(*host):
    """The fleet as every minion's pillar describes it, or with the secrets that one host has."""
    # A function of the loader: nothing tells the event bus what it returns.
    pillar = __salt__["pillar.show_pillar"](*host)
    if pillar.get("_errors"):
        raise CommandExecutionError("\n".join(str(error) for error in pillar["_errors"]))
    return app_spec.load(pillar, {"id": host[0]} if host else None)
