# ruff: noqa: F821  Salt injects its dunders when it loads a module.
"""States that stand for everything that an SLS of salt/app or salt/database does on a host."""

from salt.exceptions import CommandExecutionError

import app_spec


def done(name, app, step, release, stale=False, closed_for=None):
    """The step has changes unless the host serves the release already, and does what the script says."""
    served = __salt__["doubles.serving"](app)
    changes = {step: release} if stale or served["release"] != release else {}
    if __opts__["test"]:
        return {"name": name, "result": None if changes else True, "changes": changes, "comment": ""}
    try:
        role = __salt__["doubles.act"](step, release=release)
    except CommandExecutionError as error:
        return {"name": name, "result": False, "changes": {}, "comment": str(error)}
    if closed_for is not None:
        __salt__["doubles.closed_for"](closed_for)
    if "applied" in role:
        changes["applied"] = role["applied"]
    return {"name": name, "result": True, "changes": changes, "comment": ""}


def active(name, app, step, release):
    """The same, and the host serves the release from the other slot then, started with its secrets as they are."""
    served = __salt__["doubles.serving"](app)
    secrets = app_spec.secret_values(app_spec.load(__pillar__, __grains__).app(app))
    stale = __salt__["doubles.secrets"](app, served["slot"]) not in ({}, secrets)
    ret = done(name, app, step, release, stale)
    if ret["result"] is False or not ret["changes"] or __opts__["test"]:
        return ret
    slot = "green" if served["slot"] == "blue" else "blue"
    __salt__["doubles.start"](app, slot, secrets)
    if "goes_back" not in __salt__["doubles.role"](step):
        __salt__["doubles.serve"](app, slot, release)
    return ret


def logins(name, app, step):
    """The roles of the database are as the pillar says."""
    wanted = app_spec.database_logins(app_spec.load(__pillar__, __grains__).app(app))
    passwords = {role: password and password.reveal() for role, password in wanted.items()}
    there = __salt__["doubles.roles"]()
    changes = {role: "changed" for role, password in passwords.items() if there.get(role) != password}
    if __opts__["test"]:
        return {"name": name, "result": None if changes else True, "changes": changes, "comment": ""}
    return _change(name, step, changes, passwords)


def words(name, app, step):
    """The passwords that the cache takes are as the pillar says; they lie beside the roles."""
    passwords, alone = app_spec.cache_passwords(app_spec.load(__pillar__, __grains__).app(app))
    wanted, there = [password.reveal() for password in passwords], __salt__["doubles.roles"]().get("cache", [])
    now = [*wanted, *(word for word in there if word not in wanted and not alone)]
    changes = {"cache": "changed"} if set(now) != set(there) else {}
    if __opts__["test"]:
        return {"name": name, "result": None if changes else True, "changes": changes, "comment": ""}
    return _change(name, step, changes, {"cache": now})


def _change(name, step, changes, roles):
    try:
        __salt__["doubles.act"](step)
    except CommandExecutionError as error:
        return {"name": name, "result": False, "changes": {}, "comment": str(error)}
    __salt__["doubles.set_roles"](roles)
    return {"name": name, "result": True, "changes": changes, "comment": ""}
