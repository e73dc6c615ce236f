"""
The checks of a pillar: each value by the tables of ``app_spec_keys``, then what must agree between values.

Nothing here raises: every function adds its sentences to a list of problems, each ``key as typed: what is wrong: what
to do``, so that all mistakes of a pillar are told at once.
"""

import collections
import difflib
import ipaddress
import re
import zlib
from collections.abc import Mapping

import app_spec_files
import app_spec_keys
import app_spec_likeness
import app_spec_secrets
import launch
import sizing
import web_servers
from app_spec_keys import REQUIRED, Derived

BAD = object()
MANY = 10**12
# Names that a message lists.
SUGGESTED = 20
# Loopback ports below those that Linux gives to connections (32768 and up, ip_local_port_range): two for each app.
FIRST_PORT, PORTS = 10000, 10000
SOURCE_KINDS = ("git", "archive", "path")
# What other hosts serve for an app, each by a role of that name, with a password of the app's own.
SERVICES = ("database", "cache")
# Written into the secrets file or the environment by us; what the operator sets instead.
OWN_VARIABLES = {
    "DJANGO_SETTINGS_MODULE": "set settings",
    "SECRETS_FILE": "set secrets:path",
    launch.FILE: "set secrets:export",
}
# What begins so is no secret yet: Salt can hand it on where it has not the key, or knows no such store.
NO_SECRETS = {
    "-----BEGIN PGP MESSAGE-----": "is still encrypted: the master has not the key, or the file's first line is not"
    " #!yaml|gpg: make secrets-check on the master says which",
    "sdb://": "is where a secret lies, and not the secret: write"
    " {{ salt['sdb.get']('sdb://...', strict=True) | json }}",
}


def settle(pillar, id=None):
    """
    Return the pillar's values with every default filled in, and the list of problems.

    The values can be used only if there is no problem.

    :param pillar: the whole pillar; keys that are not ours are not looked at
    :param id: the minion's id, to tell which passwords it must have; None: none is missed
    """
    if not isinstance(pillar, Mapping):
        return {}, [f"pillar: {shown(pillar)} is not a mapping: write `key: value` lines"]
    ours = {key.name: pillar[key.name] for key in app_spec_keys.PILLAR if key.name in pillar}
    whole, typed, unlike = app_spec_likeness.complete(ours.get("apps"))
    values, problems = _settled({**ours, **({"apps": whole} if "apps" in ours else {})}, pillar, id)
    # What two apps have from one place is wrong once.
    told = [app_spec_likeness.as_typed(problem, typed) for problem in problems]
    return values, list(dict.fromkeys([*unlike, *told]))


def _settled(ours, pillar, id):
    problems = []
    values = _checked_keys("", app_spec_keys.PILLAR, ours, problems)
    apps = values.setdefault("apps", {})
    for name, app in apps.items():
        _complete(name, app, values.get("hosts", {}))
        _agreement(name, app, values.get("secrets", {}).get(name, {}), problems)
    _strangers(values, pillar.get("apps"), problems)
    for key in ("only", "newest"):
        if key in values and values[key] not in apps:
            problems.append(f"{key}: no app has the name {values[key]!r}: {suggestion(values[key], list(apps))}")
    if "hosts" in values:
        _addresses(values["hosts"], problems)
        for name, app in apps.items():
            _placement(name, app, values["hosts"], problems)
        _clashes(apps, values["hosts"], problems)
        _fronts(apps, values["hosts"], problems)
        _connections(apps, values["hosts"], problems)
        # With another mistake no host was given any (pillar_top.secrets): they are not what is missing.
        if not problems:
            _passwords(values, id, problems)
    return values, problems


def table(path, keys, value):
    """
    Return the values of one mapping with the defaults of its keys, and the list of problems, as ``settle`` does.

    :param path: its key as typed, for the problems
    :param keys: the table of its keys, as in ``app_spec_keys``
    """
    if not isinstance(value, Mapping):
        return {}, [f"{path}: {shown(value)} is not a mapping: write `key: value` lines"]
    problems = []
    return _checked_keys(path, keys, value, problems), problems


def suggestion(word, known):
    """Return what to do about a word that is not known: the one that was meant, or all of them."""
    close = difflib.get_close_matches(word, known, n=1)
    more = [f"... ({len(known)} in all)"] if len(known) > SUGGESTED else []
    listed = ", ".join([*known[:SUGGESTED], *more])
    return f"did you mean {close[0]!r}?" if close else f"known are {listed or 'none'}"


