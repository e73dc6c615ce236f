"""
How many processes and threads an app gets on a host: from its cores, its memory and the connections of its database;
and how much memory a cache gets.

Two slots run at once while a release is activated and while the one before is kept warm, so every limit is halved.
"""

SLOTS = 2

# One process a core: with 2n+1 of them, where Gunicorn's documentation ("How many workers?") lets one begin, the same
# requests cost 67 % more CPU (9 workers on 2 cores, CPU-bound views; our measurement). And two at least, so that one
# slow import or crash never stops the app.
LEAST_WORKERS = 2
# What mattered most in our measurements is how many requests can wait at once: of a view that waits 20 ms, Gunicorn's
# own default (one) answered 47 requests/s, 2 x 8 threads 16 times as many, 2 x 16 threads 31 times (bench/servers.py).
# Threads are cheap: 32 of them instead of 2 took 10 MiB more in all (PSS).
THREADS = 16
# MiB of a process. The example shop took 30 to 43 MiB under Gunicorn, uWSGI, Uvicorn and Granian after 1,600 requests
# (PSS of a worker, Django 5.2, and 6 to 28 MiB of a parent); real apps import and keep more: three times that. Heroku's
# Python buildpack counts with 256 (WEB_CONCURRENCY), but a machine of 1 GiB would then run one process.
PROCESS = 128
# The parts of a host's memory that processes may fill: the rest is for the kernel, its page cache and the minion (70
# MiB, our measurement). A database takes a quarter to 40 % and wants the page cache besides: PostgreSQL's
# documentation, "Resource Consumption", shared_buffers.
ALONE, SHARED = 3 / 4, 1 / 2

# The part of a host's memory for a cache that is not alone: what processes (a half) and a database (a quarter to 40 %)
# leave. Alone it has what processes would have: Amazon ElastiCache keeps a quarter of a host back, too, for what Redis
# needs besides the values ("Managing reserved memory", reserved-memory-percent).
CACHE = 1 / 8
# MiB: what memcached takes by default (option -m).
LEAST_CACHE = 64

# PostgreSQL keeps 3 for its superuser (superuser_reserved_connections; documentation, "Connections and
# Authentication"); 7 are for who else comes: migrate and its lock, a backup, monitoring, an operator or two, one spare.
RESERVE = 3 + 7


def size(model, cpus, memory, apps, shares_host, connections, workers=None, threads=None, limit=None):
    """
    Return the processes and the threads of each, ``(workers, threads)``, of one app on one host; none is ever 0.

    Processes are the cores, at least 2, but no more than memory has room for, both slots of every app counted, and no
    more than there are database connections. Threads are 16, less where processes times threads would be more than the
    connections. What is given as ``workers`` or ``threads`` is taken as it is, and the other one fits itself to it.

    :param model: ``threads`` (Gunicorn's gthread, uWSGI, mod_wsgi, Granian's WSGI) or ``loop`` (Uvicorn, Granian's
        ASGI). A loop's process has 1 thread of ours. Django runs the sync code of each request in a thread of its own
        (asgiref, ThreadSensitiveContext) with a connection of its own, and no server has a limit that makes requests
        wait: Uvicorn's limit_concurrency answers 503. So ``connections`` bounds the processes only; what bounds the
        connections is a pool in the app's settings (OPTIONS, pool, max_size; Django 5.1) of at most
        ``connections // workers``.
    :param cpus: the grain num_cpus; ``None`` (on the master) counts as one
    :param memory: the grain mem_total, in MiB; ``None`` is no limit
    :param apps: how many apps run on the host
    :param shares_host: whether the host has other roles, such as the database
    :param limit: the memory that one slot may have, in MiB; ``None``: no limit
    :param connections: how many the app may hold here in one slot, as ``connections`` returns; ``None``: no database
    """
    if model not in ("threads", "loop"):
        raise ValueError(f"{model!r} is not one of threads, loop")
    each = threads or 1
    # A grain is whatever the minion says: what is no number is not known.
    room = [max(cpus if isinstance(cpus, int) else 1, LEAST_WORKERS)]
    if isinstance(memory, (int, float)) and memory > 0:
        room.append(int(memory * (SHARED if shares_host else ALONE) / (SLOTS * max(apps, 1) * PROCESS)))
    if limit is not None:
        room.append(limit // PROCESS)
    if connections is not None:
        room.append(connections // each)
    workers = workers or max(min(room), 1)
    if threads:
        return workers, threads
    if model == "loop":
        return workers, 1
    return workers, THREADS if connections is None else max(min(THREADS, connections // workers), 1)


def cache(memory, shares_host):
    """
    Return how many MiB a cache may fill.

    :param memory: the grain mem_total, in MiB; what is no number is not known
    :param shares_host: whether the host has other roles, such as the database
    """
    if not isinstance(memory, (int, float)):
        return LEAST_CACHE
    return max(int(memory * (CACHE if shares_host else ALONE)), LEAST_CACHE)


def connections(max_connections, clients):
    """
    Return how many connections an app may hold on one host in one slot; 0 if there are not enough: see ``needed``.

    What is not kept in reserve is divided among the clients alike and among the two slots. A 0 must be refused, for an
    app needs one at least: with it ``size`` returns one process with one thread, which is then too much.

    :param max_connections: of the database server: 100 by default (PostgreSQL's documentation, max_connections)
    :param clients: how many pairs of an app and a host have a database on that server
    """
    return max(max_connections - RESERVE, 0) // (SLOTS * max(clients, 1))


def needed(clients):
    """Return the smallest max_connections with which every pair of an app and a host has a connection in each slot."""
    return RESERVE + SLOTS * clients
