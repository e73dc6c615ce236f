"""
A real master and real minions, without root: they run the tree's own orchestrations, runners and ledger. What would
need root on the hosts is done by the doubles in ``doubles/``, which come first in the file roots.
"""

import contextlib
import copy
import getpass
import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import salt.utils.event
import yaml
from pytestshellutils.utils.processes import ProcessResult

TREE = Path(__file__).parents[2]
sys.path[:0] = [str(TREE), str(TREE / "_utils")]

from tests.forks import forks  # noqa: E402

import ledger_file  # noqa: E402
import lock_file  # noqa: E402

# What conf/ ships about whom to believe.
SHIPPED = {kind: yaml.safe_load((TREE / f"conf/{kind}.conf").read_text()) for kind in ("master", "minion")}
TRUST = ("minimum_auth_version", "sign_pub_messages", "publish_signing_algorithm", "signing_algorithm")
TRUST += ("encryption_algorithm", "peer", "publisher_acl", "external_auth", "file_recv", "mine_get", "mine_enabled")

GRAINS = ("enable_fqdns_grains", "enable_gpu_grains")

# Also what takes long and differs little from what is tried anyway.
MATRIX = "SLIPWAY_MATRIX" in os.environ

DOUBLES = Path(__file__).parent / "doubles"
HOSTS = ("web1", "web2", "db1")
APP_HOSTS = ("web1", "web2")
INVENTORY = """
web1: {address: 127.0.0.11, roles: [app]}
web2: {address: 127.0.0.12, roles: [app]}
db1: {address: 127.0.0.21, roles: [database]}
"""

APP = {
    "source": {"git": "https://git.example.com/shop.git"},
    "revision": "two",
    "domains": ["shop.example.com"],
    "rollout": {"canary": ["web1"], "wave": "50%"},
}


def release(revision):
    """What the double of ``releases.resolve`` makes of a revision."""
    commit = hashlib.sha1(revision.encode()).hexdigest()
    return {"id": commit[:12], "commit": commit, "revision": revision}


REVISIONS = {release(revision)["id"]: revision for revision in ("one", "two", "three")}


# What the master asks in any case, before it changes anything.
QUESTIONS = ("resolve", "preflight", "examine", "pending", "preview")
UNSAFE = {"shop.0002_price": ["DROP_COLUMN: DROPPING columns (table shop_thing, column name)"]}

TRACEBACK = "\n".join(["shop-green did not start", *(f"  frame {number}" for number in range(30)), "ImportError: no x"])


def trust(kind):
    """What the configuration that we ship for ``master`` or ``minion`` says about whom to believe."""
    return {key: SHIPPED[kind][key] for key in TRUST if key in SHIPPED[kind]}


def quiet(kind):
    """
    Without it pytest-salt-factories has each process of Salt write down all that it does, and send it to the test.
    """
    return {"log_level_logfile": "error", f"pytest-{kind}": {"log": {"level": "error"}}}


def results(done):
    """``{step: its result}`` of an orchestration."""
    (steps,) = done.data["data"].values()
    return {step["__id__"]: step for step in steps.values()}


def comment(done, step="finish"):
    return results(done)[step]["comment"]


def assert_nothing_is_left_open(fleet):
    assert fleet.lock() == {}
    assert fleet.ledger()["in_progress"] == {}


def pytest_unconfigure():
    # At exit Salt's handlers write what they have kept to streams that pytest has closed by then.
    logging.raiseExceptions = False


