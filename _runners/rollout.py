"""
What people ask for on the master: deploys, rollbacks, the plan of one, what is deployed, locks. Also the plans of which
``salt/orch`` makes states.
"""

import logging
import sys

import salt.utils.jid
from salt.exceptions import CommandExecutionError, SaltException

import app_spec
import asking
import catching_up
import deaths
import drifting
import ledger_file
import lock_file
import notices
import outlook
import progress
import restores
import rollout_end
import rollout_plan
import rollout_status
import steps
import waves

log = logging.getLogger(__name__)

# With these values of --out, and without it, what is for people is text.
TEXT = (None, "", "txt", "text")


def deploy(app, revision="", allow_unsafe=False, test=False):
    """
    Deploy an app, as ``state.orchestrate orch.deploy`` does, and show how far it is; returns a short table of what each
    host serves then, and why if it failed. The exit code is 1 if it failed.

    app, revision, allow_unsafe
        As in ``plan``.
    test
        Only show what ``plan`` does.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.deploy shop v1
    """
    if test:
        return plan(app, revision, allow_unsafe)
    return _orchestrate("deploy", app, revision=revision, allow_unsafe=allow_unsafe)


def promote(app, source, target, allow_unsafe=False, test=False):
    """
    Deploy, in one environment of an app, the very release that the ledger says is deployed in another; all else as
    ``deploy``.

    app
        The app's name, which one of the two has; the other is ``like`` it.
    source, target
        The environments, from where and to where: ``staging``, ``production``.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.promote shop staging production
    """
    fleet = _fleet()
    one, two = (_in_environment(fleet, app, name) for name in (source, target))
    release = ledger_file.read(ledger_file.folder(__opts__), one.name)["deployed"]
    if not release:
        raise CommandExecutionError(f"{one.name}: nothing is deployed there yet: salt-run rollout.deploy {one.name}")
    # Rather the name that people know; but a tag may have been moved, and a branch has gone on.
    for revision in (release["revision"], release["commit"]):
        if _resolve(two, revision)["id"] == release["id"]:
            return deploy(two.name, revision, allow_unsafe, test)
    raise CommandExecutionError(f"{two.name}: its source has not {ledger_file.title(release)} of {one.name} any more")


def rollback(app, to="", keep_migrations=False, restore=False, test=False):
    """
    Bring an earlier release back, as ``state.orchestrate orch.rollback`` does; all else as ``deploy``.

    app, to, keep_migrations, restore
        As in ``way_back``.
    test
        Only show what it would do, as ``plan`` does for a deploy.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.rollback shop
    """
    if test:
        return _foretold(way_back(app, to, keep_migrations, restore))
    return _orchestrate("rollback", app, to=to, keep_migrations=keep_migrations, restore=restore)


def rotate(app, test=False):
    """
    Bring the newest value of each secret of an app into use, as ``state.orchestrate orch.rotate`` does; all else as
    ``deploy``.

    test
        Only say which secrets would change, and which old values can be taken out of the pillar. No value is shown.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.rotate shop
    """
    if test:
        planned = __salt__["rotation.steps"](app)
        failed = {"reason": "\n".join(planned["problems"]), "retcode": int(bool(planned["problems"]))}
        return _shown({"hosts": [], "told": planned["summary"], **failed})
    return _orchestrate("rotate", app)


def lock(app, reason, seconds=3600):
    """
    Keep everybody from deploying an app until ``unlock``, or for a time; returns a sentence.

    reason
        For the people who are refused meanwhile.
    seconds
        After which the lock is over by itself.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.lock shop "the database is being moved" seconds=7200
    """
    folder, token = ledger_file.folder(__opts__), salt.utils.jid.gen_jid(__opts__)
    name, who = _fleet().app(app).name, ledger_file.who()
    lock_file.acquire(folder, name, token, who, str(reason), int(seconds), by_hand=True)
    return f"{app} is locked until {lock_file.show(folder, app)['expires']}"


def locks():
    """
    Who keeps others from deploying, as a table (``--out=json`` for programs): app, owner, job, reason, since, expires.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.locks
    """
    folder = ledger_file.folder(__opts__)
    held = {app.name: lock_file.show(folder, app.name) for app in _fleet().apps}
    return _shown([_held(app, lock) for app, lock in held.items() if lock])


def unlock(app):
    """
    Take an app's lock away from its owner, whose job must be dead, and return what it was; {} if nobody held it.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.unlock shop
    """
    return lock_file.release(ledger_file.folder(__opts__), app)


