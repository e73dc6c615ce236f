# ruff: noqa: F821  Salt injects its dunders when it loads a module.
"""A double of _modules/manage.py."""


def pending_migrations(python, folder, settings, user, variables):
    """As the original; the script tells what is pending."""
    return __salt__["doubles.act"]("pending", folder=folder).get("pending", [])


def examine(python, folder, settings, user, variables):
    """As the original; the script tells what is unsafe, and what is unknown."""
    role = __salt__["doubles.act"]("examine", folder=folder)
    return {"unsafe": role.get("unsafe", {}), "unknown": role.get("unknown", {})}
