"""What a machine needs to hold a lab, and the installation of what Debian has packages for."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from lab.system import LabError, command

# program -> Debian package
PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nft": "nftables",
    "mksquashfs": "squashfs-tools",
    "openssl": "openssl",
}
FILE_SYSTEMS = ("overlay", "squashfs")

ELSEWHERE = "Every other machine can use `vagrant up`."


def missing_packages(which=shutil.which, find_module=importlib.util.find_spec):
    """The Debian packages of the programs that ``which`` does not find, and of the module that reads the inventory."""
    packages = [package for program, package in PROGRAMS.items() if not which(program)]
    return packages if find_module("yaml") else [*packages, "python3-yaml"]


def check_machine():
    """Install what is missing. Raises LabError with everything that no package can give."""
    if sys.platform != "linux":
        raise LabError(f"The lab needs Linux. {ELSEWHERE}")
    if os.geteuid():
        raise LabError(f"The lab needs root, for network and mounts: run it with sudo. {ELSEWHERE}")
    missing = missing_packages()
    if missing and not shutil.which("apt-get"):
        raise LabError(f"The lab needs {', '.join(missing)}, and this machine has no apt-get. {ELSEWHERE}")
    if missing:
        print(f"installing {' '.join(missing)}", flush=True)
        command("apt-get", "update")
        command("apt-get", "install", "--yes", "--no-install-recommends", *missing)
    if not importlib.util.find_spec("yaml"):
        raise LabError(f"{sys.executable} has no yaml module: use /usr/bin/python3 -m lab")
    check_kernel()


def check_kernel():
    """Raises LabError when the kernel can mount no overlay or squashfs."""
    for name in FILE_SYSTEMS:
        if not knows(name) and shutil.which("modprobe"):
            command("modprobe", name, check=False)
        if not knows(name):
            raise LabError(f"This kernel has no {name}. {ELSEWHERE}")


def knows(file_system):
    """Whether the kernel can mount ``file_system``."""
    return file_system in Path("/proc/filesystems").read_text().split()
