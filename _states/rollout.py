"""
The steps of an orchestration that the master does itself: the lock, the questions to the hosts, the ledger, the way
back.

They run on the master, in ``salt/orch``. The steps on the hosts are ``salt.state`` there.
"""

import functools
import getpass
import os
import time

from salt.exceptions import CommandExecutionError

import ledger_file
import lock_file
import module_digest
import outlook
import state_result
import steps

# Seconds. Logs and times of the ledger that differ more than this mislead; hosts with NTP differ by milliseconds.
CLOCK_SKEW = 5


def _failures_are_results(function):
    # Salt puts __running__ and __orchestration_jid__ into the globals of the function that it calls; this makes that
    # one of this module.
    guarded = state_result.failures_are_results(function)

    @functools.wraps(function)
    def result(name, *args, **kwargs):
        return guarded(name, *args, **kwargs)

    return result


@_failures_are_results
def planned(name, problems, summary, look=None):
    """
    Show the plan, or fail with everything that is wrong with what was asked for.

    look
        What ``rollout.plan`` shows besides, asked for in test mode only: a real run learns it from the staged release.

    .. code-block:: yaml

        plan:
          rollout.planned:
            - problems: []
            - summary: shop v1 (1a2b3c4d5e6f): web1, then web2
    """
    if problems:
        raise CommandExecutionError("\n".join(problems))
    if look and __opts__["test"]:
        answer = functools.partial(state_result.would, changes={}) if look["new"] else state_result.unchanged
        return answer(name, comment=_outlook(look))
    return state_result.unchanged(name, summary)


@_failures_are_results
def locked(name, app, reason, seconds):
    """
    Hold the app's lock from here on; ``finished`` gives it back.

    .. code-block:: yaml

        lock:
          rollout.locked:
            - app: shop
            - reason: deploy v1
            - seconds: 3600
    """
    if __opts__["test"]:
        held = lock_file.show(_folder(), app)
        return state_result.unchanged(name, f"{app} is locked by {held['owner']}" if held else f"{app} is not locked")
    stale = lock_file.acquire(_folder(), app, __orchestration_jid__, _who(), reason, seconds)
    taken = f"; taken over from {stale['owner']}, whose lock expired at {stale['expires']}" if stale else ""
    return state_result.unchanged(name, f"{app} is locked for {seconds} seconds{taken}")


@_failures_are_results
def waited(name, seconds):
    """
    Let time pass between two waves, unless no host has changed so far.

    .. code-block:: yaml

        wait-1:
          rollout.waited:
            - seconds: 60
    """
    if __opts__["test"]:
        return state_result.unchanged(name, f"{seconds} s would pass before the next wave")
    if not steps.changed(__running__):
        return state_result.unchanged(name, "no host has changed: nothing to wait for")
    time.sleep(seconds)
    return state_result.unchanged(name, f"{seconds} s have passed")


@_failures_are_results
def synced(name, hosts):
    """
    Ensure that every host has the master's modules.

    .. code-block:: yaml

        modules:
          rollout.synced:
            - hosts: [web1, web2, db1]
    """
    differing = _sync(hosts)
    return _with(name, {"synced": differing} if differing else {}, f"{', '.join(hosts)} have the master's modules")


@_failures_are_results
def ready(name, app, hosts, others, release):
    """
    Ensure that every host is able to take the release, and note in the ledger what each one serves now.

    Modules that differ from the master's are synced. Every problem of every host is reported together.

    hosts
        The app's hosts.
    others
        Further hosts that the deploy needs: the database's.

    .. code-block:: yaml

        preflight:
          rollout.ready:
            - app: shop
            - hosts: [web1, web2]
            - others: [db1]
            - release: {id: 1a2b3c4d5e6f, commit: 1a2b..., revision: v1}
    """
    everyone = list(dict.fromkeys([*hosts, *others]))
    # Functions outside a state run see the pillar that the minion has in memory; this also asks who is there.
    _, silent = _ask(everyone, "saltutil.refresh_pillar", wait=True)
    if silent:
        raise CommandExecutionError(_lines(silent))
    synced = _sync(everyone)
    reports, problems = _reports(everyone, app)
    if problems:
        raise CommandExecutionError(_lines(problems))
    abandoned = {}
    if not __opts__["test"]:
        before = {host: reports[host]["serving"] for host in hosts}
        abandoned = ledger_file.begin(_folder(), app, _attempt(release, before))
    comment = f"{', '.join(everyone)} are ready" + _left_behind(abandoned)
    return _with(name, {"synced": synced} if synced else {}, comment)


