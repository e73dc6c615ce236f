"""What an orchestration is going to do: who takes part, in which order, and with which release."""

import sys
import time

import salt.client
import salt.utils.jid
from salt.exceptions import CommandExecutionError, SaltException

import app_spec
import ledger_file
import lock_file
import outlook
import progress
import steps
import waves

# Seconds that a deploy may take without its waves: staging builds a venv, a dump of a big database takes its time.
LOCK_SECONDS = 3600

# Seconds that one command of a hook may take.
HOOK_SECONDS = 600
HOOKS = ("before_deploy", "after_deploy", "on_failure")
# With these values of --out, and without it, what is for people is text.
TEXT = (None, "", "txt", "text")

FRONTS = ("nginx", "apache")
# Measured on hosts of the lab; requests in flight finish.
CLOSED = "0.1 to 0.3 s"

# Seconds in which hosts that are there have answered.
ANSWERS = 3

# What a row of ``status`` says of an app on a host.
COLUMNS = ("release", "slot", "server", "since", "answer", "drift")

# The order in which hosts are provisioned: an app needs its database, a balancer needs its upstreams.
ROLES = ("database", "app", "balancer")


def deploy(app, revision="", allow_unsafe=False):
    """
    Deploy an app, as ``state.orchestrate orch.deploy`` does, and show how far it is; returns a short table of what each
    host serves then, and why if it failed. The exit code is 1 if it failed.

    app, revision, allow_unsafe
        As in ``plan``.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.deploy shop v1
    """
    return _orchestrate("deploy", app, revision=revision, allow_unsafe=allow_unsafe)


def rollback(app, to="", keep_migrations=False):
    """
    Bring an earlier release back, as ``state.orchestrate orch.rollback`` does; all else as ``deploy``.

    app, to, keep_migrations
        As in ``way_back``.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.rollback shop
    """
    return _orchestrate("rollback", app, to=to, keep_migrations=keep_migrations)


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
    planned = way_forth(app, revision, allow_unsafe)
    shown = {key: planned[key] for key in ("problems", "app", "release", "hosts", "waves")}
    told = {"problem": "\n".join(planned["problems"])}
    if not planned["problems"]:
        look = planned["look"]
        found = outlook.found(look, _ask(look["host"], "releases.preview", look["questions"]))
        shown, told = shown | outlook.data(look, found), outlook.words(look, found)
    # salt-run makes its exit code of this.
    failed = {"retcode": 1} if shown["problems"] else {}
    data = told if __opts__.get("output") in TEXT else shown
    return {"outputter": "txt", "data": data | failed}


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
        plan = _plan(*_wanted(_fleet().app(app), str(revision)), ledger_file.DEPLOYED)
        return {**plan, "examine": [plan["first"]], "allow_unsafe": allow_unsafe is True}
    except SaltException as error:
        return _no_plan(error)


def way_back(app, to="", keep_migrations=False):
    """
    The plan of a rollback, of which ``salt/orch/rollback.sls`` makes states; ``problems`` as of ``plan``.

    app
        The app's name.
    to
        The revision or id of a release that was deployed; empty for the one before.
    keep_migrations
        Go back although migrations were applied since with which the release may fail. They stay.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.way_back shop
    """
    try:
        release, unsafe = ledger_file.way_back(ledger_file.folder(__opts__), app, str(to or ""))
        if unsafe and keep_migrations is not True:
            raise CommandExecutionError(_over_migrations(release, unsafe))
        return _plan(_fleet().app(app), release, ledger_file.ROLLED_BACK)
    except SaltException as error:
        return _no_plan(error)


def provisioning():
    """
    The groups of hosts that are provisioned one after the other; a host with several roles is in its first.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.provisioning
    """
    try:
        return _provisioning(_fleet())
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
        return {**_maintenance(app, on, allow), "problems": problems}
    except SaltException as error:
        problems += str(error).splitlines()
        return {"problems": problems, "summary": "", "hosts": [], "sls": "", "pillar": {}}


def status(app=""):
    """
    What each host serves, as a table (``--out=json`` for programs): host, app, release, slot, server, since when (UTC),
    how it answers just now, and ``drift``, where the ledger says that another release is deployed.

    app
        The app's name; empty for all.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.status
    """
    return _shown(_rows(app))


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


