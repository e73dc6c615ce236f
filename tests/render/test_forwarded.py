"""What an app is told about its client, by the real Nginx of a balancer in front of the real Nginx of an app host."""

import contextlib
import functools
import http.client
import http.server
import json
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time

import pytest
from conftest import INVENTORIES, TREE, inventory
from tests.local import free_port

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")

FORGED = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "https",
    "X-Real-IP": "6.6.6.6",
    "X-Forwarded-Host": "evil",
}


# Whether a certificate is believed is not what is tried here.
UNPROVED = ssl._create_unverified_context()


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the headers of the request; to /busy/ with a status that is not the web server's."""

    def do_GET(self):
        body = json.dumps(dict(self.headers)).encode()
        self.send_response(503 if self.path == "/busy/" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Backend(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def get_request(self):
        return super().get_request()[0], ("unix", 0)


@pytest.fixture
def ports(tmp_path, call):
    """The ports of the balancer and of the app host; the app answers with the headers that it gets."""
    with behind_nginx(tmp_path, call) as both:
        yield both[:2]


@pytest.fixture
def secure_ports(tmp_path, call, certificates):
    """The ports of a balancer with https: for http and for https."""
    tls = {"certificate": f"{certificates}/fullchain.pem", "key": f"{certificates}/privkey.pem"}
    with behind_nginx(tmp_path, call, tls=tls) as (edge, _, secure):
        yield edge, secure


@contextlib.contextmanager
def behind_nginx(tmp_path, call, **keys):
    """The ports of the balancer, of the app host, and of the balancer's https; with more keys for the app."""
    backend = Backend(str(tmp_path / "web.sock"), Echo)
    threading.Thread(target=backend.serve_forever, args=(0.05,), daemon=True).start()
    pillar = inventory(next(path for path in INVENTORIES if path.stem == "lab"))
    pillar["apps"]["shop"].update(keys)
    edge, door, secure = free_port(), free_port(), free_port()
    (app,), (site,) = call(pillar, "web1", "apps.specs"), call(pillar, "lb1", "apps.sites")
    app["paths"] |= {"live": str(tmp_path / "web.sock"), "standby": str(tmp_path / "none")}
    site["upstreams"] = [{"host": "web1", "address": "127.0.0.1"}]
    with contextlib.ExitStack() as running:
        running.callback(backend.server_close)
        running.callback(backend.shutdown)
        start(running, tmp_path / "edge", edge, call, pillar, "balancer/site.conf", {"site": site}, door, secure)
        start(running, tmp_path / "door", door, call, pillar, "app/site_nginx.conf", {"app": app})
        yield edge, door, secure


def start(running, folder, port, call, pillar, site, context, upstream=0, secure=0):
    """Start an Nginx with our templates, but for its port, user and places of files; it ends with ``running``."""
    (folder / "sites").mkdir(parents=True)
    (folder / "mime.types").write_text("types { text/css css; }\n", encoding="utf-8")
    for source, target, values in [
        ("nginx/nginx.conf", "nginx.conf", {"proxies": [], "certificates": []}),
        (site, "sites/shop.conf", context),
    ]:
        path = str(TREE / "salt" / source)
        text = str(call(pillar, "web1", "slsutil.renderer", path, default_renderer="jinja", **values))
        text = text.replace("listen 80", f"listen 127.0.0.1:{port}").replace("127.0.0.1:80 ", f"127.0.0.1:{upstream} ")
        text = text.replace("/var/www/html", str(folder)).replace("/srv/shop/maintenance", f"{folder}/maintenance")
        text = text.replace("listen 443", f"listen 127.0.0.1:{secure}")
        text = text.replace("user www-data;", "user root;").replace("/run/nginx.pid", str(folder / "pid"))
        (folder / target).write_text(text.replace("/var/log/nginx", str(folder)), encoding="utf-8")
    server = subprocess.Popen(["nginx", "-c", folder / "nginx.conf", "-g", "daemon off;"])
    running.callback(server.wait)
    running.callback(server.terminate)
    for _ in range(100):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("nginx does not listen")


def seen(port, source, headers, secure=False):
    """The headers that the app got of a request from the address ``source``."""
    kind = functools.partial(http.client.HTTPSConnection, context=UNPROVED) if secure else http.client.HTTPConnection
    connection = kind("127.0.0.1", port, source_address=(source, 0), timeout=5)
    connection.request("GET", "/", headers={"Host": "shop.lab.test", **headers})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def test_what_a_client_forges_does_not_get_past_the_balancer(ports):
    headers = seen(ports[0], "127.0.0.2", FORGED)
    assert {name: headers[name] for name in FORGED} == {
        "X-Forwarded-For": "127.0.0.2",
        "X-Forwarded-Proto": "http",
        "X-Real-IP": "127.0.0.2",
        "X-Forwarded-Host": "shop.lab.test",
    }


def test_what_a_client_forges_does_not_get_past_an_app_host_either(ports):
    headers = seen(ports[1], "127.0.0.2", FORGED)
    assert (headers["X-Forwarded-For"], headers["X-Forwarded-Proto"]) == ("127.0.0.2", "http")


def test_a_proxy_is_believed_who_the_client_is_and_how_it_came(ports):
    headers = seen(ports[1], "127.0.0.1", {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"})
    assert (headers["X-Forwarded-For"], headers["X-Forwarded-Proto"]) == ("203.0.113.7", "https")


def test_the_host_reaches_the_app_through_both(ports):
    assert seen(ports[0], "127.0.0.2", {})["Host"] == "shop.lab.test"


def test_a_host_that_no_site_has_is_misdirected(ports):
    connection = http.client.HTTPConnection("127.0.0.1", ports[1], timeout=5)
    connection.request("GET", "/", headers={"Host": "other.test"})
    assert connection.getresponse().status == 421


def test_what_a_certificate_authority_asks_for_is_not_asked_of_the_app(ports, tmp_path):
    for port, folder in zip(ports, ("edge", "door"), strict=True):
        place = tmp_path / folder / ".well-known/acme-challenge"
        place.mkdir(parents=True)
        (place / "word").write_text("proof")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/.well-known/acme-challenge/word", headers={"Host": "shop.lab.test"})
        assert connection.getresponse().read() == b"proof"


def test_a_visitor_by_http_is_sent_to_https_with_the_same_path(secure_ports):
    connection = http.client.HTTPConnection("127.0.0.1", secure_ports[0], timeout=5)
    connection.request("GET", "/a%20b/?c=d", headers={"Host": "shop.lab.test"})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (301, "https://shop.lab.test/a%20b/?c=d")


def test_the_app_is_told_that_a_visitor_came_by_https(secure_ports):
    headers = seen(secure_ports[1], "127.0.0.2", {"X-Forwarded-Proto": "http"}, secure=True)
    assert (headers["X-Forwarded-For"], headers["X-Forwarded-Proto"]) == ("127.0.0.2", "https")
