"""Supervisor's XML-RPC interface on its unix socket: one connection, and errors that say what to do."""

import http.client
import socket
import xmlrpc.client
from contextlib import contextmanager

from salt.exceptions import CommandExecutionError

# Where Debian's package listens.
SOCKET = "/run/supervisor.sock"
# Seconds for one answer. Supervisor answers each of our calls at once: what takes long is started and then polled.
ANSWER_TIME = 30

# States as Supervisor groups them (supervisor.states); STOPPING is in neither.
ACTIVE = ("STARTING", "RUNNING", "BACKOFF")
ENDED = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")

# Numbers of faults: supervisor.xmlrpc.Faults.
NOT_RUNNING = 70
ALREADY_STARTED = 60


class SupervisorDown(CommandExecutionError):
    """Nobody listens on the socket: Supervisor died, and its programs may have outlived it."""


class SupervisorMissing(SupervisorDown):
    """There is no socket: Supervisor is not installed, or was stopped in good order, and nothing runs under it."""


@contextmanager
def connect(path=SOCKET):
    """
    Supervisor as a ``xmlrpc.client.ServerProxy``; the calls inside the block share one connection.

    path
        The socket, as in section ``unix_http_server`` of supervisord.conf.

    Raises SupervisorMissing, SupervisorDown, or another CommandExecutionError with the fault as Supervisor words it.
    """
    try:
        with xmlrpc.client.ServerProxy("http://localhost", transport=_Transport(path)) as server:
            yield server
    except xmlrpc.client.Fault as fault:
        raise CommandExecutionError(f"Supervisor on {path} answers: {fault.faultString}") from fault
    except TimeoutError as error:
        raise CommandExecutionError(
            f"Supervisor on {path} has not answered for {ANSWER_TIME} s: systemctl restart supervisor"
        ) from error
    except (ConnectionError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
        raise CommandExecutionError(
            f"Supervisor on {path} broke off ({error}): look into /var/log/supervisor/supervisord.log"
        ) from error


def attempt(method, *arguments, unless):
    """Call ``method``; the fault number ``unless`` means that what we want is so already."""
    try:
        method(*arguments)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != unless:
            raise


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def make_connection(self, host):
        if not self._connection[1]:
            self._connection = host, _Connection(self.path)
        return self._connection[1]


class _Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=ANSWER_TIME)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self.path)
        except FileNotFoundError as error:
            raise SupervisorMissing(
                f"There is no Supervisor on {self.path}: install it, or systemctl start supervisor"
            ) from error
        except ConnectionRefusedError as error:
            raise SupervisorDown(
                f"Supervisor does not answer on {self.path} (nobody listens: a stale socket): "
                "systemctl restart supervisor"
            ) from error
        except OSError as error:
            raise CommandExecutionError(f"Supervisor cannot be asked on {self.path}: {error}") from error