class Fleet:
    """The master and its hosts, as an operator sees them."""

    def __init__(self, master, minions, fork):
        self.master = master
        self.minions = minions
        self.fork = fork
        self.ledgers = Path(master.config["slipway_dir"])
        self.folders = {host: Path(minion.config["root_dir"]) for host, minion in minions.items()}

    def run(self, *arguments):
        """``salt-run ...``, as it is: ``returncode``, ``stdout``, ``stderr`` and ``data``."""
        return self._run(self.master.salt_run_cli(timeout=120), *arguments)

    def _run(self, cli, *arguments, **target):
        _, *argv = cli.cmdline(*arguments, **target)
        # Salt itself gives up at its own time-out.
        code, *streams = self.fork(argv, cli.timeout + 20)
        stdout, stderr, data = cli.process_output(*streams)
        return ProcessResult(returncode=code, stdout=stdout, stderr=stderr, data=data, cmdline=argv)

    def deploy(self, revision, *arguments, app="shop", **pillar):
        return self.run(*self._deploy(revision, app, **pillar), *arguments)

    def rollback(self, *arguments, **pillar):
        pillar = json.dumps({"app": "shop", **pillar})
        return self.run("state.orchestrate", "orch.rollback", f"pillar={pillar}", *arguments)

    def shown(self, *arguments):
        """``salt-run ...`` as people run it, with nothing for programs: a CompletedProcess, its streams as text."""
        ours = ("--out", "--log-level")
        argv = [word for word in self.master.salt_run_cli().cmdline(*arguments) if not word.startswith(ours)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=120)

    @contextlib.contextmanager
    def bus(self):
        """What the event bus tells of the app while the block runs: a list of ``tag, what``, filled when it ends."""
        told = []
        with salt.utils.event.get_event("master", opts=self.master.config, listen=True) as bus:
            bus.subscribe("rollout/")
            yield told
            while event := bus.get_event(wait=1, tag="rollout/", full=True):
                told.append((event["tag"], event["data"]["what"]))

    def maintain(self, on, *arguments, **pillar):
        pillar = json.dumps({"app": "shop", "on": on, **pillar})
        return self.run("state.orchestrate", "orch.maintenance", f"pillar={pillar}", *arguments)

    def rotate(self, *arguments, app="shop"):
        return self.run(*self._rotate(app), *arguments)

    def kill_deploy(self, revision, when):
        """Begin a deploy, and kill its process as soon as ``when()`` is true."""
        self._kill(self._deploy(revision, "shop"), when)

    def kill_rotation(self, when):
        """The same with a rotation."""
        self._kill(self._rotate("shop"), when)

    def kill_rollback(self, when, **pillar):
        """The same with a rollback."""
        self._kill(("state.orchestrate", "orch.rollback", f"pillar={json.dumps({'app': 'shop', **pillar})}"), when)

    def _kill(self, command, when):
        argv = self.master.salt_run_cli().cmdline(*command)
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(argv, stdout=output, stderr=output, start_new_session=True)
            while not when():
                assert process.poll() is None, output.seek(0) or output.read()
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def provision(self):
        return self.run("state.orchestrate", "orch.provision")

    def call(self, host, function, *arguments):
        """``salt <host> ...`` -> its return."""
        return self._run(self.master.salt_cli(timeout=60), function, *arguments, minion_tgt=host).data

    def ledger(self, app="shop"):
        """As ``salt-run ledger.show`` tells it, which would take two seconds to start."""
        return ledger_file.read(self.ledgers, app)

    def lock(self):
        """The app's lock."""
        return lock_file.show(self.ledgers, "shop")

    def as_it_is(self, folder):
        """The fleet as it is now, for questions later on: the ledgers and what hosts have written are copied."""
        then = copy.copy(self)
        then.ledgers, then.folders = folder / "ledgers", {host: folder / host for host in HOSTS}
        if self.ledgers.exists():
            shutil.copytree(self.ledgers, then.ledgers)
        for host in HOSTS:
            then.folders[host].mkdir()
            for file in self.folders[host].glob("*.json*"):
                shutil.copy(file, then.folders[host])
        return then

    def script(self, host, **steps):
        """What the steps of a host shall do: ``stage={"fail": "reason"}``."""
        self._file(host, "script.json").write_text(json.dumps(steps))

    @contextlib.contextmanager
    def held(self, host, step):
        """A host that does not end a step before the block ends: a function that tells whether it has come so far."""
        held, go = self._file(host, "held"), self._file(host, "go")
        held.unlink(missing_ok=True)
        go.unlink(missing_ok=True)
        self.script(host, **{step: {"held": True}})
        try:
            yield held.exists
        finally:
            go.touch()

    @contextlib.contextmanager
    def bus_of_jobs(self):
        """An iterator over what hosts answer to jobs from now on."""
        with salt.utils.event.get_event("master", opts=self.master.config, listen=True) as bus:
            bus.subscribe("salt/job/")
            yield iter(lambda: bus.get_event(wait=60, tag="salt/job/"), None)

    def calm(self):
        """Let the hosts do every step well from now on, and forget what they have done."""
        for host in HOSTS:
            self.script(host)
        self.forget_log()

    def serving(self, app="shop"):
        """The revisions of an app that its hosts serve, in the hosts' order."""
        slots = [json.loads(self._file(host, f"{app}.json").read_text()) for host in APP_HOSTS]
        return [REVISIONS[slot[slot["active"]]] for slot in slots]

    def databases(self):
        """``{name: what it says}`` of the databases."""
        return json.loads(self._file("db1", "databases.json").read_text())

    def closed_for(self):
        """Why each of the app's hosts keeps visitors out, in the hosts' order."""
        return [json.loads(self._file(host, "closed.json").read_text()).get("for", "") for host in APP_HOSTS]

    def log(self, *unwanted):
        """``"step host"`` of what the hosts did, in the order of its time."""
        lines = [line for host in HOSTS for line in self._file(host, "log.jsonl").read_text().splitlines()]
        entries = sorted((json.loads(line) for line in lines), key=lambda entry: entry["time"])
        return [f"{entry['step']} {entry['host']}" for entry in entries if entry["step"] not in unwanted]

    def details(self, host, *steps):
        """What the hosts' log has about some steps of a host, in order."""
        entries = [json.loads(line) for line in self._file(host, "log.jsonl").read_text().splitlines()]
        return [entry for entry in entries if entry["step"] in steps]

    @contextlib.contextmanager
    def pillar(self, others=(), **keys):
        """
        The app with more keys in its pillar, and others beside it, for as long as the block runs: names of apps as it
        is, or ``{name: app}``.
        """
        file = Path(self.master.config["pillar_roots"]["base"][-1], "apps/shop.sls")
        before = file.read_text()
        # There is no secret for these.
        same = {name: {**APP, "domains": [f"{name}.example.com"], "database": "none"} for name in others}
        more = others if isinstance(others, dict) else same
        file.write_text(json.dumps({"apps": {"shop": {**APP, **keys}, **more}}))
        try:
            yield
        finally:
            file.write_text(before)

    @contextlib.contextmanager
    def secrets(self, SECRET_KEY, password, **more):
        """Other secrets of the app, for as long as the block runs."""
        folder = Path(self.master.config["pillar_roots"]["base"][-1], "secrets")
        given = {
            folder / "shop.sls": {"secrets": {"shop": {"SECRET_KEY": SECRET_KEY, **more}}},
            folder / "shop_database.sls": {"passwords": {"database": {"shop": password}}},
        }
        before = {file: file.read_text() for file in given}
        for file, pillar in given.items():
            file.write_text(json.dumps(pillar))
        try:
            yield
        finally:
            for file, text in before.items():
                file.write_text(text)

    def started_with(self, secrets, roles):
        """Hosts that serve what they serve with these secrets, and a database with these roles."""
        for host in APP_HOSTS:
            slot = json.loads(self._file(host, "shop.json").read_text())["active"]
            self._file(host, "shop-secrets.json").write_text(json.dumps({slot: secrets, "file": secrets}))
            self._log_secrets(host, secrets)
        self._file("db1", "roles.json").write_text(json.dumps(roles))
        self._log_secrets("db1", roles)

    def _log_secrets(self, host, now):
        entry = {"host": host, "time": time.time(), "now": now}
        self._file(host, "secrets.jsonl").write_text(json.dumps(entry) + "\n")

    def moments(self):
        """After each change of what a host serves with, or of the database's roles: ``{host: what it has then}``."""
        lines = [line for host in HOSTS for line in self._file(host, "secrets.jsonl").read_text().splitlines()]
        now = {}
        for entry in sorted((json.loads(line) for line in lines), key=lambda entry: entry["time"]):
            now = now | {entry["host"]: entry["now"]}
            yield now

    @contextlib.contextmanager
    def inventory(self, text):
        """The hosts with another inventory, for as long as the block runs."""
        file = Path(self.master.config["pillar_roots"]["base"][-1], "hosts.yaml")
        file.write_text(text)
        try:
            yield
        finally:
            file.write_text(INVENTORY)

    @contextlib.contextmanager
    def off(self, host):
        """A host that does not answer for as long as the block runs."""
        self.minions[host].terminate()
        try:
            yield
        finally:
            self.minions[host].start()

    @contextlib.contextmanager
    def configured(self, **options):
        """The master's configuration with more options, which ``salt-run`` reads each time."""
        file = Path(self.master.config_dir, "master.d/more.conf")
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(options))
        try:
            yield
        finally:
            file.unlink()

    def was_deployed(self, *revisions, applied=(), unsafe=None, **notes):
        """
        Releases that were deployed one after the other, as ledger and hosts say it; the last applied migrations, of
        which some were unsafe, and left notes in the ledger.
        """
        for revision in revisions:
            attempt = {"token": "0", "who": "ann", "started": ledger_file.now(), "before": {}}
            ledger_file.begin(self.ledgers, "shop", {**attempt, "release": release(revision)})
            done = applied if revision == revisions[-1] else ()
            ledger_file.note(self.ledgers, "shop", **notes)
            ledger_file.succeed(self.ledgers, "shop", {}, done, unsafe=unsafe or {})
            for host in APP_HOSTS:
                slots = json.loads(self._file(host, "shop.json").read_text())
                other = "green" if slots["active"] == "blue" else "blue"
                self._file(host, "shop.json").write_text(
                    json.dumps({**slots, "active": other, other: release(revision)["id"]})
                )

    def forget_log(self):
        """What the hosts did so far is not in their log any more."""
        for host in HOSTS:
            self._file(host, "log.jsonl").write_text("")

    def reset(self):
        """Hosts that serve the release ``one`` from blue, as an earlier deploy left them."""
        shutil.rmtree(self.ledgers, ignore_errors=True)
        self.calm()
        for host in HOSTS:
            self._file(host, "secrets.jsonl").write_text("")
            for name in ("shop-secrets.json", "roles.json"):
                self._file(host, name).unlink(missing_ok=True)
            self._file(host, "shop.json").write_text(json.dumps({"active": "blue", "blue": release("one")["id"]}))
            self._file(host, "closed.json").write_text("{}")
        self._file("db1", "databases.json").write_text(json.dumps({"shop": "now"}))

    @staticmethod
    def _rotate(app):
        return "state.orchestrate", "orch.rotate", "pillar=" + json.dumps({"app": app})

    @staticmethod
    def _deploy(revision, app, **pillar):
        return "state.orchestrate", "orch.deploy", "pillar=" + json.dumps({"app": app, "revision": revision, **pillar})

    def _file(self, host, name):
        return self.folders[host] / name


