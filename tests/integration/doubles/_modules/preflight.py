# ruff: noqa: F821  Salt injects its dunders when it loads a module.
"""A double of _modules/preflight.py: no services to look at."""

import time

import module_digest


def report(app):
    """As the original; the script tells the problems and how wrong the clock is."""
    role = __salt__["doubles.act"]("preflight")
    return {
        "time": time.time() + role.get("skew", 0),
        "problems": role.get("problems", []),
        "serving": __salt__["doubles.serving"](app),
    }


def modules():
    """As the original."""
    return module_digest.of_host(__opts__["extension_modules"])


def pillar():
    """As the original, where all of the pillar was rendered."""
    return __salt__["apps.roles"]()