def _orchestrate(name, app, **more):
    """Run an orchestration, show its events, and return what it came to."""
    token = salt.utils.jid.gen_jid(__opts__)
    with progress.shown(__opts__, app, token, sys.stderr, live=sys.stderr.isatty()):
        done = __salt__["state.orchestrate"](f"orch.{name}", pillar={"app": app, **more}, orchestration_jid=token)
    (running,) = done["data"].values()
    failure = _failure(running)
    # Without a plan there is nothing to look at: an app of that name, say.
    rows = _rows(app) if isinstance(running, dict) and steps.passed(running, "plan") is not None else []
    outcome = {"result": "failed" if failure else "done", "reason": failure, "hosts": rows}
    # The exit code of salt-run, which takes it from here.
    return _shown({**outcome, "retcode": done["retcode"]})


def _failure(running):
    """Why an orchestration failed, as its last step says it; empty if it did not."""
    if not isinstance(running, dict):
        return "\n".join(str(line) for line in running)
    finish = next(result for result in running.values() if result["__id__"] == "finish")
    return "" if finish["result"] else finish["comment"]


def _held(app, lock):
    shown = {"owner": lock["owner"], "job": lock["token"], "reason": lock["reason"].partition("\n")[0]}
    return {"app": app, **shown, "since": lock["since"], "expires": lock["expires"] + (", over" * lock["expired"])}


def _shown(data):
    """For ``_output/rollout.py``, which prints it for people."""
    return {"outputter": "rollout", "data": data}


def _rows(app):
    fleet = _fleet()
    deployed = ledger_file.deployed(ledger_file.folder(__opts__))
    apps = [fleet.app(app)] if app else fleet.apps
    return [_row(host, answer, one.name, deployed) for one in apps for host, answer in _statuses(one).items()]


def _statuses(app):
    client = salt.client.get_local_client(mopts=__opts__)
    answers = client.cmd(list(app.hosts), "slots.status", [app.name], tgt_type="list", full_return=True)
    return {host: answers.get(host) or {"ret": "it does not answer", "retcode": 1} for host in app.hosts}


def _row(host, answer, app, deployed):
    found = answer["ret"]
    if answer["retcode"] or not isinstance(found, dict):
        found = {"answer": str(found).removeprefix("ERROR: ").splitlines()[0]}
        return {"host": host, "app": app, **dict.fromkeys(COLUMNS, ""), **found}
    wanted = deployed.get(app, {}).get("id", "")
    drift = "" if found["release"] == wanted else f"the ledger has {wanted or 'nothing'}"
    return {"host": host, "app": app, **{key: found[key] for key in COLUMNS[:-1]}, "drift": drift}


def _attempt(entry):
    shown = {key: entry[key] for key in ("started", "who", "revision", "id", "result")}
    seconds = round(sum(entry["phases"].values()), 1)
    return {**shown, "seconds": seconds, "reason": entry["reason"].partition("\n")[0]}


def _wanted(app, revision):
    """The app and the release that a revision means now."""
    revision = revision or app.revision
    answer = _resolve(app, revision)
    return app, {"id": answer["id"], "commit": answer["commit"], "revision": revision}


def _over_migrations(release, unsafe):
    first = f"since {release['revision']} ({release['id']}) migrations were applied with which it may fail:"
    last = (
        "If it works with the database as it is now, go back with keep_migrations: true;"
        " otherwise deploy a release that mends what is wrong"
    )
    return "\n".join([first, *(f"{name}: {'; '.join(reasons)}" for name, reasons in unsafe.items()), last])


def _plan(app, release, result):
    """``result`` is what the ledger calls it once it has ended well."""
    spec = app_spec.plain(app_spec.with_release(app, **release))
    rollout = spec["rollout"]
    groups = waves.waves(spec["hosts"], rollout["canary"], rollout["wave"])
    activations, closures = _steps(groups, rollout["between"]), _closures([app])
    return {
        "problems": [],
        "app": app.name,
        "apps": [app.name],
        "release": release,
        "result": result,
        "pillar": {"releases": {app.name: release}, "only": app.name},
        "hosts": spec["hosts"],
        "first": spec["hosts"][0],
        "others": [database["host"] for database in spec["databases"]],
        "databases": [{"name": database["name"], "host": database["host"]} for database in spec["databases"]],
        "questions": _questions(spec),
        "hooks": {phase: _hook(spec, phase, result) for phase in HOOKS},
        "examine": [],
        "allow_unsafe": False,
        "lock_seconds": _lock_seconds(spec, len(groups)),
        "summary": "\n".join([_summary(app.name, release, groups, rollout["between"]), *_few(closures).values()]),
        "look": _look(spec, result, activations, _few(closures)),
        **activations,
    }