def plan(app, revision="", allow_unsafe=False):
    """
    What a deploy would do, in words (``--out=json`` for programs), and nothing is touched: the hosts in their waves,
    migrations, changed requirements, the dump, what a rollback could go back to.

    A throwaway copy of the release on the app's first host tells. The exit code is 1 if there are problems.

    app
        The app's name.
    revision
        What to deploy; empty for the revision in the app's pillar.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.plan shop v1
    """
    return _foretold(way_forth(app, revision, allow_unsafe))


def way_forth(app, revision="", allow_unsafe=False):
    """
    The steps of a deploy, of which ``salt/orch/deploy.sls`` makes states. ``rollout.plan`` is for people.

    app
        The app's name.
    revision
        What to deploy; empty for the revision in the app's pillar. One host resolves it, so that all get one commit.
    allow_unsafe
        Deploy it also with migrations with which the release that is served may fail.

    It never raises for a mistake in what was asked: ``problems`` holds the sentences, and the rest is empty.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.way_forth shop v1
    """
    try:
        fleet = _fleet()
        one, skipped = _present(fleet.app(app))
        release = _resolve(one, str(revision or one.revision))
        known = _known(fleet, one, skipped, _back(app, release))
        plan = rollout_plan.plan(one, release, ledger_file.DEPLOYED, known)
        return {**plan, "examine": [plan["first"]], "allow_unsafe": allow_unsafe is True}
    except SaltException as error:
        return rollout_plan.no_plan(error)


def way_back(app, to="", keep_migrations=False, restore=False):
    """
    The plan of a rollback, of which ``salt/orch/rollback.sls`` makes states; ``problems`` as of ``plan``.

    app
        The app's name.
    to
        The revision or id of a release that was deployed; empty for the one before.
    keep_migrations
        Go back although migrations were applied since with which the release may fail. They stay.
    restore
        Go back over such migrations with the database as it was before them: from the dump that was made then.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.way_back shop
    """
    try:
        fleet = _fleet()
        if _is_asked("restore", restore):
            release, restored = _back_with_dump(fleet, app, str(to or ""), keep_migrations)
        else:
            release, restored = _back_as_it_is(app, str(to or ""), keep_migrations), []
        one, skipped = _present(fleet.app(app))
        known = _known(fleet, one, skipped, None)
        return rollout_plan.plan(one, release, ledger_file.ROLLED_BACK, known, restored)
    except SaltException as error:
        return rollout_plan.no_plan(error)


def provisioning():
    """
    The groups of hosts that are provisioned one after the other; a host with several roles is in its first.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.provisioning
    """
    try:
        fleet = _fleet()
        return rollout_plan.provisioning(fleet, _holders(fleet.apps))
    except SaltException as error:
        return {"problems": str(error).splitlines(), "summary": "", "apps": [], "hosts": [], "groups": []}


def maintenance(app, on, allow=()):
    """
    What ``salt/orch/maintenance.sls`` does: on which hosts, and with which states; ``problems`` as of ``plan``.

    app
        The app's name.
    on
        Whether visitors get the maintenance page instead of the app.
    allow
        The addresses of those who get the app all the same.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.maintenance shop True allow='[203.0.113.7]'
    """
    problems = [] if isinstance(on, bool) else [f"on: {on!r} is neither true nor false: write one of them"]
    try:
        return {**rollout_plan.maintenance(_fleet(allow=allow), app, on, allow), "problems": problems}
    except SaltException as error:
        problems += str(error).splitlines()
        return {"problems": problems, "summary": "", "hosts": [], "sls": "", "pillar": {}}


def status(app=""):
    """
    What each host serves, as a table (``--out=json`` for programs): host, app, release, slot, server, since when (UTC),
    how it answers just now and whether visitors are kept out, ``drift``, where the ledger says that another release is
    deployed, and who holds the app's lock.

    app
        The app's name; empty for all.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.status
    """
    return _shown(_rows(app))


def catch_up():
    """
    Bring the hosts that a deploy went on without (``rollout: {unreachable: skip}``) to what is deployed, if they are
    back; then balancers send them requests again. The master runs this each minute (``conf/master.conf``).

    Returns what came of it, as a table (``--out=json`` for programs): host, app, result. The exit code is 1 if a host
    that answers was not brought back. Where no host is behind only the ledgers are read.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.catch_up
    """
    behind = ledger_file.skipped(ledger_file.folder(__opts__))
    found = catching_up.bring_back(__opts__, _fleet(), behind) if behind else []
    rows = [
        {"host": host, "app": app, "result": problem.partition("\n")[0] or "takes traffic again"}
        for app, host, problem in found
    ]
    failed = any(problem not in ("", asking.SILENT) for _, _, problem in found)
    return _shown({"hosts": rows, "reason": "", "retcode": int(failed)})


