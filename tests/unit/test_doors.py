import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest
from salt.exceptions import CommandExecutionError

import doors


@pytest.fixture(params=["unix", "tcp"])
def listener(request, tmp_path):
    """A socket that listens, and its door; a path with a space in it, as long as a folder may be called so."""
    if request.param == "unix":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "blue 1.sock"))
            server.listen(8)
            yield server, str(tmp_path / "blue 1.sock")
        return
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield server, f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def sockets():
    with ExitStack() as stack:
        yield stack


def client_of(server, sockets):
    client = sockets.enter_context(socket.socket(server.family))
    client.connect(server.getsockname())
    return client


def accepted_by(server, sockets):
    return sockets.enter_context(server.accept()[0])


def settled(door, number):
    """What is counted, once it is ``number`` or a second is over: loopback TCP ends a little after ``close``."""
    until = time.monotonic() + 1
    while doors.connections(door) != number and time.monotonic() < until:
        time.sleep(0.01)
    return doors.connections(door)


def test_a_door_that_only_listens_has_no_connection(listener):
    assert doors.connections(listener[1]) == 0


def test_a_door_that_does_not_exist_has_no_connection(tmp_path):
    assert doors.connections(str(tmp_path / "none.sock")) == 0


def test_a_waiting_connection_counts_once(listener, sockets):
    client_of(listener[0], sockets)
    assert doors.connections(listener[1]) == 1


def test_accepted_and_waiting_connections_count(listener, sockets):
    server, door = listener
    for _ in range(3):
        client_of(server, sockets)
    accepted_by(server, sockets)
    assert doors.connections(door) == 3


def test_what_the_server_has_closed_does_not_count(listener, sockets):
    server, door = listener
    client_of(server, sockets)
    accepted_by(server, sockets).close()
    assert settled(door, 0) == 0


def test_a_request_whose_client_has_left_counts_until_the_server_closes(listener, sockets):
    server, door = listener
    client = client_of(server, sockets)
    accepted = accepted_by(server, sockets)
    client.close()
    time.sleep(0.05)
    open_before = doors.connections(door)
    accepted.close()
    assert (open_before, settled(door, 0)) == (1, 0)


def test_a_client_that_has_said_all_still_counts(listener, sockets):
    server, door = listener
    client = client_of(server, sockets)
    accepted_by(server, sockets)
    client.shutdown(socket.SHUT_WR)
    time.sleep(0.05)
    assert doors.connections(door) == 1


def test_accepted_connections_count_when_nobody_listens_any_more(listener, sockets):
    server, door = listener
    client_of(server, sockets)
    accepted_by(server, sockets)
    server.close()
    assert doors.connections(door) == 1


def test_another_door_is_not_counted(tmp_path, sockets):
    for name in ("blue.sock", "blue.sock2"):
        server = sockets.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(str(tmp_path / name))
        server.listen()
        client_of(server, sockets)
    assert doors.connections(str(tmp_path / "blue.sock")) == 1


def test_the_clients_of_a_port_elsewhere_are_not_counted(sockets):
    server = sockets.enter_context(socket.socket())
    server.bind(("127.0.0.2", 0))
    server.listen()
    client_of(server, sockets)
    assert doors.connections(f"127.0.0.1:{server.getsockname()[1]}") == 0


ANSWER = """
import os, signal, socket, sys
server = socket.fromfd(int(sys.argv[1]), *[int(number) for number in sys.argv[2:]])
connection = server.accept()[0]
connection.sendall(b"x" * 100_000)
connection.close()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_answer_that_was_given_arrives_whole_though_it_no_longer_counts_and_its_server_was_killed(listener, sockets):
    server, door = listener
    client = client_of(server, sockets)
    client.settimeout(5)
    arguments = [str(int(number)) for number in (server.fileno(), server.family, server.type)]
    killed = subprocess.run([sys.executable, "-c", ANSWER, *arguments], pass_fds=[server.fileno()], timeout=20)
    counted = doors.connections(door)
    answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert (killed.returncode, counted, len(answer)) == (-signal.SIGKILL, 0, 100_000)


@pytest.mark.parametrize(
    "door", ["", "blue.sock", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "::1:80"]
)
def test_what_is_no_door_is_refused(door):
    with pytest.raises(CommandExecutionError, match="is no door"):
        doors.connections(door)


def test_a_table_that_cannot_be_read_is_an_error_and_not_a_zero(monkeypatch, tmp_path):
    monkeypatch.setattr(doors, "TABLES", tmp_path)
    with pytest.raises(CommandExecutionError, match="cannot be read"):
        doors.connections("/run/blue.sock")