def _no_plan(error):
    nothing = dict.fromkeys(("app", "first", "summary", "lock_seconds", "result"), "")
    lists = {key: [] for key in ("apps", "hosts", "others", "databases", "examine")}
    release = {"id": "", "commit": "", "revision": ""}
    problems = str(error).splitlines()
    empty = {key: {} for key in ("pillar", "questions", "look")} | {"release": release, "allow_unsafe": False}
    return {**nothing, **lists, **_steps([]), **empty, "hooks": dict.fromkeys(HOOKS, {}), "problems": problems}


def _steps(groups, between=0):
    """
    The steps that activate, each with the id of the step before; ``activated`` is the last of them.

    ``pauses`` is what comes before a wave: a list of one, or empty.
    """
    steps, last = [], "migrate"
    for number, hosts in enumerate(groups, 1):
        waits = between and number > 1
        pauses = [{"id": f"wait-{number - 1}", "after": last, "seconds": between}] if waits else []
        last = pauses[0]["id"] if pauses else last
        steps.append({"id": f"activate-{number}", "after": last, "hosts": hosts, "pauses": pauses})
        last = steps[-1]["id"]
    return {"waves": steps, "activated": last}


def _look(spec, result, steps, closures):
    """What ``outlook`` needs to tell what would happen: whom to ask what, and what is known without asking."""
    release = spec["releases"][0]
    deploys = result == ledger_file.DEPLOYED
    deployed = ledger_file.read(ledger_file.folder(__opts__), spec["name"])["deployed"]
    told = {"deploy" if deploys else "rollback": f"{spec['name']} {release['revision']} ({release['id']})"}
    told |= waves.words(steps["waves"]) | {host: text.partition(": ")[2] for host, text in closures.items()}
    return {
        "host": spec["hosts"][0],
        "questions": _preview(spec),
        "databases": [{"name": database["name"], "host": database["host"]} for database in spec["databases"]],
        "back": _back(spec["name"], deployed, release) if deploys else None,
        # No dictionary: Jinja would sort it.
        "told": list(told.items()),
    }


def _back(app, deployed, release):
    """The release, in a list, that a rollback would go back to after this one was deployed; empty if there is none."""
    if deployed.get("id") != release["id"]:
        return [deployed] if deployed else []
    try:
        return [ledger_file.way_back(ledger_file.folder(__opts__), app)[0]]
    except CommandExecutionError:
        return []


def _preview(spec):
    """The arguments of ``releases.preview`` for the release of a spec."""
    kept = {key: spec[key] for key in ("source", "requirements", "environment", "python")}
    django = {key: spec[key] for key in ("settings", "user", "variables")}
    places = {key: spec["paths"][key] for key in ("home", "current", "mirror", "venvs")}
    release = spec["releases"][0]
    named = {"path": release["code"], "commit": release["commit"], "files_of": spec["name"] if spec["files"] else ""}
    return {**kept, **places, **named, "packages": spec["web"]["packages"], "django": django}


def _questions(spec):
    """The arguments of ``manage.pending_migrations`` for the release of a spec."""
    release = spec["releases"][0]
    return {
        "python": release["python"],
        "folder": release["path"],
        "settings": spec["settings"],
        "user": spec["user"],
        "variables": spec["variables"],
    }


def _hook(spec, phase, result):
    """
    The commands of a phase and the arguments of ``hooks.run`` for each of them, on the app's first host.

    What they run in when a deploy has failed is the release that serves then.
    """
    release = spec["releases"][0]
    folder = spec["paths"]["current"] if phase == "on_failure" else release["path"]
    own = {
        "SLIPWAY_APP": spec["name"],
        "SLIPWAY_REVISION": release["revision"],
        "SLIPWAY_RELEASE": release["id"],
        "SLIPWAY_COMMAND": "rollback" if result == ledger_file.ROLLED_BACK else "deploy",
        "SLIPWAY_PHASE": phase,
    }
    return {
        "host": spec["hosts"][0],
        "commands": spec["hooks"][phase],
        "arguments": {
            "folder": folder,
            "python": f"{folder}/.venv/bin/python",
            "user": spec["user"],
            "variables": {**spec["variables"], **own},
            "timeout": HOOK_SECONDS,
        },
    }


