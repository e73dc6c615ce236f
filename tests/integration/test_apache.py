"""The real Apache in front of two slots that are played by small servers: who answers, and what reaches them."""

import http.client
import http.server
import json
import os
import select
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import jinja2
import pytest

TREE = Path(__file__).parents[2]
sys.path[:0] = [str(TREE), str(TREE / "_utils")]

from tests.certificates import self_signed  # noqa: E402
from tests.local import free_port  # noqa: E402

import access_log  # noqa: E402
import probe  # noqa: E402

HOST = "shop.example.com"
WORD = "ab" * 32
PAGE = TREE / "salt/maintenance/page.html"
STRANGER, FRIEND = "198.51.100.9", "203.0.113.7"
MODULES = ("proxy", "proxy_http", "proxy_balancer", "lbmethod_byrequests", "slotmem_shm", "rewrite", "headers")
MODULES += ("remoteip", "expires", "macro", "ssl", "socache_shmcb")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("apache2ctl"), reason="needs root and Debian's Apache"
)


class Slot(http.server.ThreadingHTTPServer):
    """
    Answers every request with what it was, and the slot's name; ``status`` is 200 unless a test says otherwise.

    One that ``cuts`` ends the connection, one that is not ``ready`` lets requests wait. ``asked``: how many came.
    """

    request_queue_size = 1024

    def __init__(self, name):
        super().__init__(("127.0.0.1", 0), Echo)
        self.name = name
        self.door = f"127.0.0.1:{self.server_port}"
        self.status, self.cuts, self.asked = 200, False, 0
        self.ready = threading.Event()
        self.ready.set()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def die(self):
        self.shutdown()
        self.server_close()


class Echo(http.server.BaseHTTPRequestHandler):
    """One request, told back."""

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked += 1
        self.server.ready.wait(20)
        if self.server.cuts:
            self.close_connection = True
            return
        seen = {"slot": self.server.name, "path": self.path, "headers": dict(self.headers), "length": len(body)}
        answer = json.dumps(seen).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_HEAD = do_POST = do_GET

    def log_message(self, *_arguments):
        pass


class Front:
    """Apache with our configuration on a port of its own, in a folder that its processes can enter."""

    def __init__(self, folder, secure):
        self.folder = folder
        self.tls = [{"certificate": folder / "fullchain.pem", "key": folder / "privkey.pem"}] if secure else []
        subprocess.run(self_signed(folder, HOST), check=True, capture_output=True)
        self.etc, self.run, self.log = folder / "apache2", folder / "run", folder / "log"
        self.maintenance = folder / "maintenance"
        self.slots = [Slot("blue"), Slot("green")]
        self.port, self.secure_port = free_port(), free_port()
        self._write()
        self.control("start")
        self._wait()

    def control(self, action):
        environment = {**os.environ, "APACHE_CONFDIR": str(self.etc)}
        done = subprocess.run(["apache2ctl", action], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done

    def lead(self, web, back="none"):
        """Let the links lead to other files, as a flip does it."""
        for link, target in (("web", web), ("back", back)):
            temporary = self.run / f".{link}"
            temporary.symlink_to(target)
            temporary.replace(self.run / link)

    def ask(self, path="/", method="GET", body=None, host=HOST, secure=False, **headers):
        """The answer to a request: its status, and as JSON what the slot saw of it."""
        status, _, text = self.answer(path, method, body, host, secure, **headers)
        return status, json.loads(text) if status == 200 else {}

    def answer(self, path="/", method="GET", body=None, host=HOST, secure=False, **headers):
        """The same as it came: status, headers, text."""
        connection = self._connection(secure)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body, headers={"Host": host, **named})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, response.headers, text

    def keep_out(self, *allowed):
        """Close the app but for visitors from these addresses and this host's probes."""
        for name in ("allowed/127.0.0.1", *(f"allowed/{address}" for address in allowed), "on"):
            (self.maintenance / name).touch()

    def let_in(self):
        (self.maintenance / "on").unlink()

    def _connection(self, secure):
        if not secure:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        # Whether the certificate is believed is not what is tried here.
        context = ssl._create_unverified_context()
        return http.client.HTTPSConnection("127.0.0.1", self.secure_port, timeout=10, context=context)

    def close(self):
        self.control("stop")
        for slot in self.slots:
            slot.die()

    def _write(self):
        shutil.copytree("/etc/apache2", self.etc, symlinks=True)
        for folder in ("conf-enabled", "sites-enabled"):
            shutil.rmtree(self.etc / folder)
            (self.etc / folder).mkdir()
        for folder in (self.run, self.log, self.folder / "static", self.folder / "media"):
            folder.mkdir()
        (self.maintenance / "allowed").mkdir(parents=True)
        shutil.copy(PAGE, self.maintenance / "page.html")
        for file in [file for name in MODULES for file in (self.etc / "mods-available").glob(f"{name}.*")]:
            link = self.etc / "mods-enabled" / file.name
            link.unlink(missing_ok=True)
            link.symlink_to(f"../mods-available/{file.name}")
        ports = "".join(f"Listen 127.0.0.1:{port}\n" for port in (self.port, self.secure_port))
        (self.etc / "ports.conf").write_text(ports)
        names = ("PID_FILE", "RUN_DIR", "LOCK_DIR", "LOG_DIR")
        values = (self.folder / "apache.pid", self.folder, self.folder, self.log)
        lines = [f"export APACHE_{name}={value}\n" for name, value in zip(names, values, strict=True)]
        with (self.etc / "envvars").open("a") as file:
            file.writelines(lines)
        self._render()

    def _render(self):
        folders = {"etc": self.folder, "static": self.folder / "static", "media": self.folder / "media"}
        app = {
            "name": "shop",
            "domains": [HOST, "www.shop.example.com"],
            "static_url": "/static/",
            "media_url": "/media/",
            "max_body_bytes": 1000,
            "web": {"timeout": 30},
            "tls": self.tls,
            "maintenance": {
                "folder": self.maintenance,
                "page": self.maintenance / "page.html",
                "flag": self.maintenance / "on",
                "allowed": self.maintenance / "allowed",
                "retry_after": 300,
            },
            "slots": self.slots,
            "paths": {**folders, "live": self.run / "web", "standby": self.run / "back"},
        }
        (self.folder / "door.conf").write_text(f"Define slipway_door_shop {WORD}\n")
        for name in ("blue.map", "green.map"):
            shutil.copy(TREE / "salt/app/servers" / name, self.run)
        (self.run / "none").write_text("")
        self.lead("blue.map")
        for source, target in (("apache/slipway.conf", "conf-enabled"), ("app/site_apache.conf", "sites-enabled")):
            template = jinja2.Template((TREE / "salt" / source).read_text())
            text = template.render(app=app, proxies=["10.0.0.10"], certificates=self.tls)
            text = text.replace("*:80", f"*:{self.port}").replace("*:443", f"*:{self.secure_port}")
            text = text.replace("/var/log/apache2", str(self.log))
            (self.etc / target / "slipway.conf").write_text(text)

    def _wait(self):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError((self.log / "error.log").read_text())


