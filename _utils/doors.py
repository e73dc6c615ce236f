"""How many connections to a slot's door are open: what its server has accepted, and what still waits to be."""

import re
import socket
import sys
from pathlib import Path

from salt.exceptions import CommandExecutionError

# A unix socket that listens has this flag: __SO_ACCEPTCON in include/uapi/linux/net.h, net/unix/af_unix.c.
LISTENS = "00010000"
# include/net/tcp_states.h. Open is what the server still owes an answer: ESTABLISHED, SYN_RECV (on its way), CLOSE_WAIT
# (the client has said all, or has left; its request runs on). Not where the server has closed its side, which are
# FIN_WAIT1 and 2, CLOSING, LAST_ACK, TIME_WAIT: the kernel delivers what is left, also when the server has ended.
ESTABLISHED, SYN_RECV, CLOSE_WAIT = "01", "03", "08"
LOOPBACK = "127.0.0.1"
TABLES = Path("/proc/net")


def connections(door):
    """
    Return how many connections to a door are open, each with a request in it: nobody keeps idle ones to a door.

    Nginx and Apache send ``Connection: close``; an idle connection that somebody else keeps would count as well. The
    kernel's table is read once, in pieces: while connections come and go one may be missing, so ask twice for a zero
    that matters.

    :param door: the path of a unix socket, as its server has bound it, or ``127.0.0.1:PORT``
    :raises CommandExecutionError: if the door is none, or the kernel's table cannot be read
    """
    if door.startswith("/"):
        return _unix(door)
    address, _, port = door.partition(":")
    if address != LOOPBACK or not re.fullmatch(r"[1-9]\d{0,4}", port) or int(port) > 65535:
        raise CommandExecutionError(f"{door!r} is no door: give the path of a unix socket, or {LOOPBACK}:PORT")
    return _tcp(int(port))


def _unix(path):
    """
    Count the server's ends: an accepted or waiting one has the path of the socket that listens, a client's has none.

    The columns are Num RefCount Protocol Flags Type St Inode Path (proc_pid_net(5)); the path may have spaces.
    """
    entries = (line.split(maxsplit=7) for line in _table("unix"))
    return sum(len(entry) == 8 and entry[7] == path and entry[3] != LISTENS for entry in entries)


def _tcp(port):
    """Count the server's ends, which have the port as the local one; the address is in the machine's byte order."""
    address = int.from_bytes(socket.inet_aton(LOOPBACK), sys.byteorder)
    local, states = f"{address:08X}:{port:04X}", (ESTABLISHED, SYN_RECV, CLOSE_WAIT)
    entries = (line.split(maxsplit=4) for line in _table("tcp"))
    return sum(len(entry) == 5 and entry[1] == local and entry[3] in states for entry in entries)


def _table(name):
    path = TABLES / name
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise CommandExecutionError(f"{path} cannot be read, so nobody knows who is connected: {error}") from error
