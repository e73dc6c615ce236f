"""
What every app is, completed: the one reader of pillar keys and the one place that joins a path or picks a default.

``load(pillar, grains)`` checks a pillar (``app_spec_checks``, by the tables in ``app_spec_keys``) and returns a
``Fleet`` of frozen dataclasses; ``plain(app)`` makes of an app the dictionary that SLS files loop over.
"""

import dataclasses
import ipaddress
import shlex
import urllib.parse
from collections.abc import Mapping

import app_spec_checks
import app_spec_web
import waves
from app_spec_classes import (
    MASK,
    App,
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
    Source,
    SpecError,
    Tls,
    Watch,
)

# What the spec holds just as the pillar says it.
AS_TYPED = ("user", "settings", "wsgi", "server", "process_manager", "environment", "python", "requirements", "keep")
AS_TYPED += ("keep_warm", "revision", "static_url", "media_url", "max_body", "config")
POSTGRESQL_PORT = 5432
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
        Host(name, host["address"], tuple(host["roles"]), host["max_connections"])
        for name, host in values["hosts"].items()
    )
    apps = tuple(_app(name, values, grains) for name in values["apps"])
    told = {"only": values.get("only", ""), "rollouts": values["rollouts"], "skipped": values["skipped"]}
    return Fleet(hosts, apps, released="releases" in values, **told)


def plain(app):
    """
    Return an app as a dictionary of plain values, as SLS files and ``apps.specs`` show it: without a secret.

    ``secret_keys`` names the secrets; ``database`` is ``{}`` where there is none, ``databases`` a list to loop over.
    """
    shown = _plain(app)
    secrets = shown.pop("secrets")
    del shown["password"], shown["deploy_key"]
    databases = [shown["database"]] if app.database else []
    return {**shown, "secret_keys": sorted(secrets), "database": shown["database"] or {}, "databases": databases}


def with_release(app, id, commit, revision):
    """Return the app with one release: the one that its hosts shall run."""
    return dataclasses.replace(app, releases=(_release(app.paths, id, commit, revision),))


def without(app, silent):
    """Return the app as a deploy sees it that goes on without some of its hosts; as many others go first then."""
    hosts = tuple(host for host in app.hosts if host not in silent)
    canary = tuple(waves.stand_ins(app.rollout.canary, hosts))
    return dataclasses.replace(app, hosts=hosts, rollout=dataclasses.replace(app.rollout, canary=canary))


def database_password(app):
    """Return the ``Secret`` with which the app logs in to its database; ``SpecError`` if this host has none."""
    if app.password is None:
        raise SpecError(app_spec_checks.no_password(app.name))
    return app.password


def secret_values(app):
    """
    Return what the app's secrets file holds, in clear. Only ``_states/secrets.py`` may ask.

    The pillar's ``config``, ALLOWED_HOSTS (the domains), DATABASE_URL (the password escaped for a URL) and the secrets.
    """
    values = {**app.config, "ALLOWED_HOSTS": list(app.domains)}
    if app.database:
        values["DATABASE_URL"] = _database_url(app.database, database_password(app).reveal())
    return {**values, **{key: secret.reveal() for key, secret in app.secrets.items()}}


def postgresql_version(grains):
    """Return the major version of PostgreSQL that this host's distribution has; ``SpecError`` on any other system."""
    system = grains.get("os"), str(grains.get("osrelease", ""))
    for (name, release), version in POSTGRESQL_VERSIONS.items():
        if system[0] == name and (system[1] + ".").startswith(release + "."):
            return version
    known = ", ".join(" ".join(key) for key in POSTGRESQL_VERSIONS)
    raise SpecError(f"hosts: no database can be put on {system[0]} {system[1]}: take a host with one of {known}")


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
    secrets_file = f"{paths.etc}/secrets.{app['secrets']['format']}"
    variables = _variables(app, paths, secrets_file)
    web = app_spec_web.web(name, app, values, grains, paths)
    secrets = {key: Secret(value) for key, value in values["secrets"].get(name, {}).items()}
    deploy_key = secrets.pop("deploy_key", None)
    password = values["passwords"]["database"].get(name)
    return App(
        name=name,
        **{key: app[key] for key in AS_TYPED},
        group=app["user"],
        domains=tuple(app["domains"]),
        hosts=tuple(app["hosts"]),
        source=_source(app["source"], paths),
        releases=_releases(name, paths, values.get("releases", {})),
        paths=paths,
        secrets_file=secrets_file,
        config_files=app_spec_web.config_files(web, paths, secrets_file),
        max_body_bytes=_bytes(app["max_body"]),
        slots=app_spec_web.slots(name, app, web, paths, variables),
        web=web,
        variables=variables,
        health=_health(app["health"], host=app["domains"][0]),
        rollout=_rollout(app["rollout"], app["hosts"], pushed=values.get("only") == name),
        hooks=_hooks(app["hooks"]),
        tls=_tls(app, values["hosts"], grains.get("id")),
        maintenance=_maintenance(app["maintenance"], paths, values["allow"]),
        database=_database(name, app, values),
        secrets=secrets,
        deploy_key=deploy_key,
        password=None if password is None else Secret(password),
    )


