"""The commands of an app that a deploy runs on a host, in the folder of a release and as the app's user."""

import shlex
from pathlib import Path

import command as program


def run(command, folder, python, user, variables, timeout=600):
    """
    Run one command of an app's hooks; returns it as it would be typed.

    command
        The program and its arguments, a list; no shell is involved. A program ``python`` is the release's own, and
        programs of its venv are found first.
    folder
        The release, or a link to it.
    python
        The Python of the release.
    user
        Who runs it; empty for the user that Salt runs as.
    variables
        The environment of the app's processes, and what the command is told about the deploy.
    timeout
        Seconds, after which the command and its children are killed.

    Raises CommandExecutionError with the last lines that the command wrote to its standard error.

    CLI Example:

    .. code-block:: bash

        salt web1 hooks.run '[python, manage.py, check]' /srv/shop/current /srv/shop/current/.venv/bin/python shop '{}'
    """
    shown = shlex.join(command)
    first, *arguments = command
    program.run(
        [python if first == "python" else first, *arguments],
        user=user,
        # A link that moves must not change what the command imports.
        cwd=Path(folder).resolve(),
        env={"PATH": f"{Path(python).parent}:{program.PATH}", **variables},
        timeout=timeout,
        what=shown,
    )
    return shown
