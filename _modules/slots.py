"""
The two slots of an app on this host: start a release in the idle one, prove it, give it the traffic, take it back.

Whoever calls passes what ``apps.spec`` says about the app: ``slots``, ``front`` (the link that Nginx connects through),
``current``, ``health``. Everything can be called again after a crash at any point: what is done is found done.
"""

import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from salt.exceptions import CommandExecutionError

import probe
import slot_record
import supervisor_rpc

log = logging.getLogger(__name__)

# The front door is Nginx on this host, which trusts what this address says about the protocol (salt/nginx/nginx.conf).
FRONT_DOOR = "127.0.0.1:80"

# Seconds between two looks at a program that is still starting, and between two probes of the watch window.
STARTING_INTERVAL = 0.2
WATCH_INTERVAL = 0.5

# One bad answer in the watch window may be the client's side of it, two in a row are the release.
WATCH_FAULTS = 2

# Seconds after a flip in which requests on their way still reach the old slot: with 2 none was lost (our measurement,
# "symlink flip, old slot stopped after 2 s"). The limit is for connections that a slot which hangs never accepts.
DRAIN = 2.0
DRAIN_LIMIT = 30.0

# Enough threads to reach every worker, few enough for a host with many of them.
WARM_THREADS = 32

# STARTING lasts as long as the program's startsecs; an app answers well before.
ALIVE = ("STARTING", "RUNNING")
# Nothing runs, nothing is about to; the empty one is a program that Supervisor does not know.
ENDED = ("STOPPED", "EXITED", "FATAL", "UNKNOWN", "")


def serving(app):
    """
    Return which slot of an app has the traffic: ``slot``, ``release`` and ``since`` (UTC), all empty if none has.

    CLI Example:

    .. code-block:: bash

        salt web1 slots.serving shop
    """
    spec = __salt__["apps.spec"](app)
    return _serving(spec["slots"], spec["front"])


def pending(slots, front, current, release, path, config_files):
    """
    Return what ``activate`` would change, ``{}`` if the release has the traffic already and its program runs.

    :param slots: the app's two slots
    :param front: the link to the socket of the slot that has the traffic
    :param current: the link to the release that has the traffic
    :param release: id of the wanted release
    :param path: its folder
    :param config_files: files that a process of the app reads when it starts
    """
    slot = slot_record.active(slots, front)
    if slot is None or not _prepared(slot, release, path, config_files):
        return _difference(slot, release)
    if _state(slot) not in ALIVE:
        return {"program": {"old": f"{slot['program']} is not running", "new": "running"}}
    if not slot_record.read(slot).get("confirmed"):
        return {"release": {"old": f"{release}, not watched to the end", "new": release}}
    if not slot_record.leads_to(current, path):
        return {"current": {"old": _target(current), "new": path}}
    return {}


def activate(slots, front, current, release, path, config_files, health, window, warm_requests):
    """
    Give the traffic of this host to a release, and return what changed; see ``pending`` for the first arguments.

    The idle slot starts the release, must answer well on its own door and is warmed; then the traffic goes to it and it
    is watched through Nginx. A release that has the traffic but whose program died is started where it is, because
    that ends the outage soonest and nothing else is there to serve.

    :param health: how to ask the app (``apps.spec``: ``health``)
    :param window: seconds to watch the release after it has the traffic
    :param warm_requests: how many requests to warm it with: one for each thread of each worker
    :raises CommandExecutionError: with the last lines of the app's log; the traffic is then where it was before
    """
    changes = pending(slots, front, current, release, path, config_files)
    if not changes:
        return {}
    before = slot_record.active(slots, front)
    if before and _prepared(before, release, path, config_files):
        slot, back = before, _idle(slots, before)
        _restart_in_place(slot, release, path, health)
    else:
        slot, back = _idle(slots, before), before
        _start_idle(slot, release, path, config_files, health, warm_requests)
        _give_traffic(slot, front)
    slot_record.point(current, path)
    _confirm(slot, back, front, current, release, health, window)
    return changes


def revert(app, slot):
    """
    Give the traffic of an app back to a slot, and return ``slots.serving``; without effect if it has it.

    Its program is started and proved first if it was stopped. Then what ran in the other slot is stopped.

    :param slot: the name of the slot that had the traffic before; empty where there was none: then nothing serves

    CLI Example:

    .. code-block:: bash

        salt web1 slots.revert shop blue
    """
    spec = __salt__["apps.spec"](app)
    slots, front, current = spec["slots"], spec["front"], spec["paths"]["current"]
    target = _named(slots, slot)
    if target is None:
        _take_traffic_away(front, current)
    elif slot_record.active(slots, front) != target or _state(target) not in ALIVE:
        _prove_again(target, spec["health"])
        _give_traffic(target, front)
        slot_record.write(target, {**slot_record.read(target), "confirmed": True})
    if target:
        slot_record.point(current, os.path.realpath(target["link"]))
    for other in slots:
        if other != target:
            _stop_gracefully(other, front)
    return _serving(slots, front)