def _variables(app, paths, secrets_file):
    """The environment of every process of the app. Supervisor sets no HOME: without one it would be root's."""
    own = {"DJANGO_SETTINGS_MODULE": app["settings"], "SECRETS_FILE": secrets_file}
    return {**own, "HOME": paths.home, "LANG": "C.UTF-8", **app["variables"]}


def _paths(name):
    home = f"/srv/{name}"
    inside = ("downloads", "releases", "venvs", "static", "media", "slots", "run", "current")
    folders = {folder: f"{home}/{folder}" for folder in inside}
    run = folders["run"]
    folders |= {"live": f"{run}/web", "standby": f"{run}/back", "nobody": f"{folders['slots']}/none"}
    return Paths(home=home, mirror=f"{home}/source.git", etc=f"/etc/{name}", logs=f"/var/log/{name}", **folders)


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


def _releases(name, paths, releases):
    if name not in releases:
        return ()
    release = releases[name]
    return (_release(paths, release["id"], release["commit"], release["revision"]),)


def _release(paths, id, commit, revision):
    path = f"{paths.releases}/{id}"
    return Release(id=id, commit=commit, revision=revision, path=path, python=f"{path}/.venv/bin/python")


def _bytes(size):
    """A size as Nginx writes it, ``10m``, in bytes."""
    number, unit = (size, "") if size.isdigit() else (size[:-1], size[-1])
    return int(number) * {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}[unit]


def _health(health, host):
    lowest, _, highest = str(health["status"]).partition("-")
    kept = {key: health[key] for key in ("path", "timeout", "interval", "successes", "start_timeout")}
    return Health(**kept, statuses=(int(lowest), int(highest or lowest)), host=host)


def _rollout(rollout, hosts, pushed):
    """Only a master that pushes a release can be asked whether it still wants it."""
    canary = waves.first(hosts, rollout["canary"])
    wave = rollout.get("wave", max(len(hosts) - len(canary), 1))
    watch = Watch(seconds=rollout["watch"], errors=rollout["errors"], slowdown=rollout["slowdown"])
    kept = {key: rollout[key] for key in ("unreachable", "between", "lock_timeout")}
    kept["confirm"] = rollout["confirm"] if pushed else 0
    return Rollout(canary=tuple(canary), wave=waves.size(len(hosts), wave), watch=watch, **kept)


def _hooks(hooks):
    return Hooks(**{phase: tuple(tuple(shlex.split(command)) for command in hooks[phase]) for phase in hooks})


def _tls(app, hosts, id):
    """Only where visitors arrive; behind a balancer the hosts of an app speak http."""
    balancers = [name for name, host in hosts.items() if "balancer" in host["roles"]]
    return (Tls(**app["tls"]),) if "tls" in app and id in (balancers or app["hosts"]) else ()


def _maintenance(maintenance, paths, allow):
    # As web servers write addresses: an IPv6 one can be written in several ways.
    addresses = dict.fromkeys([LOOPBACK, *(str(ipaddress.ip_address(address)) for address in allow)])
    folder = f"{paths.home}/maintenance"
    allowed = f"{folder}/allowed"
    return Maintenance(
        folder=folder,
        page=f"{folder}/page.html",
        flag=f"{folder}/on",
        allowed=allowed,
        let_in=tuple(f"{allowed}/{address}" for address in addresses),
        retry_after=maintenance["retry_after"],
    )


def _database(name, app, values):
    if app["database"] == "none":
        return None
    database, hosts = app["database"], values["hosts"]
    return Database(
        app=name,
        engine="postgresql",
        host=database["host"],
        address=hosts[database["host"]]["address"],
        port=POSTGRESQL_PORT,
        name=database["name"],
        user=database["user"],
        clients=tuple(hosts[host]["address"] for host in app["hosts"]),
    )


def _database_url(database, password):
    address = f"[{database.address}]" if ":" in database.address else database.address
    login = f"{database.user}:{urllib.parse.quote(password, safe='')}"
    return f"{database.engine}://{login}@{address}:{database.port}/{database.name}"