@pytest.fixture
def secure():
    return False


@pytest.fixture
def front(secure):
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    front = Front(folder, secure)
    yield front
    front.close()
    # Apache may just be deleting what is its own.
    shutil.rmtree(folder, ignore_errors=True)


def test_the_next_request_after_a_flip_is_for_the_other_slot(front):
    answers = []
    for slot in ("blue", "green") * 10:
        front.lead(f"{slot}.map")
        answers.append(front.ask()[1]["slot"])
    assert answers == ["blue", "green"] * 10


def test_a_graceful_restart_loses_no_request(front):
    statuses = []
    for number in range(60):
        if number % 20 == 10:
            front.control("graceful")
        statuses.append(front.ask(method="POST", body=b"x")[0])
    assert statuses == [200] * 60


def test_a_slot_that_stalls_costs_nobody_a_connection_that_was_kept(front):
    kept = [front._connection(False) for _ in range(50)]
    for connection in kept:
        connection.request("GET", "/", headers={"Host": HOST})
        connection.getresponse().read()
    front.slots[0].ready.clear()
    # A third of all threads. A process whose 64 are all at work closes the connections that it keeps, and which process
    # takes a request is chance, more so if they come all at once.
    waiting = [front._connection(False) for _ in range(160)]
    for connection in waiting:
        connection.request("GET", "/", headers={"Host": HOST})
        time.sleep(0.002)
    time.sleep(1)
    front.slots[0].ready.set()
    assert [connection.getresponse().status for connection in waiting] == [200] * 160
    # What Apache has closed can be read from: the end.
    assert select.select([connection.sock for connection in kept], [], [], 0)[0] == []


def test_a_slot_that_died_is_stood_in_for(front):
    front.lead("green.map", back="blue.map")
    front.slots[1].die()
    assert [front.ask(method="POST", body=b"x" * 900)[1].get("slot") for _ in range(20)] == ["blue"] * 20


@pytest.mark.parametrize("path", ["/", "/a%2Fb?c=%2F&d=%3F", "/a//b;c?d=?", "/a%3Fb"])
def test_what_a_slot_took_and_did_not_answer_is_sent_to_the_other(front, path):
    front.lead("green.map", back="blue.map")
    front.slots[1].cuts = True
    status, seen = front.ask(path)
    assert (status, seen["slot"], seen["path"]) == (200, "blue", path)
    assert seen["headers"]["X-Slipway-Token"] == WORD
    assert front.answer(path, method="HEAD")[0] == 200


