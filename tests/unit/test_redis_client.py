"""Redis's protocol, with a server that says what the test wants."""

import socket
import threading

import pytest
from salt.exceptions import CommandExecutionError

import redis_client


@pytest.fixture
def redis(tmp_path):
    """``redis(answers)``: the path of a socket that answers so, and the list of what it was told."""
    servers = []

    def serve(*answers):
        path, heard = str(tmp_path / "socket"), []
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen()
        servers.append(server)

        def talk():
            connection, _ = server.accept()
            with connection:
                for answer in answers:
                    heard.append(connection.recv(4096))
                    connection.sendall(answer)

        threading.Thread(target=talk, daemon=True).start()
        return path, heard

    yield serve
    for server in servers:
        server.close()


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        (b"+OK\r\n", "OK"),
        (b":7\r\n", 7),
        (b"$6\r\nt\xc3\xa9\r\na\r\n", "té\r\na"),
        (b"*3\r\n$1\r\na\r\n*1\r\n:1\r\n$0\r\n\r\n", ["a", [1], ""]),
    ],
)
def test_an_answer_is_what_redis_means(redis, answer, meant):
    path, heard = redis(answer)
    assert redis_client.ask(path, ["ACL", "LÍST"]) == [meant]
    assert heard == ["*2\r\n$3\r\nACL\r\n$5\r\nLÍST\r\n".encode()]


def test_commands_are_sent_one_after_the_other(redis):
    path, _ = redis(b"+OK\r\n", b":1\r\n")
    assert redis_client.ask(path, ["AUTH", "a", "b"], ["ACL", "SAVE"]) == ["OK", 1]


def test_an_error_is_told_in_the_words_of_redis_without_a_hash(redis):
    path, heard = redis(f"-ERR Error in ACL SETUSER modifier '#{'a' * 64}': no\r\n".encode())
    with pytest.raises(
        CommandExecutionError, match=r"Redis: ERR Error in ACL SETUSER modifier '#\*\*\*\*\*\*\*\*': no"
    ):
        redis_client.ask(path, ["ACL", "SETUSER"], ["ACL", "SAVE"])
    assert len(heard) == 1


def test_a_server_that_hangs_up_or_is_not_there_is_told(redis, tmp_path):
    path, _ = redis(b"")
    with pytest.raises(CommandExecutionError, match="Redis has closed the connection"):
        redis_client.ask(path, ["PING"])
    with pytest.raises(CommandExecutionError, match="Redis does not answer on .*/none: No such file or directory"):
        redis_client.ask(str(tmp_path / "none"), ["PING"])
