"""
What our defaults of each web server cost, against that server's own defaults, side by side in one run.

``.venv/bin/python bench/servers.py`` (Linux, root; nginx, postgresql and wrk of Debian; apache2 and apache2-dev for
mod_wsgi). Each server runs a small Django app of its own (views_app/) behind Debian's Nginx, mod_wsgi behind Apache, on
loopback ports: ours with the command and the config files that the tree makes for this machine, its own with no option
but the port. They take turns, one at a time; medians are compared, and only ratios mean anything.
"""

import argparse
import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import server_rig as rig_of
from labs import TREE, circumstances, say, table

sys.path.insert(0, str(TREE / "_utils"))
import app_spec  # noqa: E402
import venv_packages  # noqa: E402
import venvs  # noqa: E402

VIEWS = {"small": "a few bytes", "page": "page of 50 rows", "query": "one row of PostgreSQL", "wait": "waits 20 ms"}
SERVERS = ("gunicorn", "uwsgi", "uvicorn", "granian", "mod_wsgi")
NAME, DOMAIN, USER = "views", "views.test", "www-data"
GOAL = 20

WSGI, ASGI = "views_app.wsgi:application", "views_app.asgi:application"
# With nothing but what the program cannot do without, which is the port, so that we can use any.
OWN_COMMANDS = {
    "gunicorn": "gunicorn --bind 127.0.0.1:{port} " + WSGI,
    "uwsgi": "uwsgi --http-socket 127.0.0.1:{port} --module " + WSGI,
    "uvicorn": "uvicorn --port {port} " + ASGI,
    "granian": "granian --port {port} --interface wsgi " + WSGI,
    "mod_wsgi": "mod_wsgi-express start-server --port {port} --server-root {folder} --application-type module"
    " views_app.wsgi",
}


@dataclasses.dataclass(frozen=True)
class Variant:
    """A server as it is started: ``name`` for the table, ``host`` is the name of its site, ``argv`` its command."""

    name: str
    ours: bool
    front: str
    host: str
    argv: Callable
    env: dict
    stop_signal: str
    prepare: Callable


def spec(server, root, threads):
    """The app as the tree completes it for this machine with ``server``; its folders are below ``root``."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    size = {"threads": threads} if threads else {}
    pillar = {
        "hosts": {
            "bench": {"address": "127.0.0.1", "roles": ["app"]},
            "database": {"address": "127.0.0.2", "roles": ["database"]},
        },
        "apps": {
            NAME: {
                "source": {"path": "/srv/views"},
                "revision": "bench",
                "domains": [DOMAIN],
                "settings": "views_app.settings",
                "wsgi": WSGI,
                "asgi": ASGI,
                "server": server,
                **size,
            }
        },
        "passwords": {"database": {NAME: "none"}},
    }
    grains = {"id": "bench", "num_cpus": os.cpu_count(), "mem_total": memory}
    text = json.dumps(app_spec.plain(app_spec.load(pillar, grains).app(NAME)))
    for folder in ("/srv/", "/etc/", "/var/log/"):
        text = text.replace(f"{folder}{NAME}", f"{root}{folder}{NAME}")
    return json.loads(text)


def release(rig, apps):
    """Put the code, with a venv that holds every server, where a release would be; returns the programs' folder."""
    tree, paths = rig.folder / "code", apps[0]["paths"]
    shutil.copytree(TREE / "bench/views_app", tree)
    venvs.UV = shutil.which("uv", path=f"{TREE}/.venv/bin:{os.environ['PATH']}")
    venvs.CACHE = os.environ.get("UV_CACHE_DIR", f"{rig.folder}/uv")
    (rig.folder / "venvs").mkdir()
    venv = venvs.build(rig.folder / "venvs", "bench", tree, "", "/usr/bin/python3", "production")
    for app in apps:
        venv_packages.add(venv, tree, "", "production", app["web"]["packages"])
    (tree / ".venv").symlink_to(venv)
    for place in ("slots", "run", "static", "media", "logs", "etc"):
        Path(paths[place]).mkdir(parents=True)
    shutil.chown(paths["run"], USER, USER)
    for slot in apps[0]["slots"]:
        Path(slot["link"]).symlink_to(tree)
    Path(paths["nobody"]).touch()
    for link in ("live", "standby"):
        Path(paths[link]).symlink_to(paths["nobody"])
    Path(paths["etc"], "door.conf").write_text(f"Define slipway_door_{NAME} {'0' * 64}\n")
    return venv / "bin"


