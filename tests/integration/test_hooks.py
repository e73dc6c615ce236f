"""Hooks around orchestrations, and the messages about them, on a real master with real minions."""

import contextlib
import getpass
import http.server
import json
import threading
from types import SimpleNamespace

import pytest
from conftest import QUESTIONS, assert_nothing_is_left_open, comment, release, results

HOOKS = {
    "before_deploy": ["python manage.py pause"],
    "after_deploy": ["python manage.py clear_cache", "touch '/tmp/a b'"],
    "on_failure": ["python manage.py resume"],
}
STEPS = tuple(HOOKS)


@pytest.fixture
def hooked(fleet):
    with fleet.pillar(hooks=HOOKS):
        yield fleet


def ran(fleet):
    return [(entry["step"], entry["command"]) for entry in fleet.details("web1", *STEPS)]


@pytest.fixture(scope="module")
def twice(daemons, tmp_path_factory):
    """A deploy with a pending migration, and the same once more: what test mode said, what was done, and seen then."""
    daemons.reset()
    runs = []
    with daemons.pillar(hooks=HOOKS):
        for pending in (["shop.0002"], []):
            daemons.script("web1", pending={"pending": pending})
            planned = daemons.deploy("two", "test=True")
            daemons.forget_log()
            done, then = daemons.deploy("two"), tmp_path_factory.mktemp("deployed")
            runs.append(SimpleNamespace(planned=planned, done=done, then=daemons.as_it_is(then)))
    return runs


def test_hooks_run_on_the_first_host_before_the_migrations_and_after_the_ledger_has_the_release(twice):
    done, hooked = twice[0].done, twice[0].then
    assert done.returncode == 0, done.stdout
    log = hooked.log("resolve", "preflight")
    assert sorted(log[:2]) == ["stage web1", "stage web2"]
    assert log[2:6] == ["examine web1", "before_deploy web1", "pending web1", "dump db1"]
    assert log[6:9] == ["migrate web1", "activate web1", "activate web2"]
    assert sorted(log[9:11]) == ["settle web1", "settle web2"]
    assert log[11:13] == ["after_deploy web1", "after_deploy web1"]
    first, *_, last = hooked.details("web1", *STEPS)
    assert (first["folder"], first["user"]) == (f"/srv/shop/releases/{release('two')['id']}", "shop")
    assert first["told"] == {
        "SLIPWAY_APP": "shop",
        "SLIPWAY_REVISION": "two",
        "SLIPWAY_RELEASE": release("two")["id"],
        "SLIPWAY_COMMAND": "deploy",
        "SLIPWAY_PHASE": "before_deploy",
        "SLIPWAY_WHO": hooked.ledger()["history"][0]["who"],
    }
    assert last["command"] == ["touch", "/tmp/a b"]


def test_test_mode_says_of_hooks_what_a_deploy_then_does(twice):
    for run, changes in zip(twice, (True, False), strict=True):
        planned, done = results(run.planned), results(run.done)
        for step in ("before-deploy", "record", "after-deploy"):
            assert planned[step]["changes"] == done[step]["changes"]
            assert bool(done[step]["changes"]) == changes
        assert len(ran(run.then)) == (3 if changes else 0)


def test_hooks_run_for_a_deploy_of_what_is_deployed_when_a_host_serves_something_else(hooked):
    hooked.was_deployed("two")
    hooked.call("web2", "doubles.serve", "shop", "blue", release("one")["id"])
    before = len(ran(hooked))
    assert hooked.deploy("two").returncode == 0
    assert len(ran(hooked)) - before == 3


def test_a_hook_that_fails_before_the_deploy_stops_it_and_the_hook_of_failures_runs_in_what_serves(hooked):
    hooked.script("web1", before_deploy={"fail": "python manage.py pause failed (exit code 1): no"})
    done = hooked.deploy("two")
    assert done.returncode == 1
    assert comment(done).endswith(
        "the step before-deploy failed: web1: python manage.py pause failed (exit code 1): no"
    )
    assert "web1 ran: python manage.py resume" in comment(done)
    assert hooked.log(*QUESTIONS, "stage") == ["before_deploy web1", "on_failure web1"]
    [after] = hooked.details("web1", "on_failure")
    assert (after["folder"], after["told"]["SLIPWAY_REVISION"]) == ("/srv/shop/current", "two")
    assert hooked.serving() == ["one", "one"]
    assert hooked.ledger()["history"][-1]["result"] == "failed"
    assert_nothing_is_left_open(hooked)