def no_password(name, service):
    """Return the sentence for an app of which this host was not given the password of its database, or of its cache."""
    return (
        f"passwords:{service}:{name}: missing: write it into pillar/secrets/{name}_{service}.sls"
        f" (or set apps:{name}:{service}: none)"
    )


def shown(value):
    """Return a value for a message: short, on one line, without the password of a URL."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"{str(value).lower()} (YAML reads yes, no, on and off so)"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, int) and abs(value) > MANY:
        return "a number of many digits"
    text = re.sub(r"//[^/@]*@", "//...@", value) if isinstance(value, str) else value
    text = repr(text)
    return text if len(text) <= 80 else f"{text[:76]}...'"


def _path(path, key):
    """The key under ``path`` as typed; one that would break the line is quoted."""
    name = key if isinstance(key, str) and key.isprintable() and len(key) <= 80 else shown(key)
    return f"{path}:{name}" if path else name


def _checked(path, kind, value, problems):
    """The value with the defaults of its own keys, or ``BAD`` after a problem with the value as a whole."""
    wrong = _no_secret(kind, value) or ("" if kind.fits(value) else _misfit(kind, value))
    if wrong:
        problems.append(f"{path}: {wrong}")
        return BAD
    if kind.keys and isinstance(value, Mapping):
        return _checked_keys(path, kind.keys, value, problems)
    if kind.names:
        return _checked_names(path, kind, value, problems)
    return _checked_items(path, kind, value, problems) if kind.items and not isinstance(value, int) else value


def _no_secret(kind, value):
    """Why a value where a secret is wanted is none, or one of several; empty for what may be one."""
    given = value if isinstance(value, (list, tuple)) else [value]
    texts = [one.lstrip() for one in given if kind.hidden and isinstance(one, str)]
    return next((why for mark, why in NO_SECRETS.items() if any(text.startswith(mark) for text in texts)), "")


def _misfit(kind, value):
    if kind.hidden:
        return f"the value is not a {kind.words}: {kind.fix}"
    if isinstance(value, (int, float)) and abs(value) < MANY and kind.fits(str(value)):
        return f"{shown(value)} is not a text: put it in quotes"
    if kind.choices:
        close = difflib.get_close_matches(value, kind.choices, n=1) if isinstance(value, str) else []
        fix = f"did you mean {close[0]!r}?" if close else kind.fix
        fix = kind.refused.get(value, fix) if isinstance(value, str) else fix
        return f"{shown(value)} is not one of {', '.join(kind.choices)}: {fix}"
    return f"{shown(value)} is no {kind.words}: {kind.fix}"


def _checked_keys(path, keys, value, problems):
    known = [key.name for key in keys]
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(str(name)[:80], known, n=1) if isinstance(name, str) else []
            meant = f"did you mean {near[0]!r}? " if near else ""
            problems.append(f"{_path(path, name)}: unknown key: {meant}The keys here are {', '.join(known)}")
    settled = {key.name: _checked_key(path, key, value, problems) for key in keys}
    return {name: item for name, item in settled.items() if item is not BAD}


def _checked_key(path, key, value, problems):
    if key.name in value:
        return _checked(_path(path, key.name), key.kind, value[key.name], problems)
    if key.default is REQUIRED:
        problems.append(f"{_path(path, key.name)}: missing: {key.kind.fix}")
    if key.default is REQUIRED or isinstance(key.default, Derived):
        return BAD
    return _checked("", key.kind, key.default, problems)


def _checked_names(path, kind, value, problems):
    settled = {}
    for name, item in value.items():
        here = _path(path, name)
        if not kind.names.fits(name):
            problems.append(f"{here}: {_misfit(kind.names, name)}")
            continue
        item = _checked(here, kind.items, item, problems)
        if item is not BAD:
            settled[name] = item
        elif kind.items.keys:
            # A host or an app of which nothing is right is still one, for the checks between values.
            settled[name] = {}
    return settled


def _checked_items(path, kind, value, problems):
    if len(value) < kind.least:
        problems.append(f"{path}: the list is empty: {kind.items.fix}")
    items = [_checked(path, kind.items, item, problems) for item in value]
    good = [item for item in items if item is not BAD]
    problems += [f"{path}: {shown(item)} is there twice: keep one" for item in _twice(good)]
    return good


def _twice(items):
    return sorted(item for item, count in collections.Counter(items).items() if count > 1)


def _addresses(hosts, problems):
    first = {}
    for name, host in hosts.items():
        if "address" not in host:
            continue
        address = ipaddress.ip_address(host["address"])
        other = first.setdefault(address, name)
        if other != name:
            problems.append(f"hosts:{name}:address: {address} is the address of {other} too: give each host its own")


def _complete(name, app, hosts):
    """Fill in the defaults that follow from the app's name, and from what there is."""
    app.setdefault("user", name)
    for key, module in app_spec_likeness.modules(name).items():
        app.setdefault(key, module)
    app.setdefault("interface", "asgi" if app.get("server") == "uvicorn" else "wsgi")
    # By the name and not by the order of the apps: another app must not move this one's port.
    app.setdefault("port", FIRST_PORT + zlib.crc32(name.encode()) % PORTS * 2)
    if isinstance(app.get("database"), dict):
        app["database"].setdefault("name", name.replace("-", "_"))
        app["database"].setdefault("user", app["database"]["name"])
    app.setdefault("cache", {} if _with_role(hosts, "cache") else "none")


