"""
The steps of an orchestration that the master does itself: the plan, the lock, the states of hosts, the ledger, the end.

They run on the master, in ``salt/orch``. What comes before a change is in ``preflight``, the app's own commands in
``hook``.
"""

import time

from salt.exceptions import CommandExecutionError

import asking
import ledger_file
import lock_file
import notices
import outlook
import rollout_end
import rollout_events
import rollout_step
import state_result
import steps


@rollout_step.step
def planned(name, problems, summary, apps=(), waves=(), look=None):
    """
    Show the plan, or fail with everything that is wrong with what was asked for.

    apps, waves
        What the event bus is told: the apps that it is about, and the hosts that are activated one after the other.
    look
        What ``rollout.plan`` shows besides, asked for in test mode only: a real run learns it from the staged release.

    .. code-block:: yaml

        plan:
          rollout.planned:
            - problems: []
            - summary: shop v1 (1a2b3c4d5e6f): web1, then web2
            - apps: [shop]
            - waves: [[web1], [web2]]
    """
    if problems:
        raise CommandExecutionError("\n".join(problems))
    if look and __opts__["test"]:
        return state_result.unchanged(name, _outlook(look))
    return state_result.unchanged(name, summary)


@rollout_step.step
def locked(name, app, reason, seconds):
    """
    Hold the app's lock from here on; ``finished`` gives it back.

    .. code-block:: yaml

        lock:
          rollout.locked:
            - app: shop
            - reason: deploy v1
            - seconds: 3600
    """
    if __opts__["test"]:
        held = lock_file.show(_folder(), app)
        return state_result.unchanged(name, f"{app} is locked by {held['owner']}" if held else f"{app} is not locked")
    stale = lock_file.acquire(_folder(), app, __orchestration_jid__, ledger_file.who(), reason, seconds)
    taken = f"; taken over from {stale['owner']}, whose lock expired at {stale['expires']}" if stale else ""
    return state_result.unchanged(name, f"{app} is locked for {seconds} seconds{taken}")


@rollout_step.step
def waited(name, app, seconds):
    """
    Let time pass between two waves, unless no host has changed so far.

    .. code-block:: yaml

        wait-1:
          rollout.waited:
            - app: shop
            - seconds: 60
    """
    if __opts__["test"]:
        return state_result.unchanged(name, f"{seconds} s would pass before the next wave")
    if not steps.changed(__running__):
        return state_result.unchanged(name, "no host has changed: nothing to wait for")
    time.sleep(seconds)
    return state_result.unchanged(name, f"{seconds} s have passed")


@rollout_step.step_on_hosts
def applied(name, hosts, app="", sls="", pillar=None):
    """
    Ensure that hosts are what an SLS says, all of them at once; the bus is told when each host begins and ends.

    hosts
        Minion ids. One that does not answer fails the step; one that is at another state run is waited for.
    app
        The app whose rollout this is; empty for no rollout.
    sls
        What is applied; empty for the whole highstate.
    pillar
        What the hosts' own pillar is overridden with.

    .. code-block:: yaml

        activate-1:
          rollout.applied:
            - app: shop
            - hosts: [web1]
            - sls: app.activate
            - pillar: {releases: {shop: {...}}, only: shop}
    """
    return _apply(name, hosts, app, sls, pillar or {})


@rollout_step.step
def confirmed(name, app, hosts, release):
    """
    Ensure that every host still serves the release after the last one got it: one may have lost the master meanwhile.

    .. code-block:: yaml

        confirm:
          rollout.confirmed:
            - app: shop
            - hosts: [web1, web2]
            - release: {id: 1a2b3c4d5e6f, commit: 1a2b..., revision: v1}
    """
    if __opts__["test"]:
        return state_result.unchanged(name, "every host would be asked whether it still serves the release")
    serving, problems = asking.ask(__opts__, hosts, "slots.serving", app)
    others = {host: served for host, served in serving.items() if served["release"] != release["id"]}
    problems |= {host: f"it serves {rollout_end.served(served)} again" for host, served in others.items()}
    if problems:
        raise CommandExecutionError(asking.lines(problems))
    return state_result.unchanged(name, f"every host serves {ledger_file.title(release)}")


@rollout_step.step
def recorded(name, app, hosts, release, skipped=(), result=ledger_file.DEPLOYED):
    """
    Ensure that the ledger says that ``release`` is deployed, and which hosts missed it. A deploy that changed no host
    leaves no entry.

    From then on no host goes back by itself: what the ledger says is what they ask for.

    .. code-block:: yaml

        record:
          rollout.recorded:
            - app: shop
            - hosts: [web1, web2]
            - release: {id: 1a2b3c4d5e6f, commit: 1a2b..., revision: v1}
            - skipped: [web3]
            - result: deployed
    """
    changes = _to_record(ledger_file.read(_folder(), app), release, skipped)
    if not changes:
        if not __opts__["test"]:
            ledger_file.forget(_folder(), app)
        return state_result.unchanged(name, f"{ledger_file.title(release)} was deployed already")
    if __opts__["test"]:
        return state_result.would(name, changes, f"{ledger_file.title(release)} would be recorded")
    _must_hold(app)
    ledger_file.succeed(_folder(), app, result=result, **steps.notes(__running__))
    # One that does not hear this learns it from the ledger.
    asking.ask(__opts__, hosts, "slots.settle", app)
    return state_result.changed(name, changes, f"{ledger_file.title(release)} is deployed")