def test_what_may_change_something_is_not_sent_twice(front):
    front.lead("green.map", back="blue.map")
    front.slots[1].cuts = True
    assert front.ask(method="POST", body=b"x")[0] == 502
    assert front.slots[0].asked == 0


def test_what_no_slot_answers_fails(front):
    front.lead("green.map")
    front.slots[1].cuts = True
    assert front.ask()[0] == 502
    front.lead("green.map", back="blue.map")
    front.slots[0].cuts = True
    assert front.ask()[0] == 502
    assert (front.slots[0].asked, front.slots[1].asked) == (1, 2)


def test_what_was_cut_after_a_flip_is_in_the_log_as_that(front):
    log = front.log / "access.log"
    start = access_log.position(log)
    front.slots[0].cuts = True
    assert front.ask("/slow/")[0] == 502
    deadline = time.monotonic() + 5
    while not access_log.entries(log, start) and time.monotonic() < deadline:
        time.sleep(0.02)
    (cut,) = access_log.cut(log, start, [HOST])
    assert str(cut).startswith("GET /slow/ after ")


def test_the_apps_own_502_is_its_answer(front):
    front.lead("green.map", back="blue.map")
    front.slots[1].status = 502
    status, _, text = front.answer()
    assert (status, json.loads(text)["slot"]) == (502, "green")


def test_nobody_stands_in_where_nobody_is_named(front):
    front.lead("green.map")
    front.slots[1].die()
    assert front.ask()[0] == 503


def test_a_slot_does_not_stand_in_for_itself(front):
    front.lead("blue.map", back="blue.map")
    assert front.ask()[1]["slot"] == "blue"


def test_nobody_answers_where_no_release_has_the_traffic(front):
    front.lead("none")
    assert front.ask()[0] == 503


def test_a_host_that_no_site_has_is_refused(front):
    assert front.ask(host="other.example.com")[0] == 421


def test_every_domain_of_an_app_reaches_it(front):
    assert front.ask(host="www.shop.example.com")[0] == 200


def test_the_slot_is_told_the_word_and_not_the_one_of_the_client(front):
    assert front.ask(X_Slipway_Token="guessed")[1]["headers"]["X-Slipway-Token"] == WORD


def test_the_host_is_passed_on(front):
    assert front.ask()[1]["headers"]["Host"] == HOST


def test_this_host_is_believed_how_a_request_came(front):
    headers = front.ask(X_Forwarded_Proto="https", X_Forwarded_For="203.0.113.9")[1]["headers"]
    assert (headers["X-Forwarded-Proto"], headers["X-Forwarded-For"]) == ("https", "203.0.113.9")


def test_what_is_no_protocol_is_replaced(front):
    assert front.ask(X_Forwarded_Proto="gopher")[1]["headers"]["X-Forwarded-Proto"] == "http"


@pytest.mark.parametrize("path", ["/a%20b?c=%2F&d=%3F", "/a%2Fb", "/caf%C3%A9/", "/a%25b", "/a%3Fb", "/a//b;c"])
def test_a_path_arrives_as_it_was_sent(front, path):
    assert front.ask(path)[1]["path"] == path


def test_a_body_that_is_too_large_is_refused(front):
    assert front.ask(method="POST", body=b"x" * 1001)[0] == 413


def test_a_body_without_a_length_gets_one(front):
    assert front.ask(method="POST", body=iter([b"x" * 100] * 3))[1]["length"] == 300


def test_static_files_are_not_asked_of_the_app(front):
    (front.folder / "static/shop.0123456789ab.css").write_text('{"file": 1}')
    assert front.ask("/static/shop.0123456789ab.css") == (200, {"file": 1})


def test_the_log_is_read_like_that_of_nginx(front):
    log = front.log / "access.log"
    start = access_log.position(log)
    front.ask("/orders/?secret=1", User_Agent=probe.AGENT)
    # Apache writes the line when it has sent the answer.
    deadline = time.monotonic() + 5
    while not access_log.entries(log, start) and time.monotonic() < deadline:
        time.sleep(0.02)
    (entry,) = access_log.entries(log, start)
    assert (entry.method, entry.path, entry.status, entry.host) == ("GET", "/orders/", 200, HOST)
    assert 0 < entry.seconds < 5
    assert (entry.upstream_status, entry.agent) == (200, probe.AGENT)


