"""
Apps that are like another one, and what is otherwise in an environment: the keys ``like`` and ``environments``, put
into effect before anything is checked.
"""

import re
from collections.abc import Mapping

# What two apps cannot share, or what says who is like whom.
OWN = ("domains", "user", "port", "database", "tls", "like", "environments")
# Where no other is named.
ENVIRONMENT = "production"
KEY = re.compile(r"apps:([^:\s]+):([^:\s]+)")
# What may stand in a message as it is; what else apps and environments are called, the checks find.
NAME = re.compile(r"[\w-]+")


def modules(name):
    """Return the modules of a Django project as they follow from the name of an app."""
    module = name.replace("-", "_")
    ways = {"wsgi": f"{module}.wsgi:application", "asgi": f"{module}.asgi:application"}
    return {"settings": f"{module}.settings", **ways}


def complete(apps):
    """
    Return the apps with all of their keys, ``{(app, key): where it was typed}`` of those from elsewhere, and problems.

    An app that is like another one has that one's keys, but for ``OWN``; over them are those of its environment, and
    over all its own. In an app that is like none the keys of its environment are over its own. Mappings are merged.

    :param apps: the pillar's ``apps``, as typed; what is no mapping is left to the checks
    """
    done, typed, problems = {}, {}, []
    for name, app in apps.items() if isinstance(apps, Mapping) else ():
        done[name] = app
        if isinstance(app, Mapping) and _is_name(name):
            problem = _problem(name, app, apps)
            problems += [problem] if problem else []
            done[name], places = _complete(name, app, apps)
            typed |= {(name, key): place for key, place in places.items()}
    return (done if isinstance(apps, Mapping) else apps), typed, problems


def as_typed(problem, typed):
    """Return a sentence about a key of an app, with the place where its value was typed."""
    found = KEY.match(problem)
    place = typed.get(found.groups()) if found else None
    return place + problem[found.end() :] if place else problem


def _problem(name, app, apps):
    """What is wrong with whom an app is like; empty if nothing is, or the checks will find it."""
    base = app.get("like")
    if not isinstance(base, str):
        return ""
    path, others = f"apps:{name}", _originals(apps)
    if base not in others:
        return f"{path}:like: {base!r} is no app that is like none itself: take one of {', '.join(others)}"
    if "environments" in app:
        return f"{path}:environments: write them at apps:{base}:environments, for all that are like it"
    environment, known = app.get("environment"), apps[base].get("environments")
    if not isinstance(environment, str) or not isinstance(known, Mapping) or environment in known or not known:
        return ""
    names = ", ".join(filter(_is_name, known))
    return f"{path}:environment: {environment!r} is none of apps:{base}:environments: {names}"


def _originals(apps):
    """The names of the apps that are like none."""
    return [name for name, app in apps.items() if isinstance(app, Mapping) and "like" not in app and _is_name(name)]


def _is_name(name):
    return isinstance(name, str) and bool(NAME.fullmatch(name))


def _complete(name, app, apps):
    """An app with all of its keys, and where those were typed that it has from elsewhere."""
    base = app.get("like", "")
    base = base if base in _originals(apps) else ""
    source = apps[base] if base else app
    over, where = _environment(app.get("environment", source.get("environment", ENVIRONMENT)), source)
    places = {key: f"apps:{base or name}:environments:{where}:{key}" for key in over}
    if not base:
        return _merged(app, over), places
    shared = {**modules(base), **{key: value for key, value in source.items() if key not in OWN}}
    places = {key: f"apps:{base}:{key}" for key in shared} | places
    return _merged(_merged(shared, over), app), {key: place for key, place in places.items() if key not in app}


def _environment(name, source):
    """What is otherwise in an environment, and its name."""
    environments = source.get("environments")
    over = environments.get(name) if isinstance(environments, Mapping) and _is_name(name) else None
    return (over if isinstance(over, Mapping) else {}), name


def _merged(under, over):
    """Mappings merged, at each depth; everything else is as ``over`` has it."""
    if not (isinstance(under, Mapping) and isinstance(over, Mapping)):
        return over
    return {**under, **{key: _merged(under[key], value) if key in under else value for key, value in over.items()}}
