"""
What an orchestration is going to do: who takes part, in which order, and with which release. ``_runners/rollout.py``
asks what has to be known for it, ``salt/orch`` makes states of it.
"""

import app_spec
import ledger_file
import restores
import waves

# Seconds that a deploy may take without its waves: staging builds a venv, a dump of a big database takes its time.
LOCK_SECONDS = 3600

# Seconds that a dump may take to be restored: the limit of databases.restore.
RESTORE_SECONDS = 4 * 3600

OVER_MIGRATIONS = (
    "If it works with the database as it is now, go back with keep_migrations: true. restore: true brings the database"
    " back as it was before them, without what was written since. Otherwise deploy a release that mends what is wrong"
)

# Seconds that one command of a hook may take.
HOOK_SECONDS = 600
HOOKS = ("before_deploy", "after_deploy", "on_failure")

FRONTS = ("nginx", "apache")
# Measured on hosts of the lab; requests in flight finish.
CLOSED = "0.1 to 0.3 s"

# The order in which hosts are provisioned: an app needs its database and cache, a balancer needs its upstreams.
ROLES = ("database", "cache", "app", "balancer")


def plan(app, release, result, known, restored=()):
    """
    The steps that bring a release to the hosts of an app.

    result
        What the ledger calls it once it has ended well.
    known
        ``skipped``: the app's hosts that do not answer and are no longer among its ``hosts``; ``balancers``: the hosts
        that spread its requests; ``holders``: who has port 80, by host: ``nginx``, ``apache`` or nobody; ``back``: the
        release, in a list, that a rollback would go back to; empty if there is none, None if this is a rollback.
    restored
        What ``restores.found`` says of the dump that is restored before, in a list; empty if there is none.
    """
    spec = app_spec.plain(app_spec.with_release(app, **release))
    groups, between = _groups_of(spec, restored)
    activations = _steps(groups, between, "swap" if restored else "backup")
    told = restores.words(restored) | _skips(known["skipped"]) | _few(_closures([app], known["holders"]))
    databases = [{"name": database["name"], "host": database["host"]} for database in spec["databases"]]
    order = f"{app.name} {ledger_file.title(release)}: {waves.order(groups, between)}"
    return {
        "problems": [],
        "app": app.name,
        "apps": [app.name],
        "release": release,
        "result": result,
        "pillar": {"releases": {app.name: release}, "only": app.name},
        "hosts": spec["hosts"],
        "skipped": known["skipped"],
        "balancers": known["balancers"],
        "first": spec["hosts"][0],
        "others": [*(database["host"] for database in databases), *restores.fronts(restored)],
        "databases": databases,
        "restores": list(restored),
        "questions": _questions(spec),
        "hooks": {phase: _hook(spec, phase, result) for phase in HOOKS},
        "examine": [],
        "allow_unsafe": False,
        "lock_seconds": lock_seconds(spec, len(groups), between) + len(restored) * RESTORE_SECONDS,
        "summary": "\n".join([order, *_lines(told)]),
        "look": _look(spec, result, databases, known["back"], activations, told),
        **activations,
    }


def no_plan(error):
    """The keys of ``plan`` without anything to do: ``problems`` holds the sentences of an error."""
    nothing = dict.fromkeys(("app", "first", "summary", "lock_seconds", "result"), "")
    lists = {key: [] for key in ("apps", "hosts", "skipped", "balancers", "others", "databases", "restores", "examine")}
    release = {"id": "", "commit": "", "revision": ""}
    problems = str(error).splitlines()
    empty = {key: {} for key in ("pillar", "questions", "look")} | {"release": release, "allow_unsafe": False}
    return {**nothing, **lists, **_steps([]), **empty, "hooks": dict.fromkeys(HOOKS, {}), "problems": problems}


def provisioning(fleet, holders):
    """The groups of hosts that are provisioned one after the other; a host with several roles is in its first."""
    closures = _closures(fleet.apps, holders)
    groups = _groups(fleet, closures)
    order = waves.order([group["hosts"] for group in groups])
    return {
        "problems": [],
        "summary": "\n".join([order, *_lines(_few(closures))]),
        "apps": [app.name for app in fleet.apps],
        "hosts": [host for group in groups for host in group["hosts"]],
        "groups": groups,
    }


def fronts(fleet, app):
    """The hosts on which visitors reach an app."""
    return [host.name for host in fleet.hosts if fleet.app(app) in fleet.reached_on(host.name)]


