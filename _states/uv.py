"""uv, the tool that builds virtual environments."""

import state_result


@state_result.failures_are_results
def installed(name, folder="/opt/uv"):
    """
    Ensure that a version of uv is at ``<folder>/bin/uv``.

    name
        The version.
    folder
        Where: a folder that holds nothing else.

    .. code-block:: yaml

        uv:
          uv.installed:
            - name: 0.13.9
    """
    found = __salt__["uv.version"](folder)
    if found == str(name):
        return state_result.unchanged(name, f"uv {name} is installed")
    changes = {"uv": {"old": found, "new": str(name)}}
    if __opts__["test"]:
        return state_result.would(name, changes, f"uv {name} would be installed")
    __salt__["uv.install"](str(name), folder)
    return state_result.changed(name, changes, f"uv {name} was installed")
