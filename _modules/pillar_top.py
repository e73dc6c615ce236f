"""What ``pillar/top.sls`` asks while a pillar is compiled: on the master, or without one on the host itself."""

import logging

import salt.pillar

import app_spec

log = logging.getLogger(__name__)


def secrets():
    """
    Return the SLS files with secrets that each host gets: ``{host: [sls, ...]}``.

    They follow from the inventory and the apps alone (``app_spec.secret_files``), and from nothing that a minion says:
    no grain, and no pillar that it sends along. With a mistake in those two nobody gets a secret.

    CLI Example:

    .. code-block:: bash

        salt-call --local pillar_top.secrets
    """
    # A copy: the compiler changes what it is given.
    compiler = salt.pillar.Pillar(dict(__opts__), {}, "*", "base", pillarenv="base")
    shared, errors = compiler.render_pillar({"base": ["hosts", "apps"]})
    try:
        if errors:
            raise app_spec.SpecError("\n".join(errors))
        return app_spec.secret_files(app_spec.load(shared))
    except app_spec.SpecError as error:
        log.error("No host gets a secret until the pillar is right:\n%s", error)
        return {}
