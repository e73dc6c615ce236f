"""
What every app is, completed: the one reader of pillar keys and the one place that joins a path or picks a default.

``load(pillar, grains)`` checks a pillar (``app_spec_checks``, by the tables in ``app_spec_keys``) and returns a
``Fleet`` of frozen dataclasses; ``plain(app)`` makes of an app the dictionary that SLS files loop over.
"""

import dataclasses
import ipaddress
import shlex
from collections.abc import Mapping

import app_spec_checks
import app_spec_files
import app_spec_web
import launch
import rotation
import service_url
import sizing
import waves
from app_spec_classes import (
    MASK,
    App,
    Cache,
    Database,
    Fleet,
    Health,
    Hooks,
    Host,
    Maintenance,
    Paths,
    Release,
    Rollout,
    Secret,
    Secrets,
    SecretsFile,
    Source,
    SpecError,
    Tls,
    Watch,
)

# What the spec holds just as the pillar says it.
AS_TYPED = ("user", "settings", "wsgi", "server", "process_manager", "environment", "python", "requirements", "keep")
AS_TYPED += ("keep_warm", "revision", "static_url", "media_url", "max_body", "config")
POSTGRESQL_PORT, REDIS_PORT = 5432, 6379
# The secret that does not go into the app's file.
DEPLOY_KEY = "deploy_key"
# The second login of a database's user: no name of another user can have this ending.
SECOND = "-2"
# What the file says that keeps visitors out.
CLOSED_BY = "# Managed by Salt: salt://maintenance/on.sls"
CLOSED_FOR_RESTORE = "\n# For a rollback that restores a dump, until it has ended."
# Where this host's own probes come from: a release is watched during maintenance too.
LOOPBACK = "127.0.0.1"
# The PostgreSQL of each distribution we run on: packages.debian.org and packages.ubuntu.com, package "postgresql".
POSTGRESQL_VERSIONS = {
    ("Debian", "12"): "15",
    ("Debian", "13"): "17",
    ("Ubuntu", "22.04"): "14",
    ("Ubuntu", "24.04"): "16",
}


def load(pillar, grains=None):
    """
    Return the ``Fleet`` that a pillar describes.

    :param pillar: the whole pillar, as in ``__pillar__``; keys that are not ours are left alone
    :param grains: the grains of the host to complete for: ``num_cpus`` sizes its processes, ``id`` tells which
        secrets it must have. Without grains (on the master) no secret is missed.
    :raises SpecError: with all mistakes at once
    """
    grains = grains or {}
    values, problems = app_spec_checks.settle(pillar, grains.get("id"))
    if problems:
        raise SpecError("\n".join(problems))
    hosts = tuple(
        Host(name, host["address"], tuple(host["roles"]), host["max_connections"], host.get("cache_memory", ""))
        for name, host in values["hosts"].items()
    )
    apps = tuple(_app(name, values, grains) for name in values["apps"])
    told = {"only": values.get("only", ""), "rollouts": values["rollouts"], "skipped": values["skipped"]}
    pull = _seconds(values["pull"]["every"]) if "pull" in values else 0
    return Fleet(hosts, apps, released="releases" in values and not pull, pull=pull, **told)


def plain(app):
    """
    Return an app as a dictionary of plain values, as SLS files and ``apps.specs`` show it: without a secret.

    ``secret_keys`` names the secrets; ``database`` is ``{}`` where there is none, ``databases`` a list to loop over;
    so with ``cache`` and ``caches``.
    """
    shown = _plain(app)
    secrets = shown.pop("secrets")
    del shown["password"], shown["cache_password"], shown["deploy_key"], shown["values"]
    for one, several in (("database", "databases"), ("cache", "caches")):
        shown |= {one: shown[one] or {}, several: [shown[one]] if shown[one] else []}
    return {**shown, "secret_keys": sorted(secrets)}


def with_release(app, id, commit, revision):
    """Return the app with one release: the one that its hosts shall run."""
    return dataclasses.replace(app, releases=(_release(app.paths, app.files, id, commit, revision),))


def without(app, silent):
    """Return the app as a deploy sees it that goes on without some of its hosts; as many others go first then."""
    hosts = tuple(host for host in app.hosts if host not in silent)
    canary = tuple(waves.stand_ins(app.rollout.canary, hosts))
    return dataclasses.replace(app, hosts=hosts, rollout=dataclasses.replace(app.rollout, canary=canary))


def database_password(app):
    """Return the ``Secret`` with which the app logs in to its database; ``SpecError`` if this host has none."""
    if app.password is None:
        raise SpecError(app_spec_checks.no_password(app.name, "database"))
    return app.password


