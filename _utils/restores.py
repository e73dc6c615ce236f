"""
A rollback that restores a dump: which one, and the way back: the database gets its name again, visitors are let in.

``restore`` is what the ledger notes of it: ``database``, ``host``, ``path`` of the dump, ``fronts`` (the hosts where
visitors are kept out), and ``replaced``, what the database was going to be called, once it may have been swapped.
"""

from salt.exceptions import CommandExecutionError

import asking
import spare_databases
import steps
import waves

# Why visitors are kept out, as the pillar's ``closed_for`` and ``maintenance.closed_for`` have it.
REASON = "restore"


NO_DUMP = (
    "If the release works with the database as it is now, go back with keep_migrations: true; otherwise deploy one that"
    " mends what is wrong"
)


def found(opts, database, dumps, migrations, fronts):
    """
    What is restored so that a database has some migrations no more: ``database``, ``host``, ``path``, ``room``, when it
    was ``made`` (UTC), and ``fronts``. Its host is asked whether the dump is there.

    dumps
        ``{database: {"path", "host", "room"}}`` of before the first of them.

    Raises CommandExecutionError if there is none, or it cannot be restored.
    """
    dump = dumps.get(database.name) if database else None
    if not dump:
        raise CommandExecutionError(f"no dump was made before {', '.join(migrations)}. {NO_DUMP}")
    if dump["host"] != database.host:
        where = f"the dump {dump['path']} is on {dump['host']}, and the database on {database.host} by now"
        raise CommandExecutionError(f"{where}. {NO_DUMP}")
    question = {"name": database.name, "path": dump["path"], "room": dump["room"]}
    made = asking.ask_one(opts, dump["host"], "databases.restorable", **question)["made"]
    return {"database": database.name, **dump, "made": made, "fronts": fronts}


def words(restored):
    """The same for people, ``{label: words}``; ``restored`` is a list of it, or empty."""
    told = {}
    for restore in restored:
        database, host, made = (restore[key] for key in ("database", "host", "made"))
        told["restore"] = f"{database} on {host} as of {made}, without what was written since: {restore['path']}"
        told["visitors"] = (
            f"get the maintenance page while databases and releases change: {waves.named(restore['fronts'])}"
        )
        told["kept"] = f"the database as it is until then, as {database}{spare_databases.REPLACED}<time> on {host}"
    return told


def fronts(restored):
    """The hosts on which visitors are kept out."""
    return [host for restore in restored for host in restore["fronts"]]


def undo(opts, restore):
    """
    Give the database its name again if it was swapped, and drop what was restored; what was done, as lines.

    Raises CommandExecutionError if nobody knows then which of the two the app has.
    """
    database, side = restore["database"], spare_databases.restored(restore["database"])
    dropped, problems = asking.ask(opts, [restore["host"]], "databases.drop", side)
    # Where it was there, no swap is to come any more, nor has one been.
    if "replaced" not in restore or any(dropped.values()):
        return [f"{database} is as it was", *_kept_back(problems)]
    if restore["replaced"] not in asking.ask_one(opts, restore["host"], "databases.names"):
        return [f"{database} is as it was"]
    asking.ask_one(opts, restore["host"], "databases.swap", name=database, new=restore["replaced"], old=side)
    _, problems = asking.ask(opts, [restore["host"]], "databases.drop", side)
    return [f"{database} is again what it was before it was restored", *_kept_back(problems)]


def close(opts, app, hosts):
    """Keep the visitors of an app out on hosts. Raises CommandExecutionError with the names of those that fail."""
    _apply(opts, hosts, "maintenance.on", {"only": app, "closed_for": REASON})


def let_in(opts, app, fronts):
    """
    Let visitors in on the hosts that keep them out for a restore, and return those; others have their own reason.

    Raises CommandExecutionError with the names of those that fail.
    """
    reasons, problems = asking.ask(opts, fronts, "maintenance.closed_for", app)
    closed = [host for host, reason in reasons.items() if reason == REASON]
    _apply(opts, closed, "maintenance.off", {"only": app}, problems)
    return closed


def opened(hosts):
    """That visitors are let in again on hosts, as lines."""
    return [f"visitors are let in again: {', '.join(hosts)}"] if hosts else []


def kept(restore):
    """Where the database of before is, and how to be rid of it."""
    replaced, host = restore["replaced"], restore["host"]
    return (
        f"{replaced} on {host} is the database of before, and alone has what was written since the dump;"
        f" when nobody needs it any more: salt {host} databases.drop {replaced}"
    )


def _apply(opts, hosts, sls, pillar, problems=None):
    found = dict(problems or {})
    for host, states in asking.apply(opts, hosts, sls, pillar, False):
        if why := steps.reason(states):
            found[host] = why
    if found:
        raise CommandExecutionError(asking.lines(found))


def _kept_back(problems):
    return [f"{host}: what was restored is still there: {why}" for host, why in problems.items()]
