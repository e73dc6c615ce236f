"""
The two slots of an app on this host: start a release in the idle one, prove it, give it the traffic, take it back.

Whoever calls passes what ``apps.spec`` says about the app: ``slots``, ``current``, ``health``. What runs in a slot is
asked and ended as it was started, which its record tells: the pillar may want another server or process manager by now.
Everything can be called again after a crash at any point: what is done is found done.
"""

import json
import logging
import os
import time
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from salt.exceptions import CommandExecutionError

import access_log
import command
import doors
import editions
import host_timers
import probe
import slot_record
import supervisor_rpc
import traffic

log = logging.getLogger(__name__)

# The web server of this host, which trusts what this address says about the protocol (salt/nginx/nginx.conf and
# salt/apache/slipway.conf).
FRONT_DOOR = "127.0.0.1:80"

MANAGERS = ("supervisor", "systemd")

# Seconds between two looks at a program that is still starting, and between two probes of the watch window.
STARTING_INTERVAL = 0.2
WATCH_INTERVAL = 0.5
# What a page that is warmed may answer: a redirect, or that it wants to know who asks, is the app's own business.
NO_SERVER_ERROR = (200, 499)
# Between two questions to a slot that is warm: it has proved itself before.
WARM_INTERVAL = 0.02

# One bad answer in the watch window may be the client's side of it, two in a row are the release.
WATCH_FAULTS = 2

# Seconds after a flip in which requests on their way still reach the old slot: with 2 none was lost (our measurement,
# "symlink flip, old slot stopped after 2 s").
DRAIN = 2.0
# Seconds that a program gets to end when its requests are answered, and when what is left of them must be cut: servers
# would go on with those for as long again, and uWSGI 2.0.30 for ever. Then it is killed.
END = 5.0
CUT = 1.0

# Seconds after the end of its watch window in which what watches a release has said what came of it.
WATCH_ENDED = 10

# Seconds after which the front has written down what became of a request.
LOGGED = 0.5

# STARTING lasts as long as the program's startsecs; an app answers well before.
ALIVE = ("STARTING", "RUNNING")
# Nothing runs, nothing is about to; the empty one is a program that its manager does not know.
ENDED = ("STOPPED", "EXITED", "FATAL", "UNKNOWN", "")


def serving(app):
    """
    Return which slot of an app has the traffic: ``slot``, ``release`` and ``since`` (UTC), all empty if none has.

    CLI Example:

    .. code-block:: bash

        salt web1 slots.serving shop
    """
    return _serving(__salt__["apps.spec"](app)["slots"])


def status(app):
    """
    Return what ``serving`` does, and ``server``, ``answer``: what is wrong with one at the front door, or ``well``, and
    ``maintenance``: whether visitors get that page instead.

    CLI Example:

    .. code-block:: bash

        salt web1 slots.status shop
    """
    spec = __salt__["apps.spec"](app)
    found = _serving(spec["slots"])
    fault = _fault({"door": FRONT_DOOR}, found["release"], spec["health"])
    closed = Path(spec["maintenance"]["flag"]).exists()
    return {**found, "server": spec["web"]["server"], "answer": fault or "well", "maintenance": closed}


def pending(slots, current, release, path, config_files):
    """
    Return what ``activate`` would change, ``{}`` if the release has the traffic already and its program runs.

    :param slots: the app's two slots
    :param current: the link to the release that has the traffic
    :param release: id of the wanted release
    :param path: its folder
    :param config_files: files that a process of the app reads when it starts
    """
    slot = slot_record.active(slots)
    if slot is None or not _prepared(slot, release, path, config_files):
        return {**_difference(slot, release), **_change_of_front(slot)}
    if _state(slot) not in ALIVE:
        return {"program": {"old": f"{slot['program']} is not running", "new": "running"}}
    if not slot_record.read(slot).get("confirmed"):
        return {"release": {"old": f"{release}, not watched to the end", "new": release}}
    if not slot_record.leads_to(current, path):
        return {"current": {"old": _target(current), "new": path}}
    return {}


