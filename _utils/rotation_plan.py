"""
What a rotation is going to do: which secrets, on which hosts, in which order. ``_runners/rotation.py`` asks what has to
be known for it, ``salt/orch/rotate.sls`` makes states of it.
"""

import app_spec
import rollout_plan
import rotation
import waves

# Of these the ledger notes which of the two logins goes with the value.
TWO_LOGINS = "passwords:database:"


def plan(app, release):
    """
    The steps that bring the newest value of each secret of an app into use.

    app
        With the secrets that its own hosts have.
    release
        What is deployed.
    """
    due = {path: several for path, several in app.values.items() if several.is_due}
    is_open = any(several.is_open for several in app.values.values())
    served = _served(app)
    return {
        "problems": [],
        "apps": [app.name],
        "work": [app.name] if is_open else [],
        "summary": "\n".join(words(app) or [f"{app.name}: no secret has a newer value than the one in use"]),
        "release": release,
        "hosts": list(app.hosts),
        "trying": list(app.hosts) if app_spec.secret_key(app.name, app_spec.DEPLOY_KEY) in due else [],
        "databases": served["database"],
        "caches": served["cache"],
        "others": [*served["database"], *served["cache"]],
        "pillar": {"only": app.name},
        "newest": {"only": app.name, "newest": app.name},
        # Files of the app's own may have secrets in them, and are made where a release is staged.
        "sls": "app.stage,app.activate" if app.files else "app.activate",
        "overlap": {
            path: _noted(several.current, several, False) for path, several in due.items() if _is_password(path)
        },
        "rotates": {path: _noted(several.values[0], several, True) for path, several in due.items()},
        **_waves(app),
    }


def _served(app):
    """The host, in a list, that takes part for the password of the app's database, and the one for its cache."""
    services = {"database": (app.database, app_spec.password_key(app.name))}
    services["cache"] = (app.cache, app_spec.cache_key(app.name))
    return {
        kind: [service.host] if service and path in app.values and app.values[path].is_open else []
        for kind, (service, path) in services.items()
    }


def no_plan(error):
    """The keys of ``plan`` without anything to do: ``problems`` holds the sentences of an error."""
    return {"problems": str(error).splitlines(), "summary": "", "apps": [], "work": [], "hosts": []}


def words(app):
    """What there is to say about each secret that has several values, or two logins: a line each."""
    told = [several for several in app.values.values() if several.values[1:] or several.is_open]
    return [f"{several.path}: {_words(app, several)}" for several in told]


def _words(app, several):
    if several.path == app_spec.password_key(app.name):
        return _words_of_password(app, several)
    if several.path == app_spec.cache_key(app.name):
        return _words_of_cache(several)
    is_key = several.path == app_spec.secret_key(app.name, app_spec.DEPLOY_KEY)
    if several.is_due and is_key:
        return "the newest value comes into use if the git server takes it"
    if several.is_due:
        return f"the newest value comes into use; those before it are accepted for {app.fallback} more days"
    if several.is_open:
        return "the newest value is in use; what still runs with another one is stopped"
    if is_key:
        return "the newest value is in use: take the others out of the pillar"
    if several.ended(app.fallback):
        return "the newest value is in use, and no other is accepted any more: take them out of the pillar"
    end = several.ends(app.fallback).strftime("%Y-%m-%d %H:%M UTC")
    return f"the newest value is in use; those before it are accepted until {end}, then take them out of the pillar"


def _words_of_password(app, several):
    logins = app.database.logins
    now, other = (logins[number - 1] for number in (several.login(), rotation.other(several.login())))
    if several.is_due:
        return f"the newest value comes into use, with the login {other}; then {now} is shut out"
    if several.is_open:
        return f"{now} is in use; {other} is shut out"
    return f"{now} is in use, and {other} is shut out: take the other values out of the pillar"


def _words_of_cache(several):
    if several.is_due:
        return "the newest value comes into use; then no other is accepted"
    if several.is_open:
        return "the newest value is in use; from now on no other is accepted"
    return "the newest value is in use, and no other is accepted: take them out of the pillar"


def _is_password(path):
    """Whether another host has to accept a secret before it is used, and to refuse it at the end."""
    return path.startswith("passwords:")


def _noted(value, several, is_new):
    """What the ledger is to note of a secret, but for the time."""
    used = several.login()
    login = {"login": rotation.other(used) if is_new else used} if several.path.startswith(TWO_LOGINS) else {}
    return {"value": rotation.fingerprint(several.path, value), **login, "overlap": True}


def _waves(app):
    spec = app_spec.plain(app)
    rollout = spec["rollout"]
    groups = waves.waves(spec["hosts"], rollout["canary"], rollout["wave"])
    accept, accepted = rollout_plan.wave_steps(groups, rollout["between"], "cache", "accept", "wait-accept")
    use, used = rollout_plan.wave_steps(groups, rollout["between"], "accepted", "use", "wait-use")
    seconds = rollout_plan.lock_seconds(spec, 2 * len(groups), rollout["between"])
    return {"accept": accept, "accepted": accepted, "use": use, "used": used, "lock_seconds": seconds}
