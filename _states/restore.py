"""
The steps of a rollback that restores a dump: a database is restored beside the app's while users are served, visitors
are kept out, the two swap their names, and at the end visitors are let in.

They run on the master, in ``salt/orch/steps.jinja``. Each notes in the ledger what there is to put right before it
begins, so that ``rollout.finished`` undoes it after a failure, and ``restore.healed`` after a kill.
"""

from salt.exceptions import CommandExecutionError

import asking
import ledger_file
import lock_file
import restores
import rollout_end
import rollout_step
import spare_databases
import state_result
import steps


@rollout_step.step
def healed(name, app):
    """
    Ensure that nothing is left of a rollback with ``restore`` that was killed: the database, the hosts and the visitors
    are where they were before it. One that was recorded is brought to its end.

    .. code-block:: yaml

        heal:
          restore.healed:
            - app: shop
    """
    ledger = ledger_file.read(_folder(), app)
    attempt, last = ledger["in_progress"], (ledger["history"] or [{}])[-1]
    if not attempt.get("restore") and not last.get("closed"):
        return state_result.unchanged(name, "no rollback has left a restore behind")
    killed = attempt if attempt.get("restore") else last
    what = f"the rollback by {killed['who']} at {killed['started']}, which restores {_path(killed)}, never ended"
    if __opts__["test"]:
        return state_result.would(name, {"healed": what}, f"{what}: what it left would be put right")
    done = _undo(app, attempt) if killed is attempt else restores.opened(_let_in(app, last["closed"]))
    return state_result.changed(name, {"healed": what}, "\n".join([what, *done]))


@rollout_step.step
def restored(name, app, host, database, path, room, fronts):
    """
    Restore a dump beside the app's database, while users are served from that.

    host, database
        Where the database is, and its name.
    path, room
        As ``databases.restore`` takes them.
    fronts
        The hosts on which visitors are going to be kept out.

    .. code-block:: yaml

        restore:
          restore.restored:
            - app: shop
            - host: db1
            - database: shop
            - path: /var/backups/slipway/shop/20261125T184101.123456Z-before-1a2b3c4d5e6f.dump
            - room: 8000000
            - fronts: [lb1, web1, web2]
    """
    changes = {"restored": {"path": path, "database": spare_databases.restored(database)}}
    if __opts__["test"]:
        return state_result.would(name, changes, f"{path} would be restored beside {database}")
    notes = {"database": database, "host": host, "path": path, "fronts": list(fronts)}
    ledger_file.note(_folder(), app, restore=notes)
    done = asking.ask_one(__opts__, host, "databases.restore", name=database, path=path, room=room)
    return state_result.changed(name, changes, f"{path} was restored as {done['database']} in {done['seconds']} s")


@rollout_step.step
def closed(name, app, hosts, fronts):
    """
    Ensure that visitors are kept out, so that nothing is written that is gone after the swap, and wait until the
    requests that are at work are answered.

    hosts, fronts
        The app's hosts, and those that visitors reach. Where somebody has closed the app by hand it stays as it is.

    .. code-block:: yaml

        close:
          restore.closed:
            - app: shop
            - hosts: [web1, web2]
            - fronts: [lb1, web1, web2]
    """
    reasons, problems = asking.ask(__opts__, fronts, "maintenance.closed_for", app)
    if problems:
        raise CommandExecutionError(asking.lines(problems))
    still_open = [host for host in fronts if reasons[host] in ("", restores.REASON)]
    changes = {"closed": still_open} if still_open else {}
    if __opts__["test"]:
        return state_result.made(name, changes, "visitors would be kept out", test=True)
    restores.close(__opts__, app, still_open)
    left, problems = asking.ask(__opts__, hosts, "slots.quiet", app)
    if problems:
        raise CommandExecutionError(asking.lines(problems))
    cut = [
        f"{host}: {number} connections are cut, which did not end in time" for host, number in left.items() if number
    ]
    return state_result.made(name, changes, "\n".join(["visitors are kept out", *cut]), test=False)


@rollout_step.step
def swapped(name, app, host, database, hosts):
    """
    Give the name of the app's database to the restored one, and have the app's processes on its hosts started anew.

    .. code-block:: yaml

        swap:
          restore.swapped:
            - app: shop
            - host: db1
            - database: shop
            - hosts: [web1, web2]
    """
    side, replaced = spare_databases.restored(database), spare_databases.replaced(database)
    changes = {"swapped": {side: database}}
    if __opts__["test"]:
        return state_result.would(name, changes, f"what is {database} now would be kept as {replaced}")
    lock_file.must_be_held(_folder(), app, __orchestration_jid__, "nothing was swapped")
    restore = ledger_file.read(_folder(), app)["in_progress"]["restore"] | {"replaced": replaced}
    ledger_file.note(_folder(), app, restore=restore)
    asking.ask_one(__opts__, host, "databases.swap", name=database, new=side, old=replaced)
    _, problems = asking.ask(__opts__, hosts, "slots.distrust", app)
    if problems:
        raise CommandExecutionError(asking.lines(problems))
    return state_result.changed(name, changes, restores.kept(restore))


@rollout_step.step
def opened(name, app, fronts):
    """
    Ensure that visitors are let in again, but for where somebody has closed the app by hand.

    .. code-block:: yaml

        open:
          restore.opened:
            - app: shop
            - fronts: [lb1, web1, web2]
    """
    test = __opts__["test"]
    hosts = list(steps.changes(__running__, "close").get("closed", ())) if test else _let_in(app, fronts)
    comment = restores.opened(hosts) or ["where visitors are kept out it is by hand, and stays so"]
    return state_result.made(name, {"opened": hosts} if hosts else {}, comment[0], test)


def _undo(app, attempt):
    # What the dead master has begun on a host goes on there, and would give the traffic to the other release after us.
    asking.wait_for_states(__opts__, list(attempt["before"]))
    lines = rollout_end.undo(__opts__, app, attempt)
    ledger_file.note(_folder(), app, restore={})
    return lines


def _let_in(app, fronts):
    hosts = restores.let_in(__opts__, app, fronts)
    ledger_file.opened(_folder(), app)
    return hosts


def _path(killed):
    return killed["restore"]["path"] if "restore" in killed else killed["restored"]


def _folder():
    return ledger_file.folder(__opts__)