def retire(slots, front):
    """
    Stop the programs of the slots that do not have the traffic, and return the names of those stopped.

    The requests that they still hold are answered first. Nothing is stopped where no slot has the traffic.
    """
    stopped = idle_programs(slots, front)
    for slot in slots:
        if slot["program"] in stopped:
            _stop_gracefully(slot, front)
    return stopped


def idle_programs(slots, front):
    """Return the names of the programs that run, or try to, in slots that do not have the traffic."""
    active = slot_record.active(slots, front)
    idle = [slot for slot in slots if active and slot != active]
    return [slot["program"] for slot in idle if _state(slot) not in ENDED]


def _serving(slots, front):
    slot = slot_record.active(slots, front)
    if slot is None:
        return {"slot": "", "release": "", "since": ""}
    since = datetime.fromtimestamp(slot_record.flipped(front), tz=timezone.utc)
    release = slot_record.read(slot).get("release", "")
    return {"slot": slot["name"], "release": release, "since": since.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _difference(slot, release):
    """What a switch to the other slot changes: the release, or with the same release what its process reads."""
    old = slot_record.read(slot).get("release", "") if slot else ""
    if old == release:
        return {"configuration": {"old": "as it was when the process started", "new": "as it is now"}}
    return {"release": {"old": old, "new": release}}


def _target(link):
    return os.path.realpath(link) if Path(link).is_symlink() else ""


def _named(slots, name):
    if not name:
        return None
    for slot in slots:
        if slot["name"] == name:
            return slot
    raise CommandExecutionError(f"no slot has the name {name!r}: take one of {', '.join(s['name'] for s in slots)}")


def _idle(slots, active):
    return next(slot for slot in slots if slot != active)


def _prepared(slot, release, path, config_files):
    """Whether what runs in the slot, or was last started in it, is the wanted release with its present config files."""
    fingerprint = slot_record.fingerprint(slot, release, config_files)
    return slot_record.read(slot).get("fingerprint") == fingerprint and slot_record.leads_to(slot["link"], path)


def _start_idle(slot, release, path, config_files, health, warm_requests):
    """Make the idle slot run the release and answer well; what never answered well is killed, for it may hang."""
    if not (_prepared(slot, release, path, config_files) and _state(slot) in ALIVE):
        _start_anew(slot, release, path, config_files)
    try:
        _await_good_answers(slot, release, path, health)
        _warm(slot, release, health, warm_requests)
    except CommandExecutionError as error:
        reason = _reason(slot, release, error, "it got no traffic")
        slot_record.forget(slot)
        __salt__["supervisor.kill"](slot["program"])
        raise CommandExecutionError(reason) from error


def _start_anew(slot, release, path, config_files):
    log.info("%s: starting release %s", slot["program"], release)
    slot_record.forget(slot)
    if _state(slot) not in ENDED:
        __salt__["supervisor.stop"](slot["program"], timeout=_stop_time(slot))
    slot_record.point(slot["link"], path)
    __salt__["supervisor.configure"](slot["program"], slot["section"])
    record = {"release": release, "fingerprint": slot_record.fingerprint(slot, release, config_files)}
    slot_record.write(slot, {**record, "started": time.time(), "confirmed": False})
    __salt__["supervisor.start"](slot["program"], wait=False)


def _restart_in_place(slot, release, path, health):
    """Start the program of the slot that has the traffic, if it died; it is left running even if it answers badly."""
    if _state(slot) in ALIVE:
        return
    log.info("%s: starting again in its place", slot["program"])
    _start_if_dead(slot)
    try:
        _await_good_answers(slot, release, path, health)
    except CommandExecutionError as error:
        raise CommandExecutionError(_reason(slot, release, error, "it has the traffic, and stays")) from error


def _start_if_dead(slot):
    if _state(slot) in ENDED:
        __salt__["supervisor.configure"](slot["program"], slot["section"])
        __salt__["supervisor.start"](slot["program"], wait=False)


def _prove_again(slot, health):
    """Make sure that the slot to go back to runs and answers well."""
    release = slot_record.read(slot).get("release", "")
    if not release:
        raise CommandExecutionError(f"{slot['program']}: there is no release in this slot to go back to")
    _start_if_dead(slot)
    try:
        _await_good_answers(slot, release, os.path.realpath(slot["link"]), health)
    except CommandExecutionError as error:
        raise CommandExecutionError(_reason(slot, release, error, "the traffic was not given back to it")) from error


def _give_traffic(slot, front):
    log.info("%s: gets the traffic", slot["program"])
    slot_record.point(front, slot["socket"])


def _take_traffic_away(front, current):
    for link in (front, current):
        with suppress(FileNotFoundError):
            Path(link).unlink()


def _confirm(slot, back, front, current, release, health, window):
    """Watch a release that just got the traffic; give the traffic back if it fails."""
    if slot_record.read(slot).get("confirmed"):
        return
    try:
        _watch(release, health, window)
    except CommandExecutionError as error:
        reason = _reason(slot, release, error, "the traffic went back to where it was")
        _go_back(slot, back, front, current, health)
        raise CommandExecutionError(reason) from error
    slot_record.write(slot, {**slot_record.read(slot), "confirmed": True})


def _go_back(failed, back, front, current, health):
    """First move the traffic, then end the failed release gracefully: it holds requests of real users."""
    slot_record.forget(failed)
    if back and slot_record.read(back):
        if _state(back) not in ALIVE:
            # Whatever it answers: what failed is no better.
            with suppress(CommandExecutionError):
                _prove_again(back, health)
        _give_traffic(back, front)
        slot_record.point(current, os.path.realpath(back["link"]))
    else:
        _take_traffic_away(front, current)
    _stop_gracefully(failed, front)


def _watch(release, health, window):
    """Raise if the front door answers badly twice in a row within ``window`` seconds."""
    faults, end = [], time.monotonic() + window
    while time.monotonic() < end:
        fault = _fault(FRONT_DOOR, release, health)
        faults = [*faults, fault] if fault else []
        if len(faults) == WATCH_FAULTS:
            raise CommandExecutionError(f"{WATCH_FAULTS} bad answers in a row through Nginx at {FRONT_DOOR}: {fault}")
        time.sleep(WATCH_INTERVAL)


def _await_good_answers(slot, release, path, health):
    """Wait until the slot's own door gave the wanted number of good answers in a row."""
    good, pid, fault = 0, None, "none came"
    end = time.monotonic() + health["start_timeout"]
    while good < health["successes"]:
        if time.monotonic() > end:
            raise CommandExecutionError(
                f"{health['path']} gave not {health['successes']} good answers in a row"
                f" within {health['start_timeout']:g} s: {fault}"
            )
        time.sleep(health["interval"] if good else min(STARTING_INTERVAL, health["interval"]))
        pid = _same_process(slot, pid)
        fault = _fault(slot["socket"], release, health) or _wrong_folder(pid, path)
        good = 0 if fault else good + 1
    log.info("%s: answers well", slot["program"])


def _same_process(slot, pid):
    """The slot's process id; raises if it died since the last look, which it will do again and again."""
    program = __salt__["supervisor.programs"](slot["program"])[slot["program"]]
    if program["state"] in ENDED or pid not in (None, program["pid"]):
        raise CommandExecutionError("its process ended while it started")
    return program["pid"] or None


def _wrong_folder(pid, path):
    """What is wrong if the process runs the code of another folder than the release's."""
    folder = slot_record.folder_of(pid)
    return "" if folder == os.path.realpath(path) else f"the process runs in {folder or 'no folder'} instead of {path}"


def _warm(slot, release, health, requests):
    """Send requests at once, so that every worker has had its first, which is slow; slow is no fault here."""
    patient = {**health, "timeout": health["start_timeout"]}
    with ThreadPoolExecutor(max_workers=min(requests, WARM_THREADS)) as pool:
        faults = [
            fault for fault in pool.map(lambda _: _fault(slot["socket"], release, patient), range(requests)) if fault
        ]
    if faults:
        raise CommandExecutionError(f"{len(faults)} of {requests} warm-up requests got a bad answer: {faults[0]}")


def _fault(door, release, health):
    answer = probe.ask(door, health["path"], health["host"], health["timeout"])
    return probe.fault(answer, health["statuses"], release)


def _stop_gracefully(slot, front):
    if _state(slot) in ENDED:
        return
    _drain(slot, front)
    log.info("%s: stopping", slot["program"])
    __salt__["supervisor.stop"](slot["program"], timeout=_stop_time(slot))


def _drain(slot, front):
    """Wait until no connection can reach the slot any more and every one that did has been accepted."""
    rest = DRAIN - (time.time() - slot_record.flipped(front))
    time.sleep(min(max(rest, 0), DRAIN))
    end = time.monotonic() + DRAIN_LIMIT
    while slot_record.waiting(slot) and time.monotonic() < end:
        time.sleep(STARTING_INTERVAL)


def _stop_time(slot):
    """Seconds until Supervisor has ended the program one way or the other, and a few to say so."""
    return float(slot["section"]["stopwaitsecs"]) + 5


def _state(slot):
    """The state of the slot's program; empty where Supervisor does not know it, or is not there to know anything."""
    try:
        return __salt__["supervisor.programs"](slot["program"]).get(slot["program"], {}).get("state", "")
    except supervisor_rpc.SupervisorDown:
        return ""


def _reason(slot, release, error, outcome):
    """The sentence that an operator reads: what failed, what serves now, and what the app itself said."""
    try:
        tail = __salt__["supervisor.tail"](slot["program"])
    except CommandExecutionError as unreadable:
        tail = str(unreadable)
    return f"{slot['program']}: release {release}: {error}; {outcome}. The end of {slot['log']}:\n{tail}"
