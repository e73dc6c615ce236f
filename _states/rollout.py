"""
The steps of an orchestration that the master does itself: the lock, the questions to the hosts, the ledger, the way
back.

They run on the master, in ``salt/orch``. The steps on the hosts are ``salt.state`` there.
"""

import functools
import inspect
import shlex
import time

import salt.client
from salt.exceptions import CommandExecutionError

import ledger_file
import lock_file
import module_digest
import notices
import outlook
import rollout_events
import state_result
import steps

# Seconds. Logs and times of the ledger that differ more than this mislead; hosts with NTP differ by milliseconds.
CLOCK_SKEW = 5

SILENT = "it does not answer"

# Seconds that a step waits for another state run on the same host, such as a highstate with packages to install or the
# deploy of another app, and between two questions whether it is over. Salt's own queue is no good for it: after 15 s it
# reports a host that waits as one that does not answer, and the run comes later all the same (saltstack/salt #69844).
BUSY, BUSY_INTERVAL = 900, 1
UNSAFE = "with these migrations the release that is served may fail"
EXPAND = (
    "let one release add, and a later one take away what no deployed release uses (docs/deploy.md, Migrations)."
    " If you know that none does, or want it all the same: allow_unsafe: true"
)


def _failures_are_results(function):
    # Salt puts __running__ and __orchestration_jid__ into the globals of the function that it calls; this makes that
    # one of this module.
    guarded = state_result.failures_are_results(function)

    @functools.wraps(function)
    def result(name, *args, **kwargs):
        return guarded(name, *args, **kwargs)

    return result


def _step(function):
    """A step of which the bus is told when it begins, and what it came to."""
    guarded = _failures_are_results(function)

    @functools.wraps(function)
    def result(name, *args, **kwargs):
        # Salt gives what has no default by position.
        given = inspect.signature(function).bind(name, *args, **kwargs).arguments
        where = given.get("apps") or [given.get("app")], name, given.get("host", rollout_events.MASTER)
        began = time.monotonic()
        _tell(*where, rollout_events.BEGUN)
        done = guarded(name, *args, **kwargs)
        reason = done["comment"] if done["result"] is False else ""
        more = {key: given[key] for key in ("summary", "waves") if key in given}
        _tell(*where, rollout_events.ended(reason), seconds=_since(began), reason=reason, **more)
        return done

    return result


@_step
def planned(name, problems, summary, apps=(), waves=(), look=None):
    """
    Show the plan, or fail with everything that is wrong with what was asked for.

    apps, waves
        What the event bus is told: the apps that it is about, and the hosts that are activated one after the other.
    look
        What ``rollout.plan`` shows besides, asked for in test mode only: a real run learns it from the staged release.

    .. code-block:: yaml

        plan:
          rollout.planned:
            - problems: []
            - summary: shop v1 (1a2b3c4d5e6f): web1, then web2
            - apps: [shop]
            - waves: [[web1], [web2]]
    """
    if problems:
        raise CommandExecutionError("\n".join(problems))
    if look and __opts__["test"]:
        return state_result.unchanged(name, _outlook(look))
    return state_result.unchanged(name, summary)


@_step
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
    stale = lock_file.acquire(_folder(), app, __orchestration_jid__, ledger_file.who(), reason, seconds)
    taken = f"; taken over from {stale['owner']}, whose lock expired at {stale['expires']}" if stale else ""
    return state_result.unchanged(name, f"{app} is locked for {seconds} seconds{taken}")


@_step
def waited(name, app, seconds):
    """
    Let time pass between two waves, unless no host has changed so far.

    .. code-block:: yaml

        wait-1:
          rollout.waited:
            - app: shop
            - seconds: 60
    """
    if __opts__["test"]:
        return state_result.unchanged(name, f"{seconds} s would pass before the next wave")
    if not steps.changed(__running__):
        return state_result.unchanged(name, "no host has changed: nothing to wait for")
    time.sleep(seconds)
    return state_result.unchanged(name, f"{seconds} s have passed")


@_step
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


