"""What the functions of ``_states`` that are steps of an orchestration have in common."""

import functools
import inspect
import time
import types

import rollout_events
import state_result


def step(function):
    """A step of which the bus is told when it begins, and what it came to. An expected failure is its result."""
    guarded, salts = state_result.failures_are_results(function), function.__globals__

    def told(name, *args, **kwargs):
        # Salt gives what has no default by position.
        given = inspect.signature(function).bind(name, *args, **kwargs).arguments
        apps, host = given.get("apps") or [given.get("app")], given.get("host", rollout_events.MASTER)
        tell_all = functools.partial(tell, salts["__opts__"], salts["__orchestration_jid__"], apps, name, host)
        began = time.monotonic()
        tell_all(rollout_events.BEGUN)
        done = guarded(name, *args, **kwargs)
        reason = done["comment"] if done["result"] is False else ""
        more = {key: given[key] for key in ("summary", "waves") if key in given}
        tell_all(rollout_events.ended(reason), seconds=since(began), reason=reason, **more)
        return done

    return _beside(function, told)


def step_on_hosts(function):
    """A step that tells the bus itself, for each host. An expected failure is its result."""
    return _beside(function, state_result.failures_are_results(function))


def tell(opts, token, apps, phase, host, what, **more):
    """Tell the bus of each app, as ``rollout_events.fire`` does; in test mode nobody is told."""
    if not opts["test"]:
        for app in filter(None, apps):
            rollout_events.fire(opts, token, app, phase, host, what, **more)


def since(began):
    """Seconds since a moment of the monotonic clock, as the bus is told them."""
    return round(time.monotonic() - began, 2)


def _beside(function, wrapper):
    """
    ``wrapper`` as a function of the module of ``function``: Salt puts ``__running__`` and ``__orchestration_jid__``
    into the globals of the function that it calls, and that one's are meant.
    """

    def result(name, *args, **kwargs):
        return wrapper(name, *args, **kwargs)

    own = types.FunctionType(result.__code__, function.__globals__, closure=result.__closure__)
    return functools.wraps(function)(own)
