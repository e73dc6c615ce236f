"""Errors of the connection to Supervisor."""

import socket
import threading

import pytest
from salt.exceptions import CommandExecutionError

import supervisor_rpc


def ask(path):
    with supervisor_rpc.connect(str(path)) as server:
        return server.supervisor.getState()


@pytest.fixture
def listener(tmp_path):
    """A socket; ``answer(bytes)`` sends them to the first who asks and hangs up."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "s.sock"))
    server.listen(4)
    threads = []

    def serve(content):
        for _connection in range(2):  # xmlrpc.client tries twice when nothing comes back
            try:
                peer = server.accept()[0]
            except OSError:
                return
            question = b""
            while not question.endswith((b"</methodCall>", b"</methodCall>\n")):
                question += peer.recv(65536)
            peer.sendall(content)
            peer.close()

    def answer(content):
        threads.append(threading.Thread(target=serve, args=(content,), daemon=True))
        threads[-1].start()
        return tmp_path / "s.sock"

    yield answer
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def test_no_socket_means_that_supervisor_is_not_there(tmp_path):
    with pytest.raises(supervisor_rpc.SupervisorMissing, match="install it, or systemctl start supervisor"):
        ask(tmp_path / "s.sock")


def test_a_socket_on_which_nobody_listens_is_stale(tmp_path):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "s.sock"))
    with pytest.raises(supervisor_rpc.SupervisorDown, match="a stale socket.*systemctl restart supervisor") as error:
        ask(tmp_path / "s.sock")
    assert not isinstance(error.value, supervisor_rpc.SupervisorMissing)


def test_a_path_that_is_too_long_is_told_and_is_not_taken_for_a_supervisor_that_is_down(tmp_path):
    with pytest.raises(CommandExecutionError, match="cannot be asked") as error:
        ask(tmp_path / ("x" * 120))
    assert not isinstance(error.value, supervisor_rpc.SupervisorDown)


def test_a_fault_is_told_in_the_words_of_supervisor(listener):
    body = (
        b"<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>6</int></value></member>"
        b"<member><name>faultString</name><value><string>SHUTDOWN_STATE</string></value></member></struct></value>"
        b"</fault></methodResponse>"
    )
    path = listener(b"HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    with pytest.raises(CommandExecutionError, match="answers: SHUTDOWN_STATE"):
        ask(path)


def test_an_answer_that_breaks_off_is_an_error(listener):
    with pytest.raises(CommandExecutionError, match="broke off"):
        ask(listener(b""))


def test_another_server_on_the_socket_is_an_error(listener):
    with pytest.raises(CommandExecutionError, match="401"):
        ask(listener(b"HTTP/1.0 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"))


def test_a_supervisor_that_hangs_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor_rpc, "ANSWER_TIME", 0.1)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.sock"))
        server.listen(1)
        with pytest.raises(CommandExecutionError, match="has not answered for 0.1 s"):
            ask(tmp_path / "s.sock")