def cache_password(app):
    """Return the ``Secret`` with which the app logs in to its cache; ``SpecError`` if this host has none."""
    if app.cache_password is None:
        raise SpecError(app_spec_checks.no_password(app.name, "cache"))
    return app.cache_password


def database_logins(app):
    """
    Return ``{role: Secret}`` of the logins of the app's database, ``None`` for one that must not get in; one that is
    not there stays as it is. ``SpecError`` if this host has no password.
    """
    database_password(app)
    passwords = app.values[password_key(app.name)].logins()
    return {app.database.logins[number - 1]: password for number, password in passwords.items()}


def cache_passwords(app):
    """
    Return the values, each a ``Secret``, with which the app gets in to its cache, and whether no other one may: see
    ``rotation.Several.accepted``. ``SpecError`` if this host has none.
    """
    cache_password(app)
    return app.values[cache_key(app.name)].accepted()


def cache_memory(host, grains):
    """Return how many MiB the Redis of this host may fill: what the pillar says, or a part of what there is."""
    if host.cache_memory:
        return _bytes(host.cache_memory) // 1024**2 or 1
    return sizing.cache(grains.get("mem_total"), any(role != "cache" for role in host.roles))


def secret_key(name, key):
    """Return the pillar's key, as typed, of a secret of an app."""
    return f"secrets:{name}:{key}"


def password_key(name):
    """Return the pillar's key, as typed, of the password of an app's database."""
    return f"passwords:database:{name}"


def cache_key(name):
    """Return the pillar's key, as typed, of the password of an app's cache."""
    return f"passwords:cache:{name}"


def secret_file(name, path):
    """Return the SLS file of ``pillar/secrets`` that has a secret of an app, given the secret's key as typed."""
    kind, which, *_ = path.split(":")
    return f"secrets.{name}_{which}" if kind == "passwords" else f"secrets.{name}"


def secret_values(app):
    """
    Return what the app's secrets file holds, in clear. Only ``_states/secrets.py`` and ``app_files`` may ask.

    The pillar's ``config``, ALLOWED_HOSTS (the domains), DATABASE_URL and CACHE_URL (passwords escaped for a URL) and
    the secrets, with ``<KEY>_FALLBACKS``, a list, where another value of one is accepted too.
    """
    values = {**app.config, "ALLOWED_HOSTS": list(app.domains)}
    if app.database:
        values["DATABASE_URL"] = _database_url(app.database, database_password(app).reveal())
    if app.cache:
        values["CACHE_URL"] = _cache_url(app.cache, cache_password(app).reveal())
    return {**values, **{key: secret.reveal() for key, secret in app.secrets.items()}}


def secret_files(fleet):
    """
    Return which SLS files of ``pillar/secrets`` each host gets: ``{host: [sls, ...]}``.

    Those of its roles, of its apps, of their databases and caches, and of the databases and caches that it serves.
    """
    return {host.name: [f"secrets.{name}" for name in _secrets_of(fleet, host)] for host in fleet.hosts}


def postgresql_version(grains):
    """Return the major version of PostgreSQL that this host's distribution has; ``SpecError`` on any other system."""
    system = grains.get("os"), str(grains.get("osrelease", ""))
    for (name, release), version in POSTGRESQL_VERSIONS.items():
        if system[0] == name and (system[1] + ".").startswith(release + "."):
            return version
    known = ", ".join(" ".join(key) for key in POSTGRESQL_VERSIONS)
    raise SpecError(f"hosts: no database can be put on {system[0]} {system[1]}: take a host with one of {known}")


def _secrets_of(fleet, host):
    here = fleet.apps_on(host.name)
    databases = [app.database for app in here if app.database] + list(fleet.databases_on(host.name))
    caches = [app.cache for app in here if app.cache] + list(fleet.caches_on(host.name))
    roles, apps = [f"role_{role}" for role in host.roles], [app.name for app in here]
    services = [f"{base.app}_database" for base in databases] + [f"{cache.app}_cache" for cache in caches]
    return [*roles, *apps, *dict.fromkeys(services)]


def _plain(value):
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return MASK if isinstance(value, Secret) else value


