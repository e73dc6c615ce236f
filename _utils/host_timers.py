"""
Timers of this host that call a function of ours later: transient units of systemd, gone when they are over or after a
boot.
"""

import shutil
import sys
from contextlib import suppress
from pathlib import Path

from salt.exceptions import CommandExecutionError

import command

# Where systemd keeps what systemd-run has made (systemd.unit(5), "Unit File Load Path").
TRANSIENT = Path("/run/systemd/transient")


def start(name, seconds, config, function, arguments, again=False):
    """
    Have a function called in ``seconds`` by a ``salt-call --local`` of this host; an earlier timer of the name goes.

    :param name: of the unit
    :param config: the folder of the minion's configuration
    :param function: of an execution module, ``slots.expire``
    :param arguments: its arguments, which everybody may read
    :param again: whether it is called each ``seconds`` until ``stop``
    :raises CommandExecutionError: on a host without systemd
    """
    stop(name)
    # Without it systemd is a minute late where that saves it work.
    when = [f"--on-active={seconds}", "--timer-property=AccuracySec=1s"]
    when += [f"--on-unit-inactive={seconds}"] if again else []
    call = [salt_call(), "--local", f"--config-dir={config}", function, *map(str, arguments)]
    command.run(["systemd-run", "--quiet", "--collect", f"--unit={name}", *when, *call])


def stop(name):
    """End a timer; without effect, and without a process, if there is none."""
    if (TRANSIENT / f"{name}.timer").exists():
        with suppress(CommandExecutionError):
            command.run(["systemctl", "stop", f"{name}.timer"])


def salt_call():
    """Return the command of the Salt that runs this."""
    beside = Path(sys.executable).with_name("salt-call")
    return str(beside) if beside.exists() else shutil.which("salt-call") or "salt-call"