def _agreement(name, app, secrets, problems):
    """What must agree between the values of one app."""
    path = f"apps:{name}"
    if "source" in app:
        _source(f"{path}:source", app["source"], problems)
    static, media = app.get("static_url", ""), app.get("media_url", "")
    if static and media and (static.startswith(media) or media.startswith(static)):
        problems.append(f"{path}:media_url: {media!r} and static_url {static!r} overlap: give each its own path")
    problems += app_spec_secrets.problems(name, app, secrets)
    _server(path, app, problems)
    problems += app_spec_files.problems(f"{path}:files", app, OWN_VARIABLES, problems)
    for key in OWN_VARIABLES.keys() & app.get("variables", {}).keys():
        problems.append(f"{path}:variables:{key}: is set for every app: {OWN_VARIABLES[key]}")


def _source(path, source, problems):
    kinds = [kind for kind in SOURCE_KINDS if kind in source]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        problems.append(f"{path}: needs one of {', '.join(SOURCE_KINDS)} and has {found}: keep or add one")
    if "archive" in source and "hash" not in source:
        problems.append(f"{path}:hash: missing: write the 64 digits that sha256sum prints for the archive")
    if "hash" in source and "archive" not in source:
        problems.append(f"{path}:hash: belongs to an archive: leave it out")
    if source.get("known_hosts") and "git" not in source:
        problems.append(f"{path}:known_hosts: belongs to git: leave it out")


def _server(path, app, problems):
    if app["interface"] == "asgi" and "threads" in app:
        problems.append(f"{path}:threads: nothing uses them with asgi, which has one event loop a worker: leave it out")
    able = web_servers.SERVERS[app["server"]].interfaces if "server" in app else ()
    if able and app["interface"] not in able:
        other = "uvicorn or granian" if app["interface"] == "asgi" else "gunicorn, uwsgi, granian or mod_wsgi"
        problems.append(f"{path}:interface: {app['server']} serves {able[0]} only: leave it out, or take {other}")


def _placement(name, app, hosts, problems):
    """Decide which hosts run the app and which serve its database and its cache."""
    path = f"apps:{name}"
    able = _with_role(hosts, "app")
    if not able:
        problems.append(f"{path}: no host has the role app: add it to the roles of a host in hosts")
    for host in app.setdefault("hosts", able) if able else ():
        _has_role(f"{path}:hosts", host, "app", hosts, problems)
    _canary(f"{path}:rollout:canary", app, problems)
    for service in SERVICES:
        if isinstance(app.get(service), dict):
            _service(f"{path}:{service}", service, app[service], hosts, problems)


def _canary(path, app, problems):
    """Hosts that go first must be some on which the app runs."""
    canary, hosts = app.get("rollout", {}).get("canary", 1), app.get("hosts", ())
    able = set(hosts)
    for host in [] if isinstance(canary, int) else canary:
        if able and host not in able:
            problems.append(f"{path}: {host!r} is not a host of the app: {suggestion(host, hosts)}")


def _service(path, role, service, hosts, problems):
    """Decide which host serves a database or a cache."""
    able = _with_role(hosts, role)
    if not able:
        problems.append(f"{path}: no host has the role {role}: add it to a host in hosts, or set {path}: none")
        return
    if "host" not in service and len(able) > 1:
        problems.append(f"{path}:host: missing, and {', '.join(able)} have the role {role}: choose one of them")
        return
    host = service.setdefault("host", able[0])
    _has_role(f"{path}:host", host, role, hosts, problems)
    if "address" not in hosts.get(host, {"address": ""}):
        problems.append(f"{path}:host: {host} has no address: add a right one as hosts:{host}:address")


def _with_role(hosts, role):
    return [name for name, host in hosts.items() if role in host.get("roles", ())]


