"""Hooks of an app on its host, and what the master tells a chat: of the way to a release and back, and of drift."""

import json

import pytest
import yaml
from conftest import APP_HOSTS, TREE, failed, wait_for

URL = "http://127.0.0.1:8099/services/sesame"
FILES = {hook: f"/srv/shop/media/{hook}" for hook in ("before_deploy", "after_deploy")}
POSTS = "/run/slipway-webhook.jsonl"

# Notes what it gets, as a chat would.
CHAT = f"""
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        with open({POSTS!r}, "ab") as posts:
            posts.write(self.rfile.read(int(self.headers["Content-Length"])) + b"\\n")
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", 8099), Handler).serve_forever()
"""


@pytest.fixture
def hooked(serving_v1):
    """The shop with hooks that say who they are, where, and what they were told."""
    file = serving_v1.lab.folder / "pillar/apps/shop.sls"
    before = file.read_text(encoding="utf-8")
    script = 'echo $(id -un) $PWD $(python -c "import sys; print(sys.prefix)") $SLIPWAY_COMMAND $SLIPWAY_REVISION >'
    hooks = {hook: [f"sh -c '{script} {path}'"] for hook, path in FILES.items()}
    file.write_text(f"{before}\n    hooks: {json.dumps(hooks)}\n", encoding="utf-8")
    try:
        yield serving_v1
    finally:
        file.write_text(before, encoding="utf-8")
        serving_v1.lab.run("web1", ["rm", "-f", *FILES.values()])


@pytest.fixture
def chat(hooked):
    """What the chat on the master was told: a function."""
    lab, conf = hooked.lab, "/etc/salt/master.d/notify.conf"
    lab.run("master", ["systemd-run", "--unit=slipway-webhook", "python3", "-c", CHAT])
    lab.run("master", ["install", "-m", "600", "/dev/stdin", "/etc/salt/slipway-webhook"], input=URL)
    settings = {"slipway_notify": {"webhook": {"url_file": "/etc/salt/slipway-webhook"}}}
    lab.run("master", ["tee", conf], input=json.dumps(settings))
    listening = ["sh", "-c", "ss -ltn | grep -q 127.0.0.1:8099"]
    try:
        wait_for(lambda: lab.run("master", listening, check=False).returncode == 0, 10)
        # Before the first there is no file.
        posts = ["sh", "-c", f"cat {POSTS} 2>/dev/null"]
        yield lambda: [json.loads(line) for line in lab.run("master", posts, check=False).stdout.splitlines()]
    finally:
        lab.run("master", ["systemctl", "stop", "slipway-webhook"], check=False)
        lab.run("master", ["rm", "-f", conf, "/etc/salt/slipway-webhook", POSTS])


def said(site, hook):
    """What a hook wrote, and who owns the file."""
    done = site.lab.run("web1", ["sh", "-c", f"cat {FILES[hook]}; stat -c %U {FILES[hook]}"])
    words, owner = done.stdout.splitlines()
    return words.split(), owner


def test_hooks_run_as_the_app_in_the_new_release_and_a_chat_hears_of_the_way_there_and_back(hooked, chat):
    site = hooked
    site.must_deploy("tweak")
    for hook in FILES:
        (user, folder, prefix, *told), owner = said(site, hook)
        release = f"/srv/shop/releases/{site.commit('tweak')}"
        assert (user, owner, folder, told) == ("shop", "shop", release, ["deploy", "tweak"])
        assert prefix == f"{release}/.venv"
    back = site.run_runner("state.orchestrate", "orch.rollback", 'pillar={"app": "shop"}')
    assert back.returncode == 0, back.stdout[-6000:]
    assert said(site, "after_deploy")[0][-2:] == ["rollback", "v1"]
    assert [(post["revision"], post["result"]) for post in chat()] == [("tweak", "deployed"), ("v1", "rolled back")]
    assert "sesame" not in back.stdout + back.stderr


@pytest.fixture
def looks_soon(serving_v1):
    """The master looks for drift as it does each night, but every few seconds, once this is called."""
    lab, conf = serving_v1.lab, "/etc/salt/master.d/soon.conf"
    nightly = yaml.safe_load((TREE / "conf/master.conf").read_text(encoding="utf-8"))["schedule"]["drift"]
    soon = {key: value for key, value in nightly.items() if key != "when"} | {"seconds": 5}

    def begin():
        lab.run("master", ["tee", conf], input=json.dumps({"schedule": {"drift-soon": soon}}))
        lab.run("master", ["systemctl", "restart", "salt-master"])

    yield begin
    lab.run("master", ["rm", "-f", conf])
    lab.run("master", ["systemctl", "restart", "salt-master"])
    wait_for(lambda: all(serving_v1.salt(host, "test.ping", timeout=5).get(host) for host in APP_HOSTS), 90)


def test_what_was_changed_by_hand_is_told_by_the_masters_own_schedule_and_put_right_by_a_highstate(
    hooked, chat, looks_soon
):
    hooked.lab.run("web1", ["sh", "-c", "echo '# by hand' >>/etc/nginx/nginx.conf"])
    looks_soon()
    wait_for(lambda: any(post["result"] == "drifted" and "nginx-config" in post["reason"] for post in chat()), 90)
    # The next look may be at it: only then is there something to wait for.
    assert failed(hooked.apply("web1", "queue=True")) == {}
    assert "by hand" not in hooked.lab.run("web1", ["cat", "/etc/nginx/nginx.conf"]).stdout
