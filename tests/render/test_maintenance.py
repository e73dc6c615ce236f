"""What visitors get while an app is kept closed, from the real Nginx; and the states that close and open it."""

import http.client
import json
import shutil
import sys
import time

import pytest
import yaml
from conftest import INVENTORIES, TREE, caller, inventory
from test_forwarded import behind_nginx

sys.path.insert(0, str(TREE / "_utils"))
import access_log  # noqa: E402
import app_spec  # noqa: E402

ALLOWED, STRANGER, PROBE = "127.0.0.3", "127.0.0.2", "127.0.0.1"
PAGE = (TREE / "salt/maintenance/page.html").read_bytes()
LAB = inventory(next(path for path in INVENTORIES if path.stem == "lab"))

needs_nginx = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")


class Front:
    """A web server and the folder in which it looks up who is kept out."""

    def __init__(self, port, folder):
        self.port, self.folder = port, folder / "maintenance"
        (self.folder / "allowed").mkdir(parents=True)
        (self.folder / "page.html").write_bytes(PAGE)

    def close(self):
        for name in ("allowed/127.0.0.1", f"allowed/{ALLOWED}", "on"):
            (self.folder / name).touch()

    def open(self):
        (self.folder / "on").unlink(missing_ok=True)

    def connect(self, source):
        return http.client.HTTPConnection("127.0.0.1", self.port, source_address=(source, 0), timeout=5)

    def ask(self, source, path="/", method="GET", connection=None, **headers):
        """The answer to somebody at the address ``source``: status, headers, body."""
        connection = connection or self.connect(source)
        body = b"x" * 1000 if method == "POST" else None
        connection.request(method, path, body=body, headers={"Host": "shop.lab.test", **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """The balancer and the app host behind it, for all tests: nothing is ever reloaded."""
    folder = tmp_path_factory.mktemp("fronts")
    with behind_nginx(folder, caller(folder)) as (edge, door, _):
        yield {"balancer": Front(edge, folder / "edge"), "app": Front(door, folder / "door")}


@pytest.fixture
def fronts(running):
    """Both, open."""
    for front in running.values():
        front.open()
    return running


@pytest.fixture(params=["balancer", "app"])
def front(request, fronts):
    """Each of the two, closed."""
    fronts[request.param].close()
    return fronts[request.param]


@needs_nginx
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_visitor_gets_the_page_and_is_told_when_to_ask_again(front, method):
    status, headers, body = front.ask(STRANGER, "/orders/?a=b", method)
    assert (status, body) == (503, PAGE)
    assert (headers["Retry-After"], headers["Cache-Control"]) == ("300", "no-store")
    assert headers["Content-Type"] == "text/html"


@needs_nginx
def test_who_is_kept_out_of_a_host_is_no_failure_of_the_release_that_is_watched(running, fronts):
    front = fronts["app"]
    front.close()
    logs = {name: front.folder.parent / f"{name}.log" for name in ("access", "maintenance")}
    starts = {name: access_log.position(log) for name, log in logs.items()}
    front.ask(STRANGER, "/kept-out/")
    front.ask(ALLOWED, "/let-in/")
    deadline = time.monotonic() + 5
    while not access_log.entries(logs["access"], starts["access"]) and time.monotonic() < deadline:
        time.sleep(0.02)
    seen = {name: [entry.path for entry in access_log.entries(log, starts[name])] for name, log in logs.items()}
    assert seen == {"access": ["/let-in/"], "maintenance": ["/kept-out/"]}


@needs_nginx
@pytest.mark.parametrize("who", [ALLOWED, PROBE])
def test_who_is_let_in_gets_the_app(front, who):
    status, headers, body = front.ask(who)
    assert (status, headers["Retry-After"], json.loads(body)["X-Forwarded-For"]) == (200, None, who)


@needs_nginx
def test_the_probe_of_a_deploy_is_let_in(front):
    assert front.ask(PROBE, **{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"})[0] == 200


@needs_nginx
def test_nobody_is_let_in_for_an_address_that_is_forged(front):
    assert front.ask(STRANGER, **{"X-Forwarded-For": ALLOWED, "X-Real-IP": ALLOWED})[0] == 503


@needs_nginx
def test_a_503_of_the_app_itself_is_passed_on_as_it_is(front):
    status, headers, body = front.ask(ALLOWED, "/busy/")
    assert (status, headers["Retry-After"], json.loads(body)["Host"]) == (503, None, "shop.lab.test")
    front.open()
    assert front.ask(STRANGER, "/busy/")[::2] == (503, front.ask(STRANGER)[2])


@needs_nginx
def test_closing_and_opening_count_at_once_on_a_connection_that_stays(fronts):
    for front in fronts.values():
        connection, statuses = front.connect(STRANGER), []
        for change in (front.close, front.open, front.close, front.open):
            change()
            statuses.append(front.ask(STRANGER, method="POST", connection=connection)[0])
        assert statuses == [503, 200, 503, 200]


@needs_nginx
def test_a_balancer_that_is_open_passes_on_what_a_closed_host_says(fronts):
    fronts["app"].close()
    status, headers, body = fronts["balancer"].ask(STRANGER)
    assert (status, headers["Retry-After"], body) == (503, "300", PAGE)
    assert fronts["balancer"].ask(ALLOWED)[0] == 200


@needs_nginx
def test_what_a_certificate_authority_asks_for_is_still_answered(front):
    place = front.folder.parent / ".well-known/acme-challenge"
    place.mkdir(parents=True, exist_ok=True)
    (place / "word").write_text("proof")
    assert front.ask(STRANGER, "/.well-known/acme-challenge/word")[::2] == (200, b"proof")


@needs_nginx
def test_the_page_has_no_address_of_its_own(front):
    assert front.ask(STRANGER, "/.slipway/maintenance.html")[0] == 404


@pytest.fixture
def apply(tmp_path, call):
    """``apply("on", ["203.0.113.7"])``: what is changed by these states of lb1, with /srv in another place."""

    def apply_states(file, allow=(), closed_for="maintenance", **options):
        pillar = {**LAB, "only": "shop", "allow": list(allow), "closed_for": closed_for}
        path = str(TREE / f"salt/maintenance/{file}.sls")
        text = str(call(pillar, "lb1", "slsutil.renderer", path, default_renderer="jinja"))
        states = yaml.safe_load(text.replace("/srv/", f"{tmp_path}/srv/"))
        results = call(pillar, "lb1", "state.high", dict(map(_long, states.items())), **options)
        assert {result["__id__"] for result in results.values()} == set(states)
        failed = [result["__id__"] for result in results.values() if result["result"] is False]
        return failed or {result["__id__"] for result in results.values() if result["changes"]}

    return apply_states


@pytest.fixture
def provisioned(apply):
    """The same after a highstate."""
    assert apply("init", test=True) == apply("init") == {"shop-maintenance", "shop-maintenance-page"}
    return apply


def _long(state):
    """A state as ``state.high`` takes it: ``file.managed: [...]`` is ``file: [managed, ...]`` there."""
    id, body = state
    ((function, arguments),) = body.items()
    module, name = function.split(".")
    return id, {module: [name, *arguments], "__sls__": "maintenance"}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "srv/shop/maintenance"


def let_in(folder):
    return {file.name for file in (folder / "allowed").iterdir()}


def test_an_app_is_closed_but_for_this_host_and_those_who_are_named(provisioned, folder):
    assert provisioned("on", ["203.0.113.7", "2001:DB8:0::7"]) == {"shop-let-in", "shop-closed"}
    assert (folder / "on").exists()
    assert let_in(folder) == {"127.0.0.1", "203.0.113.7", "2001:db8::7"}
    assert (folder / "page.html").read_bytes() == PAGE


def test_closing_what_is_closed_changes_nothing(provisioned):
    provisioned("on", ["203.0.113.7"])
    assert provisioned("on", ["203.0.113.7"], test=True) == provisioned("on", ["203.0.113.7"]) == set()


def test_a_second_list_replaces_the_first(provisioned, folder):
    provisioned("on", ["203.0.113.7"])
    assert provisioned("on", ["203.0.113.8"]) == {"shop-let-in", "shop-nobody-else"}
    assert let_in(folder) == {"127.0.0.1", "203.0.113.8"}


def test_an_app_is_opened_and_nobody_is_remembered(provisioned, folder):
    provisioned("on", ["203.0.113.7"])
    assert provisioned("off") == {"shop-open", "shop-nobody-let-in"}
    assert not (folder / "on").exists()
    assert let_in(folder) == set()
    assert provisioned("off") == set()


@pytest.mark.parametrize(("before", "then"), [("off", "on"), ("on", "on"), ("on", "off"), ("off", "off")])
def test_test_mode_says_what_is_done_and_does_nothing(provisioned, folder, before, then):
    provisioned(before, ["203.0.113.7"])
    files = sorted(folder.rglob("*"))
    would = provisioned(then, ["203.0.113.8"], test=True)
    assert sorted(folder.rglob("*")) == files
    assert provisioned(then, ["203.0.113.8"]) == would


def test_the_file_says_whether_an_app_is_closed_for_a_restore_and_maintenance_by_hand_replaces_it(provisioned, folder):
    assert provisioned("on", closed_for="restore") == {"shop-let-in", "shop-closed"}
    assert (folder / "on").read_text() == f"{app_spec.CLOSED_BY}{app_spec.CLOSED_FOR_RESTORE}\n"
    assert provisioned("on", closed_for="restore") == set()
    assert provisioned("on") == {"shop-closed"}
    assert (folder / "on").read_text() == f"{app_spec.CLOSED_BY}\n"


@pytest.mark.parametrize("test", [True, False])
@pytest.mark.parametrize("file", ["on", "off"])
def test_where_no_web_server_would_look_nothing_is_closed_or_opened(apply, folder, file, test):
    assert "shop-provisioned" in apply(file, test=test)
    assert not folder.exists()


def test_a_highstate_leaves_a_closed_app_closed(provisioned, folder):
    provisioned("on", ["203.0.113.7"])
    assert provisioned("init") == set()
    assert (folder / "on").exists()
    assert let_in(folder) == {"127.0.0.1", "203.0.113.7"}
