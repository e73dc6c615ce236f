"""uv, which builds the virtual environments of releases: in a folder of its own, from the index that pip asks."""

from pathlib import Path

from salt.exceptions import CommandExecutionError

import command
import staging

# 20 MB over a slow line.
TIMEOUT = 600


def version(folder):
    """
    The version of uv in a folder, or an empty text if there is none. Starts no process.

    CLI Example:

    .. code-block:: bash

        salt-call uv.version /opt/uv
    """
    found = sorted(Path(folder).glob("lib/python*/site-packages/uv-*.dist-info"))
    if not found or not Path(folder, "bin/uv").exists():
        return ""
    return found[0].name.removeprefix("uv-").removesuffix(".dist-info")


def install(version, folder):
    """
    Put a version of uv into a folder, in place of what is there. Complete or absent.

    CLI Example:

    .. code-block:: bash

        salt-call uv.install 0.13.9 /opt/uv
    """
    place = Path(folder)
    new = staging.temporary(place)
    try:
        staging.make_folder(place.parent)
        staging.remove(new)
        command.run(["python3", "-m", "venv", new], what="making a venv for uv (is python3-venv installed?)")
        # Only bin/uv is ever called, and that is no script: it does not mind that the folder gets another name.
        pip = [new / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command.run([*pip, f"uv=={version}"], env=command.network(), timeout=TIMEOUT, what="installing uv")
        staging.publish(new, place)
    except OSError as error:
        raise CommandExecutionError(f"uv was not installed in {folder}: {error}") from error
    finally:
        staging.remove(new)
