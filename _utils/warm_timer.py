"""The timer that ends a slot which was kept warm: a transient unit of systemd, gone after it ran or after a boot."""

import shutil
import sys
from contextlib import suppress
from pathlib import Path

from salt.exceptions import CommandExecutionError

import command


def start(program, seconds, config, arguments):
    """
    Have ``slots.expire`` called in ``seconds``, by a ``salt-call`` of this host; an earlier timer of the program goes.

    :param program: the slot's program, which names the timer
    :param config: the folder of the minion's configuration
    :param arguments: those of ``slots.expire``
    :raises CommandExecutionError: on a host without systemd
    """
    name = f"slipway-warm-{program}"
    with suppress(CommandExecutionError):
        command.run(["systemctl", "stop", f"{name}.timer"])
    call = [_salt_call(), "--local", f"--config-dir={config}", "slots.expire", *map(str, arguments)]
    command.run(["systemd-run", "--quiet", "--collect", f"--unit={name}", f"--on-active={seconds}", *call])


def _salt_call():
    """The command of the Salt that runs this."""
    beside = Path(sys.executable).with_name("salt-call")
    return str(beside) if beside.exists() else shutil.which("salt-call") or "salt-call"
