"""One bridge for each lab, one network namespace and one cable for each host, and a way out through this machine."""

import contextlib
import re
import shutil
import socket
import struct
import subprocess
from pathlib import Path

from lab.system import STATE, command, locked

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
# What FORWARD said before the first lab came: the last one gives it back.
REMEMBERED = STATE / "ip_forward"

# TCP_ESTABLISHED of the kernel's net/tcp_states.h, as /proc/net/tcp prints it
ESTABLISHED = "01"

RULES = """
table ip {name}
delete table ip {name}
table ip {name} {{
  chain out {{
    type nat hook postrouting priority 100;
    ip saddr {prefix}.0/24 ip daddr != {prefix}.0/24 masquerade;
  }}
}}
"""


def bridge(lab):
    """The name of the bridge of ``lab``."""
    return f"{lab}-br"


def mtu():
    """The largest packet of the way out: a larger one inside would be lost where a tunnel lies in between."""
    device = re.search(r"dev (\S+)", command("ip", "route", "show", "default", check=False))
    return Path(f"/sys/class/net/{device[1]}/mtu").read_text().strip() if device else "1500"


def up(lab, prefix):
    """Make the bridge with the gateway's address, and let the hosts reach what this machine reaches. Repeatable."""
    name = bridge(lab)
    if not Path("/sys/class/net", name).exists():
        command("ip", "link", "add", name, "type", "bridge")
        command("ip", "address", "add", f"{prefix}.1/24", "dev", name)
    command("ip", "link", "set", name, "up")
    with locked(STATE / "network.lock"):
        if not REMEMBERED.exists():
            REMEMBERED.write_text(FORWARD.read_text())
        FORWARD.write_text("1")
    command("nft", "-f", "-", input=RULES.format(name=lab, prefix=prefix))
    docker_lets_pass(name, True)


def down(lab, last):
    """Take away what ``up`` made; the ``last`` lab gives back whether this machine forwards. Repeatable."""
    docker_lets_pass(bridge(lab), False)
    command("nft", "delete", "table", "ip", lab, check=False)
    command("ip", "link", "delete", bridge(lab), check=False)
    with locked(STATE / "network.lock"):
        if last and REMEMBERED.exists():
            FORWARD.write_text(REMEMBERED.read_text())
            REMEMBERED.unlink()


def docker_lets_pass(name, wanted):
    """Where Docker runs, it drops everything it does not know: its own chain for exceptions names our bridge."""
    if not shutil.which("iptables") or "DOCKER-USER" not in command("iptables", "-S", "FORWARD", check=False):
        return
    for direction in ("-i", "-o"):
        rule = ["DOCKER-USER", direction, name, "-j", "ACCEPT"]
        there = subprocess.run(["iptables", "-C", *rule], stderr=subprocess.DEVNULL).returncode == 0
        if there != wanted:
            command("iptables", "-I" if wanted else "-D", *rule)


def plug(lab, namespace, cable, address):
    """Make the network ``namespace`` of a host, with ``cable`` from the bridge to its eth0."""
    unplug(namespace, cable)
    size = mtu()
    command("ip", "netns", "add", namespace)
    peer = ["peer", "name", "eth0", "mtu", size, "netns", namespace]
    command("ip", "link", "add", cable, "mtu", size, "type", "veth", *peer)
    command("ip", "link", "set", cable, "master", bridge(lab), "up")
    for words in ("link set lo up", f"address add {address}/24 dev eth0", "link set eth0 up"):
        command("ip", "-n", namespace, *words.split())
    command("ip", "-n", namespace, "route", "add", "default", "via", f"{address.rpartition('.')[0]}.1")


def unplug(namespace, cable):
    """Take away what ``plug`` made, whatever is left of it."""
    command("ip", "netns", "delete", namespace, check=False)
    command("ip", "link", "delete", cable, check=False)


def carry(cable, wanted):
    """Cut the cable (``wanted`` false) or mend it."""
    command("ip", "link", "set", cable, "up" if wanted else "down")


def peers(pid, port):
    """The addresses that have a TCP connection to local ``port`` in the network of the process ``pid``."""
    found = set()
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
            local, remote, state = line.split()[1:4]
            if state == ESTABLISHED and int(local.rpartition(":")[2], 16) == port:
                found.add(socket.inet_ntoa(struct.pack("=I", int(remote.partition(":")[0], 16))))
    return found
