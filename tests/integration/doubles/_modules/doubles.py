# ruff: noqa: F821  Salt injects its dunders when it loads a module.
"""What the doubles of a host's modules share: a host that has no services, only files in its minion's folder.

``script.json`` is what the test wants to happen, ``{step: {"fail": reason, "sleep": seconds, "held": True,
"applied": [...]}}``; a step that is held makes a file ``held``, and goes on once there is a file ``go``;
``log.jsonl`` is what the orchestration did, one line a step; ``shop.json`` has the slots of the app of that name,
``shop-secrets.json`` the secrets that each was started with and those that are in the file now, ``roles.json`` the
passwords of the database's roles, and as ``cache`` the list of those that the cache takes; ``secrets.jsonl`` is how the
last two changed.
``databases.json`` has the databases, ``closed.json`` why visitors are kept out.
"""

import json
import time
from pathlib import Path

from salt.exceptions import CommandExecutionError

# Seconds after which a step that is held goes on in any case: the test that holds it has failed by then.
HELD = 100


def role(step):
    """What the script says about a step."""
    return _read("script.json").get(step, {})


def act(step, **details):
    """Do as the script says, and note the step."""
    role = _read("script.json").get(step, {})
    time.sleep(role.get("sleep", 0))
    if "held" in role:
        _hold()
    with open(_file("log.jsonl"), "a") as log:
        log.write(json.dumps({"step": step, "host": __opts__["id"], "time": time.time(), **details}) + "\n")
    if "fail" in role:
        raise CommandExecutionError(role["fail"])
    return role


def _hold():
    _file("held").touch()
    end = time.monotonic() + HELD
    while time.monotonic() < end and not _file("go").exists():
        time.sleep(0.05)


def databases(found=None):
    """The databases of the host, ``{name: what it says}``; from now on ``found`` if it is given."""
    if found is not None:
        _write("databases.json", found)
    return _read("databases.json")


def closed_for(reason=None):
    """Why visitors are kept out; from now on for ``reason`` if it is given."""
    if reason is not None:
        _write("closed.json", {"for": reason})
    return _read("closed.json").get("for", "")


def serving(app):
    """The slot that has the traffic of an app, and its release."""
    slot = _read(f"{app}.json").get("active", "")
    return {"slot": slot, "release": served_by(app, slot)}


def served_by(app, slot):
    """The release that a slot of an app served last."""
    return _read(f"{app}.json").get(slot, "")


def serve(app, slot, release):
    """Serve a release of an app from a slot."""
    _write(f"{app}.json", _read(f"{app}.json") | {"active": slot, slot: release})
    _note(secrets(app, slot))


def secrets(app, slot):
    """The secrets with which a slot of an app was started; of the slot ``file`` those that are written now."""
    return _read(f"{app}-secrets.json").get(slot, {})


def start(app, slot, secrets):
    """Write the secrets of an app, and start a slot with them."""
    _write(f"{app}-secrets.json", _read(f"{app}-secrets.json") | {slot: secrets, "file": secrets})


def roles():
    """The passwords of the database's roles."""
    return _read("roles.json")


def set_roles(passwords):
    """Give roles of the database their passwords."""
    _write("roles.json", roles() | passwords)
    _note(roles())


def _note(now):
    with open(_file("secrets.jsonl"), "a") as log:
        log.write(json.dumps({"host": __opts__["id"], "time": time.time(), "now": now}) + "\n")


def _read(name):
    return json.loads(_file(name).read_text()) if _file(name).exists() else {}


def _write(name, data):
    # The test reads it at any moment: all of it or nothing.
    _file(f"{name}.new").write_text(json.dumps(data))
    _file(f"{name}.new").replace(_file(name))


def _file(name):
    return Path(__opts__["root_dir"], name)