def _has_role(path, name, role, hosts, problems):
    if name not in hosts:
        problems.append(f"{path}: {name!r} is not a host: {suggestion(name, list(hosts))}")
    elif role not in hosts[name].get("roles", ()):
        problems.append(f"{path}: {name} has not the role {role}: add it to hosts:{name}:roles or take another host")


def _clashes(apps, hosts, problems):
    """
    Two apps that would meet: a user or a domain on one host, a database or its user on one database host.

    Sockets, folders and programs cannot meet: their names are made from the app's name.
    """
    balanced = bool(_with_role(hosts, "balancer"))
    users, domains, databases, logins, ports = {}, {}, {}, {}, {}
    for name, app in apps.items():
        path = f"apps:{name}"
        users.setdefault(app["user"], []).append((f"{path}:user", app))
        for domain in app.get("domains", ()):
            domains.setdefault(domain, []).append((f"{path}:domains", app))
        if app.get("server") == "mod_wsgi":
            for port in (app["port"], app["port"] + 1):
                ports.setdefault(port, []).append((f"{path}:port", app))
        database = app.get("database")
        if isinstance(database, dict) and "host" in database:
            databases.setdefault((database["name"], database["host"]), []).append((f"{path}:database:name", app))
            logins.setdefault((database["user"], database["host"]), []).append((f"{path}:database:user", app))
    _meetings(users, problems, lambda value: repr(value), everywhere=False)
    _meetings(ports, problems, lambda value: str(value), everywhere=False)
    _meetings(domains, problems, lambda value: repr(value), everywhere=balanced)
    for taken in (databases, logins):
        _meetings(taken, problems, lambda value: f"{value[0]!r} on {value[1]}", everywhere=True)


def _fronts(apps, hosts, problems):
    """One port 80 has one web server: Nginx, or Apache for mod_wsgi; a balancer is always Nginx."""
    first = {}
    for name, app in apps.items():
        front = web_servers.SERVERS[app["server"]].front if "server" in app else ""
        for host in app.get("hosts", ()):
            if front == "apache" and "balancer" in hosts.get(host, {}).get("roles", ()):
                problems.append(
                    f"apps:{name}:server: mod_wsgi needs Apache in front, and {host} has the role balancer, which is"
                    f" Nginx: take balancer from hosts:{host}:roles, or another server"
                )
            other, taken = first.setdefault(host, (name, front))
            if front and taken and taken != front:
                problems.append(
                    f"apps:{name}:server: {app['server']} needs {front} in front, and on {host} {other} has {taken}:"
                    f" give the two apps different hosts, or servers with one front"
                )
                break


def _connections(apps, hosts, problems):
    """Every app must get at least one connection to its database in each slot on each of its hosts."""
    for host in _with_role(hosts, "database"):
        takers = [
            (name, app) for name, app in apps.items()
            if isinstance(app.get("database"), dict) and app["database"].get("host") == host
        ]  # fmt: skip
        clients = sum(len(app.get("hosts", ())) for _, app in takers)
        most = hosts[host].get("max_connections")
        if clients and most and not sizing.connections(most, clients):
            problems.append(
                f"hosts:{host}:max_connections: {most} is too few for {clients} apps and hosts"
                f" with two slots each: write {sizing.needed(clients)} or more"
            )


def _meetings(taken, problems, words, everywhere):
    for value, claims in taken.items():
        (first, one), *others = claims
        for path, app in others:
            hers = set(one.get("hosts", ()))
            shared = [host for host in app.get("hosts", ()) if host in hers]
            if everywhere or shared:
                where = "" if everywhere else f", both on {shared[0]}"
                problems.append(f"{path}: {words(value)} is taken by {first}{where}: choose another")


def _strangers(values, apps, problems):
    """Secrets of an app that is not there are a name misspelt, or a secret that should go."""
    known = [name for name in apps if isinstance(name, str)] if isinstance(apps, Mapping) else []
    passwords = values.get("passwords", {})
    given = {f"passwords:{service}": passwords.get(service, {}) for service in SERVICES}
    for path, names in {"secrets": values.get("secrets", {}), **given}.items():
        for name in names:
            if name not in known:
                problems.append(f"{path}:{name}: there is no such app: {suggestion(name, known)}")


def _passwords(values, id, problems):
    for name, app in values["apps"].items():
        for kind in SERVICES:
            service, given = app.get(kind), values.get("passwords", {}).get(kind, {})
            if isinstance(service, dict) and id in [*app.get("hosts", ()), service.get("host")] and name not in given:
                problems.append(no_password(name, kind))
