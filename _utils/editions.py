"""
Folders that are never changed: a link leads to the edition that is to be taken, and whoever works with one keeps it.

An edition has the name of its link and eight digits, and lies beside it: ``set -> set.1f2e3d4c``.
"""

import contextlib
import os
from pathlib import Path

import staging


def led_to(link):
    """The folder that a link leads to, without following links on the way there; what is no link leads to itself."""
    link = Path(link)
    return Path(os.path.normpath(link.parent / link.readlink())) if link.is_symlink() else link


@contextlib.contextmanager
def next_of(link):
    """The temporary folder, not made yet, of the next edition of a link; it is gone afterwards if it got no name."""
    link = Path(link)
    with staging.locked(link.parent):
        staging.clear(link.parent)
        try:
            yield staging.temporary(link)
        finally:
            staging.clear(link.parent)


def publish(new, link):
    """Give a complete edition its name, and let the link lead to it. The caller is in ``next_of``."""
    link = Path(link)
    edition = link.with_name(f"{link.name}.{os.urandom(4).hex()}")
    staging.publish(new, edition)
    staging.point(link, edition.name)


def give_back(link, user):
    """Let a link lead again to the edition that the link ``user`` leads to, if both have one and it is of that link."""
    link, edition = Path(link), led_to(user)
    if link.is_symlink() and edition.is_dir() and edition.with_suffix("") == link:
        staging.point(link, edition.name)


def clean(folder, *others):
    """Remove the editions in a folder to which no link leads, in it or in one of the ``others``."""
    folder = Path(folder)
    if not folder.is_dir():
        return
    with staging.locked(folder):
        used = {
            path.resolve() for place in (folder, *map(Path, others)) for path in place.iterdir() if path.is_symlink()
        }
        for edition in folder.glob("[!.]*.????????"):
            if not edition.is_symlink() and edition.resolve() not in used:
                staging.discard(edition)
