"""No secret is found where it does not belong; no host gets what is not its own."""

import json
import subprocess

import pytest
import yaml
from conftest import BALANCER, HOSTS, SITE, wait_for


def secret_values(site):
    """Every value below the lab's pillar/secrets: a test may have rotated those of this tree."""

    def leaves(value):
        if isinstance(value, dict):
            for below in value.values():
                yield from leaves(below)
        elif isinstance(value, str):
            yield value

    found = {
        leaf
        for path in (site.lab.folder / "pillar/secrets").rglob("*.sls")
        for leaf in leaves(yaml.safe_load(path.read_text()))
    }
    assert found, "pillar/secrets holds no secret: this test would look for nothing"
    return found


# The app's own files, and where the pillar is written. (A minion's cache, which holds its own, is not looked into.)
ALLOWED = ("/etc/shop/", "/srv/slipway-pillar/", "/srv/slipway/")
LOOK_IN = ("/var/log", "/var/lib", "/etc", "/srv", "/run", "/tmp", "/var/tmp", "/var/cache/salt/master")


@pytest.mark.parametrize("host", ["master", *HOSTS])
def test_no_secret_lies_in_a_file_of_a_host_but_its_own(serving_v1, host):
    for secret in secret_values(serving_v1):
        done = serving_v1.lab.run(host, ["grep", "-rlsF", "-D", "skip", "-e", secret, *LOOK_IN], check=False)
        found = [path for path in done.stdout.splitlines() if not path.startswith(ALLOWED)]
        assert found == [], f"a secret of {len(secret)} characters"


@pytest.mark.parametrize("host", ["master", *HOSTS])
def test_no_secret_is_in_a_process_title_or_a_foreign_environment(serving_v1, host):
    titles = serving_v1.lab.run(host, ["sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'"])
    assert [value for value in secret_values(serving_v1) if value in titles.stdout] == []


# Every argument that any process has, each once, for as long as it runs.
TITLES = (
    "while sleep 0.1; do cat /proc/[0-9]*/cmdline 2>/dev/null; done | stdbuf -oL tr '\\0' '\\n'"
    " | awk '!seen[$0]++ { print; fflush() }' >/run/titles.txt"
)
WORKING = ("master", "web1", "db1")


@pytest.fixture
def listening(serving_v1):
    """
    The master's log at debug level and its event bus go to files, and what processes are called on the hosts that work
    at a deploy, as long as the test runs.
    """
    site = serving_v1
    site.lab.run("master", ["sh", "-c", "echo 'log_level_logfile: debug' >/etc/salt/master.d/debug.conf"])
    site.lab.run("master", ["systemctl", "restart", "salt-master"])
    wait_for(lambda: site.salt(HOSTS, "test.ping", timeout=5) == dict.fromkeys(HOSTS, True), 60)
    listen = "exec timeout 300 salt-run state.event >/run/events.txt 2>&1 </dev/null"
    site.lab.run("master", ["systemd-run", "--unit=slipway-events", "sh", "-c", listen])
    for host in WORKING:
        site.lab.run(host, ["systemd-run", "--unit=slipway-titles", "sh", "-c", TITLES])
    yield site
    site.lab.run("master", ["systemctl", "stop", "slipway-events"])
    for host in WORKING:
        site.lab.run(host, ["systemctl", "stop", "slipway-titles"])
    site.lab.run("master", ["rm", "/etc/salt/master.d/debug.conf"])
    site.lab.run("master", ["systemctl", "restart", "salt-master"])
    wait_for(lambda: site.salt(HOSTS, "test.ping", timeout=5) == dict.fromkeys(HOSTS, True), 60)


def test_no_secret_is_told_by_deploys_good_or_bad_nor_on_the_event_bus_in_the_masters_log_or_a_process_title(listening):
    site = listening
    # As people type it; the others are forked from a process that has another title.
    pillar = json.dumps({"app": "shop", "revision": "v2"})
    outputs = [site.lab.run("master", ["salt-run", "state.orchestrate", "orch.deploy", f"pillar={pillar}"])]
    outputs += [site.deploy(revision) for revision in ("broken-migration", "broken-import", "v1")]
    titles = {host: site.lab.run(host, ["cat", "/run/titles.txt"]).stdout for host in WORKING}
    assert all(word in titles["master"] for word in ("orch.deploy", pillar))
    assert all(word in titles[host] for host, word in (("web1", "gunicorn"), ("db1", "postgres")))
    events = site.lab.run("master", ["cat", "/run/events.txt"]).stdout
    log = site.lab.run("master", ["cat", "/var/log/salt/master"]).stdout
    assert "salt/job/" in events
    assert "[DEBUG   ]" in log
    text = events + log + "".join([*titles.values(), *(done.stdout + done.stderr for done in outputs)])
    assert [value for value in secret_values(site) if value in text] == []