def test_a_hook_of_failures_that_fails_is_told_beside_the_reason(hooked):
    hooked.script("web1", on_failure={"fail": "resume is broken"})
    hooked.script("web2", activate={"fail": "boom"})
    done = hooked.deploy("two")
    assert "a hook of a failure failed itself: web1: resume is broken" in comment(done)
    assert comment(done).endswith("boom")
    assert hooked.serving() == ["one", "one"]
    assert_nothing_is_left_open(hooked)


def test_a_hook_that_fails_after_the_deploy_is_told_and_takes_nothing_back(hooked):
    hooked.script("web1", after_deploy={"fail": "the cache is not reached"})
    done = hooked.deploy("two")
    assert done.returncode == 1
    assert "the release is deployed on every host; what failed came after that" in comment(done)
    assert comment(done).endswith("the step after-deploy failed: web1: the cache is not reached")
    assert hooked.serving() == ["two", "two"]
    assert {"retire web1", "retire web2"} <= set(hooked.log())
    assert "on_failure web1" not in hooked.log()
    assert hooked.ledger()["deployed"] == release("two")
    assert_nothing_is_left_open(hooked)


def test_a_rollback_runs_the_same_hooks_and_says_that_it_is_one(hooked):
    hooked.was_deployed("one", "two")
    before = len(ran(hooked))
    assert hooked.rollback().returncode == 0
    told = [entry["told"] for entry in hooked.details("web1", *STEPS)[before:]]
    assert {entry["SLIPWAY_COMMAND"] for entry in told} == {"rollback"}
    assert [entry["SLIPWAY_PHASE"] for entry in told] == ["before_deploy", "after_deploy", "after_deploy"]
    assert {entry["SLIPWAY_REVISION"] for entry in told} == {"one"}


@contextlib.contextmanager
def webhook():
    """A chat of this process; yields its address and the messages that it gets."""
    posts = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/services/sesame", posts
        finally:
            server.shutdown()
            thread.join()


def test_deploys_and_failures_are_told_and_what_changes_nothing_is_not(fleet, tmp_path):
    file = tmp_path / "webhook"
    with webhook() as (address, posts), fleet.configured(slipway_notify={"webhook": {"url_file": str(file)}}):
        file.write_text(address)
        file.chmod(0o600)
        fleet.deploy("two")
        fleet.deploy("two")
        fleet.script("web2", activate={"fail": "boom"})
        fleet.deploy("three")
    assert [(post["revision"], post["result"]) for post in posts] == [("two", "deployed"), ("three", "failed")]
    assert posts[1]["reason"].splitlines()[0] == f"web1 serves {release('two')['id']} again"
    assert posts[1]["text"].endswith("web2 failed at the step activate-2: shop-activate: boom")


def test_a_message_that_nobody_takes_fails_no_deploy_and_keeps_the_address_to_itself(fleet, tmp_path):
    file = tmp_path / "webhook"
    file.write_text("http://127.0.0.1:1/services/sesame")
    file.chmod(0o600)
    mail = {"to": [f"{getpass.getuser()}@example.com"], "server": "127.0.0.1", "port": 1}
    with fleet.configured(slipway_notify={"mail": mail, "webhook": {"url_file": str(file)}}):
        done = fleet.deploy("two")
    assert done.returncode == 0
    assert comment(done).splitlines() == [
        "no mail was sent by 127.0.0.1: [Errno 111] Connection refused",
        "the webhook at 127.0.0.1 was not told: Connection refused",
    ]
    assert "sesame" not in done.stdout + done.stderr
    assert_nothing_is_left_open(fleet)
