"""A file that tells a process manager what to run: what a new text changes, and the old one back if it is refused."""

import grp
import os
import pwd
from contextlib import contextmanager
from pathlib import Path

import atomic_file


def read(path):
    """The text of the file, empty if there is none."""
    try:
        return Path(path).read_text()
    except FileNotFoundError:
        return ""


@contextmanager
def written(path, text):
    """The file says ``text`` inside the block, and after it unless the block fails: then it is as it was before."""
    old = read(path)
    if old != text:
        _write(path, text)
    try:
        yield
    except BaseException:
        if not old:
            Path(path).unlink()
        elif old != text:
            _write(path, old)
        raise


def changes(path, text, options):
    """
    What would change if the file said ``text``; ``{}`` if it does.

    ``{"config": {section: {option: {"old": text, "new": text}}}}``; ``{"config": "rewritten"}`` if no option differs.
    The values of an option named ``environment``, in any case, are not shown.

    options
        A function that returns ``{section: {option: text}}`` of a text.
    """
    old = read(path)
    if old == text:
        return {}
    before, after = options(old), options(text)
    sections = {name: _differing(before.get(name, {}), after.get(name, {})) for name in {**before, **after}}
    return {"config": {name: options for name, options in sections.items() if options} or "rewritten"}


def _differing(before, after):
    return {
        option: {"old": _shown(option, before.get(option, "")), "new": _shown(option, after.get(option, ""))}
        for option in {**before, **after}
        if before.get(option) != after.get(option)
    }


def _shown(option, text):
    return "********" if text and option.lower() == "environment" else text


def _write(path, text):
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    atomic_file.write(path, text.encode(), user, group, 0o644)