def activate(
    slots, current, release, path, config_files, health, window, warm_requests, keep_warm=0, confirm=0, again=True
):
    """
    Give the traffic of this host to a release, and return what changed; see ``pending`` for the first arguments.

    The idle slot starts the release, must answer well on its own door and is warmed; then the traffic goes to it and it
    is watched through the front door. A release that is still warm in the idle slot only has to answer. One that has
    the traffic but whose program died is started where it is, because that ends the outage soonest.

    :param health: how to ask the app (``apps.spec``: ``health``)
    :param window: how to watch the release after it has the traffic (``apps.spec``: ``rollout:watch``)
    :param warm_requests: how many requests to warm it with: one for each thread of each worker
    :param keep_warm: seconds that the release before goes on running, for a way back; 0: until ``retire``
    :param confirm: seconds without an answer of the master after which this host goes back by itself; 0: it stays
    :param again: whether what had the traffic already, and lost it in the watch window, may try once more
    :raises CommandExecutionError: with the last lines of the app's log; the traffic is then where it was before
    """
    changes = pending(slots, current, release, path, config_files)
    if not changes:
        return {}
    before = slot_record.active(slots)
    if before and _prepared(before, release, path, config_files):
        slot, back = before, _idle(slots, before)
        if not slot_record.read(slot).get("confirmed"):
            # Where a flip was cut short, the other web server may still have the port.
            __salt__["fronts.take"](slot["front"])
        _restart_in_place(slot, release, path, health)
    else:
        slot, back = _idle(slots, before), before
        if not again:
            _must_not_be_refused(slot, release, config_files)
        if not _is_warm(slot, release, path, config_files, health):
            _start_idle(slot, back, release, path, config_files, health, warm_requests)
        _ask_master_later(slot, back, current, health, window, confirm)
        _give_traffic(slot, back)
    slot_record.point(current, editions.led_to(path))
    _confirm(slot, back, current, release, health, window)
    if keep_warm and back and slot_record.read(back):
        _keep_warm(back, keep_warm)
    return changes


def revert(app, slot):
    """
    Give the traffic of an app back to a slot, and return ``slots.serving``; without effect if it has it.

    Its program is started and proved first if it was stopped. Then what ran in the other slot is stopped.

    :param slot: the name of the slot that had the traffic before; empty where there was none: then nothing serves. Or
        one for each host, ``{host: slot}``, so that all hosts go back at once

    CLI Example:

    .. code-block:: bash

        salt web1 slots.revert shop blue
    """
    spec = __salt__["apps.spec"](app)
    slots, current = spec["slots"], spec["paths"]["current"]
    target = _named(slots, slot[__opts__["id"]] if isinstance(slot, dict) else slot)
    if target is None:
        _take_traffic_away(slots[0], current)
    elif slot_record.active(slots) != target or _state(target) not in ALIVE:
        slot_record.give_files_back(target)
        _prove_again(target, spec["health"])
        _give_traffic(target, slot_record.active(slots))
        slot_record.write(target, {**slot_record.read(target), "confirmed": True})
    if target:
        slot_record.point(current, os.path.realpath(target["link"]))
    settle(app)
    for other in slots:
        if other != target:
            _stop_gracefully(other)
    return _serving(slots)


def retire(slots, keep_warm=0):
    """
    Stop the programs of the slots that do not have the traffic, and return a sentence for each request that was cut.

    The requests that they still hold are answered first, for as long as the app's ``timeout``. What another process
    manager knew of a slot goes as well. Nothing is stopped where no slot has the traffic.

    :param keep_warm: seconds after the flip in which the slot that served before may still run
    """
    found, cut = leftovers(slots, keep_warm), []
    for slot in slots:
        if slot["program"] in found:
            cut += [] if slot_record.has_traffic(slot) else _stop_gracefully(slot)
            _forget_strangers(slot)
    return cut


def leftovers(slots, keep_warm=0):
    """Return the programs that ``retire`` would stop: without the traffic, or of another process manager."""
    active = slot_record.active(slots)
    if active is None or slot_record.since_flip(active) < keep_warm:
        return []
    return [slot["program"] for slot in slots if _strangers(slot) or (slot != active and _state(slot) not in ENDED)]