def test_who_is_kept_out_is_no_failure_of_the_release_that_is_watched(front):
    logs = {name: front.log / f"{name}.log" for name in ("access", "maintenance")}
    starts = {name: access_log.position(log) for name, log in logs.items()}
    front.keep_out()
    front.ask("/let-in/")
    (front.maintenance / "allowed/127.0.0.1").unlink()
    front.answer("/kept-out/")
    deadline = time.monotonic() + 5
    while not access_log.entries(logs["maintenance"], starts["maintenance"]) and time.monotonic() < deadline:
        time.sleep(0.02)
    seen = {name: [entry.path for entry in access_log.entries(log, starts[name])] for name, log in logs.items()}
    assert seen == {"access": ["/let-in/"], "maintenance": ["/kept-out/"]}


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_visitor_who_is_kept_out_gets_the_page_and_is_told_when_to_ask_again(front, method):
    front.keep_out()
    body = b"x" * 900 if method == "POST" else None
    status, headers, text = front.answer("/orders/?a=b", method, body, X_Forwarded_For=STRANGER)
    assert (status, text) == (503, PAGE.read_bytes())
    assert (headers["Retry-After"], headers["Cache-Control"]) == ("300", "no-store")
    assert headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("who", [FRIEND, "127.0.0.1"])
def test_who_is_let_in_gets_the_app(front, who):
    front.keep_out(FRIEND)
    status, headers, text = front.answer(X_Forwarded_For=who, X_Forwarded_Proto="https")
    assert (status, headers["Retry-After"], json.loads(text)["slot"]) == (200, None, "blue")


def test_nobody_is_let_in_for_an_address_that_is_forged(front):
    front.keep_out(FRIEND)
    connection = http.client.HTTPConnection("127.0.0.1", front.port, source_address=("127.0.0.2", 0), timeout=10)
    connection.request("GET", "/", headers={"Host": HOST, "X-Forwarded-For": FRIEND})
    assert connection.getresponse().status == 503


def test_a_503_of_the_app_itself_is_passed_on_as_it_is(front):
    front.slots[0].status = 503
    for who in (FRIEND, STRANGER):
        status, headers, text = front.answer(X_Forwarded_For=who)
        assert (status, headers["Retry-After"], json.loads(text)["slot"]) == (503, None, "blue")
        front.keep_out(FRIEND, STRANGER)


def test_where_no_release_has_the_traffic_nobody_is_told_of_maintenance(front):
    front.lead("none")
    front.keep_out(FRIEND)
    status, headers, text = front.answer(X_Forwarded_For=FRIEND)
    assert (status, headers["Retry-After"], b"back soon" in text) == (503, None, False)


def test_keeping_out_and_letting_in_count_at_once_on_a_connection_that_stays(front):
    connection, statuses = front._connection(False), []
    for change in (front.keep_out, front.let_in, front.keep_out, front.let_in):
        change()
        connection.request("POST", "/", body=b"x", headers={"Host": HOST, "X-Forwarded-For": STRANGER})
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    assert statuses == [503, 200, 503, 200]


def test_static_files_are_no_page_of_maintenance(front):
    (front.folder / "static/shop.css").write_text("a {}")
    front.keep_out()
    status, headers, text = front.answer("/static/shop.css", X_Forwarded_For=STRANGER)
    assert (status, headers["Retry-After"], headers["Cache-Control"], text) == (200, None, None, b"a {}")


def test_the_address_of_the_page_is_the_apps_own_for_everybody_else(front):
    assert front.ask("/.slipway/maintenance.html")[1]["path"] == "/.slipway/maintenance.html"


by_https = pytest.mark.parametrize("secure", [True])


@by_https
def test_a_visitor_by_http_is_sent_to_https(front):
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=10)
    # From an address that no probe has.
    connection.source_address = ("127.0.0.2", 0)
    connection.request("GET", "/a%20b/?c=%2F", headers={"Host": HOST, "X-Forwarded-Proto": "https"})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (301, f"https://{HOST}/a%20b/?c=%2F")


@by_https
def test_a_probe_of_this_host_is_not_sent_to_https(front):
    assert front.ask(X_Forwarded_Proto="https")[0] == 200


@by_https
def test_the_app_is_told_that_a_visitor_came_by_https(front):
    status, seen = front.ask("/a%20b?c=%2F", secure=True)
    assert (status, seen["path"]) == (200, "/a%20b?c=%2F")
    assert seen["headers"]["X-Forwarded-Proto"] == "https"


@by_https
def test_a_flip_counts_for_https_too(front):
    front.lead("green.map")
    assert front.ask(secure=True)[1]["slot"] == "green"


@by_https
def test_a_host_that_no_site_has_is_refused_by_https_too(front):
    assert front.ask(host="other.example.com", secure=True)[0] == 421


@by_https
def test_a_visitor_by_https_is_kept_out_too(front):
    front.keep_out()
    (front.maintenance / "allowed/127.0.0.1").unlink()
    status, headers, text = front.answer(secure=True)
    assert (status, headers["Retry-After"], text) == (503, "300", PAGE.read_bytes())
