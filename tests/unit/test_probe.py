import http.server
import socket
import socketserver
import threading

import pytest

import probe

STATUSES = (200, 399)


class UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def get_request(self):
        request, _ = super().get_request()
        return request, ("unix", 0)


@pytest.fixture
def door(tmp_path):
    """``door(answer)``: the path of a socket behind which ``answer(request handler)`` answers every GET."""
    servers = []

    def open_door(answer):
        handler = type(
            "Handler", (http.server.BaseHTTPRequestHandler,), {"do_GET": answer, "log_message": lambda *_: None}
        )
        servers.append(UnixServer(str(tmp_path / "door.sock"), handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return str(tmp_path / "door.sock")

    yield open_door
    for server in servers:
        server.shutdown()
        server.server_close()


def answer(status=200, release=""):
    def send(handler):
        handler.send_response(status)
        if release:
            handler.send_header("X-Release", release)
        handler.end_headers()

    return send


def test_the_status_and_the_release_of_an_answer_are_told(door):
    assert probe.ask(door(answer(302, "1a2b")), "/", "shop.test", 1) == probe.Answer(302, "1a2b")


def test_the_request_has_the_host_of_the_app_and_came_by_https(door):
    seen = {}

    def note(handler):
        seen.update(handler.headers)
        answer()(handler)

    probe.ask(door(note), "/", "shop.test", 1)
    assert (seen["Host"], seen["X-Forwarded-Proto"]) == ("shop.test", "https")


def test_a_server_over_tcp_is_asked_as_well():
    server = http.server.HTTPServer(("127.0.0.1", 0), type("Handler", (http.server.BaseHTTPRequestHandler,), {}))
    threading.Thread(target=server.handle_request, daemon=True).start()
    assert probe.ask(f"127.0.0.1:{server.server_port}", "/", "shop.test", 1).status == 501
    server.server_close()


def test_a_door_that_is_not_there_is_an_answer_with_an_error(tmp_path):
    assert "No such file" in probe.ask(str(tmp_path / "none.sock"), "/", "shop.test", 1).error


def test_a_door_that_never_answers_is_given_up_after_the_timeout(tmp_path):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        assert probe.ask(str(tmp_path / "silent.sock"), "/", "shop.test", 0.05).error == "no answer within 0.05 s"


def test_an_answer_that_breaks_off_is_an_error(door):
    def break_off(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")

    assert probe.ask(door(break_off), "/", "shop.test", 1).error


@pytest.mark.parametrize("status", [200, 399])
def test_a_status_at_a_limit_is_good(status):
    assert probe.fault(probe.Answer(status), STATUSES, "1a2b") == ""


@pytest.mark.parametrize("status", [199, 400, 500])
def test_a_status_beyond_the_limits_is_a_fault(status):
    assert probe.fault(probe.Answer(status), STATUSES, "1a2b") == f"status {status} instead of 200 to 399"


def test_the_answer_of_another_release_is_a_fault():
    assert probe.fault(probe.Answer(200, "0f1e"), STATUSES, "1a2b") == "release 0f1e answered instead of 1a2b"


def test_an_app_that_does_not_tell_its_release_is_believed():
    assert probe.fault(probe.Answer(200), STATUSES, "1a2b") == ""


def test_no_answer_is_a_fault():
    assert probe.fault(probe.Answer(error="refused"), STATUSES, "1a2b") == "refused"
