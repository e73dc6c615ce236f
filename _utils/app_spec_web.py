"""How an app is served on a host: the part of ``app_spec`` about its web server, its size and its two slots."""

import math

import app_spec_files
import process_sections
import sizing
import web_servers
from app_spec_classes import ConfigFile, Slot, Web

SLOTS = ("blue", "green")
TEMPLATES = "salt://app/servers"
ACCESS_LOGS = {"nginx": "/var/log/nginx/access.log", "apache": "/var/log/apache2/access.log"}

# Added to the venv of an app with a database, as its server is: it judges the pending migrations of a deploy.
MIGRATION_LINTER = "django-migration-linter==6.0.0"

# Requests that reach every worker of a server with an event loop, which answers many at once with one thread.
WARM_REQUESTS = 8


def web(name, app, values, grains, paths):
    """Return the ``Web`` of a checked app; without grains (on the master) for a host with one CPU."""
    server = web_servers.SERVERS[app["server"]]
    model = web_servers.sizes(app["server"], app["interface"])
    workers, threads = _size(model, name, app, values, grains)
    return Web(
        server=app["server"],
        interface=app["interface"],
        application=app[app["interface"]],
        front=server.front,
        packages=(*server.packages, *([] if app["database"] == "none" else [MIGRATION_LINTER])),
        files=(*_files(server, paths), *([_launcher(paths)] if app["secrets"]["export"] else [])),
        maps=_maps(server, paths),
        workers=workers,
        threads=threads,
        timeout=app["timeout"],
        warm_requests=workers * (threads if model == "threads" else WARM_REQUESTS),
        port=app["port"],
        memory=app["limits"].get("memory", ""),
        cpu=app["limits"].get("cpu", 0),
    )


def slots(name, app, web, paths, secrets_files, files, variables):
    """Return the two ``Slot`` of an app; each has config files of its own."""
    own = {slot: variables | app_spec_files.variables(files, f"{paths.files}/{slot}") for slot in SLOTS}
    return tuple(_slot(slot, name, app, web, paths, secrets_files, own[slot]) for slot in SLOTS)


def _size(model, name, app, values, grains):
    id, hosts = grains.get("id"), values["hosts"]
    here = [other for other in values["apps"].values() if id in other["hosts"]]
    roles = hosts.get(id, {}).get("roles", ())
    cpus, limits = grains.get("num_cpus"), app["limits"]
    if isinstance(cpus, int) and "cpu" in limits:
        cpus = min(cpus, math.ceil(limits["cpu"] / 100))
    return sizing.size(
        model,
        cpus=cpus,
        memory=grains.get("mem_total"),
        limit=_megabytes(limits["memory"]) if "memory" in limits else None,
        apps=max(len(here), 1),
        shares_host=any(role != "app" for role in roles),
        connections=_connections(app, values),
        workers=app.get("workers"),
        threads=app.get("threads"),
    )


def _megabytes(size):
    return int(size[:-1]) * {"k": 1, "m": 1024, "g": 1024 * 1024}[size[-1]] // 1024


def _connections(app, values):
    """How many connections one slot of the app may hold on each of its hosts; None without a database."""
    if app["database"] == "none":
        return None
    host = app["database"]["host"]
    clients = sum(
        len(other["hosts"])
        for other in values["apps"].values()
        if other["database"] != "none" and other["database"]["host"] == host
    )
    return sizing.connections(values["hosts"][host]["max_connections"], clients)


def _files(server, paths):
    """What the server reads when it starts."""
    names = [server.config, *server.more]
    return tuple(ConfigFile(name, f"{paths.etc}/{name}", f"{TEMPLATES}/{name}") for name in names)


def _launcher(paths):
    """The program that gives a process the app's secrets as its environment."""
    return ConfigFile("launch.py", f"{paths.etc}/launch.py", "salt://_utils/launch.py")


def _maps(server, paths):
    """What ``live`` and ``standby`` lead to where Apache looks them up. Root's, because Apache does what they say."""
    names = [f"{slot}.map" for slot in SLOTS] if server.door == "port" else []
    return tuple(ConfigFile(name, f"{paths.slots}/{name}", f"{TEMPLATES}/{name}") for name in names)


def config_files(web, paths, secrets_files, files):
    """Return the paths of what a process of the app reads when it starts: with one of them changed it starts anew."""
    more = [door_token(paths)] if web.front == "apache" else []
    more += [paths.file_set] if any(file.into == "etc" for file in files) else []
    return (*(file.path for file in (*web.files, *secrets_files)), *more)


def door_token(paths):
    """The file with the word that opens a slot's port."""
    return f"{paths.etc}/door.conf"


def _slot(slot, name, app, web, paths, secrets_files, variables):
    server = web_servers.SERVERS[web.server]
    link, program, log = f"{paths.slots}/{slot}", f"{name}-{slot}", f"{paths.logs}/{slot}.log"
    port = web.port + SLOTS.index(slot)
    socket, door_map = f"{paths.run}/{slot}.sock", f"{paths.slots}/{slot}.map"
    target, door = (socket, socket) if server.door == "socket" else (door_map, f"127.0.0.1:{port}")
    process = _process(program, link, door, log, app, web, paths, variables)
    return Slot(
        name=slot,
        link=link,
        files=f"{paths.files}/{slot}",
        file_set=paths.file_set,
        furnished=paths.furnished,
        record=f"{link}.json",
        live=paths.live,
        standby=paths.standby,
        nobody=paths.nobody,
        target=target,
        door=door,
        token=door_token(paths) if server.door == "port" else "",
        front=web.front,
        access_log=ACCESS_LOGS[web.front],
        domains=tuple(app["domains"]),
        timeout=web.timeout,
        program=program,
        manager=app["process_manager"],
        log=log,
        secrets_files=tuple(file.path for file in secrets_files),
        section=process_sections.section(app["process_manager"], process),
    )


def _process(program, link, door, log, app, web, paths, variables):
    server = web_servers.command(web.server, link, web.files[0].path, door, web.application)
    return process_sections.Process(
        name=program,
        command=(*_launched_by(link, paths), *server) if app["secrets"]["export"] else server,
        # Entered once: the process keeps the release's own path when the link moves.
        directory=link,
        user=app["user"],
        group=app["user"],
        environment=variables,
        log=log,
        stop_signal=web_servers.SERVERS[web.server].stop,
        # The manager kills after this; in a deploy nothing is connected any more when a slot is stopped.
        stop_seconds=web.timeout + 10,
        memory=web.memory,
        cpu=web.cpu,
        writable=(paths.run, paths.media),
    )


def _launched_by(link, paths):
    # -I: nothing that the app's environment names is imported before the program itself runs.
    return f"{link}/.venv/bin/python", "-I", _launcher(paths).path