def ours(app, rig, env):
    """The variant that the tree makes of a server."""
    slot = app["slots"][0]

    def prepare():
        for file in [*app["web"]["files"], *app["web"]["maps"]]:
            path = Path(file["path"])
            path.write_text(rig_of.rendered(file["source"].removeprefix("salt://"), app=app, web=app["web"]))
            shutil.chown(path, USER, USER)
        Path(slot["live"]).unlink(missing_ok=True)
        Path(slot["live"]).symlink_to(slot["target"])

    command = shlex.split(slot["section"]["command"])
    return Variant(
        app["web"]["server"],
        True,
        app["web"]["front"],
        DOMAIN,
        lambda: command,
        {**app["variables"], "BENCH_INTERFACE": app["web"]["interface"], **env},
        slot["section"]["stopsignal"],
        prepare,
    )


def own(app, rig, env, port, programs):
    """The variant of a server that is told nothing but the port."""
    server = app["web"]["server"]
    folder = rig.folder / "express"

    def prepare():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.chown(folder, USER, USER)

    def argv():
        program, *rest = OWN_COMMANDS[server].format(port=port, folder=folder).split()
        return [programs / program, *rest]

    environment = {"DJANGO_SETTINGS_MODULE": "views_app.settings", "BENCH_INTERFACE": app["web"]["interface"], **env}
    return Variant(server, False, app["web"]["front"], rig_of.OWN, argv, environment, "TERM", prepare)


def measure(rig, variant, code, ports, seconds, connections):
    """Start a variant, ask each view, end it; ``{view: {"rate", "p99", "server", "front", "memory"}}``."""
    variant.prepare()
    rig.start(variant.name, variant.argv(), USER, cwd=code, env=variant.env, stop_signal=variant.stop_signal)
    port, host = ports[variant.front], variant.host
    try:
        rig_of.wait_for(
            lambda: rig_of.answer(port, host, "/small/") == 200 or not rig.alive(variant.name),
            f"{variant.name}: no answer",
        )
        return {view: ask(rig, variant, port, view, seconds, connections) for view in VIEWS}
    except RuntimeError as error:
        said = "ours" if variant.ours else "its own"
        raise RuntimeError(
            f"{variant.name}, {said}: {error}\n{rig.log(variant.name)}{rig.log(variant.front)}"
        ) from error
    finally:
        rig.stop(variant.name)


def ask(rig, variant, port, view, seconds, connections):
    """Load one view for some seconds, after each worker had some requests."""
    with ThreadPoolExecutor(16) as pool:
        statuses = set(pool.map(lambda _: rig_of.answer(port, variant.host, f"/{view}/"), range(64)))
    if 200 not in statuses:
        raise RuntimeError(f"/{view}/ answers {statuses}")
    before = {name: rig.cpu(name) for name in (variant.name, variant.front)}
    argv = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout=10s",
        "--latency",
        "-H",
        f"Host: {variant.host}",
    ]
    found = parse(rig_of.run([*argv, f"http://127.0.0.1:{port}/{view}/"]))
    taken = {name: rig.cpu(name) - seconds for name, seconds in before.items()}
    return {
        **found,
        "server": taken[variant.name] / found["requests"] * 1000,
        "front": taken[variant.front] / found["requests"] * 1000,
        "memory": rig.memory(variant.name),
    }


def parse(text):
    """What wrk says: ``requests``, ``failed`` (in percent), ``rate`` of good answers a second, ``p99`` in ms."""
    counts = re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", text)
    requests, failed = int(re.search(r"(\d+) requests in", text)[1]), sum(map(int, counts))
    value, unit = re.search(r"^\s*99%\s+([\d.]+)(us|ms|s)\b", text, re.MULTILINE).groups()
    return {
        "requests": requests,
        "failed": min(failed / max(requests, 1), 1) * 100,
        "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]) * max(1 - failed / max(requests, 1), 0),
        "p99": float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit],
    }