@_step
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
def applied(name, app, hosts, sls, pillar):
    """
    Ensure that hosts are what an SLS says, all of them at once; the bus is told when each host begins and ends.

    hosts
        Minion ids. One that does not answer fails the step.
    sls
        What is applied.
    pillar
        What the hosts' own pillar is overridden with.

    .. code-block:: yaml

        activate-1:
          rollout.applied:
            - app: shop
            - hosts: [web1]
            - sls: app.activate
            - pillar: {releases: {shop: {...}}, only: shop}
    """
    for host in hosts:
        _tell([app], name, host, rollout_events.BEGUN)
    returned, began = {}, time.monotonic()
    for host, answer in _answers(hosts, sls, pillar):
        returned[host] = answer.get("ret", False)
        reason = steps.reason(returned[host])
        _tell([app], name, host, rollout_events.ended(reason), seconds=_since(began), reason=reason)
    return _applied(name, {host: returned.get(host, False) for host in hosts})


@_step
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
          rollout.examined:
            - app: shop
            - hosts: [web1]
            - questions: {python: ..., folder: ..., settings: ..., user: shop, variables: {}}
            - allow_unsafe: false
    """
    if not hosts:
        return state_result.unchanged(name, "the release was deployed before: it has no new migrations")
    host = hosts[0]
    if __opts__["test"] and not _ask([host], "file.file_exists", path=questions["python"])[0]:
        return state_result.unchanged(name, "unsafe migrations will be known when the release is staged")
    found = _ask_one(host, "manage.examine", **questions)
    unsafe, unknown = found["unsafe"], {migration: [why] for migration, why in found["unknown"].items()}
    if unsafe and allow_unsafe is not True:
        raise CommandExecutionError(f"{UNSAFE}:\n{_reasons(unsafe)}\n{EXPAND}")
    told = [f"allowed: {_reasons(unsafe)}"] if unsafe else ["no pending migration is known to be unsafe"]
    told += [f"not examined: {_reasons(unknown)}"] if unknown else []
    notes = {**unsafe, **unknown}
    return _with(name, {"unsafe": notes} if notes else {}, "\n".join(told))


@_step
def hooked_before(name, app, release, hook, hosts, pillar, questions):
    """
    Run the app's hooks of before a deploy, unless the deploy will change nothing.

    hook
        ``host``, the ``commands`` and the ``arguments`` that ``hooks.run`` has for each of them.
    hosts, pillar
        What ``app.activate`` is going to be applied to, and with which pillar.
    questions
        The arguments of ``manage.pending_migrations``.

    .. code-block:: yaml

        before-deploy:
          rollout.hooked_before:
            - app: shop
            - release: {id: 1a2b3c4d5e6f, commit: 1a2b..., revision: v1}
            - hook: {host: web1, commands: [[python, manage.py, pause]], arguments: {folder: ..., python: ...}}
            - hosts: [web1, web2]
            - pillar: {releases: {shop: {...}}, only: shop}
            - questions: {python: ..., folder: ..., settings: ..., user: shop, variables: {}}
    """
    if not hook["commands"]:
        return state_result.unchanged(name, "the app has no such hooks")
    is_new = ledger_file.read(_folder(), app)["deployed"] != release or steps.changed(__running__)
    if not is_new and not _would_change(hook["host"], hosts, pillar, questions):
        return state_result.unchanged(name, "nothing is going to change: no hook runs")
    return _hooked(name, hook)


@_step
def hooked_after(name, app, hook):
    """
    Run the app's hooks of after a deploy, if the step ``record`` had something to record.

    hook
        As ``hooked_before`` takes it.

    .. code-block:: yaml

        after-deploy:
          rollout.hooked_after:
            - app: shop
            - hook: {host: web1, commands: [[python, manage.py, clear_cache]], arguments: {folder: ..., python: ...}}
    """
    if not hook["commands"]:
        return state_result.unchanged(name, "the app has no such hooks")
    if not steps.changes(__running__, "record"):
        return state_result.unchanged(name, "nothing changed: no hook runs")
    return _hooked(name, hook)


@_step
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
          rollout.backed_up:
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
    pending = _ask_one(host, "manage.pending_migrations", **questions)
    if not pending:
        return state_result.unchanged(name, "no migration is pending: nothing to dump")
    dumps = {
        database["name"]: _ask_one(database["host"], "databases.dump", name=database["name"], label=label)
        for database in databases
    }
    return state_result.changed(name, {"dumps": dumps, "pending": pending}, f"dumped before {len(pending)} migrations")


@_step
def confirmed(name, app, hosts, release):
    """
    Ensure that every host still serves the release after the last one got it: one may have lost the master meanwhile.

    .. code-block:: yaml

        confirm:
          rollout.confirmed:
            - app: shop
            - hosts: [web1, web2]
            - release: {id: 1a2b3c4d5e6f, commit: 1a2b..., revision: v1}
    """
    if __opts__["test"]:
        return state_result.unchanged(name, "every host would be asked whether it still serves the release")
    serving, problems = _ask(hosts, "slots.serving", app)
    others = {host: served for host, served in serving.items() if served["release"] != release["id"]}
    problems |= {host: f"it serves {_served(served)} again" for host, served in others.items()}
    if problems:
        raise CommandExecutionError(_lines(problems))
    return state_result.unchanged(name, f"every host serves {_title(release)}")


@_step
def recorded(name, app, hosts, release, result=ledger_file.DEPLOYED):
    """
    Ensure that the ledger says that ``release`` is deployed. A deploy that changed no host leaves no entry.

    From then on no host goes back by itself: what the ledger says is what they ask for.

    .. code-block:: yaml

        record:
          rollout.recorded:
            - app: shop
            - hosts: [web1, web2]
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
    spent, applied, unsafe = steps.seconds(__running__), steps.applied(__running__), steps.unsafe(__running__)
    ledger_file.succeed(_folder(), app, spent, applied, result, unsafe)
    # One that does not hear this learns it from the ledger.
    _ask(hosts, "slots.settle", app)
    return state_result.changed(name, changes, f"{_title(release)} is deployed")