def expire(record, started, forget=False):
    """
    End the program of a slot that was kept warm, and return what was done, a sentence each.

    The timer that ``activate`` has set calls this. Without effect if the slot has the traffic again, or was started
    anew since.

    :param record: path of the slot's record
    :param started: when the slot was started, as the record says it (seconds since 1970)
    :param forget: whether its process manager shall forget the program, because another one has taken over
    """
    found = slot_record.read({"record": record})
    if str(found.get("started")) != str(started) or slot_record.has_traffic(found["slot"]):
        return []
    # A timer of the time before is late: the slot has had the traffic again, and lost it just now.
    if slot_record.since_flip(found["slot"]) < found["slot"]["timeout"]:
        return []
    cut = _stop_gracefully(found["slot"])
    if forget:
        _manager(found["slot"], "remove")
    return [f"{found['slot']['program']} was stopped", *cut]


def confirm(record, app):
    """
    Ask the master whether it still wants the release that has the traffic, and return what was done, a sentence each.

    The timer that ``activate`` has set calls this until it is settled. The traffic goes back to the release before if
    the master has given the rollout up, is not reached, or cannot be asked: who has lost it must not stay on a release
    of which nobody knows whether the others have it.

    :param record: path of the slot's record
    :param app: the app's name
    """
    found = slot_record.read({"record": record})
    slot, back = found.get("slot"), found.get("back")
    if not back or not slot_record.has_traffic(slot):
        settle(app)
        return []
    if not found["confirmed"] and slot_record.since_flip(slot) < found["window"] + WATCH_ENDED:
        return []
    wanted = _asked_master(app, found["patience"])
    if found["release"] == wanted["in_progress"]:
        return []
    settle(app)
    if found["release"] == wanted["deployed"]:
        return [f"{slot['program']}: the master has confirmed release {found['release']}"]
    reason = wanted["reason"] or "the master has given the rollout up"
    line = f"{slot['program']}: release {found['release']}: {reason}: the traffic goes back to where it was"
    log.error(line)
    slot_record.note(slot["log"], [line])
    _go_back(slot, back, found["current"], found["health"])
    return [line]


def settle(app):
    """
    Ask the master no more whether it still wants the release of an app: the rollout has come to its end.

    CLI Example:

    .. code-block:: bash

        salt web1 slots.settle shop
    """
    host_timers.stop(_timer(app))


def quiet(app):
    """
    Wait until the requests of an app that are at work here are answered; return how many are left at its ``timeout``.

    It ends sooner only where visitors are kept out.

    CLI Example:

    .. code-block:: bash

        salt web1 slots.quiet shop
    """
    slot = slot_record.active(__salt__["apps.spec"](app)["slots"])
    if slot is None:
        return 0
    slot, end = slot_record.started(slot), time.monotonic() + slot["timeout"]
    # As after a flip: they are on their way, and not connected yet.
    time.sleep(DRAIN)
    while (left := _connected(slot)) and time.monotonic() < end:
        time.sleep(STARTING_INTERVAL)
    return left


def distrust(app):
    """
    Take no process of an app that runs by now for ready any more: what they know of the world is not true, their
    connections are cut. The next activation starts a new one, of the release that is served too.

    CLI Example:

    .. code-block:: bash

        salt web1 slots.distrust shop
    """
    for slot in __salt__["apps.spec"](app)["slots"]:
        record = slot_record.read(slot)
        if record:
            slot_record.write(slot, {**record, "fingerprint": "", "confirmed": False})