@pytest.fixture(scope="session")
def salt_factories_config(tmp_path_factory):
    return {"root_dir": str(tmp_path_factory.mktemp("salt"))}


def _copy_of_tree(tree):
    """The tree in another folder, with the hosts and the app of these tests."""
    for folder in ("salt", "pillar", "_modules", "_states", "_utils", "_beacons", "_runners", "_pillar", "_output"):
        shutil.copytree(TREE / folder, tree / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "pillar/hosts.yaml").write_text(INVENTORY)
    (tree / "pillar/apps/shop.sls").write_text(json.dumps({"apps": {"shop": APP}}))
    return tree


@pytest.fixture(scope="session")
def daemons(salt_factories, tmp_path_factory):
    """The master and its minions, started once; nothing is started for the tests that do not ask for it."""
    tree = _copy_of_tree(tmp_path_factory.mktemp("tree"))
    settings = {
        "user": getpass.getuser(),
        **trust("master"),
        "module_dirs": [str(tree)],
        "file_roots": {"base": [str(DOUBLES), str(tree / "salt")]},
        "pillar_roots": {"base": [str(tree / "pillar")]},
        "slipway_dir": str(tmp_path_factory.mktemp("slipway") / "ledgers"),
        "pillar_dirs": [str(tree / "_pillar")],
        "ext_pillar": [{"ledger": {}}],
        "timeout": 5,
        "gather_job_timeout": 3,
        # Each imports Salt's modules anew.
        "worker_threads": 3,
        **quiet("master"),
    }
    master = salt_factories.salt_master_daemon("master", overrides=settings)
    # A process for each job would cost more than the job.
    own = {"user": getpass.getuser(), **trust("minion"), "file_client": "remote", "multiprocessing": False}
    own |= {"autoload_dynamic_modules": False, **quiet("minion"), **{key: SHIPPED["minion"][key] for key in GRAINS}}
    # For each request a minion reads its key, and proves it: a short one, in which the master's AES key has room.
    own["keysize"] = 1280
    minions = {host: master.salt_minion_daemon(host, overrides=own) for host in HOSTS}
    with master.started(), ThreadPoolExecutor() as pool, forks() as fork:
        fleet = Fleet(master, minions, fork)
        try:
            list(pool.map(lambda minion: minion.start(), minions.values()))
            fleet.call("*", "saltutil.sync_all")
            yield fleet
        finally:
            list(pool.map(lambda minion: minion.terminate(), minions.values()))


