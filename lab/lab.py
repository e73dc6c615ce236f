"""A lab: a Salt master and every host of the inventory, on one bridge."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from lab import inventory, network, seed
from lab.host import Host
from lab.image import image
from lab.inventory import MASTER
from lab.system import STATE, TREE, LabError, Steps, command, locked, tail, wait_until, write

# The port on which a Salt master publishes (`publish_port`): a minion that can be asked is connected to it.
PUBLISH_PORT = 4505

MAKE_REPOSITORY = "examples/make_repository.py"


class Lab:
    """
    The lab called ``name``.

    ``pillar`` is the folder with hosts.yaml (default: the one of this tree). ``prefix``, the first three numbers of
    the lab's /24 network, is by default that of the inventory; with another one the hosts keep their last number and
    the master gets a copy of the pillar with the addresses moved. ``say`` is called with one line for each step.
    Labs that differ in name and prefix run side by side.
    """

    def __init__(self, name="slipway", pillar=None, prefix=None, say=None):
        self.name = inventory.check_name(name)
        self.folder = STATE / name
        self.steps = Steps(say)
        kept = self._kept()
        self.pillar = Path(pillar or kept.get("pillar") or TREE / "pillar").resolve()
        self.prefix = prefix or kept.get("prefix") or inventory.network_of(inventory.read(self.pillar))

    def _kept(self):
        """What ``up`` wrote down about this lab; {} when it is not there or was never completed."""
        with contextlib.suppress(FileNotFoundError):
            return json.loads((self.folder / "lab.json").read_text())
        return {}

    def up(self):
        """Boot what does not run, and return when every minion answers. Repeatable. Raises LabError."""
        with locked(STATE / f"{self.name}.lock"):
            if not self._kept():
                self._lay_out()
            self._check_same()
            missing = [host for host in self.hosts().values() if not host.leader()]
            if missing:
                self._boot(missing)
                self._wait_for_salt()
                self._make_repository()

    def _lay_out(self):
        """A folder with a seeded layer for every host of the inventory, and the record of the whole at the end."""
        placed = inventory.place(inventory.read(self.pillar), self.prefix)
        file = image(self.steps)
        with self.steps.step("lab", "keys and configuration"):
            self._make_folder()
            layers = {name: self.folder / "hosts" / name / "layer" for name in placed}
            pillar = self._pillar_to_mount()
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                seed.plant(layers, placed, folder, pillar is not None)
            kept = {"prefix": self.prefix, "pillar": str(self.pillar), "mounted": pillar, "image": str(file)}
            write(self.folder / "lab.json", json.dumps({**kept, "hosts": placed}, indent=1))

    def _make_folder(self):
        """The lab's folder; in memory where the disk is itself an overlay, which cannot hold the layers of another."""
        self._clear()
        self.folder.mkdir(parents=True)
        if "overlay" in command("stat", "--file-system", "--format=%T", self.folder):
            command("mount", "-t", "tmpfs", "-o", "mode=755", f"lab-{self.name}", self.folder)

    def _pillar_to_mount(self):
        """The folder that the master gets as /srv/slipway-pillar; None when it is the one of the tree."""
        network_of_pillar = inventory.network_of(inventory.read(self.pillar))
        if network_of_pillar == self.prefix:
            return None if self.pillar == TREE / "pillar" else str(self.pillar)
        copy = self.folder / "pillar"
        shutil.copytree(self.pillar, copy)
        for file in filter(Path.is_file, copy.rglob("*")):
            file.write_text(inventory.moved(file.read_text(), network_of_pillar, self.prefix))
        return str(copy)

    def _check_same(self):
        """Raises LabError when this lab was laid out for another inventory, which it cannot take over while it runs."""
        wanted = inventory.place(inventory.read(self.pillar), self.prefix)
        if (self._kept()["hosts"], self._kept()["pillar"]) != (wanted, str(self.pillar)):
            again = f"end it first: python3 -m lab down --name {self.name}"
            raise LabError(f"the lab {self.name} is there already, for another inventory: {again}")

    def hosts(self):
        """``{name: Host}`` of the lab that is laid out, the master first; {} when there is none."""
        placed = self._kept().get("hosts", {})
        return {name: self._host(name, address) for name, address in placed.items()}

    def _host(self, name, address):
        return Host(self.name, name, address, self.folder / "hosts" / name)

    def host(self, name):
        """The Host called ``name``; raises LabError with the names there are."""
        hosts = self.hosts()
        if name not in hosts:
            raise LabError(f"no host {name} in the lab {self.name}: {', '.join(hosts) or 'it is not up'}")
        return hosts[name]

    def _boot(self, hosts):
        """Boot ``hosts`` at the same time, and return when systemd is up on each."""
        network.up(self.name, self.prefix)
        tree = self._mounted_image()
        begin = time.monotonic()
        for host in hosts:
            host.start(tree, self._binds(host))
        for host in hosts:
            host.wait()
            self.steps.report(host.name, f"booted, {host.address}", time.monotonic() - begin)

    def _mounted_image(self):
        """The folder on which the image is mounted: once for all hosts, so that they share what is in memory."""
        tree = self.folder / "image"
        if not os.path.ismount(tree):
            tree.mkdir(exist_ok=True)
            command("mount", "-t", "squashfs", "-o", "loop,ro", self._kept()["image"], tree)
        return tree

    def _binds(self, host):
        """What of this machine is shown in ``host``: the tree, and another pillar, on the master."""
        if host.name != MASTER:
            return []
        mounted = self._kept()["mounted"]
        return [f"--bind-ro={TREE}:/srv/slipway", *([f"--bind-ro={mounted}:/srv/slipway-pillar"] if mounted else [])]

    def _wait_for_salt(self):
        """
        Return when all minions answer.

        First until all of them are connected: a `test.ping` before that waits for its whole time-out.
        """
        names = list(self.hosts())
        with self.steps.step("salt", f"{len(names)} minions connected"):
            self._wait_for_none(self._unconnected, "not connected to the master")
        with self.steps.step("salt", "all minions answer"):
            self._wait_for_none(self._silent, "no answer to test.ping")

    def _wait_for_none(self, missing, what, timeout=60):
        """Until ``missing`` returns no host; raises LabError naming those left, with the log of the first."""
        try:
            wait_until(lambda: not missing(), what, timeout)
        except LabError as error:
            late = missing() or [MASTER]
            log = self.run(late[0], ["journalctl", "--no-pager", "--lines=15", "--unit=salt-*"], check=False).stdout
            raise LabError(f"{', '.join(late)}: {error}\n{log}") from None

    def _unconnected(self):
        """The hosts whose minion is not connected to the master."""
        connected = network.peers(self.host(MASTER).leader(), PUBLISH_PORT)
        return [host.name for host in self.hosts().values() if host.address not in connected]

    def _silent(self):
        """The hosts whose minion does not answer a `test.ping`."""
        names = list(self.hosts())
        done = self.salt("salt", "--static", "--out=json", "-t", "3", "-L", ",".join(names), "test.ping", check=False)
        with contextlib.suppress(ValueError):
            answers = json.loads(done.stdout)
            return [name for name in names if answers.get(name) is not True]
        return names

    def _make_repository(self):
        """The example project as a git repository that the master serves, made once."""
        served = self.root(MASTER) / "srv/git/shop.git"
        if served.exists() or not (TREE / MAKE_REPOSITORY).exists():
            return
        with self.steps.step(MASTER, "git server with the example project"):
            self.run(MASTER, ["mkdir", "-p", "/srv/git"])
            self.run(MASTER, ["python3", f"/srv/slipway/{MAKE_REPOSITORY}", "/srv/git/shop.git"])
            self.run(MASTER, ["systemctl", "start", "git-daemon"])

    def down(self):
        """End every process of the lab and take away all that it made on this machine. Repeatable."""
        with locked(STATE / f"{self.name}.lock"), self.steps.step("lab", "ended"):
            self._clear()
            others = [file for file in STATE.glob("*/lab.json") if file.parent != self.folder]
            network.down(self.name, last=not others)

    def _clear(self):
        """Take away hosts and folder, also of a lab that was only half laid out."""
        placed = self._kept().get("hosts", {})
        folders = (self.folder / "hosts").glob("*")
        hosts = [self._host(folder.name, placed.get(folder.name, f"{self.prefix}.0")) for folder in folders]
        # all at the same time: to end one with a database takes a second
        for host in hosts:
            host.strike()
        for host in hosts:
            host.remove()
        for mount in (self.folder / "image", self.folder):
            if os.path.ismount(mount):
                command("umount", "--lazy", mount)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---------------------------------------------------------------- what tests and people do with a lab

    def run(self, host, argv, check=True, input=None, timeout=600):
        """
        Run ``argv`` inside ``host`` as root and return the CompletedProcess, its streams as text.

        ``input`` is text for its standard input, ``timeout`` seconds. Raises LabError when it fails and ``check`` is
        set, or when it takes longer.
        """
        inside = self.host(host).argv(argv)
        spoken = f"{host}: {' '.join(map(str, argv))}"
        given = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        try:
            done = subprocess.run(inside, text=True, capture_output=True, timeout=timeout, **given)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{spoken}: did not end within {timeout} seconds") from error
        if check and done.returncode:
            printed = tail(done.stdout + done.stderr, 40)
            raise LabError(f"{spoken}: exit code {done.returncode}\n{printed}")
        return done

    def salt(self, *argv, **options):
        """Run ``argv`` (salt, salt-run, salt-key, ...) on the master; keywords as for ``run``."""
        return self.run(MASTER, argv, **options)

    def root(self, host):
        """The root folder of the running ``host``, seen from this machine."""
        leader = self.host(host).leader()
        if not leader:
            raise LabError(f"{host} is not running")
        return Path(f"/proc/{leader}/root")

    def cut(self, host):
        """Pull the network cable of ``host``."""
        network.carry(self.host(host).cable, False)

    def join(self, host):
        """Put the network cable of ``host`` back."""
        network.carry(self.host(host).cable, True)

    def kill(self, host):
        """Cut the power of ``host``; its files stay."""
        self.host(host).kill()

    def boot(self, host):
        """Boot ``host`` again after ``kill``; returns when its systemd is up (Salt may need a second more)."""
        if not self.host(host).leader():
            self._boot([self.host(host)])