def _serving(slots):
    slot = slot_record.active(slots)
    if slot is None:
        return {"slot": "", "release": "", "since": ""}
    since = datetime.fromtimestamp(slot_record.flipped(slot), tz=timezone.utc)
    release = slot_record.read(slot).get("release", "")
    return {"slot": slot["name"], "release": release, "since": since.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _difference(slot, release):
    """What a switch to the other slot changes: the release, or with the same release what its process reads."""
    old = slot_record.read(slot).get("release", "") if slot else ""
    if old == release:
        return {"configuration": {"old": "as it was when the process started", "new": "as it is now"}}
    return {"release": {"old": old, "new": release}}


def _change_of_front(slot):
    before = slot_record.started(slot)["front"] if slot else ""
    return {"front": {"old": before, "new": slot["front"]}} if slot and before != slot["front"] else {}


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


def _is_warm(slot, release, path, config_files, health):
    """Whether the release still runs in the slot, as it did when it had the traffic, and answers well."""
    confirmed = slot_record.read(slot).get("confirmed")
    if not (confirmed and _prepared(slot, release, path, config_files) and _state(slot) in ALIVE):
        return False
    try:
        _await_good_answers(slot, release, path, {**health, "interval": WARM_INTERVAL, "start_timeout": END})
    except CommandExecutionError as error:
        log.warning("%s: was kept warm and does not answer: starting it anew: %s", slot["program"], error)
        return False
    return True


def _start_idle(slot, back, release, path, config_files, health, warm_requests):
    """Make the idle slot run the release and answer well; what never answered well is killed, for it may hang."""
    unproved = _prepared(slot, release, path, config_files) and not slot_record.read(slot).get("confirmed")
    if not (unproved and _state(slot) in ALIVE):
        _start_anew(slot, release, path, config_files)
    try:
        _await_good_answers(slot, release, path, health)
        _warm(slot, release, health, warm_requests)
    except CommandExecutionError as error:
        reason = _reason(slot, release, error, "it got no traffic")
        _manager(slot, "kill")
        slot_record.forget(slot)
        if back:
            slot_record.give_files_back(back)
        raise CommandExecutionError(reason) from error


def _start_anew(slot, release, path, config_files):
    log.info("%s: starting release %s", slot["program"], release)
    # Before anything of it is stopped: the front must not come back to what is on its way out, or not proved yet.
    slot_record.point(slot["standby"], slot["nobody"])
    _stop_gracefully(slot)
    slot_record.forget(slot)
    _forget_strangers(slot)
    slot_record.take(slot, path)
    _manager(slot, "configure", slot["section"])
    fingerprint = slot_record.fingerprint(slot, release, config_files)
    record = {"release": release, "fingerprint": fingerprint, "started": time.time(), "confirmed": False}
    slot_record.write(slot, {**record, "slot": slot})
    _manager(slot, "start", wait=False)


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
        _manager(slot, "configure", slot_record.started(slot)["section"])
        _manager(slot, "start", wait=False)


def _prove_again(slot, health):
    """Make sure that the slot to go back to runs and answers well, at the door that it was started with."""
    slot = slot_record.started(slot)
    release = slot_record.read(slot).get("release", "")
    if not release:
        raise CommandExecutionError(f"{slot['program']}: there is no release in this slot to go back to")
    _start_if_dead(slot)
    try:
        _await_good_answers(slot, release, os.path.realpath(slot["link"]), health)
    except CommandExecutionError as error:
        raise CommandExecutionError(_reason(slot, release, error, "the traffic was not given back to it")) from error


def _give_traffic(slot, back):
    """Flip. What served before stands by, and where it had another web server in front that one changes with it."""
    log.info("%s: gets the traffic", slot["program"])
    now, before = slot_record.started(slot), slot_record.started(back) if back else None
    proved = before and slot_record.read(back).get("confirmed") and _state(back) in ALIVE
    slot_record.point(now["standby"], before["target"] if proved else now["nobody"])
    slot_record.renew_door(now)
    slot_record.point(now["live"], now["target"])
    if before is None or before["front"] != now["front"]:
        _change_front(now, before)


def _change_front(now, before):
    """Have the other web server take port 80; where it cannot, the traffic is where it was."""
    try:
        __salt__["fronts.take"](now["front"])
    except CommandExecutionError:
        slot_record.point(now["live"], before["target"] if before else now["nobody"])
        slot_record.point(now["standby"], now["nobody"])
        raise


def _ask_master_later(slot, back, current, health, window, seconds):
    """
    Before the traffic goes there: have the master asked whether it still wants it, where there is a way back.

    Half of the seconds pass between two questions, and each has the other half for its answer.
    """
    if not seconds or not back or not slot_record.read(back):
        return
    way_back = {
        "back": back,
        "current": current,
        "health": health,
        "window": window["seconds"],
        "patience": seconds / 2,
    }
    slot_record.write(slot, {**slot_record.read(slot), **way_back})
    app, arguments = slot_record.app(slot), (slot["record"], slot_record.app(slot))
    try:
        host_timers.start(_timer(app), seconds / 2, __opts__["config_dir"], "slots.confirm", arguments, again=True)
    except CommandExecutionError as error:
        log.warning("%s: stays where it is if the master is lost: %s", slot["program"], error)


def _asked_master(app, patience):
    """What the master's pillar says of an app just now: ``deployed``, ``in_progress``, and a ``reason`` if nothing."""
    call = [host_timers.salt_call(), f"--config-dir={__opts__['config_dir']}", "--out=json", "apps.rollout", app]
    try:
        answer = json.loads(command.run(call, timeout=patience))["local"]
        return {"reason": "", **{key: answer[key] for key in ("deployed", "in_progress")}}
    except (CommandExecutionError, ValueError, KeyError, TypeError) as error:
        log.warning("%s: the master could not be asked: %s", app, error)
        return {"reason": "the master is not reached", "deployed": "", "in_progress": ""}


def _timer(app):
    return f"slipway-confirm-{app}"


def _keep_warm(slot, seconds):
    """Have the slot that served before ended later, by a timer; without one the next highstate does it."""
    before = slot_record.read(slot)
    forget = before["slot"]["manager"] != slot["manager"]
    try:
        arguments = (slot["record"], before["started"], forget)
        name, config = f"slipway-warm-{slot['program']}", __opts__["config_dir"]
        host_timers.start(name, max(seconds, slot["timeout"]), config, "slots.expire", arguments)
    except CommandExecutionError as error:
        log.warning("%s: runs until the next highstate: %s", slot["program"], error)


def _take_traffic_away(slot, current):
    for link in (slot["standby"], slot["live"]):
        slot_record.point(link, slot["nobody"])
    with suppress(FileNotFoundError):
        Path(current).unlink()


def _confirm(slot, back, current, release, health, window):
    """Watch a release that just got the traffic; give the traffic back if it fails."""
    if slot_record.read(slot).get("confirmed"):
        return
    try:
        _watch(slot, release, health, window)
    except CommandExecutionError as error:
        reason = _reason(slot, release, error, "the traffic went back to where it was")
        fingerprint = slot_record.read(slot).get("fingerprint", "")
        _go_back(slot, back, current, health)
        slot_record.refuse(slot, fingerprint, str(error))
        raise CommandExecutionError(reason) from error
    slot_record.write(slot, {**slot_record.read(slot), "confirmed": True})
    slot_record.pardon(slot)


def _must_not_be_refused(slot, release, config_files):
    refused = slot_record.refusal(slot, slot_record.fingerprint(slot, release, config_files))
    if refused:
        at = datetime.fromtimestamp(refused["at"], tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        raise CommandExecutionError(
            f"release {release} had the traffic of this host and lost it at {at}: {refused['reason']}; no pull tries it"
            " again: deploy another, or apply this host's states yourself"
        )


def _go_back(failed, back, current, health):
    """First move the traffic, then end the failed release gracefully: it holds requests of real users."""
    if back and slot_record.read(back):
        slot_record.give_files_back(back)
        if _state(back) not in ALIVE:
            # Whatever it answers: what failed is no better.
            with suppress(CommandExecutionError):
                _prove_again(back, health)
        _give_traffic(back, failed)
        slot_record.point(current, os.path.realpath(back["link"]))
    else:
        _take_traffic_away(failed, current)
    _stop_gracefully(failed)
    slot_record.forget(failed)


def _watch(slot, release, health, window):
    """Raise if in the window the process ends, the front door answers badly twice in a row, or users fare worse."""
    users = traffic.Watch(slot_record.started(slot), slot_record.flipped(slot), window)
    faults, pid, end = [], None, time.monotonic() + window["seconds"]
    # The window does not end on a bad answer: the next one decides.
    while faults or time.monotonic() < end:
        pid = _same_process(slot, pid)
        fault = _fault({"door": FRONT_DOOR}, release, health)
        faults = [*faults, fault] if fault else []
        if len(faults) == WATCH_FAULTS:
            raise CommandExecutionError(f"{WATCH_FAULTS} bad answers in a row at the front door {FRONT_DOOR}: {fault}")
        time.sleep(WATCH_INTERVAL)
        if worse := users.fault():
            raise CommandExecutionError(worse)


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
        fault = _fault(slot, release, health) or _wrong_folder(pid, path)
        good = 0 if fault else good + 1
    log.info("%s: answers well", slot["program"])


def _same_process(slot, pid):
    """The slot's process id; raises if it died since the last look, which it will do again and again."""
    program = _program(slot)
    if program["state"] in ENDED or pid not in (None, program["pid"]):
        raise CommandExecutionError("its process ended")
    return program["pid"] or None


def _wrong_folder(pid, path):
    """What is wrong if the process runs the code of another folder than the release's."""
    folder = slot_record.folder_of(pid)
    return "" if folder == os.path.realpath(path) else f"the process runs in {folder or 'no folder'} instead of {path}"


def _warm(slot, release, health, requests):
    """Send requests at once, so that every worker has had its first, which is slow; slow is no fault here."""
    patient = {**health, "timeout": health["start_timeout"]}
    pages = [{**patient, "path": page, "statuses": NO_SERVER_ERROR} for page in health["warm"]]
    for asked in [patient, *pages]:
        faults = probe.many(requests, partial(_fault, slot, release, asked))
        if faults:
            of = f"{len(faults)} of {requests} warm-up requests for {asked['path']}"
            raise CommandExecutionError(f"{of} got a bad answer: {faults[0]}")


def _fault(slot, release, health):
    answer = probe.ask(slot["door"], health["path"], health["host"], health["timeout"], slot.get("token", ""))
    return probe.fault(answer, health["statuses"], release)


def _stop_gracefully(slot):
    """Stop what runs in a slot when its requests are answered; a sentence for each that took too long and was cut."""
    slot = slot_record.started(slot)
    slot_record.stand_down(slot)
    if _state(slot) in ENDED:
        return []
    left = _drain(slot)
    position, waited = access_log.position(slot["access_log"]), slot_record.since_flip(slot)
    log.info("%s: stopping", slot["program"])
    _end(slot, CUT if left else END)
    return _cut(slot, position, waited) if left else []


def _drain(slot):
    """Wait until nobody is connected to the slot any more, or may be no longer; return how many are."""
    time.sleep(max(DRAIN - slot_record.since_flip(slot), 0))
    while (left := _connected(slot)) and slot_record.since_flip(slot) < slot["timeout"]:
        time.sleep(STARTING_INTERVAL)
    return left


def _connected(slot):
    """How many connections the slot has; asked twice for a zero, because one may be missed while they come and go."""
    return doors.connections(slot["door"]) or doors.connections(slot["door"])


def _end(slot, seconds):
    """Stop the program of a slot; kill what has not ended in time, as only what must be cut keeps it."""
    try:
        _manager(slot, "stop", timeout=seconds)
    except CommandExecutionError as error:
        log.warning("%s: killed: %s", slot["program"], error)
        _manager(slot, "kill")


def _cut(slot, position, waited):
    """What the front's log says about the requests that were cut, also written to the slot's own log."""
    time.sleep(LOGGED)
    cut = access_log.cut(slot["access_log"], position, slot["domains"], waited)
    limit = f"cut at the limit of {slot['timeout']} s"
    lines = [f"{slot['program']}: {limit}: {request}" for request in access_log.describe(cut)]
    for line in lines:
        log.warning(line)
    slot_record.note(slot["log"], lines)
    return lines


def _program(slot):
    """What the manager that started the slot says of its program: ``{"state": "", "pid": 0}`` if nothing."""
    started = slot_record.started(slot)
    unknown = {"state": "", "pid": 0}
    return __salt__[f"{started['manager']}.programs"](slot["program"]).get(slot["program"], unknown)


def _state(slot):
    """The state of the slot's program; empty where the manager does not know it, or is not there to know anything."""
    try:
        return _program(slot)["state"]
    except supervisor_rpc.SupervisorDown:
        return ""


def _manager(slot, function, *args, **kwargs):
    """Have the manager of a slot's program do something with it: the one that started it, if it is running."""
    manager = slot_record.started(slot)["manager"]
    return __salt__[f"{manager}.{function}"](slot["program"], *args, **kwargs)


def _strangers(slot):
    """The process managers that know the slot's program and should not: neither wanted nor running it now."""
    right = {slot["manager"]} | ({slot_record.started(slot)["manager"]} if _state(slot) not in ENDED else set())
    return [name for name in MANAGERS if name not in right and __salt__[f"{name}.is_configured"](slot["program"])]


def _forget_strangers(slot):
    for manager in _strangers(slot):
        log.info("%s: removed from %s", slot["program"], manager)
        __salt__[f"{manager}.remove"](slot["program"])


def _reason(slot, release, error, outcome):
    """The sentence that an operator reads: what failed, what serves now, and what the app itself said."""
    try:
        tail = _manager(slot, "tail")
    except CommandExecutionError as unreadable:
        tail = str(unreadable)
    return f"{slot['program']}: release {release}: {error}; {outcome}. The end of {slot['log']}:\n{tail}"
