"""What hosts tell of processes that died (``_beacons/processes.py``): the master's log has it all, people are told."""

import json
import logging
import re
import time
from contextlib import suppress
from pathlib import Path

from salt.exceptions import CommandExecutionError

import ledger_file
import notices

log = logging.getLogger(__name__)

# Seconds in which people are told once of a process: one that dies again and again would fill their mailbox.
QUIET = 3600
# Of as many they are told in that time: a host that somebody broke into can make names up.
MOST = 50

NAME = r"[A-Za-z0-9][\w.-]{0,100}"
# A host says what it likes: only what the beacon says gets further.
FORM = {
    "app": NAME,
    "host": NAME,
    "process": NAME,
    "manager": "supervisor|systemd",
    "what": "died|given up",
    "reason": r"[\w ,]{1,80}",
    "when": r"[\dTZ:-]{20}",
}
THEN = {"died": "{manager} starts it again", "given up": "{manager} does not start it any more"}


def take(opts, told):
    """
    Write down what a host tells of a process, and tell people of it unless they were told within the hour.

    :param told: the event's data
    :return: the same as a line
    :raises CommandExecutionError: if it is not what the beacon says
    """
    texts = {key: text for key, text in told.items() if isinstance(text, str)} if isinstance(told, dict) else {}
    death = {key: texts.get(key, "") for key in FORM}
    wrong = [key for key, form in FORM.items() if not re.fullmatch(form, death[key], re.ASCII)]
    if wrong:
        raise CommandExecutionError(f"this is no event of a process that died: {', '.join(wrong)}")
    line = "{host}: {process} {what} at {when} ({reason}), ".format(**death) + THEN[death["what"]].format(**death)
    log.warning("%s", line)
    if _is_due(Path(ledger_file.folder(opts), "deaths.told"), "{host} {process} {what}".format(**death)):
        notices.send_death(opts, death, line)
    return line


def _is_due(path, name):
    """Whether people are to be told of it, which is noted. (Of two at the same moment one may be told once more.)"""
    now = time.time()
    recent = {key: at for key, at in _told(path).items() if now - QUIET < at <= now}
    if name in recent or len(recent) >= MOST:
        return False
    ledger_file.write_json(path, {**recent, name: now})
    return True


def _told(path):
    """When people were told of what; where that cannot be read, never."""
    with suppress(OSError, ValueError, AttributeError, TypeError):
        return {key: float(at) for key, at in json.loads(path.read_bytes()).items()}
    return {}