@rollout_step.step_on_hosts
def balanced(name, app, hosts, skipped):
    """
    Ensure that balancers send nothing to hosts that missed the release, and again to those that have it now, and that
    the ledger says of these that they have caught up. Where no host is or was behind nobody is asked.

    hosts
        The balancers. Where one fails the ledger is left as it is, and ``rollout.catch_up`` tries again.
    skipped
        The app's hosts that the deploy went on without.

    .. code-block:: yaml

        balance:
          rollout.balanced:
            - app: shop
            - hosts: [lb1]
            - skipped: [web3]
    """
    back = [host for host in ledger_file.read(_folder(), app)["skipped"] if host not in skipped]
    if not skipped and not back:
        return state_result.unchanged(name, "every host takes traffic")
    done = _apply(name, hosts, app, "balancer", {"skipped": {app: list(skipped)}})
    if back and not __opts__["test"]:
        ledger_file.caught_up(_folder(), app, back)
    return done


@rollout_step.step
def finished(name, apps, hosts=(), hook=None):
    """
    End the orchestration, as its last state and without requisites: give the locks back, and if a step failed, bring
    the hosts back to what they served before and fail with the host's reason in the last lines.

    hosts
        The app's hosts, for the message about a deploy.
    hook
        The app's hooks of a failure, as ``hook.ran_before`` takes them.

    .. code-block:: yaml

        finish:
          rollout.finished:
            - apps: [shop]
            - hosts: [web1, web2]
            - hook: {host: web1, commands: [[python, manage.py, resume]], arguments: {folder: ..., python: ...}}
    """
    told = notices.mistakes(__opts__) if __opts__["test"] else _ended(apps, hosts, hook)
    failure = steps.failed(__running__)
    if failure:
        raise CommandExecutionError("\n".join([*told, steps.sentence(failure)]))
    return state_result.unchanged(name, "\n".join(told) or "no step failed")


def _outlook(look):
    returned, problems = asking.ask(__opts__, [look["host"]], "releases.preview", **look["questions"])
    found = outlook.found(look, (returned | problems)[look["host"]])
    return "\n".join(f"{label}: {text}" for label, text in outlook.words(look, found).items())


def _tell(app, step, host, what, **more):
    rollout_step.tell(__opts__, __orchestration_jid__, [app], step, host, what, **more)


def _apply(name, hosts, app, sls, pillar):
    for host in hosts:
        _tell(app, name, host, rollout_events.BEGUN)
    returned, reasons, began = dict.fromkeys(hosts, False), dict.fromkeys(hosts, steps.reason(False)), time.monotonic()
    for host, states in asking.apply(__opts__, hosts, sls, pillar, bool(__opts__["test"])):
        returned[host], reasons[host] = states, steps.reason(states)
        end, spent = rollout_events.ended(reasons[host]), rollout_step.since(began)
        _tell(app, name, host, end, seconds=spent, reason=reasons[host])
    return _applied(name, returned, reasons)


def _applied(name, returned, reasons):
    """The result of a step from what the hosts returned; ``changes`` is in the shape that Salt prints state runs of."""
    failed = [host for host in returned if reasons[host]]
    changed = [host for host in returned if host not in failed and steps.has_changes(returned[host])]
    shown = {host: returned[host] for host in returned if host in (*failed, *changed)}
    changes = {"out": "highstate", "ret": shown} if shown else {}
    if failed:
        error = CommandExecutionError(f"it failed on {', '.join(failed)}")
        error.changes = changes
        raise error
    return state_result.made(name, changes, f"changed: {', '.join(changed) or 'no host'}", __opts__["test"])


def _to_record(ledger, release, skipped):
    """What the ledger is going to say anew; {} where no host changed."""
    if ledger["deployed"] == release and not steps.changed(__running__):
        return {}
    missed = [host for host in skipped if host not in ledger["skipped"]]
    return {"deployed": {"old": ledger["deployed"], "new": release}, **({"skipped": missed} if missed else {})}


def _must_hold(app):
    if not lock_file.is_held(_folder(), app, __orchestration_jid__):
        raise CommandExecutionError(f"the lock of {app} expired and is not ours any more: nothing was recorded")


def _ended(apps, hosts, hook):
    endings = (rollout_end.Ending(__opts__, __orchestration_jid__, __running__, app, hosts, hook) for app in apps)
    return [line for ending in endings for line in ending.end()]


def _folder():
    return ledger_file.folder(__opts__)