def drift(host="", tell=False):
    """
    What a highstate would change on each host, and nothing is changed: a table of host, state and change, and below it
    each change whole (``--out=json`` for programs). The exit code is 1 if there is any, or a host cannot be asked.

    host
        The host's name; empty for all.
    tell
        Whether the people of ``slipway_notify`` are told as well, and the master's log. The master does that each night
        (``conf/master.conf``).

    CLI Example:

    .. code-block:: bash

        salt-run rollout.drift web1
    """
    fleet = _fleet()
    rows, lines = drifting.found(__opts__, [one.name for one in ([fleet.host(host)] if host else fleet.hosts)])
    if rows and tell:
        told = [" ".join(filter(None, row.values())) for row in rows]
        # For the log, which the master that looks by itself has in any case.
        for line in told:
            log.warning("drift: %s", line)
        notices.send_drift(__opts__, dict.fromkeys(row["host"] for row in rows), [*told, "", *lines])
    shown = {"hosts": rows, "reason": "\n".join(lines), "told": "" if rows else "every host is as its states say"}
    return _shown({**shown, "retcode": int(bool(rows))})


def died(told):
    """
    Write into the master's log what a host tells of a process that died, and tell the people of ``slipway_notify``, of
    the same process once an hour; returns it as a line. The master calls this (``conf/master.conf``, ``reactor``).

    told
        The data of the event ``salt/beacon/<host>/processes/<app>/<process>``.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.died '{"app": "shop", "host": "web1", "process": "shop-blue", "manager": "systemd", "what": \
            "died", "reason": "killed by SIGKILL", "when": "2026-11-26T05:24:00Z"}'
    """
    return deaths.take(__opts__, told)


def history(app):
    """
    What was tried with an app, newest first, as a table (``--out=json`` for programs): when (UTC), who, what, how many
    seconds, what became of it and why.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.history shop
    """
    entries = ledger_file.read(ledger_file.folder(__opts__), app)["history"]
    return _shown([_attempt(entry) for entry in reversed(entries)])


def _foretold(planned):
    """A plan in words, or for programs as data, with what the app's first host foresees."""
    shown = {key: planned[key] for key in ("problems", "app", "release", "hosts", "skipped", "waves")}
    told = {"problem": "\n".join(planned["problems"])}
    if not planned["problems"]:
        look = planned["look"]
        answers, silent = asking.ask(__opts__, [look["host"]], "releases.preview", **look["questions"])
        found = outlook.found(look, (answers | silent)[look["host"]])
        shown, told = shown | outlook.data(look, found), outlook.words(look, found)
    # salt-run makes its exit code of this.
    failed = {"retcode": 1} if shown["problems"] else {}
    data = told if __opts__.get("output") in TEXT else shown
    return {"outputter": "txt", "data": data | failed}


def _orchestrate(name, app, **more):
    """Run an orchestration, show its events, and return what it came to."""
    token = salt.utils.jid.gen_jid(__opts__)
    with progress.shown(__opts__, app, token, sys.stderr, live=sys.stderr.isatty()):
        done = __salt__["state.orchestrate"](f"orch.{name}", pillar={"app": app, **more}, orchestration_jid=token)
    (running,) = done["data"].values()
    failure, told = _end(running)
    # Without a plan there is nothing to look at: an app of that name, say.
    rows = _rows(app) if isinstance(running, dict) and steps.passed(running, "plan") is not None else []
    outcome = {"result": "failed" if failure else "done", "reason": failure, "told": told, "hosts": rows}
    # The exit code of salt-run, which takes it from here.
    return _shown({**outcome, "retcode": done["retcode"]})


def _end(running):
    """Why an orchestration failed, as its last step says it, and what that tells if it did not; one is empty."""
    if not isinstance(running, dict):
        return "\n".join(str(line) for line in running), ""
    finish = next(result for result in running.values() if result["__id__"] == "finish")
    told = finish["comment"] if finish["comment"] != rollout_end.WELL else ""
    return ("", told) if finish["result"] else (finish["comment"], "")


def _held(app, lock):
    shown = {"owner": lock["owner"], "job": lock["token"], "reason": lock["reason"].partition("\n")[0]}
    return {"app": app, **shown, "since": lock["since"], "expires": lock["expires"] + (", over" * lock["expired"])}


def _shown(data):
    """For ``_output/rollout.py``, which prints it for people."""
    return {"outputter": "rollout", "data": data}


def _rows(app):
    fleet = _fleet()
    return [row for one in ([fleet.app(app)] if app else fleet.apps) for row in rollout_status.rows(__opts__, one)]


