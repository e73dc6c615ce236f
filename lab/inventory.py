"""The hosts of a lab: read from the inventory of the pillar, placed in the lab's own /24 network."""

import ipaddress
import re
from pathlib import Path

from lab.system import LabError

DOMAIN = "lab.test"
MASTER = "master"

# An interface name has at most 15 characters (IFNAMSIZ in linux/if.h is 16 with the NUL), and the longest that we
# make is "<lab>-<last number of the address>".
LAB_NAME = re.compile(r"[a-z][a-z0-9]{0,9}")


def check_name(name):
    """
    ``name`` itself when it can be the name of a lab.

    No dash, so that "<lab>-<host>" belongs to exactly one lab. Raises LabError otherwise.
    """
    if not LAB_NAME.fullmatch(name):
        raise LabError(f"{name!r} cannot name a lab: use 1 to 10 small letters and digits, a letter first")
    return name


def load(pillar):
    """The inventory of a pillar folder, ``{name: {"address", "roles"}}``. Raises LabError when there is none."""
    file = Path(pillar) / "hosts.yaml"
    # imported late: `needs` installs it when the machine has none
    import yaml

    try:
        return yaml.safe_load(file.read_text())
    except FileNotFoundError:
        raise LabError(f"{file}: there is no inventory: name another folder with --pillar") from None


def read(pillar):
    """``{name: address}`` of the inventory of a pillar folder."""
    return {name: host["address"] for name, host in load(pillar).items()}


def with_role(pillar, role):
    """The names of the hosts that have ``role``, in the order of the inventory."""
    return [name for name, host in load(pillar).items() if role in host["roles"]]


def network_of(hosts):
    """The first three numbers that all addresses share, "10.213.7". Raises LabError when they differ."""
    prefixes = {address.rpartition(".")[0] for address in hosts.values()}
    if len(prefixes) != 1:
        raise LabError(f"the addresses of a lab share their first three numbers, these do not: {sorted(prefixes)}")
    return prefixes.pop()


def place(hosts, prefix):
    """``{name: address}`` in the network ``prefix``, the master (.2) first. Raises LabError for a clash."""
    placed = {MASTER: f"{prefix}.2"}
    for name, address in hosts.items():
        placed[name] = f"{prefix}.{address.rpartition('.')[2]}"
        ipaddress.ip_address(placed[name])
    reserved = {f"{prefix}.1", f"{prefix}.2"}
    taken = [name for name in hosts if placed[name] in reserved or name == MASTER]
    if taken:
        raise LabError(f"{', '.join(taken)}: .1 (gateway), .2 and the name {MASTER} belong to the lab: choose another")
    return placed


def moved(text, old, new):
    """``text`` with every address of network ``old`` put into network ``new``."""
    return re.sub(rf"(?<![\d.]){re.escape(old)}\.(?=\d)", f"{new}.", text)


def hosts_file(placed):
    """The /etc/hosts of every host. ``salt`` is the name under which a minion looks for its master."""
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    for name, address in placed.items():
        alias = " salt" if name == MASTER else ""
        lines.append(f"{address} {name}.{DOMAIN} {name}{alias}")
    return "\n".join(lines) + "\n"


def interface(lab, address):
    """The name, on this machine, of the cable that leads to the host with ``address``."""
    return f"{lab}-{address.rpartition('.')[2]}"
