"""How this host applies its states by itself (docs/pull.md)."""

from pathlib import Path

import app_spec
import host_timers

TIMER = "slipway-pull.timer"
UNITS = Path("/etc/systemd/system")

# What of each role belongs to no release and needs no secret: all that a host may see to without its master. The SLS
# files of an app's own process manager and web server come to it.
ALONE = {"app": (), "database": ("database.server",), "cache": ("cache.server",), "balancer": ("nginx",)}


def timers():
    """
    Return how this host pulls, in a list that is empty where it does not: every, chance (seconds), command,
    config.

    ``chance`` is a tenth of ``every``, ``command`` are the arguments of ``_utils/pulling.py``, ``config`` is a file of
    the minion's configuration.

    :raises SpecError: with every mistake of the pillar

    CLI Example:

    .. code-block:: bash

        salt web1 pull.timers
    """
    every = app_spec.load(__pillar__, __grains__).pull
    timer = {"every": every, "chance": max(every // 10, 1), "command": _command(), "config": _config()}
    return [timer] if every else []


def left():
    """
    Return what is left on a host that pulls no more, in a list that is empty where nothing is: name (of the timer),
    config.

    CLI Example:

    .. code-block:: bash

        salt web1 pull.left
    """
    return [] if timers() or not (UNITS / TIMER).exists() else [{"name": TIMER, "config": _config()}]


def _config():
    return str(Path(__opts__["config_dir"], "minion.d/slipway-pull.conf"))


def _command():
    options = {
        "salt-call": host_timers.salt_call(),
        "config-dir": __opts__["config_dir"],
        "cache": __opts__["cachedir"],
        "alone": ",".join(_alone()),
    }
    return [*(f"--{name}={value}" for name, value in options.items()), *_masters()]


def _alone():
    roles = __salt__["apps.roles"]()
    apps = [*__salt__["apps.managers"](), *__salt__["apps.fronts"]()] if "app" in roles else []
    return list(dict.fromkeys([*apps, *(sls for role in roles for sls in ALONE[role])]))


def _masters():
    if __opts__["file_client"] == "local":
        return []
    masters = __opts__["master"]
    return [f"{master}:{__opts__['master_port']}" for master in ([masters] if isinstance(masters, str) else masters)]
