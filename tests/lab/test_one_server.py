"""A server that was bare, as docs/one-server.md makes it one: Salt, PostgreSQL, app and Nginx, and no master."""

import dataclasses
import json
import re
import shutil
import subprocess

import pytest
from conftest import TREE, Site, by_id, changed, failed
from test_docs import FILE, commands, missing, run

from lab import Lab

PAGE = "docs/one-server.md"
NET = "10.213.14"
# What the master has: the server, and the host to which its database moves.
INVENTORY = f"""
server: {{address: {NET}.20, roles: [app]}}
db1: {{address: {NET}.21, roles: [database]}}
"""
ON_SERVER, ON_MASTER = ([one for one in commands(PAGE) if one.where == where] for where in ("server", "master"))
TYPED = "typed by somebody at the prompt"
# Salt, uv and all that the lab's image has of them.
BARE = "systemctl disable --now salt-minion; rm -rf /opt/salt /usr/local/bin/salt* /etc/salt /etc/systemd/system/salt-*"


class Server:
    def __init__(self, lab):
        self.lab = lab

    def run(self, *argv, **options):
        return self.lab.run("server", list(argv), **options)

    def sh(self, text, **options):
        return self.run("sh", "-c", text, **options)

    def apply(self, *arguments):
        done = self.run("salt-call", "--out=json", "state.apply", *arguments, check=False)
        return by_id(json.loads(done.stdout)["local"])

    def secrets(self):
        return json.loads(self.run("cat", "/etc/shop/secrets.json").stdout)

    def follow(self, page):
        """Run commands of the page, and compare what they print with what it shows."""
        for command in page:
            done = run(self, command)
            assert bool(done.returncode) == command.fails, f"{command.text}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
            assert missing(command, done) == [], f"{command.text}\n{done.stdout[-4000:]}"

    def health(self):
        done = self.sh("curl -sS -H 'Host: shop.example.com' http://127.0.0.1/healthz/")
        return json.loads(done.stdout)

    def orders(self, host="server"):
        """How many orders the database on a host has."""
        question = "SELECT count(*) FROM catalogue_order"
        argv = ["runuser", "-u", "postgres", "--", "psql", "--no-align", "--tuples-only", "shop", "-c", question]
        return int(self.lab.run(host, argv, timeout=60).stdout)

    def load(self, seconds):
        argv = ["python3", "-m", "lab.load", f"http://{NET}.20", "--host", "shop.example.com"]
        return subprocess.Popen([*argv, "--seconds", str(seconds)], cwd=TREE, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with nothing but Debian, the committed tree, and the files that the page has the reader write."""
    pillar = tmp_path_factory.mktemp("inventory") / "pillar"
    shutil.copytree(TREE / "pillar", pillar)
    files = dict(FILE.findall((TREE / PAGE).read_text(encoding="utf-8")))
    (pillar.parent / "pillar/apps/shop.sls").write_text(files["pillar/apps/shop.sls"])
    (pillar / "hosts.yaml").write_text(INVENTORY)
    lab = Lab(name="onetest", pillar=pillar, prefix=NET)
    try:
        lab.up()
        server = Server(lab)
        server.sh(BARE)
        root = lab.root("server")
        subprocess.run(["git", "archive", f"--output={root}/root/tree.tar", "HEAD"], cwd=TREE, check=True)
        server.sh("mkdir /srv/slipway; tar --extract --file /root/tree.tar --directory /srv/slipway")
        for name, text in files.items():
            (root / "srv/slipway" / name).write_text(text, encoding="utf-8")
        yield server
    finally:
        lab.down()


@pytest.fixture(scope="module")
def installed(server):
    server.follow(command for command in ON_SERVER if not re.search("apply|curl", command.text))
    return server


@pytest.fixture(scope="module")
def first_runs(installed):
    """What test=True says of the very first run, and what it does."""
    return installed.apply("test=True"), installed.apply()


@pytest.fixture(scope="module")
def applied(installed, first_runs):
    return installed


def test_a_first_run_in_test_mode_predicts_what_the_first_run_changes(first_runs):
    predicted, done = first_runs
    assert failed(predicted) == failed(done) == {}
    assert changed(predicted) == changed(done)


def test_every_command_of_the_page_does_what_it_says(applied):
    applied.follow(ON_SERVER)


def test_a_second_run_changes_nothing_and_test_mode_agrees(applied):
    assert changed(applied.apply("test=True")) == set()
    again = applied.apply()
    assert (failed(again), changed(again)) == ({}, set())


def test_on_a_terminal_it_is_told_meanwhile_which_state_runs(applied):
    shown = applied.sh("script --quiet --return --command 'make -C /srv/slipway apply' /dev/null").stdout
    assert re.search(r"\d s  /etc/nginx/nginx\.conf \.\.\.", shown), shown
    assert re.search(r"Failed: +0", shown)


def test_no_daemon_of_salt_is_left_running(applied):
    assert "salt" not in applied.run("ps", "-e", "-o", "args=").stdout


def test_a_changed_app_is_deployed_and_no_request_fails(applied):
    before = applied.health()["release"]
    with applied.load(120) as users:
        applied.sh("echo '# changed' >>/srv/slipway/examples/shop/catalogue/views.py")
        results = applied.apply()
        users.terminate()
        summary = json.loads(users.communicate()[0])
    assert failed(results) == {}
    assert applied.health()["release"] != before
    assert (summary["failed"], len(summary["releases"])) == (0, 2), summary["failures"]


def test_a_broken_app_gets_no_request_and_the_exit_code_says_so(applied):
    before = applied.health()["release"]
    applied.sh("cd /srv/slipway/examples/shop; cp shop/wsgi.py /root; echo 'import tea_analytics' >>shop/wsgi.py")
    done = applied.run("make", "-C", "/srv/slipway", "apply", check=False)
    assert done.returncode != 0
    assert "No module named 'tea_analytics'" in done.stdout
    assert applied.health()["release"] == before
    applied.sh("cp /root/wsgi.py /srv/slipway/examples/shop/shop/wsgi.py")
    assert failed(applied.apply()) == {}


def test_installing_again_keeps_salt_and_says_who_the_server_is(applied):
    before = applied.run("stat", "-c", "%Y", "/opt/salt").stdout
    done = applied.run("make", "-C", "/srv/slipway", "install")
    assert "server is ready" in done.stdout
    assert applied.run("stat", "-c", "%Y", "/opt/salt").stdout == before
    other = applied.run("make", "-C", "/srv/slipway", "install", "HOST=web7", check=False)
    assert other.returncode != 0
    assert "which host of /srv/slipway/pillar/hosts.yaml is this? make install HOST=..., one of: server" in other.stderr


def test_the_pillar_can_lie_elsewhere(applied):
    applied.sh("mv /srv/slipway/pillar /srv/pillar")
    try:
        done = applied.run("make", "-C", "/srv/slipway", "install", "PILLAR=/srv/pillar")
        assert "brings it to what /srv/pillar says" in done.stdout
        assert changed(applied.apply("test=True")) == set()
    finally:
        applied.sh("mv /srv/pillar /srv/slipway/pillar")
        applied.run("make", "-C", "/srv/slipway", "install")


@pytest.fixture
def own_secrets(applied):
    """Another state of the pillar's secrets, for a test; GnuPG, and a key for the git server."""
    applied.sh("apt-get install --yes --no-install-recommends gnupg")
    applied.sh(
        "cp -a /srv/slipway/pillar/secrets /root; ssh-keygen -q -t ed25519 -N '' -f /srv/slipway/shop_deploy_key"
    )
    yield applied
    applied.sh("cd /srv/slipway/pillar; rm -r secrets; mv /root/secrets .")
    assert failed(applied.apply()) == {}


def test_secrets_are_encrypted_as_their_page_says_and_the_app_goes_on_with_the_new_ones(own_secrets):
    before = own_secrets.secrets()
    for command in commands("docs/secrets.md"):
        own_secrets.follow([dataclasses.replace(command, where="server", text=as_typed(command.text))])
    assert failed(own_secrets.apply()) == {}
    now = own_secrets.secrets()
    assert now["MAIL_PASSWORD"] == TYPED
    assert all(len(now[key]) >= 50 and now[key] != before[key] for key in ("SECRET_KEY", "DATABASE_URL"))
    assert own_secrets.health()["database"] == "ok"
    shown = own_secrets.sh("cat /srv/slipway/pillar/secrets/*").stdout
    assert [value for value in now.values() if str(value) in shown] == []


def as_typed(text):
    """A command of the page, in the folder of the tree; where it asks somebody answers, as on a terminal."""
    if text.endswith("KEY=MAIL_PASSWORD"):
        answers = f"(sleep 1; echo '{TYPED}'; sleep 1; echo '{TYPED}')"
        text = f"{answers} | script --quiet --return --command '{text}' /dev/null"
    if text == "make secrets-check":
        file = "pillar/secrets/shop.sls"
        text = f"echo '    API_TOKEN: in-clear' >>{file}; {text}; code=$?; sed -i '$d' {file}; exit $code"
    return f"cd /srv/slipway; {text}"


def join(lab, host):
    """Let a host join as docs/hosts.md says; no SSH is between the hosts of the lab."""
    lab.run("master", ["salt-key", "--yes", "-d", host])
    script = lab.run("master", ["/srv/slipway/bin/join", host]).stdout
    told = lab.run(host, ["sh"], input=script).stdout
    done = lab.run("master", ["/srv/slipway/bin/join", host, told.split()[-1]], check=False)
    assert done.returncode == 0, told + done.stdout + done.stderr


def test_a_server_that_has_become_too_small_gets_a_master_and_another_host_gets_its_data(applied):
    site, before = Site(applied.lab), applied.health()["release"]
    order = ["-d", '{"product": "assam", "quantity": 1}', "-H", "Content-Type: application/json"]
    applied.run("curl", "-sSf", "-H", "Host: shop.example.com", *order, "http://127.0.0.1/orders/")
    orders = applied.orders()
    join(applied.lab, "server")
    ends = [command.text for command in ON_MASTER].index("salt-run state.orchestrate orch.provision") + 1
    applied.follow(ON_MASTER[:ends])
    # Visitors are kept out: nothing is written any more.
    (dump,) = (applied.lab.root("server") / "var/backups/slipway/shop").glob("*-move.dump")
    moved = applied.lab.root("db1") / "var/lib/postgresql/move.dump"
    shutil.copyfile(dump, moved)
    applied.lab.run("db1", ["chown", "postgres:", "/var/lib/postgresql/move.dump"])
    applied.follow(ON_MASTER[ends:])
    applied.run("systemctl", "stop", "postgresql")
    assert applied.health() == {"release": before, "database": "ok"}
    assert applied.orders("db1") == orders > 0
    for host in ("db1", "server"):
        again = site.apply(host)
        assert (failed(again), changed(again)) == ({}, set())