def maintenance(fleet, app, on, allow):
    """On which hosts visitors are kept out of an app, or let in again, and with which states."""
    hosts = fronts(fleet, app)
    given = f"the maintenance page instead of {app}" if on else app
    but = f", but for {', '.join(allow)}" if on and allow else ""
    return {
        "summary": f"visitors get {given}{but}: {' + '.join(hosts)}",
        "hosts": hosts,
        "sls": "maintenance.on" if on else "maintenance.off",
        "pillar": {"only": app, "allow": allow},
    }


def over_migrations(release, unsafe):
    """Why a rollback needs a word: ``unsafe`` is ``{migration: [reason, ...]}``."""
    first = f"since {ledger_file.title(release)} migrations were applied with which it may fail:"
    return "\n".join([first, *(f"{name}: {'; '.join(reasons)}" for name, reasons in unsafe.items()), OVER_MIGRATIONS])


def _groups_of(spec, restored):
    """The waves, and the seconds between: all hosts at once where visitors wait behind the maintenance page."""
    rollout = spec["rollout"]
    if restored:
        return [spec["hosts"]], 0
    return waves.waves(spec["hosts"], rollout["canary"], rollout["wave"]), rollout["between"]


def wave_steps(groups, between, last, word="activate", wait="wait"):
    """
    The steps ``<word>-1``, ... of waves, each with the id of the step before, and the id of the last of them.

    ``pauses`` is what comes before a wave: a list of one, or empty.

    last
        The id of the step before the first.
    """
    steps = []
    for number, hosts in enumerate(groups, 1):
        waits = between and number > 1
        pauses = [{"id": f"{wait}-{number - 1}", "after": last, "seconds": between}] if waits else []
        last = pauses[0]["id"] if pauses else last
        steps.append({"id": f"{word}-{number}", "after": last, "hosts": hosts, "pauses": pauses})
        last = steps[-1]["id"]
    return steps, last


def _steps(groups, between=0, prepared="backup"):
    """The steps that activate; ``activated`` is the last of them, ``prepared`` comes before the migrations."""
    steps, last = wave_steps(groups, between, "migrate")
    return {"waves": steps, "activated": last, "prepared": prepared}


def _look(spec, result, databases, back, steps, more):
    """What ``outlook`` needs to tell what would happen: whom to ask what, and what is known without asking."""
    word = "rollback" if result == ledger_file.ROLLED_BACK else "deploy"
    told = {word: f"{spec['name']} {ledger_file.title(spec['releases'][0])}"}
    told |= waves.words(steps["waves"]) | more
    return {
        "host": spec["hosts"][0],
        "questions": _preview(spec),
        "databases": databases,
        "back": back,
        # No dictionary: Jinja would sort it.
        "told": list(told.items()),
    }


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
    django = {key: spec[key] for key in ("settings", "user", "variables")}
    return {"python": release["python"], "folder": release["path"], **django}


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


def lock_seconds(spec, count, between):
    """How long the lock lasts if nobody gives it back: what ``count`` waves and the hooks may take at most on top."""
    wave = spec["health"]["start_timeout"] + spec["rollout"]["watch"]["seconds"] + spec["web"]["timeout"]
    waits = max(count - 1, 0) * between
    hooks = sum(len(commands) for commands in spec["hooks"].values())
    return int(LOCK_SECONDS + count * wave + waits + hooks * HOOK_SECONDS)


def _closures(apps, holders):
    """``{host: words}`` of those whose port 80 another web server takes over: for a moment nobody has it."""
    wanted = {host: app.web.front for app in apps for host in app.hosts}
    return {
        host: f"{front} takes port 80 over from {holders[host]}: new connections are refused for {CLOSED}"
        for host, front in wanted.items()
        if holders.get(host) in FRONTS and holders[host] != front
    }


def _skips(hosts):
    """What is said of the hosts that a rollout goes on without."""
    verb = "does" if len(hosts) == 1 else "do"
    return {"skipped": f"{waves.named(hosts)} {verb} not answer"} if hosts else {}


def _few(told):
    """The same of some hosts and the number of the others, where there are many."""
    shown = dict(list(told.items())[: waves.LISTED])
    left = len(told) - len(shown)
    return shown | {"...": f"{left} more hosts likewise"} if left else shown


def _lines(told):
    return [f"{label}: {words}" for label, words in told.items()]


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