@_failures_are_results
def backed_up(name, host, questions, databases, label):
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
          rollout.backed_up:
            - host: web1
            - questions: {python: ..., folder: ..., settings: ..., user: shop, variables: {}}
            - databases: [{name: shop, host: db1}]
            - label: before-1a2b3c4d5e6f
    """
    if not databases:
        return state_result.unchanged(name, "the app has no database of ours: nothing to dump")
    if __opts__["test"]:
        return state_result.unchanged(name, "a dump is made if migrations are pending, which the staged release tells")
    pending = _ask_one(host, "manage.pending_migrations", **questions)
    if not pending:
        return state_result.unchanged(name, "no migration is pending: nothing to dump")
    dumps = {
        database["name"]: _ask_one(database["host"], "databases.dump", name=database["name"], label=label)
        for database in databases
    }
    return state_result.changed(name, {"dumps": dumps, "pending": pending}, f"dumped before {len(pending)} migrations")


@_failures_are_results
def recorded(name, app, release, result=ledger_file.DEPLOYED):
    """
    Ensure that the ledger says that ``release`` is deployed. A deploy that changed no host leaves no entry.

    .. code-block:: yaml

        record:
          rollout.recorded:
            - app: shop
            - release: {id: 1a2b3c4d5e6f, commit: 1a2b..., revision: v1}
            - result: deployed
    """
    deployed = ledger_file.read(_folder(), app)["deployed"]
    if deployed == release and not steps.changed(__running__):
        if not __opts__["test"]:
            ledger_file.forget(_folder(), app)
        return state_result.unchanged(name, f"{_title(release)} was deployed already")
    changes = {"deployed": {"old": deployed, "new": release}}
    if __opts__["test"]:
        return state_result.would(name, changes, f"{_title(release)} would be recorded")
    _must_hold(app)
    ledger_file.succeed(_folder(), app, steps.seconds(__running__), steps.applied(__running__), result)
    return state_result.changed(name, changes, f"{_title(release)} is deployed")


@_failures_are_results
def finished(name, apps):
    """
    End the orchestration, as its last state and without requisites: give the locks back, and if a step failed, bring
    the hosts back to what they served before and fail with the host's reason in the last lines.

    .. code-block:: yaml

        finish:
          rollout.finished:
            - apps: [shop]
    """
    failure = steps.failed(__running__)
    told = [] if __opts__["test"] else [line for app in apps for line in _end(app, failure)]
    if failure:
        raise CommandExecutionError("\n".join([*told, steps.sentence(failure)]))
    return state_result.unchanged(name, "\n".join(told) or "no step failed")


def _outlook(look):
    returned, problems = _ask([look["host"]], "releases.preview", **look["questions"])
    found = outlook.found(look, (returned | problems)[look["host"]])
    return "\n".join(f"{label}: {text}" for label, text in outlook.words(look, found).items())


def _end(app, failure):
    """Undo, write down and unlock what this orchestration holds of an app; what was done about it, as lines."""
    if not lock_file.is_held(_folder(), app, __orchestration_jid__):
        return []
    try:
        attempt = ledger_file.read(_folder(), app)["in_progress"]
        if failure and steps.passed(__running__, "record") is not None:
            return ["the release is deployed on every host; what failed came after that"]
        if not failure or attempt.get("token") != __orchestration_jid__:
            return []
        lines = _revert(app, attempt["before"])
        if steps.passed(__running__, "migrate"):
            lines.append("the migrations that ran stay applied: the release before must work with them")
        spent, applied = steps.seconds(__running__), steps.applied(__running__)
        ledger_file.fail(_folder(), app, steps.sentence(failure), spent, applied)
        return lines
    finally:
        lock_file.release(_folder(), app, __orchestration_jid__)


def _revert(app, before):
    """Bring each host back to the slot it served before; what came of it, as lines."""
    serving, problems = _ask(before, "slots.serving", app)
    moved = {host: before[host] for host in serving if serving[host]["slot"] != before[host]["slot"]}
    slots = sorted({served["slot"] for served in moved.values()})
    for slot in slots:
        hosts = [host for host, served in moved.items() if served["slot"] == slot]
        problems |= _ask(hosts, "slots.revert", app, slot)[1]
    back = [f"{host} serves {_served(moved[host])} again" for host in moved if host not in problems]
    lost = [f"{host} was NOT brought back to {_served(before[host])}: {problems[host]}" for host in problems]
    return [*back, *lost] or [f"every host of {app} still serves what it served before"]


def _sync(hosts):
    """Sync the hosts whose modules are not the master's, and return their names; in test mode only return them."""
    wanted = module_digest.of_tree(__opts__["file_roots"]["base"])
    digests, _ = _ask(hosts, "preflight.modules")
    differing = [host for host in hosts if digests.get(host) != wanted]
    if differing and not __opts__["test"]:
        _ask(differing, "saltutil.sync_all", saltenv="base")
        digests, problems = _ask(differing, "preflight.modules")
        problems |= {host: "its modules are not the master's" for host, digest in digests.items() if digest != wanted}
        if problems:
            raise CommandExecutionError(_lines(problems))
    return differing