def _app(name, values, grains):
    """Complete one app of which every value has been checked."""
    app = values["apps"][name]
    paths = _paths(name)
    secrets_files, files = _secrets_files(app["secrets"], paths), app_spec_files.files(app)
    variables = _variables(app, paths, secrets_files) | app_spec_files.variables(files, paths.etc)
    web = app_spec_web.web(name, app, values, grains, paths)
    held = _held(name, values)
    keys = (secret_key(name, DEPLOY_KEY), password_key(name), cache_key(name))
    deploy_key, password, cache_password = map(held.get, keys)
    return App(
        name=name,
        **{key: app[key] for key in AS_TYPED} | _impatience(name, values),
        like=app.get("like", ""),
        group=app["user"],
        domains=tuple(app["domains"]),
        hosts=tuple(app["hosts"]),
        source=_source(app["source"], paths),
        releases=_releases(name, paths, files, values.get("releases", {})),
        paths=paths,
        secrets_files=secrets_files,
        fallback=app["secrets"]["fallback"],
        files=files,
        config_files=app_spec_web.config_files(web, paths, secrets_files, files),
        max_body_bytes=_bytes(app["max_body"]),
        slots=app_spec_web.slots(name, app, web, paths, secrets_files, files, variables),
        web=web,
        variables=variables,
        health=_health(app["health"], host=app["domains"][0]),
        rollout=_rollout(app["rollout"], app["hosts"], pushed=values.get("only") == name, pulled=values["pulled"]),
        hooks=_hooks(app["hooks"]),
        tls=_tls(app, values["hosts"], grains.get("id")),
        maintenance=_maintenance(app["maintenance"], paths, values["allow"], values["closed_for"]),
        database=_database(name, app, values, password),
        cache=_cache(name, app, values["hosts"]),
        secrets=_secrets(name, values["secrets"].get(name, {}), held, app["secrets"]["fallback"]),
        deploy_key=deploy_key and deploy_key.current,
        password=password and password.current,
        cache_password=cache_password and cache_password.current,
        values=held,
    )


def _held(name, values):
    """``{key as typed: all that the pillar gives of it}`` of the secrets and the passwords of an app."""
    given = {secret_key(name, key): value for key, value in values["secrets"].get(name, {}).items()}
    for service in app_spec_checks.SERVICES:
        if name in values["passwords"][service] and values["apps"][name][service] != "none":
            given[f"passwords:{service}:{name}"] = values["passwords"][service][name]
    noted, newest = values["in_use"].get(name, {}), values.get("newest") == name
    return {path: _several(path, value, noted.get(path, {}), newest) for path, value in given.items()}


def _several(path, value, noted, newest):
    listed = value if isinstance(value, (list, tuple)) else [value]
    return rotation.Several(path, tuple(Secret(item) for item in listed), noted, newest)


def _secrets(name, keys, held, days):
    """What of the secrets goes into the file: each value in use, and the others that are accepted."""
    found = {}
    for key in keys:
        several = held[secret_key(name, key)]
        accepted = {f"{key}_FALLBACKS": Secrets(others) for others in [several.others(days)] if others}
        found |= {} if key == DEPLOY_KEY else {key: several.current, **accepted}
    return found


def _impatience(name, values):
    """While an app changes to its newest secrets no slot is kept warm that has the old ones."""
    return {"keep_warm": 0} if values.get("newest") == name else {}


def _secrets_files(secrets, paths):
    path = secrets.get("path", f"{paths.etc}/secrets.{secrets['format']}")
    exported = SecretsFile("secrets-environment", f"{paths.etc}/environment.json", "environment")
    return (SecretsFile("secrets", path, secrets["format"]), *([exported] if secrets["export"] else []))


def _variables(app, paths, files):
    """The environment of every process of the app. Supervisor sets no HOME: without one it would be root's."""
    places = zip(("SECRETS_FILE", launch.FILE), (file.path for file in files), strict=False)
    own = {"DJANGO_SETTINGS_MODULE": app["settings"], **dict(places)}
    return {**own, "HOME": paths.home, "LANG": "C.UTF-8", **app["variables"]}


def _paths(name):
    home = f"/srv/{name}"
    inside = ("downloads", "releases", "furnished", "venvs", "static", "media", "slots", "run", "current")
    folders = {folder: f"{home}/{folder}" for folder in inside}
    run = folders["run"]
    folders |= {"live": f"{run}/web", "standby": f"{run}/back", "nobody": f"{folders['slots']}/none"}
    folders |= {"etc": f"/etc/{name}", "files": f"/etc/{name}/files", "file_set": f"/etc/{name}/files/set"}
    return Paths(home=home, mirror=f"{home}/source.git", logs=f"/var/log/{name}", **folders)