def _lock_seconds(spec, count):
    """How long the lock lasts if nobody gives it back: what ``count`` waves and the hooks may take at most on top."""
    wave = spec["health"]["start_timeout"] + spec["rollout"]["watch"]["seconds"] + spec["web"]["timeout"]
    waits = max(count - 1, 0) * spec["rollout"]["between"]
    hooks = sum(len(commands) for commands in spec["hooks"].values())
    return int(LOCK_SECONDS + count * wave + waits + hooks * HOOK_SECONDS)


def _summary(name, release, groups, between):
    return f"{name} {release['revision']} ({release['id']}): {waves.order(groups, between)}"


def _closures(apps):
    """``{host: sentence}`` of those whose port 80 another web server takes over: for a moment nobody has it."""
    wanted = {host: app.web.front for app in apps for host in app.hosts}
    found = _holders(list(wanted))
    return {
        host: f"{host}: {front} takes port 80 over from {found[host]}: new connections are refused for {CLOSED}"
        for host, front in wanted.items()
        if found.get(host) in FRONTS and found[host] != front
    }


def _few(closures):
    """The same of some hosts and the number of the others, where there are many."""
    shown = dict(list(closures.items())[: waves.LISTED])
    left = len(closures) - len(shown)
    return shown | {"...": f"...: {left} more hosts likewise"} if left else shown


def _holders(hosts):
    """Who has port 80, of the hosts that say so in time: one that is off, or has not got the module, closes nothing."""
    client = salt.client.get_local_client(mopts=__opts__)
    job = client.run_job(hosts, "fronts.holder", tgt_type="list") if hosts else {}
    answers, end = {}, time.monotonic() + ANSWERS
    while job and len(answers) < len(hosts) and time.monotonic() < end:
        time.sleep(0.05)
        answers = client.get_cache_returns(job["jid"])
    return {host: answer.get("ret") for host, answer in answers.items()}


def _resolve(app, revision):
    host, source = app.hosts[0], app_spec.plain(app)["source"]
    answer = _ask(host, "releases.resolve", {"source": source, "revision": revision, "mirror": app.paths.mirror})
    if isinstance(answer, str):
        raise CommandExecutionError(f"{host}: {answer}")
    return answer


def _ask(host, function, arguments):
    """The dictionary that a function returns on a host, or a text that says why it does not."""
    client = salt.client.get_local_client(mopts=__opts__)
    answers = client.cmd([host], function, [], tgt_type="list", full_return=True, kwarg=arguments)
    answer = answers.get(host) or {"ret": "it does not answer", "retcode": 1}
    if answer["retcode"] or not isinstance(answer["ret"], dict):
        return str(answer["ret"]).removeprefix("ERROR: ")
    return answer["ret"]


def _provisioning(fleet):
    closures = _closures(fleet.apps)
    groups = _groups(fleet, closures)
    order = waves.order([group["hosts"] for group in groups])
    return {
        "problems": [],
        "summary": "\n".join([order, *_few(closures).values()]),
        "apps": [app.name for app in fleet.apps],
        "hosts": [host for group in groups for host in group["hosts"]],
        "groups": groups,
    }


def _groups(fleet, closures):
    """The hosts of each role together; those that close port 80 one by one, as a balancer has the others then."""
    groups, placed = [], set()
    for role in ROLES:
        hosts = [host.name for host in fleet.with_role(role) if host.name not in placed]
        placed.update(hosts)
        named = {f"{role}-hosts": [host for host in hosts if host not in closures]}
        named |= {f"{role}-host-{host}": [host] for host in hosts if host in closures}
        for id, members in named.items():
            if members:
                groups.append({"id": id, "after": groups[-1]["id"] if groups else "modules", "hosts": members})
    return groups


def _maintenance(app, on, allow):
    fleet = _fleet(allow=allow)
    hosts = [host.name for host in fleet.hosts if fleet.app(app) in fleet.reached_on(host.name)]
    given = f"the maintenance page instead of {app}" if on else app
    but = f", but for {', '.join(allow)}" if on and allow else ""
    return {
        "summary": f"visitors get {given}{but}: {' + '.join(hosts)}",
        "hosts": hosts,
        "sls": "maintenance.on" if on else "maintenance.off",
        "pillar": {"only": app, "allow": allow},
    }


def _fleet(**more):
    """
    The fleet as every minion's pillar describes it: without a secret, which only hosts' own pillars have.

    :param more: further keys, as the orchestration passes them along
    """
    pillar = __salt__["pillar.show_pillar"]()
    if pillar.get("_errors"):
        raise CommandExecutionError("\n".join(str(error) for error in pillar["_errors"]))
    return app_spec.load({**pillar, **more})