def _reports(hosts, app):
    """``{host: report}`` of the hosts, and ``{host: everything that is wrong there}``."""
    asked = time.time()
    reports, problems = _ask(hosts, "preflight.report", app)
    answered = time.time()
    for host, report in reports.items():
        wrong = list(report["problems"])
        if not asked - CLOCK_SKEW <= report["time"] <= answered + CLOCK_SKEW:
            wrong.append(f"its clock is {report['time'] - answered:+.0f} s off the master's: see to its NTP")
        if wrong:
            problems[host] = "; ".join(wrong)
    return reports, problems


def _ask(hosts, function, *args, **kwargs):
    """``{host: return}`` of those that answered, ``{host: reason}`` of the others; all are asked at once."""
    if not hosts:
        return {}, {}
    answers = __salt__["saltutil.cmd"](
        list(hosts), function, tgt_type="list", arg=list(args), kwarg=kwargs, expect_minions=True
    )
    returned, problems = {}, {}
    for host in hosts:
        answer = answers.get(host, {})
        if "ret" not in answer:
            problems[host] = "it does not answer"
        elif answer.get("retcode") or answer["ret"] is False:
            problems[host] = str(answer["ret"]).removeprefix("ERROR: ")
        else:
            returned[host] = answer["ret"]
    return returned, problems


def _ask_one(host, function, **kwargs):
    returned, problems = _ask([host], function, **kwargs)
    if problems:
        raise CommandExecutionError(_lines(problems))
    return returned[host]


def _attempt(release, before):
    return {
        "token": __orchestration_jid__,
        "who": _who(),
        "started": ledger_file.now(),
        "release": release,
        "before": before,
    }


def _must_hold(app):
    if not lock_file.is_held(_folder(), app, __orchestration_jid__):
        raise CommandExecutionError(f"the lock of {app} expired and is not ours any more: nothing was recorded")


def _with(name, changes, comment):
    if not changes:
        return state_result.unchanged(name, comment)
    return (state_result.would if __opts__["test"] else state_result.changed)(name, changes, comment)


def _left_behind(abandoned):
    if not abandoned:
        return ""
    return f"; a deploy of {_title(abandoned['release'])} by {abandoned['who']} at {abandoned['started']} never ended"


def _lines(problems):
    return "\n".join(f"{host}: {problem}" for host, problem in problems.items())


def _title(release):
    return f"{release['revision']} ({release['id']})"


def _served(serving):
    return serving["release"] or "nothing"


def _who():
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _folder():
    return ledger_file.folder(__opts__)
