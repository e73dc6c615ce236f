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
from lab.system import STATE, TREE, LabError, Steps, command, locked, tail, wait_until

# zeromq's port of the Salt master on which it publishes: a minion that can be asked is connected to it.
PUBLISH_PORT = 4505

MAKE_REPOSITORY = "/srv/slipway/examples/make_repository.py"


class Lab:
    """
    The lab called ``name``.

    ``pillar`` is the folder with hosts.yaml (default: the one of this tree). ``prefix``, the first three numbers of
    the lab's /24 network, is by default that of the inventory; with another one the hosts keep the last number, and
    the master gets a copy of the pillar with the addresses moved. ``say`` is called with one line for each step.
    Labs that differ in name and prefix run side by side.
    """

    def __init__(self, name="slipway", pillar=None, prefix=None, say=None):
        self.name = inventory.check_name(name)
        self.folder = STATE / name
        self.steps = Steps(say)
        kept = self._kept()
        self.pillar = Path(pillar or kept.get("pillar") or TREE / "pillar").resolve()
        self.prefix = prefix or kept.get("prefix")

    def _kept(self):
        """What ``up`` wrote down about this lab."""
        with contextlib.suppress(FileNotFoundError):
            return json.loads((self.folder / "lab.json").read_text())
        return {}

    # ---------------------------------------------------------------- up and down

    def up(self):
        """Boot what is not running, and return when every minion answers. Repeatable; raises LabError."""
        with locked(STATE / f"{self.name}.lock"):
            begin = time.monotonic()
            self._lay_out()
            missing = [host for host in self.hosts().values() if not host.leader()]
            if missing:
                self._boot(missing)
                self._wait_for_salt(begin)
            self._make_repository()

    def _lay_out(self):
        """The image mounted, the network up, and a seeded layer for each host of the inventory."""
        hosts = inventory.read(self.pillar)
        self.prefix = self.prefix or inventory.network_of(hosts)
        placed = inventory.place(hosts, self.prefix)
        if self._kept().get("hosts") == placed:
            return
        if self._kept():
            raise LabError(f"the lab {self.name} has other hosts now: python3 -m lab down --name {self.name}")
        file = image(self.steps)
        with self.steps.step("lab", "keys and configuration"):
            for name in placed:
                (self.folder / "hosts" / name / "layer").mkdir(parents=True, exist_ok=True)
            self._write_down(hosts={}, image=str(file))
            self._seed(placed)
            self._write_down(hosts=placed, image=str(file))

    def _write_down(self, **more):
        kept = {"pillar": str(self.pillar), "prefix": self.prefix, **more}
        (self.folder / "lab.json").write_text(json.dumps(kept, indent=1))

    def _seed(self, placed):
        layers = {name: self.folder / "hosts" / name / "layer" for name in placed}
        if os.stat(self.folder).st_dev and _is_overlay(self.folder):
            raise LabError(f"{STATE} lies on an overlay, which cannot hold another one: mount a tmpfs there")
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            seed.plant(layers, placed, folder, other_pillar=self._mounted_pillar() is not None)
