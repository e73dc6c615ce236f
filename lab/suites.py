"""The systems that the hosts of a lab can have, by the name of their release (``SLIPWAY_LAB_SUITE``)."""

import dataclasses
import hashlib
import os
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from lab.system import CACHE, LabError

UBUNTU = "http://archive.ubuntu.com/ubuntu"
# Debian 12 has no package of Ubuntu's keys: this is Ubuntu's own, by its hash in the signed list of packages.
UBUNTU_KEYS = "pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb"
UBUNTU_KEYS_SHA256 = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8"
KEYRING = "usr/share/keyrings/ubuntu-archive-keyring.gpg"


@dataclasses.dataclass(frozen=True)
class Suite:
    """A release of a system. ``needs_unified``: its systemd boots on cgroup v2 only (256 and later)."""

    name: str
    title: str
    is_ubuntu: bool = False
    needs_unified: bool = False


SUITES = {
    suite.name: suite
    for suite in (
        Suite("bookworm", "Debian 12"),
        Suite("trixie", "Debian 13", needs_unified=True),
        Suite("jammy", "Ubuntu 22.04", is_ubuntu=True),
        Suite("noble", "Ubuntu 24.04", is_ubuntu=True),
    )
}


def chosen():
    """The Suite of the environment, or Debian 12. Raises LabError."""
    name = os.environ.get("SLIPWAY_LAB_SUITE", "bookworm")
    if name not in SUITES:
        raise LabError(f"SLIPWAY_LAB_SUITE: {name!r} is none of {', '.join(SUITES)}")
    return SUITES[name]


def sources(suite):
    """The lines of apt for a suite; empty where mmdebstrap knows them, which is Debian."""
    if not suite.is_ubuntu:
        return ""
    parts = (suite.name, f"{suite.name}-updates", f"{suite.name}-security")
    return "".join(f"deb {UBUNTU} {part} main universe\n" for part in parts)


def keyring(suite):
    """The file with the keys of a suite, fetched if it is not here; None where this machine's apt knows them."""
    if not suite.is_ubuntu:
        return None
    file = CACHE / Path(KEYRING).name
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_ubuntus_keys())
    return file


def _ubuntus_keys():
    with urllib.request.urlopen(f"{UBUNTU}/{UBUNTU_KEYS}", timeout=60) as answer:
        package = answer.read()
    if hashlib.sha256(package).hexdigest() != UBUNTU_KEYS_SHA256:
        raise LabError(f"{UBUNTU}/{UBUNTU_KEYS} is not the file that lab/suites.py names")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "keys.deb")
        file.write_bytes(package)
        subprocess.run(["dpkg-deb", "--extract", file, folder], check=True)
        return Path(folder, KEYRING).read_bytes()
