"""
The programs that can serve an app, and how a slot starts each: one table for the choices of the pillar's ``server``.

All of them speak HTTP on the slot's door, so that one rename gives the traffic to a slot whatever runs in it.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Server:
    """
    One choice of ``server``.

    interfaces
        What it can serve, ``wsgi`` or ``asgi``; the first is the default.
    front
        The web server in front of it, ``nginx`` or ``apache``.
    packages
        Pinned requirements, of which staging adds to the app's venv those that are not in it; a version that the app
        has installed itself stays as it is. Each is named: Uvicorn's program is Gunicorn's, so that to find the program
        would say nothing.
    config
        Name of the config file in the app's folder of ``/etc``.
    more
        Names of further files in that folder that it reads.
    door
        ``socket``, or ``port`` on the loopback interface.
    stop
        The signal on which it lets the requests in flight finish and then ends, as Supervisor and systemd call it.
    sizes
        ``threads`` (processes with threads, of which each serves one request) or ``loop`` (one event loop a process).
    """

    interfaces: tuple
    front: str
    packages: tuple
    config: str
    more: tuple = ()
    door: str = "socket"
    stop: str = "TERM"
    sizes: str = "threads"


SERVERS = {
    "gunicorn": Server(
        interfaces=("wsgi",),
        front="nginx",
        packages=("gunicorn==27.0.1",),
        config="gunicorn.conf.py",
    ),
    "uwsgi": Server(
        interfaces=("wsgi",),
        front="nginx",
        # The same uWSGI, compiled: the package `uwsgi` builds for 11 s, and a build that was cached links the Python
        # that it was made for.
        packages=("pyuwsgi==2.0.30.post1",),
        config="uwsgi.ini",
    ),
    "uvicorn": Server(
        interfaces=("asgi",),
        front="nginx",
        # Gunicorn starts the workers, and starts them again. Uvicorn serves websockets with the package of that name
        # (the last for Python 3.10), and needs a third less CPU a request with httptools and uvloop (2.3 against 3.4
        # million instructions; we measured).
        packages=(
            "gunicorn==27.0.1",
            "uvicorn-worker==0.4.0",
            "uvicorn==0.54.0",
            "websockets==16.1.1",
            "httptools==0.9.0",
            "uvloop==0.23.0",
        ),
        config="gunicorn.conf.py",
        sizes="loop",
    ),
    "granian": Server(
        interfaces=("wsgi", "asgi"),
        front="nginx",
        packages=("granian==2.8.7",),
        config="granian_server.py",
    ),
    "mod_wsgi": Server(
        interfaces=("wsgi",),
        front="apache",
        packages=("mod_wsgi==6.1.1",),
        config="mod_wsgi_server.py",
        more=("wsgi.py", "mod_wsgi.conf"),
        door="port",
        stop="WINCH",
    ),
}


def sizes(server, interface):
    """Return how the ``Server`` of that name is sized for an interface: ``threads`` or ``loop``."""
    return "loop" if interface == "asgi" else SERVERS[server].sizes


def command(server, link, config, door, application):
    """
    Return the arguments that start a server in a slot; its current folder must be the release.

    :param link: the slot's link to its release, in which ``.venv`` is
    :param config: path of the config file made from ``Server.config``
    :param door: the path of the slot's socket
    :param application: ``module:name``
    """
    return _COMMANDS[server](f"{link}/.venv/bin", config, door, application)


def _gunicorn(programs, config, door, application):
    return _gunicorn_with("gthread", programs, config, door, application)


def _uvicorn(programs, config, door, application):
    return _gunicorn_with("uvicorn_worker.UvicornWorker", programs, config, door, application)


def _gunicorn_with(worker, programs, config, door, application):
    program = f"{programs}/gunicorn"
    return program, "--config", config, "--worker-class", worker, "--bind", f"unix:{door}", application


def _uwsgi(programs, config, door, application):
    return f"{programs}/uwsgi", "--ini", config, "--http-socket", door


def _python(programs, config, door, application):
    # Neither Granian nor mod_wsgi-express has a config file: ours is a program.
    return f"{programs}/python", config, door


_COMMANDS = {"gunicorn": _gunicorn, "uwsgi": _uwsgi, "uvicorn": _uvicorn, "granian": _python, "mod_wsgi": _python}
