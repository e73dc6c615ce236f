"""
What the event bus is told about a rollout: ``rollout/<app>/<phase>/<host>``, fired by the master when a phase begins on
a host and when it ends there. A phase is a step of the orchestration; the master's own steps have the host ``master``.

    {"app", "phase", "host", "what", "token", "seconds", "reason"}

``what`` is ``begun``, ``done`` or ``failed``, ``token`` the job's id, ``seconds`` how long it took, ``reason`` why it
failed. The event of the phase ``plan`` also has ``summary`` and ``waves``, lists of hosts.
"""

import logging

import salt.utils.event

log = logging.getLogger(__name__)

PREFIX = "rollout"
MASTER = "master"
BEGUN, DONE, FAILED = "begun", "done", "failed"


def fire(opts, token, app, phase, host, what, **more):
    """Tell the master's bus; where nobody can be told, only the log is."""
    data = {"app": app, "phase": phase, "host": host, "what": what, "token": token, **more}
    try:
        with _bus(opts, listen=False) as bus:
            bus.fire_event(data, f"{PREFIX}/{app}/{phase}/{host}")
    except Exception as error:  # whatever it is, a deploy goes on
        log.warning("%s: the event bus was not told: %s", app, error)


def listen(opts, app, pause):
    """Yield the events of an app's rollouts as they come, and ``None`` whenever ``pause`` seconds brought none."""
    with _bus(opts, listen=True) as bus:
        bus.subscribe(f"{PREFIX}/{app}/")
        # From here on nothing is missed.
        yield None
        while True:
            yield bus.get_event(wait=pause, tag=f"{PREFIX}/{app}/")


def ended(reason):
    """The word for a phase that ended for a reason, or well."""
    return FAILED if reason else DONE


def _bus(opts, listen):
    return salt.utils.event.get_event("master", sock_dir=opts["sock_dir"], opts=opts, listen=listen)