@pytest.fixture
def fleet(daemons):
    daemons.reset()
    return daemons


@pytest.fixture(scope="session")
def shipped_master(salt_factories, tmp_path_factory):
    """
    A master with conf/master.conf as it is, but for its folders and who runs it, and an SDB store beside it.

    As systemd does (conf/salt-master.service.d) its cache is made before it starts.
    """
    tree, folder = _copy_of_tree(tmp_path_factory.mktemp("shipped")), tmp_path_factory.mktemp("beside")
    options = yaml.safe_load((TREE / "conf/master.conf").read_text().replace("/srv/slipway", str(tree)))
    options |= {"user": getpass.getuser(), "slipway_dir": str(folder / "ledgers")}
    options["store"] = {"driver": "yaml", "files": [str(folder / "store.yaml")]}
    master = salt_factories.salt_master_daemon("shipped", overrides=options)
    cache = Path(master.config["cachedir"])
    cache.mkdir(parents=True, exist_ok=True)
    cache.chmod(0o700)
    with master.started():
        # pytest-salt-factories accepts every key that waits.
        master.event_listener.unregister_auth_event_handler(master.id)
        yield master
    keys = Path(master.config_dir, "gpgkeys")
    subprocess.run(["gpgconf", "--homedir", keys, "--kill", "gpg-agent"], check=False)
