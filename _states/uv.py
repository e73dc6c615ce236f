"""uv, the tool that builds virtual environments."""

from pathlib import Path

import state_result


@state_result.failures_are_results
def installed(name, version):
    """
    Ensure that a version of uv is there, in a virtual environment of its own.

    name
        The path of the program, ``<folder>/bin/uv``; the folder holds nothing else.
    version
        The version, as the package index names it.

    .. code-block:: yaml

        host-uv:
          uv.installed:
            - name: /opt/uv/bin/uv
            - version: 0.13.9
    """
    folder = str(Path(name).parents[1])
    found = __salt__["uv.version"](folder)
    if found == version:
        return state_result.unchanged(name, f"uv {version} is installed")
    changes = {"uv": {"old": found, "new": version}}
    if __opts__["test"]:
        return state_result.would(name, changes, f"uv {version} would be installed")
    __salt__["uv.install"](version, folder)
    return state_result.changed(name, changes, f"uv {version} was installed")
