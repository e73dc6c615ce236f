"""The four answers of a state function, so that each is written in one line and in one shape."""

import functools

from salt.exceptions import CommandExecutionError


def failures_are_results(function):
    """
    ``function`` of which an expected failure is the result ``False`` instead of an exception.

    An expected failure is a ``CommandExecutionError``; its text is the comment. Where part of the work was done before
    it failed, the one who raises puts that on the error, ``error.changes = {...}``, and the result shows it.
    Any other exception is a mistake of ours: it passes, and Salt shows its traceback.

    ``skip_watch`` is for Salt: it calls ``mod_watch`` after a failure without changes too, and a restart that succeeds
    would hide the failure.
    """

    @functools.wraps(function)
    def result(name, *args, **kwargs):
        try:
            return function(name, *args, **kwargs)
        except CommandExecutionError as error:
            return {**_answer(name, False, getattr(error, "changes", {}), str(error)), "skip_watch": True}

    return result


def unchanged(name, comment):
    """The result of a state that found everything as it should be."""
    return _answer(name, True, {}, comment)


def would(name, changes, comment):
    """The result in test mode of a state that would make ``changes``."""
    return _answer(name, None, changes, comment)


def changed(name, changes, comment):
    """The result of a state that made ``changes``."""
    return _answer(name, True, changes, comment)


def made(name, changes, comment, test):
    """The result of a state that made ``changes``, or in ``test`` mode would; without any all was as it should be."""
    if not changes:
        return unchanged(name, comment)
    return (would if test else changed)(name, changes, comment)


def _answer(name, result, changes, comment):
    return {"name": name, "result": result, "changes": changes, "comment": comment}
