# Managed by Salt: salt://_utils/launch.py
"""
Start a program of an app that finds its secrets in the environment: ``python launch.py PROGRAM [ARGUMENT ...]``.

The process itself reads the file that ENVIRONMENT_FILE names, and then becomes the program, with the same pid. So the
values are in no configuration of Supervisor or systemd, and in nobody's arguments; in ``/proc/PID/environ`` only root
and the app's own user can read them. Any Python from 3.8 on runs it.
"""

import json
import os
import sys

FILE = "ENVIRONMENT_FILE"


def environment(variables):
    """
    Return the variables, and with them what is in the file that one of them names, if one does.

    What is in both is as the variables say. Raises OSError if the file cannot be read, ValueError if it is not ours.
    """
    if FILE not in variables:
        return dict(variables)
    with open(variables[FILE], encoding="utf-8") as file:
        return {**json.load(file), **variables}


def main(program, *arguments):
    try:
        complete = environment(os.environ)
    except (OSError, ValueError) as error:
        # The text of a ValueError tells a place in the file and nothing of what is there.
        sys.exit(f"{os.environ[FILE]} cannot be read: {getattr(error, 'strerror', None) or error}")
    try:
        os.execve(program, [program, *arguments], complete)
    except OSError as error:
        sys.exit(f"{program} does not start: {error.strerror}")


if __name__ == "__main__":
    main(*sys.argv[1:])
