"""
The databases that a restore makes beside an app's own: ``<name>_restored``, which is going to take its name, and
``<name>_replaced_<time>``, which had it before.
"""

import re
from datetime import datetime, timezone

# Bytes of a name in PostgreSQL (NAMEDATALEN - 1): the rest it drops without a word.
LONGEST = 63

RESTORED, REPLACED, TIME = "_restored", "_replaced_", "%Y%m%d_%H%M%S"
SPARE = re.compile(rf".+({RESTORED}|{REPLACED}\d{{8}}_\d{{6}})", re.ASCII | re.DOTALL)


def restored(name):
    """The database that a dump of the database ``name`` is restored into."""
    return _beside(name, RESTORED)


def replaced(name):
    """What the database ``name`` is called from now on, when a restored one takes its place."""
    return _beside(name, f"{REPLACED}{datetime.now(timezone.utc).strftime(TIME)}")


def is_spare(name):
    """Whether a name is one of these."""
    return bool(SPARE.fullmatch(name))


def _beside(name, ending):
    return name[: LONGEST - len(ending)] + ending
