# ruff: noqa: F821  Salt injects its dunders when it loads a module.
"""A double of _modules/hooks.py; the script has one role for all commands of a phase."""

import shlex


def run(command, folder, python, user, variables, timeout=600):
    """As the original."""
    told = {name: value for name, value in variables.items() if name.startswith("SLIPWAY_")}
    __salt__["doubles.act"](variables["SLIPWAY_PHASE"], command=command, folder=folder, user=user, told=told)
    return shlex.join(command)
