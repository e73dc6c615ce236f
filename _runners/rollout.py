"""What an orchestration is going to do: who takes part, in which order, and with which release."""

import time

import salt.client
from salt.exceptions import CommandExecutionError, SaltException

import app_spec
import ledger_file
import waves

# Seconds that a deploy may take without its waves: staging builds a venv, a dump of a big database takes its time.
LOCK_SECONDS = 3600

FRONTS = ("nginx", "apache")
# Measured on hosts of the lab; requests in flight finish.
CLOSED = "0.1 to 0.3 s"

# Seconds in which hosts that are there have answered.
ANSWERS = 3

# The order in which hosts are provisioned: an app needs its database, a balancer needs its upstreams.
ROLES = ("database", "app", "balancer")


def plan(app, revision=""):
    """
    The plan of a deploy, of which ``salt/orch/deploy.sls`` makes states.

    app
        The app's name.
    revision
        What to deploy; empty for the revision in the app's pillar. One host resolves it, so that all get one commit.

    It never raises for a mistake in what was asked: ``problems`` holds the sentences, and the rest is empty.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.plan shop v1
    """
    try:
        return _plan(*_wanted(_fleet().app(app), str(revision)), ledger_file.DEPLOYED)
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
        Go back although migrations were applied since, of which the release knows nothing. They stay.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.way_back shop
    """
    try:
        release, applied = ledger_file.way_back(ledger_file.folder(__opts__), app, str(to or ""))
        if applied and keep_migrations is not True:
            raise CommandExecutionError(_over_migrations(release, applied))
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
    fleet = _fleet()
    deployed = ledger_file.deployed(ledger_file.folder(__opts__))
    apps = [fleet.app(app)] if app else fleet.apps
    rows = [_row(host, answer, one.name, deployed) for one in apps for host, answer in _statuses(one).items()]
    return {"outputter": "table", "data": rows}


def history(app):
    """
    What was tried with an app, newest first, as a table (``--out=json`` for programs): when (UTC), who, what, how many
    seconds, what became of it and why.

    CLI Example:

    .. code-block:: bash

        salt-run rollout.history shop
    """
    entries = ledger_file.read(ledger_file.folder(__opts__), app)["history"]
    return {"outputter": "table", "data": [_attempt(entry) for entry in reversed(entries)]}


def _statuses(app):
    client = salt.client.get_local_client(mopts=__opts__)
    answers = client.cmd(list(app.hosts), "slots.status", [app.name], tgt_type="list", full_return=True)
    return {host: answers.get(host) or {"ret": "it does not answer", "retcode": 1} for host in app.hosts}


def _row(host, answer, app, deployed):
    found = answer["ret"]
    if answer["retcode"] or not isinstance(found, dict):
        nothing = dict.fromkeys(("release", "slot", "server", "since", "drift"), "")
        return {"host": host, "app": app, **nothing, "answer": str(found).removeprefix("ERROR: ").splitlines()[0]}
    wanted = deployed.get(app, {}).get("id", "")
    drift = "" if found["release"] == wanted else f"the ledger has {wanted or 'nothing'}"
    return {"host": host, "app": app, **found, "drift": drift}


def _attempt(entry):
    shown = {key: entry[key] for key in ("started", "who", "revision", "id", "result")}
    seconds = round(sum(entry["phases"].values()), 1)
    return {**shown, "seconds": seconds, "reason": entry["reason"].partition("\n")[0]}


def _wanted(app, revision):
    """The app and the release that a revision means now."""
    revision = revision or app.revision
    answer = _resolve(app, revision)
    return app, {"id": answer["id"], "commit": answer["commit"], "revision": revision}


def _over_migrations(release, applied):
    return (
        f"since {release['revision']} ({release['id']}) migrations were applied that it does not know:"
        f" {', '.join(applied)}. If it works with the database as it is now (they only added), go back with"
        " keep_migrations: true; otherwise deploy a release that mends what is wrong"
    )


def _plan(app, release, result):
    """``result`` is what the ledger calls it once it has ended well."""
    spec = app_spec.plain(app_spec.with_release(app, **release))
    groups = waves.waves(spec["hosts"], spec["rollout"]["canary"], spec["rollout"]["wave"])
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
        "lock_seconds": _lock_seconds(spec, len(groups)),
        "summary": "\n".join([_summary(app.name, release, groups), *_closures([app]).values()]),
        **_steps(groups),
    }


def _no_plan(error):
    nothing = dict.fromkeys(("app", "first", "summary", "lock_seconds", "result"), "")
    lists = {key: [] for key in ("apps", "hosts", "others", "databases")}
    release = {"id": "", "commit": "", "revision": ""}
    problems = str(error).splitlines()
    return {**nothing, **lists, **_steps([]), "problems": problems, "release": release, "pillar": {}, "questions": {}}


def _steps(groups):
    """The steps that activate, each with the id of the step before; ``activated`` is the last of them."""
    steps, last = [], "migrate"
    for number, hosts in enumerate(groups, 1):
        steps.append({"id": f"activate-{number}", "after": last, "hosts": hosts})
        last = steps[-1]["id"]
    return {"waves": steps, "activated": last}


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


def _lock_seconds(spec, count):
    """How long the lock lasts if nobody gives it back: what ``count`` waves may take at most comes on top."""
    wave = spec["health"]["start_timeout"] + spec["rollout"]["watch"] + spec["web"]["timeout"]
    return int(LOCK_SECONDS + count * wave)


def _summary(name, release, groups):
    order = ", then ".join(" + ".join(group) for group in groups)
    return f"{name} {release['revision']} ({release['id']}): {order}"


def _closures(apps):
    """``{host: sentence}`` of those whose port 80 another web server takes over: for a moment nobody has it."""
    wanted = {host: app.web.front for app in apps for host in app.hosts}
    found = _holders(list(wanted))
    return {
        host: f"{host}: {front} takes port 80 over from {found[host]}: new connections are refused for {CLOSED}"
        for host, front in wanted.items()
        if found.get(host) in FRONTS and found[host] != front
    }


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
    client = salt.client.get_local_client(mopts=__opts__)
    answers = client.cmd(
        [host], "releases.resolve", [source, revision, app.paths.mirror], tgt_type="list", full_return=True
    )
    answer = answers.get(host) or {"ret": "it does not answer", "retcode": 1}
    if answer["retcode"] or not isinstance(answer["ret"], dict):
        raise CommandExecutionError(f"{host}: {str(answer['ret']).removeprefix('ERROR: ')}")
    return answer["ret"]


def _provisioning(fleet):
    closures = _closures(fleet.apps)
    groups = _groups(fleet, closures)
    order = ", then ".join(" + ".join(group["hosts"]) for group in groups)
    return {
        "problems": [],
        "summary": "\n".join([order, *closures.values()]),
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