def _source(source, paths):
    kind = next(kind for kind in ("git", "archive", "path") if kind in source)
    return Source(
        kind=kind,
        url=source[kind],
        hash=source.get("hash", ""),
        # The path alone, whether there is a key or not: the master, which plans a deploy, is not told.
        deploy_key=f"{paths.etc}/deploy_key" if kind == "git" else "",
        known_hosts=f"{paths.etc}/known_hosts" if kind == "git" else "",
        host_keys=tuple(source["known_hosts"]),
    )


def _releases(name, paths, files, releases):
    if name not in releases:
        return ()
    release = releases[name]
    return (_release(paths, files, release["id"], release["commit"], release["revision"]),)


def _release(paths, files, id, commit, revision):
    code, furnished = f"{paths.releases}/{id}", f"{paths.furnished}/{id}"
    path = furnished if any(file.into == "release" for file in files) else code
    return Release(id, commit, revision, code, furnished, path, python=f"{path}/.venv/bin/python")


def _bytes(size):
    """A size as Nginx writes it, ``10m``, in bytes."""
    number, unit = (size, "") if size.isdigit() else (size[:-1], size[-1])
    return int(number) * {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}[unit]


def _seconds(time):
    """A time as systemd writes it, ``30m``, in seconds."""
    return int(time[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[time[-1]]


def _health(health, host):
    lowest, _, highest = str(health["status"]).partition("-")
    kept = {key: health[key] for key in ("path", "timeout", "interval", "successes", "start_timeout")}
    return Health(**kept, warm=tuple(health["warm"]), statuses=(int(lowest), int(highest or lowest)), host=host)


def _rollout(rollout, hosts, pushed, pulled):
    """Only a master that pushes a release can be asked whether it still wants it."""
    canary = waves.first(hosts, rollout["canary"])
    wave = rollout.get("wave", max(len(hosts) - len(canary), 1))
    watch = Watch(seconds=rollout["watch"], errors=rollout["errors"], slowdown=rollout["slowdown"])
    kept = {key: rollout[key] for key in ("unreachable", "between", "lock_timeout")}
    kept["confirm"] = rollout["confirm"] if pushed else 0
    return Rollout(canary=tuple(canary), wave=waves.size(len(hosts), wave), watch=watch, again=not pulled, **kept)


def _hooks(hooks):
    return Hooks(**{phase: tuple(tuple(shlex.split(command)) for command in hooks[phase]) for phase in hooks})


def _tls(app, hosts, id):
    """Only where visitors arrive; behind a balancer the hosts of an app speak http."""
    balancers = [name for name, host in hosts.items() if "balancer" in host["roles"]]
    return (Tls(**app["tls"]),) if "tls" in app and id in (balancers or app["hosts"]) else ()


def _maintenance(maintenance, paths, allow, closed_for):
    # As web servers write addresses: an IPv6 one can be written in several ways.
    addresses = dict.fromkeys([LOOPBACK, *(str(ipaddress.ip_address(address)) for address in allow)])
    folder = f"{paths.home}/maintenance"
    allowed = f"{folder}/allowed"
    return Maintenance(
        folder=folder,
        page=f"{folder}/page.html",
        flag=f"{folder}/on",
        notice=CLOSED_BY + CLOSED_FOR_RESTORE * (closed_for == "restore"),
        allowed=allowed,
        let_in=tuple(f"{allowed}/{address}" for address in addresses),
        retry_after=maintenance["retry_after"],
    )


def _database(name, app, values, password):
    """``password``: the values of it, ``None`` on a host that has none."""
    if app["database"] == "none":
        return None
    database, hosts = app["database"], values["hosts"]
    logins = (database["user"], database["user"] + SECOND)
    return Database(
        app=name,
        engine="postgresql",
        host=database["host"],
        address=hosts[database["host"]]["address"],
        port=POSTGRESQL_PORT,
        name=database["name"],
        user=database["user"],
        login=logins[password.login() - 1] if password else database["user"],
        logins=logins,
        clients=tuple(hosts[host]["address"] for host in app["hosts"]),
    )


def _cache(name, app, hosts):
    if app["cache"] == "none":
        return None
    host = app["cache"]["host"]
    return Cache(name, host, hosts[host]["address"], REDIS_PORT, user=name, prefix=f"{name}:")


def _database_url(database, password):
    place = (database.engine, database.address, database.port, database.name)
    return service_url.compose(*place, database.login, password)


def _cache_url(cache, password):
    """Encrypted; whose certificate it is nobody asks, as with libpq's ``sslmode=require``: nobody has signed it."""
    place = ("rediss", cache.address, cache.port, "0")
    return service_url.compose(*place, cache.user, password, ssl_cert_reqs="none")
