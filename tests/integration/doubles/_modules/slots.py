# ruff: noqa: F821  Salt injects its dunders when it loads a module.
"""A double of _modules/slots.py."""


def serving(app):
    """As the original."""
    return __salt__["doubles.serving"](app)


def status(app):
    """As the original."""
    return {**serving(app), "since": "", "server": "gunicorn", "answer": "well", "maintenance": False}


def settle(app):
    """As the original."""
    __salt__["doubles.act"]("settle")


def revert(app, slot):
    """As the original."""
    slot = slot[__opts__["id"]]
    __salt__["doubles.act"]("revert", slot=slot)
    __salt__["doubles.serve"](app, slot, __salt__["doubles.served_by"](app, slot))
    return serving(app)
