"""Whether this host is able to take a release: the master asks before it changes anything."""

import shutil
import socket
import time
from pathlib import Path

from salt.exceptions import CommandExecutionError

import module_digest

# Bytes. A venv of 35 packages with its bytecode takes about 250 MiB (our measurement), and uv fills its cache as well.
DISK_SPACE = 512 * 1024**2

UNITS = {"nginx": "nginx", "apache": "apache2"}

# Where systemd looks for what it starts at a boot (salt/systemd/init.sls).
BOOT_UNIT = Path("/etc/systemd/system/multi-user.target.wants/slipway-start-active.service")

INCOMPLETE = "its pillar is not complete: {} If it holds secrets: make secrets-check on the master"

# Seconds in which a service on the same network answers, or does not.
SERVICE_TIMEOUT = 5


def report(app):
    """
    What the master needs to know of this host before a deploy of ``app``.

    ``time`` (seconds since the epoch), ``problems`` (sentences), ``serving`` (slot and release of the app; {} on a host
    that does not run it).

    CLI Example:

    .. code-block:: bash

        salt web1 preflight.report shop
    """
    incomplete = _incomplete()
    answer = {"time": time.time(), "problems": incomplete, "serving": {}}
    specs = [] if incomplete else [spec for spec in __salt__["apps.specs"]() if spec["name"] == app]
    for spec in specs:
        answer["problems"] = [problem for check in CHECKS for problem in check(spec)]
        answer["serving"] = __salt__["slots.serving"](app)
    return answer


def modules():
    """
    The digest of the modules that this host has from the master.

    CLI Example:

    .. code-block:: bash

        salt web1 preflight.modules
    """
    return module_digest.of_host(__opts__["extension_modules"])


def pillar():
    """
    Return the roles of this host, if its pillar has no mistake.

    :raises CommandExecutionError: if a part of the pillar could not be rendered, with each
    :raises SpecError: with every mistake of the pillar, or if this minion's id is not in ``hosts``

    CLI Example:

    .. code-block:: bash

        salt web1 preflight.pillar
    """
    incomplete = _incomplete()
    if incomplete:
        raise CommandExecutionError("\n".join(incomplete))
    return __salt__["apps.roles"]()


def _incomplete():
    """What says that a part of this host's pillar is missing."""
    return [INCOMPLETE.format(error) for error in __pillar__.get("_errors", [])]


def _disk(spec):
    folder = next(path for path in (Path(spec["paths"]["home"]), *Path(spec["paths"]["home"]).parents) if path.exists())
    free = shutil.disk_usage(folder).free
    if free < DISK_SPACE:
        yield f"{free // 1024**2} MiB are free in {folder}, a release needs {DISK_SPACE // 1024**2}: remove old files"


def _services(spec):
    kinds = [("database", "PostgreSQL", one) for one in spec["databases"]]
    kinds += [("cache", "Redis", one) for one in spec["caches"]]
    for what, program, service in kinds:
        host, address, port = service["host"], service["address"], service["port"]
        try:
            socket.create_connection((address, port), timeout=SERVICE_TIMEOUT).close()
        except OSError as error:
            yield f"the {what} at {address}:{port} is not reached ({error}): is {program} up on {host}?"


def _manager(spec):
    try:
        __salt__[f"{spec['process_manager']}.programs"](spec["slots"][0]["program"])
    except CommandExecutionError as error:
        yield str(error)


def _boot(spec):
    if spec["process_manager"] == "systemd" and not BOOT_UNIT.exists():
        yield f"{BOOT_UNIT.name} is not enabled, which starts the app after a boot: apply the host's highstate"


def _front(spec):
    wanted, holder = spec["web"]["front"], __salt__["fronts.holder"]()
    others = [name for name in __salt__["apps.hosted"]() if name != spec["name"]]
    if holder not in ("", wanted) and others:
        yield f"{holder} has port 80, also for {', '.join(others)}: apply the host's highstate, which changes them all"
    if not __salt__["fronts.is_installed"](wanted):
        yield f"{wanted} is not installed: apply the host's highstate (salt-run state.orchestrate orch.provision)"
    elif not holder:
        yield f"{wanted} does not run: apply the host's highstate, or see journalctl -u {UNITS[wanted]}"


CHECKS = (_disk, _services, _manager, _boot, _front)
