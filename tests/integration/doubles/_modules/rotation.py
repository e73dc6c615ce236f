# ruff: noqa: F821  Salt injects its dunders when it loads a module.
"""A double of _modules/rotation.py."""


def serving(app):
    """As the original."""
    served = __salt__["doubles.serving"](app)
    written, used = (__salt__["doubles.secrets"](app, slot) for slot in ("file", served["slot"]))
    return {**served, "pending": {} if written == used else {"configuration": {}}}


def try_deploy_key(app):
    """As the original."""
    __salt__["doubles.act"]("try-key")
    return True
