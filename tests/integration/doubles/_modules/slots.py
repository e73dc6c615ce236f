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


def quiet(app):
    """As the original; the script tells how many are left."""
    return __salt__["doubles.act"]("quiet").get("left", 0)


def distrust(app):
    """As the original."""
    __salt__["doubles.act"]("distrust")


def revert(app, slot):
    """As the original."""
    slot = slot[__opts__["id"]]
    __salt__["doubles.act"]("revert", slot=slot)
    __salt__["doubles.serve"](app, slot, __salt__["doubles.served_by"](app, slot))
    return serving(app)
