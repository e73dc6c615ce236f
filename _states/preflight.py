"""
What the master asks, and keeps, before a rollout changes anything: steps of an orchestration, which run on the master
and fail with the name of the host.
"""

import time

from salt.exceptions import CommandExecutionError

import asking
import ledger_file
import rollout_step
import state_result
import steps
import syncing

# Seconds. Logs and times of the ledger that differ more than this mislead; hosts with NTP differ by milliseconds.
CLOCK_SKEW = 5

UNSAFE = "with these migrations the release that is served may fail"
EXPAND = (
    "let one release add, and a later one take away what no deployed release uses (docs/deploy.md, Migrations)."
    " If you know that none does, or want it all the same: allow_unsafe: true"
)


@rollout_step.step
def synced(name, hosts):
    """
    Ensure that every host has the master's modules, and a pillar without a mistake.

    Hosts whose modules differ are synced first; then the mistakes of every host are reported together.

    .. code-block:: yaml

        modules:
          preflight.synced:
            - hosts: [web1, web2, db1]
    """
    _refresh(hosts)
    differing = syncing.sync(__opts__, hosts, __opts__["test"])
    # In test mode one that has no modules yet, or old ones, is not asked.
    able = [host for host in hosts if not (__opts__["test"] and host in differing)]
    _, problems = asking.ask(__opts__, able, "preflight.pillar")
    if problems:
        raise CommandExecutionError(asking.lines(problems))
    changes = {"synced": differing} if differing else {}
    return state_result.made(name, changes, f"{', '.join(hosts)} have the master's modules", __opts__["test"])


@rollout_step.step
def ready(name, app, hosts, others, release, skipped=()):
    """
    Ensure that every host is able to take the release, and note in the ledger what each one serves now.

    Modules that differ from the master's are synced. Every problem of every host is reported together.

    hosts
        The app's hosts.
    others
        Further hosts that the deploy needs: the database's.
    skipped
        The app's hosts that the deploy goes on without.

    .. code-block:: yaml

        preflight:
          preflight.ready:
            - app: shop
            - hosts: [web1, web2]
            - others: [db1]
            - release: {id: 1a2b3c4d5e6f, commit: 1a2b..., revision: v1}
            - skipped: [web3]
    """
    everyone = list(dict.fromkeys([*hosts, *others]))
    _refresh(everyone)
    synced = syncing.sync(__opts__, everyone, __opts__["test"])
    reports, problems = _reports(everyone, app)
    if problems:
        raise CommandExecutionError(asking.lines(problems))
    abandoned = {}
    if not __opts__["test"]:
        before = {host: reports[host]["serving"] for host in hosts}
        abandoned = ledger_file.begin(ledger_file.folder(__opts__), app, _attempt(release, before, skipped))
    comment = f"{', '.join(everyone)} are ready" + _left_behind(abandoned)
    return state_result.made(name, {"synced": synced} if synced else {}, comment, __opts__["test"])


@rollout_step.step
def examined(name, app, hosts, questions, allow_unsafe=False):
    """
    Ensure that the release that is served works with the database while, and after, the new one's migrations run.

    hosts
        The app host to ask, which has the release staged; empty for a release that was deployed before.
    questions
        The arguments of ``manage.examine``.
    allow_unsafe
        Go on all the same; the ledger notes what was unsafe.

    What could not be examined is told, and stops nothing.

    .. code-block:: yaml

        examine:
          preflight.examined:
            - app: shop
            - hosts: [web1]
            - questions: {python: ..., folder: ..., settings: ..., user: shop, variables: {}}
            - allow_unsafe: false
    """
    if not hosts:
        return state_result.unchanged(name, "the release was deployed before: it has no new migrations")
    test = __opts__["test"]
    if test and not asking.ask(__opts__, hosts, "file.file_exists", path=questions["python"])[0]:
        return state_result.unchanged(name, "unsafe migrations will be known when the release is staged")
    found = asking.ask_one(__opts__, hosts[0], "manage.examine", **questions)
    unsafe, unknown = found["unsafe"], {migration: [why] for migration, why in found["unknown"].items()}
    if unsafe and allow_unsafe is not True:
        raise CommandExecutionError(f"{UNSAFE}:\n{_reasons(unsafe)}\n{EXPAND}")
    told = [f"allowed: {_reasons(unsafe)}"] if unsafe else ["no pending migration is known to be unsafe"]
    told += [f"not examined: {_reasons(unknown)}"] if unknown else []
    notes = {**unsafe, **unknown}
    return state_result.made(name, {"unsafe": notes} if notes else {}, "\n".join(told), test)


