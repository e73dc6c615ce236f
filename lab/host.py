"""One host: a Debian with its own systemd, on a layer over the shared image, in namespaces of its own."""

import contextlib
import os
import re
import select
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from lab import cgroup, network, suites
from lab.inventory import MASTER, interface
from lab.system import LabError, command, tail, wait_until

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Runs in a mount namespace of its own, so that its mounts vanish with the host. `volatile` leaves out every fsync
# (overlayfs.rst): a lab need not survive the power cut of the machine beneath it. nspawn ends with 133 when the host
# asked for a reboot.
BOOT = """
mount -t overlay "$NAME" -o "volatile,lowerdir=$LOWER,upperdir=layer,workdir=work" root
while :; do code=0; "$@" || code=$?; [ $code = 133 ] || exit $code; done
"""

# In production a master takes no core away from those that serve users; here all hosts share what this machine has.
MASTER_NICENESS = 10

# cgroup v1 is shown read-only to a host; with its own part of the memory tree it can limit its services (MemoryMax).
HOLD_MEMORY = "mount -o remount,bind,rw /sys/fs/cgroup/memory; systemctl daemon-reexec"

NSPAWN = (
    "systemd-nspawn",
    "--directory=root",
    "--boot",
    # no systemd-machined on this machine to tell, and no unit of its own to make through one
    "--register=no",
    "--keep-unit",
    # the layer has a resolv.conf, and the clock shows UTC as in production
    "--resolv-conf=off",
    "--timezone=off",
    # the journal stays inside
    "--link-journal=no",
    # the host's own systemd says READY=1 once it has reached its default target
    "--notify-ready=yes",
    "--console=pipe",
    "--quiet",
)

ENVIRONMENT = {
    "PATH": PATH,
    "SYSTEMD_LOG_LEVEL": "warning",
    # the folder is ours alone: no lock file beside it
    "SYSTEMD_NSPAWN_LOCK": "0",
    # network settings (net.* of sysctl) can be set inside, as on a real host
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
}


class Host:
    """A host of the lab ``lab``; everything it has lies in ``folder``."""

    def __init__(self, lab, name, address, folder):
        self.name = name
        self.address = address
        self.folder = Path(folder)
        self.lab = lab
        self.unique = f"{lab}-{name}"
        self.cable = interface(lab, address)
        self._process = None
        self._ear = None

    @property
    def layer(self):
        """The folder with every file in which this host differs from the image."""
        return self.folder / "layer"

    def start(self, image, binds=()):
        """Begin to boot over the tree ``image``; ``binds`` are options of nspawn. ``wait`` tells when it is up."""
        self._lay_out()
        network.plug(self.lab, self.unique, self.cable, self.address)
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear.bind(str(self.folder / "notify"))
        own = [f"--machine={self.unique}", f"--hostname={self.name}"]
        own += [f"--network-namespace-path=/run/netns/{self.unique}"]
        script = ["unshare", "--mount", "--propagation=private", "sh", "-ec", BOOT, "sh"]
        with (self.folder / "console.log").open("ab") as console:
            self._process = subprocess.Popen(
                [*self._nice(), *script, *NSPAWN, *own, *binds],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                preexec_fn=lambda: cgroup.enter(self.unique),
                cwd=self.folder,
                env=self._environment(image),
            )

    def _lay_out(self):
        """An empty working folder (a `volatile` one must not be used twice) beside the layer, which stays."""
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        for name in ("layer", "work", "root"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            (self.folder / name).chmod(0o755)
        (self.folder / "notify").unlink(missing_ok=True)

    def _environment(self, image):
        """What the script BOOT and nspawn read."""
        return {
            **ENVIRONMENT,
            "NAME": self.unique,
            "LOWER": str(image),
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            **({"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"} if suites.chosen().needs_unified else {}),
        }

    def wait(self, timeout=60):
        """Return when the host has reached its default target; raises LabError with its console when it does not."""
        try:
            wait_until(self._is_ready, f"boot of {self.name}", timeout, pause=0)
        except LabError as error:
            raise LabError(f"{error}\n{self.console()}") from None
        finally:
            self._ear.close()
        if cgroup.hybrid() and not suites.chosen().needs_unified:
            command(*self.argv(["sh", "-ec", HOLD_MEMORY]))

    def _is_ready(self):
        if self._process.poll() is not None:
            raise LabError(f"{self.name} ended with code {self._process.returncode} while it booted")
        heard = select.select([self._ear], [], [], 0.2)[0]
        return heard and re.search(r"^READY=1", self._ear.recv(4096).decode(), re.MULTILINE)

    def console(self):
        """The end of what the host printed on its console."""
        with contextlib.suppress(OSError):
            return tail((self.folder / "console.log").read_text(errors="replace"))
        return ""

    def leader(self):
        """
        The process id, on this machine, of the host's process 1; None when it is down.

        Found by the host's network namespace, so that no record can be stale, right after a reboot too.
        """
        try:
            namespace = Path("/run/netns", self.unique).stat().st_ino
        except OSError:
            return None
        pids = sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        return next((pid for pid in pids if _is_first_of(pid, namespace)), None)

    def argv(self, command_line):
        """``command_line`` as arguments that run it inside, as root, in a clean environment."""
        pid = self.leader()
        if not pid:
            raise LabError(f"{self.name} is not running: python3 -m lab boot {self.name}")
        clean = ["env", "-i", "HOME=/root", "LANG=C.UTF-8", f"TERM={os.environ.get('TERM', 'dumb')}", f"PATH={PATH}"]
        return [*self._nice(), "nsenter", "--all", f"--target={pid}", "--", *clean, *map(str, command_line)]

    def _nice(self):
        return ["nice", f"--adjustment={MASTER_NICENESS}"] if self.name == MASTER else []

    def strike(self):
        """Begin to cut the power; ``kill`` waits for the end."""
        if leader := self.leader():
            os.kill(leader, signal.SIGKILL)

    def kill(self, timeout=20):
        """Cut the power: every process of the host ends at once."""
        self.strike()
        self._wait_for_end(timeout)

    def _wait_for_end(self, timeout):
        """Until nothing of it runs; reaps it when it is a child of ours."""
        try:
            wait_until(self._has_ended, f"end of {self.name}", timeout, pause=0.01)
        finally:
            cgroup.end(self.unique)
            network.unplug(self.unique, self.cable)

    def _has_ended(self):
        if self._process:
            self._process.poll()
        return not cgroup.members(self.unique)

    def remove(self):
        """End the host and take away everything that it had here."""
        with contextlib.suppress(LabError):
            self.kill()
        cgroup.remove(self.unique)
        if os.path.ismount(self.folder):
            command("umount", "--lazy", self.folder, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def _is_first_of(pid, namespace):
    """Whether ``pid`` is a living process 1 inside, in the network ``namespace`` (an inode number)."""
    with contextlib.suppress(OSError):
        if Path(f"/proc/{pid}/ns/net").stat().st_ino == namespace:
            status = Path(f"/proc/{pid}/status").read_text()
            return bool(re.search(r"^NSpid:.*\s1$", status, re.MULTILINE)) and "State:\tZ" not in status
    return False