@_step
def finished(name, apps, hosts=(), hook=None):
    """
    End the orchestration, as its last state and without requisites: give the locks back, and if a step failed, bring
    the hosts back to what they served before and fail with the host's reason in the last lines.

    hosts
        The app's hosts, for the message about a deploy.
    hook
        The app's hooks of a failure, as ``hooked_before`` takes them.

    .. code-block:: yaml

        finish:
          rollout.finished:
            - apps: [shop]
            - hosts: [web1, web2]
            - hook: {host: web1, commands: [[python, manage.py, resume]], arguments: {folder: ..., python: ...}}
    """
    failure = steps.failed(__running__)
    if __opts__["test"]:
        told = notices.mistakes(__opts__)
    else:
        told = [line for app in apps for line in _end_and_tell(app, failure, hosts, hook)]
    if failure:
        raise CommandExecutionError("\n".join([*told, steps.sentence(failure)]))
    return state_result.unchanged(name, "\n".join(told) or "no step failed")


def _outlook(look):
    returned, problems = _ask([look["host"]], "releases.preview", **look["questions"])
    found = outlook.found(look, (returned | problems)[look["host"]])
    return "\n".join(f"{label}: {text}" for label, text in outlook.words(look, found).items())


def _answers(hosts, sls, pillar):
    """``host, answer`` of each host as it comes, of a busy one later; who does not answer comes without ``ret``."""
    waiting, end = list(hosts), time.monotonic() + BUSY
    while waiting:
        busy = []
        for host, answer in _state_runs(waiting, sls, pillar):
            if steps.is_busy(answer.get("ret")) and time.monotonic() < end:
                busy.append(host)
            else:
                yield host, answer
        waiting = busy
        time.sleep(BUSY_INTERVAL if busy else 0)


def _state_runs(hosts, sls, pillar):
    arguments = {"pillar": pillar, "test": bool(__opts__["test"])}
    with salt.client.get_local_client(__opts__["conf_file"]) as client:
        for answers in client.cmd_iter(
            hosts, "state.sls", [sls], tgt_type="list", kwarg=arguments, expect_minions=True
        ):
            yield from answers.items()


def _applied(name, returned):
    """The result of a step from what the hosts returned; ``changes`` is in the shape that Salt prints state runs of."""
    failed = [host for host in returned if steps.reason(returned[host])]
    changed = [host for host in returned if host not in failed and steps.has_changes(returned[host])]
    shown = {host: returned[host] for host in returned if host in (*failed, *changed)}
    changes = {"out": "highstate", "ret": shown} if shown else {}
    if failed:
        error = CommandExecutionError(f"it failed on {', '.join(failed)}")
        error.changes = changes
        raise error
    return _with(name, changes, f"changed: {', '.join(changed) or 'no host'}")


def _end_and_tell(app, failure, hosts, hook):
    """``_end``, and if that is the end of a deploy, a message to those who want one, after the lock was given back."""
    held, before = lock_file.is_held(_folder(), app, __orchestration_jid__), _newest(app)
    told = _end(app, failure, hook)
    entry = _newest(app)
    if not held or not entry or (entry == before and not steps.changes(__running__, "record")):
        return told
    reason = steps.sentence(failure) if failure else ""
    return [*told, *notices.send(__opts__, notices.notice(app, entry, hosts, told, reason))]