@rollout_step.step
def backed_up(name, app, host, questions, databases, label):
    """
    Dump the app's database if the release has migrations that are not applied.

    host
        An app host that has the release staged.
    questions
        The arguments of ``manage.pending_migrations``.
    databases
        ``name`` and ``host`` of the database: a list of one, or empty if the app has none of ours.
    label
        What the dump is made for, in its name.

    .. code-block:: yaml

        backup:
          preflight.backed_up:
            - app: shop
            - host: web1
            - questions: {python: ..., folder: ..., settings: ..., user: shop, variables: {}}
            - databases: [{name: shop, host: db1}]
            - label: before-1a2b3c4d5e6f
    """
    if not databases:
        return state_result.unchanged(name, "the app has no database of ours: nothing to dump")
    if __opts__["test"]:
        return state_result.unchanged(name, "a dump is made if migrations are pending, which the staged release tells")
    pending = asking.ask_one(__opts__, host, "manage.pending_migrations", **questions)
    if not pending:
        return state_result.unchanged(name, "no migration is pending: nothing to dump")
    dumps = {base["name"]: {**_dumped(base, label), "host": base["host"]} for base in databases}
    noted = {name: {key: made[key] for key in ("path", "host", "room")} for name, made in dumps.items()}
    known = {"pending": pending, "unsafe": steps.unsafe(__running__)}
    ledger_file.note(ledger_file.folder(__opts__), app, dumps=noted, **known)
    return state_result.changed(name, {"dumps": dumps, "pending": pending}, f"dumped before {len(pending)} migrations")


def _dumped(database, label):
    return asking.ask_one(__opts__, database["host"], "databases.dump", name=database["name"], label=label)


def _refresh(hosts):
    """Functions outside a state run see the pillar that the minion has in memory; this also asks who is there."""
    _, silent = asking.ask(__opts__, hosts, "saltutil.refresh_pillar", wait=True)
    if silent:
        raise CommandExecutionError(asking.lines(silent))


def _reports(hosts, app):
    """``{host: report}`` of the hosts, and ``{host: everything that is wrong there}``."""
    asked = time.time()
    reports, problems = asking.ask(__opts__, hosts, "preflight.report", app)
    answered = time.time()
    for host, report in reports.items():
        wrong = list(report["problems"])
        if not asked - CLOCK_SKEW <= report["time"] <= answered + CLOCK_SKEW:
            wrong.append(f"its clock is {report['time'] - answered:+.0f} s off the master's: see to its NTP")
        if wrong:
            problems[host] = "; ".join(wrong)
    return reports, problems


def _attempt(release, before, skipped):
    return {
        "token": __orchestration_jid__,
        "who": ledger_file.who(),
        "started": ledger_file.now(),
        "release": release,
        "before": before,
        "skipped": list(skipped),
    }


def _left_behind(abandoned):
    if not abandoned:
        return ""
    what, who = ledger_file.title(abandoned["release"]), abandoned["who"]
    return f"; a rollout of {what} by {who} at {abandoned['started']} never ended"


def _reasons(migrations):
    """A line for each migration, because a failure shows its last lines only."""
    return "\n".join(f"{migration}: {'; '.join(reasons)}" for migration, reasons in migrations.items())