def report(results, apps):
    """Print the table: each cell says ours / its own, medians of the rounds."""
    head = ("view", "server", "server CPU ms", "front CPU ms", "requests/s", "p99 ms", "MiB")
    rows = []
    for view, words in VIEWS.items():
        for name in apps:
            cells = [pair(results[name], view, key) for key in ("server", "front", "rate", "p99", "memory")]
            rows.append((words, name, *cells))
    say("\nEach cell: ours / its own. CPU is of one request; memory is the proportional set size of all processes.")
    table(head, rows)
    say("\n" + ", ".join(f"{name}: {app['web']['workers']} x {app['web']['threads']}" for name, app in apps.items()))
    if "gunicorn" in apps:
        base = middle(results["gunicorn"][False], "wait", "rate")
        factors = {name: middle(results[name][True], "wait", "rate") / base for name in apps}
        say(f"20 ms wait, ours against Gunicorn's own default (goal: {GOAL}): ")
        say(", ".join(f"{name} {factor:.0f}x" for name, factor in factors.items()))


def pair(found, view, key):
    """Both medians in one cell."""
    digits = {"server": 2, "front": 2, "rate": 0, "p99": 0, "memory": 0}[key]
    cells = [f"{middle(found[ours], view, key):,.{digits}f}" for ours in (True, False)]
    if key == "rate":
        cells = [cell + failures(found[ours], view) for cell, ours in zip(cells, (True, False), strict=True)]
    return " / ".join(cells)


def failures(rounds, view):
    """What of the requests failed, for the table: nothing if none did."""
    worst = max(found[view]["failed"] for found in rounds)
    return f" ({max(worst, 1):.0f} % failed)" if worst else ""


def middle(rounds, view, key):
    """The median of what was found in some rounds."""
    return statistics.median(found[view][key] for found in rounds)


def main():
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="how often each server is started (default: 2)")
    parser.add_argument("--seconds", type=int, default=2, help="of load on each view (default: 2)")
    parser.add_argument("--connections", type=int, default=64, help="of the load, all busy (default: 64)")
    parser.add_argument("--threads", type=int, help="instead of our default")
    parser.add_argument("--servers", default=",".join(SERVERS), help="(default: all)")
    options = parser.parse_args()
    # Ended by others, we end what we started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    names = [name for name in options.servers.split(",") if name != "mod_wsgi" or shutil.which("apxs")]
    with rig_of.Rig() as rig:
        apps = {name: spec(name, rig.folder, options.threads) for name in names}
        programs = release(rig, list(apps.values()))
        versions = rig_of.run([venvs.UV, "pip", "freeze", "--python", programs / "python"])
        results = compare(rig, apps, programs, options)
    circumstances()
    wanted = r"^(?:django|gunicorn|pyuwsgi|uwsgi|uvicorn|granian|mod[-_]wsgi)==\S+"
    say(", ".join(re.findall(wanted, versions, re.MULTILINE | re.IGNORECASE)) + f"; {options.connections} connections")
    report(results, apps)


def compare(rig, apps, programs, options):
    """``{server: {ours or not: [one result a round]}}``, everything once a round."""
    code, own_port = rig.folder / "code", rig_of.free_port()
    env = {"BENCH_DATABASE_PORT": str(rig_of.postgresql(rig)), "DJANGO_SETTINGS_MODULE": "views_app.settings"}
    fill = [programs / "python", "-m", "views_app.fill"]
    rig_of.wait_for(lambda: "ready to accept" in rig.log("postgresql"), "PostgreSQL did not start")
    rig_of.run(fill, cwd=code, env=env)
    ports = {app["web"]["front"]: rig_of.free_port() for app in apps.values()}
    variants = [
        variant for app in apps.values() for variant in (ours(app, rig, env), own(app, rig, env, own_port, programs))
    ]
    for front, port in ports.items():
        app = next(app for app in apps.values() if app["web"]["front"] == front)
        getattr(rig_of, front)(rig, app, port, own_port)
        rig_of.wait_for(lambda port=port: rig_of.answer(port, "nobody", "/"), f"{front} did not start")
    results = {name: {True: [], False: []} for name in apps}
    for number in range(options.rounds):
        say(f"round {number + 1}")
        for variant in variants:
            found = measure(rig, variant, code, ports, options.seconds, options.connections)
            results[variant.name][variant.ours].append(found)
    return results


if __name__ == "__main__":
    main()
