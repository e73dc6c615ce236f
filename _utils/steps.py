"""
What the steps of an orchestration came to, read from ``__running__``, which Salt gives to every state function.

A step is one state of the orchestration: ``rollout.applied`` and ``salt.state`` hold what each host returned.
"""

import re
from collections.abc import Mapping

# As many as a traceback of Python needs to show where it happened.
LINES = 15

BUSY = re.compile(r'The function "state\.\w+" is running as PID \d+')

# What the changes of a step on hosts are named.
ON_HOSTS = {"ret", "swapped"}

# Hosts whose reason is shown; what broke hundreds at once is the same on all of them.
HOSTS = 3


def failed(running):
    """
    Why the orchestration failed: the first failed step as ``{"step", "hosts": {host: reason}, "reason"}``, or {}.

    ``reason`` is the step's own comment, ``hosts`` is empty where the step did not ask any host. Later failures only
    follow from the first, because each step requires the one before.
    """
    for result in _in_order(running):
        if result["result"] is False and result.get("__state_ran__", True):
            return {
                "step": result["__id__"],
                "hosts": _failed_hosts(result),
                "reason": _short(result["comment"]),
            }
    return {}


def sentence(failure):
    """The failure as text; its last lines are the reason of a host."""
    step, reasons = failure["step"], failure["hosts"]
    if not reasons:
        return f"the step {step} failed: {failure['reason']}"
    hosts = list(reasons)
    others = [f"{', '.join(hosts[HOSTS:])} failed at the step {step}, too"] if hosts[HOSTS:] else []
    return "\n".join([*others, *(f"{host} failed at the step {step}: {reasons[host]}" for host in hosts[:HOSTS])])


def changed(running):
    """Whether a host was changed by any step, or in test mode would be."""
    return any(ON_HOSTS & set(result["changes"]) for result in running.values())


def passed(running, step):
    """The changes of the step of this id if it has run and succeeded, else None."""
    for result in running.values():
        if result["__id__"] == step and result["result"]:
            return result["changes"]
    return None


def comments(running, step):
    """The comment of the step of this id, in a list; empty if it did not change anything."""
    return [result["comment"] for result in running.values() if result["__id__"] == step and result["changes"]]


def changes(running, step):
    """The changes of the step of this id, in test mode those that it would make; {} if it is not among them."""
    return next((result["changes"] for result in running.values() if result["__id__"] == step), {})


def applied(running):
    """The migrations that the step ``migrate`` applied, also where it failed after some."""
    returns = [result["changes"].get("ret", {}) for result in running.values() if result["__id__"] == "migrate"]
    states = [state for ret in returns for host in ret.values() if isinstance(host, Mapping) for state in host.values()]
    changes = [state.get("changes", {}) for state in states if isinstance(state, Mapping)]
    return [name for change in changes for name in change.get("applied", ())]


def unsafe(running):
    """``{migration: [reason, ...]}`` of what the step ``examine`` let pass all the same; None where it did not run."""
    changes = passed(running, "examine")
    if changes is None:
        return None
    # Salt's own kinds of lists are not for a file.
    return {name: list(reasons) for name, reasons in changes.get("unsafe", {}).items()}


def notes(running):
    """What the ledger notes of the steps, as ``ledger_file.succeed`` and ``fail`` take it."""
    return {"phases": seconds(running), "applied": applied(running), "unsafe": unsafe(running)}


def seconds(running):
    """``{step: seconds}`` that each step took, in order."""
    return {result["__id__"]: round(result.get("duration", 0) / 1000, 2) for result in _in_order(running)}


def reason(returned):
    """Why what a host returned is a failure; empty if it is none."""
    if returned is False:
        return "it did not answer"
    if isinstance(returned, str):
        return _short(returned)
    if not isinstance(returned, Mapping):
        return _short("\n".join(str(line) for line in returned)) if isinstance(returned, list) else ""
    # What a function of salt.function returned is no failure by itself: only states say so.
    states = {name: state for name, state in returned.items() if isinstance(state, Mapping) and "__run_num__" in state}
    states = [state for state in _in_order(states) if state["result"] is False and state.get("__state_ran__", True)]
    return "\n".join(f"{state.get('__id__', 'state')}: {_short(state['comment'])}" for state in states)


def is_busy(returned):
    """Whether a host refused a state run because it is at another one (salt.modules.state, ``check_prior_running``)."""
    return isinstance(returned, list) and bool(returned) and all(BUSY.match(str(line)) for line in returned)


def has_changes(returned):
    """Whether a state run that a host returned changed something, or in test mode would."""
    return any(isinstance(state, Mapping) and state.get("changes") for state in returned.values())


def _in_order(running):
    return sorted(running.values(), key=lambda result: result["__run_num__"])


def _is_on_hosts(result):
    return "ret" in result["changes"]


def _failed_hosts(result):
    """``{host: reason}`` of a step that ran on hosts."""
    returns = result["changes"].get("ret", {})
    reasons = {host: reason(returned) for host, returned in returns.items()}
    return {host: why for host, why in reasons.items() if why}


def _short(comment):
    """A comment with its first line, which says what failed, and its last ones, which say why."""
    lines = str(comment).strip().splitlines()
    return "\n".join(lines if len(lines) <= LINES else [lines[0], "...", *lines[1 - LINES :]])
