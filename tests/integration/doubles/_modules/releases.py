# ruff: noqa: F821  Salt injects its dunders when it loads a module.
"""A double of _modules/releases.py: a revision's commit is the hash of its name."""

import hashlib

from salt.exceptions import CommandExecutionError


def resolve(source, revision, mirror):
    """As the original."""
    __salt__["doubles.act"]("resolve")
    commit = hashlib.sha1(revision.encode()).hexdigest()
    return {"id": commit[:12], "commit": commit}


def preview(
    path, home, current, source, commit, mirror, venvs, requirements, python, environment, packages, django, files_of=""
):
    """As the original; the script tells what is found."""
    role = __salt__["doubles.act"]("preview")
    if commit == hashlib.sha1(b"broken").hexdigest():
        raise CommandExecutionError("no such package: djangoo")
    unknown = {"unknown": "", "problem": "", "unsafe": {}, "unexamined": {}}
    return {"requirements": {}, "migrations": [], **unknown, **role.get("found", {})}
