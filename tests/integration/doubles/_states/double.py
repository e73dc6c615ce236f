# ruff: noqa: F821  Salt injects its dunders when it loads a module.
"""A state that stands for everything that an SLS of salt/app does on a host."""

from salt.exceptions import CommandExecutionError


def done(name, app, step, release, closed_for=None):
    """The step has changes unless the host serves the release already, and does what the script says."""
    served = __salt__["doubles.serving"](app)
    changes = {} if served["release"] == release else {step: release}
    if __opts__["test"]:
        return {"name": name, "result": None if changes else True, "changes": changes, "comment": ""}
    try:
        role = __salt__["doubles.act"](step, release=release)
    except CommandExecutionError as error:
        return {"name": name, "result": False, "changes": {}, "comment": str(error)}
    if step == "activate" and changes and "goes_back" not in role:
        __salt__["doubles.serve"](app, "green" if served["slot"] == "blue" else "blue", release)
    if closed_for is not None:
        __salt__["doubles.closed_for"](closed_for)
    if "applied" in role:
        changes["applied"] = role["applied"]
    return {"name": name, "result": True, "changes": changes, "comment": ""}