# Of both logins: a rotation may have been here.
OTHER_PASSWORD = r"""
SELECT format('ALTER ROLE %I PASSWORD %L', rolname, 'another-one')
FROM pg_roles WHERE rolname IN ('shop', 'shop-2') \gexec
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('shop', 'shop-2');
"""


def test_no_secret_is_told_when_the_database_refuses_the_password_nor_on_the_error_page(serving_v1):
    site = serving_v1
    site.lab.run("db1", ["runuser", "-u", "postgres", "--", "psql", "-v", "ON_ERROR_STOP=1"], input=OTHER_PASSWORD)
    try:
        page = subprocess.run(
            ["curl", "-sS", "--max-time", "10", "-i", "-H", f"Host: {SITE}", f"http://{BALANCER}/products/assam/"],
            capture_output=True,
            text=True,
        ).stdout
        refused = site.deploy("v2")
        log = site.lab.run("web1", ["sh", "-c", "cat /var/log/shop/*"]).stdout
    finally:
        # The state compares the verifier with the pillar's password.
        site.apply("db1")
    text = page + log + refused.stdout + refused.stderr
    assert " 500 " in page.splitlines()[0]
    assert refused.returncode == 1
    assert "password authentication failed" in text
    assert [value for value in secret_values(site) if value in text] == []
    assert site.health()["release"] == site.commit("v1")


@pytest.mark.parametrize("host", ["web1", "db1", "master"])
def test_no_process_that_holds_a_secret_leaves_its_memory_in_a_file_when_it_crashes(serving_v1, host):
    # Not the shell that looks.
    holders = "[s]upervisord|[g]unicorn|salt-[m]inion|salt-[m]aster"
    script = f"for pid in $(pgrep -f '{holders}'); do grep -H 'core file' /proc/$pid/limits; done"
    limits = serving_v1.lab.run(host, ["sh", "-c", script]).stdout.splitlines()
    assert limits
    assert [line for line in limits if line.split()[-3:-1] != ["0", "0"]] == []


def test_no_secret_is_in_the_name_of_a_file(serving_v1):
    for host in ("master", *HOSTS):
        names = serving_v1.lab.run(host, ["find", "/", "-xdev", "-not", "-path", "/proc/*"], check=False).stdout
        assert [value for value in secret_values(serving_v1) if value in names] == [], host


def test_the_logs_of_a_minion_at_debug_level_hold_no_secret(serving_v1):
    done = serving_v1.lab.run("web1", ["salt-call", "-l", "all", "state.apply"], check=False, timeout=300)
    text = done.stdout + done.stderr
    assert "shop" in text
    assert [value for value in secret_values(serving_v1) if value in text] == []


@pytest.mark.parametrize(("host", "program"), [("master", "salt-master"), ("web1", "salt-minion")])
def test_the_cache_of_salt_is_for_root_alone_also_where_it_was_open_before(serving_v1, host, program):
    lab, folder = serving_v1.lab, f"/var/cache/salt/{program.removeprefix('salt-')}"
    assert lab.run(host, ["stat", "-c", "%a", folder]).stdout.strip() == "700"
    lab.run(host, ["chmod", "755", folder])
    lab.run(host, ["systemctl", "restart", program])
    wait_for(lambda: serving_v1.salt(HOSTS, "test.ping", timeout=5) == dict.fromkeys(HOSTS, True), 60)
    assert lab.run(host, ["stat", "-c", "%a", folder]).stdout.strip() == "700"


@pytest.mark.parametrize("path", ["pillar/secrets/shop.sls", "../pillar/secrets/shop.sls", "tests/lab/conftest.py"])
def test_the_file_server_serves_the_tree_and_nothing_beside_it(serving_v1, path):
    assert serving_v1.salt("web1", "cp.get_file_str", f"salt://{path}")["web1"] is False
    assert "def " in serving_v1.salt("web1", "cp.get_file_str", "salt://_modules/apps.py")["web1"]


def test_the_database_host_gets_no_secret_of_the_app_and_the_balancer_none_at_all(serving_v1):
    # Not pillar.items, which shows ********** for every value.
    assert "SECRET_KEY" not in str(serving_v1.salt("db1", "pillar.raw")["db1"])
    balancer = str(serving_v1.salt("lb1", "pillar.raw")["lb1"])
    assert [value for value in secret_values(serving_v1) if value in balancer] == []


@pytest.mark.parametrize(("host", "other"), [("lb1", "web1"), ("web1", "db1"), ("db1", "web1")])
def test_a_host_that_calls_itself_another_gets_no_secret(serving_v1, host, other):
    argv = ["salt-call", f"--id={other}", "--out=json", "pillar.raw"]
    done = serving_v1.lab.run(host, argv, check=False, timeout=60)
    assert [value for value in secret_values(serving_v1) if value in done.stdout] == []


def test_the_secrets_file_belongs_to_root_and_is_read_by_the_app_alone(serving_v1):
    done = serving_v1.lab.run("web1", ["stat", "-c", "%U:%G %a", "/etc/shop/secrets.json"])
    assert done.stdout.strip() == "root:shop 640"