def _attempt(entry):
    shown = {key: entry[key] for key in ("started", "who", "revision", "id", "result")}
    seconds = round(sum(entry["phases"].values()), 1)
    skipped = f"without {waves.named(entry['skipped'])}" if "skipped" in entry else ""
    return {**shown, "seconds": seconds, "reason": entry["reason"].partition("\n")[0] or skipped}


def _in_environment(fleet, name, environment):
    """The one app that is this one, or like it, in an environment."""
    found = [app for app in fleet.apps if name in (app.name, app.like) and app.environment == environment]
    if len(found) == 1:
        return found[0]
    fix = "deploy one of them by its name" if found else f"write one, with like: {name} and environment: {environment}"
    has = f"{', '.join(app.name for app in found) or 'none'} of the environment {environment!r}"
    raise CommandExecutionError(f"{fleet.app(name).name}: of it and the apps that are like it {has}: {fix}")


def _present(app):
    """
    The app as the deploy sees it, and the hosts that do not answer and that it goes on without. A database's own host
    stays: without it the deploy fails.
    """
    if app.rollout.unreachable == "fail":
        return app, []
    silent = asking.silent(__opts__, app.hosts)
    if len(silent) == len(app.hosts):
        raise CommandExecutionError(f"{app.name}: none of its hosts answers: {', '.join(silent)}")
    skipped = [host for host in silent if not app.database or host != app.database.host]
    return app_spec.without(app, skipped), skipped


def _known(fleet, app, skipped, back):
    """What ``rollout_plan.plan`` has to be told."""
    balancers = [host.name for host in fleet.balancers_of(app.name)]
    return {"skipped": skipped, "balancers": balancers, "holders": _holders([app]), "back": back}


def _resolve(app, revision):
    """The release that a revision means now."""
    source = app_spec.plain(app)["source"]
    question = {"source": source, "revision": revision, "mirror": app.paths.mirror}
    answer = asking.ask_one(__opts__, app.hosts[0], "releases.resolve", **question)
    return {"id": answer["id"], "commit": answer["commit"], "revision": revision}


def _back(app, release):
    """The release, in a list, that a rollback would go back to after this one was deployed; empty if there is none."""
    folder = ledger_file.folder(__opts__)
    deployed = ledger_file.read(folder, app)["deployed"]
    if deployed.get("id") != release["id"]:
        return [deployed] if deployed else []
    try:
        return [ledger_file.way_back(folder, app)[0]]
    except CommandExecutionError:
        return []


def _is_asked(key, value):
    """Whether the word is given that changes what a command does: a word that is misspelt must not be lost."""
    if not isinstance(value, bool) and value not in (None, ""):
        raise CommandExecutionError(f"{key}: {value!r} is neither true nor false: write one of them")
    return value is True


def _back_as_it_is(app, to, keep_migrations):
    """The release to go back to with the database as it is."""
    release, unsafe = ledger_file.way_back(ledger_file.folder(__opts__), app, to)
    if unsafe and keep_migrations is not True:
        raise CommandExecutionError(rollout_plan.over_migrations(release, unsafe))
    return release


def _back_with_dump(fleet, app, to, keep_migrations):
    """The release to go back to, and what is restored for it, in a list; empty if that is done but for its end."""
    folder = ledger_file.folder(__opts__)
    if keep_migrations is True:
        raise CommandExecutionError("restore and keep_migrations: the one takes away what the other keeps: choose one")
    unfinished = ledger_file.unfinished(folder, app)
    if unfinished and to in ("", unfinished["revision"], unfinished["id"]):
        return unfinished, []
    release, unsafe = ledger_file.way_back(folder, app, to)
    if not unsafe:
        why = f"nothing is in the way of {ledger_file.title(release)}, and the database can stay as it is"
        raise CommandExecutionError(f"{app}: {why}: leave restore out")
    dumps, fronts = ledger_file.dumps_before(folder, app, unsafe), rollout_plan.fronts(fleet, app)
    return release, [restores.found(__opts__, fleet.app(app).database, dumps, unsafe, fronts)]


def _holders(apps):
    """Who has port 80, of the hosts that say so in time: one that is off, or has not got the module, closes nothing."""
    hosts = dict.fromkeys(host for app in apps for host in app.hosts)
    return asking.ask_briefly(__opts__, hosts, "fronts.holder")


def _fleet(**more):
    """
    The fleet as every minion's pillar describes it: without a secret, which only hosts' own pillars have.

    :param more: further keys, as the orchestration passes them along
    """
    pillar = __salt__["pillar.show_pillar"]()
    if pillar.get("_errors"):
        raise CommandExecutionError("\n".join(str(error) for error in pillar["_errors"]))
    return app_spec.load({**pillar, **more})