def _newest(app):
    """The last entry of the ledger's history, or {}."""
    try:
        return (ledger_file.read(_folder(), app)["history"] or [{}])[-1]
    except CommandExecutionError:
        return {}


def _end(app, failure, hook):
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
        spent, applied, unsafe = steps.seconds(__running__), steps.applied(__running__), steps.unsafe(__running__)
        ledger_file.fail(_folder(), app, steps.sentence(failure), spent, applied, unsafe)
        return [*lines, *_after_failure(hook, attempt["before"])]
    finally:
        lock_file.release(_folder(), app, __orchestration_jid__)


def _revert(app, before):
    """Bring each host back to the slot it served before; what came of it, as lines."""
    serving, problems = _ask(before, "slots.serving", app)
    moved = {host: before[host] for host in serving if serving[host]["slot"] != before[host]["slot"]}
    problems |= _ask(moved, "slots.revert", app, {host: served["slot"] for host, served in moved.items()})[1]
    back = [f"{host} serves {_served(moved[host])} again" for host in moved if host not in problems]
    lost = [f"{host} was NOT brought back to {_served(before[host])}: {_left(problems[host])}" for host in problems]
    return [*back, *lost] or [f"every host of {app} still serves what it served before"]


def _left(problem):
    return f"{problem}; it goes back by itself when it asks for us (rollout:confirm)" if problem == SILENT else problem


def _after_failure(hook, before):
    """Run the hooks of a failure in what their host serves; what came of it, as lines."""
    if not hook or not hook["commands"]:
        return []
    if not before[hook["host"]]["release"]:
        return [f"{hook['host']} serves nothing: no hook of a failure runs"]
    try:
        return [f"{hook['host']} ran: {'; '.join(_run(hook))}"]
    except CommandExecutionError as error:
        return [f"a hook of a failure failed itself: {error}"]


def _hooked(name, hook):
    """The result of a step that runs hooks."""
    commands = [shlex.join(command) for command in hook["commands"]]
    if __opts__["test"]:
        return state_result.would(name, {"ran": commands}, f"{hook['host']} would run: {'; '.join(commands)}")
    ran = _run(hook)
    return state_result.changed(name, {"ran": ran}, f"{hook['host']} ran: {'; '.join(ran)}")


def _run(hook):
    """Run the commands of a hook, one after the other; the error of one has the ``changes`` of those before."""
    ran, arguments = [], hook["arguments"]
    variables = arguments["variables"] | {"SLIPWAY_WHO": ledger_file.who()}
    for command in hook["commands"]:
        try:
            ran.append(_ask_one(hook["host"], "hooks.run", **{**arguments, "variables": variables, "command": command}))
        except CommandExecutionError as error:
            error.changes = {"ran": ran} if ran else {}
            raise
    return ran


def _would_change(host, hosts, pillar, questions):
    """Whether migrating or activating a release that is staged would change anything: both are asked."""
    answers, problems = _ask(hosts, "state.apply", "app.activate", pillar=pillar, queue=60, test=True)
    states = [state for answer in answers.values() for state in answer.values()]
    if problems or any(state["changes"] or state["result"] is None for state in states):
        return True
    return bool(_ask_one(host, "manage.pending_migrations", **questions))


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
            problems[host] = SILENT
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
        "who": ledger_file.who(),
        "started": ledger_file.now(),
        "release": release,
        "before": before,
    }


def _must_hold(app):
    if not lock_file.is_held(_folder(), app, __orchestration_jid__):
        raise CommandExecutionError(f"the lock of {app} expired and is not ours any more: nothing was recorded")


def _tell(apps, phase, host, what, **more):
    if not __opts__["test"]:
        for app in filter(None, apps):
            rollout_events.fire(__opts__, __orchestration_jid__, app, phase, host, what, **more)


def _since(began):
    return round(time.monotonic() - began, 2)


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


def _reasons(migrations):
    """A line for each migration, because a failure shows its last lines only."""
    return "\n".join(f"{migration}: {'; '.join(reasons)}" for migration, reasons in migrations.items())


def _title(release):
    return f"{release['revision']} ({release['id']})"


def _served(serving):
    return serving["release"] or "nothing"


def _folder():
    return ledger_file.folder(__opts__)
