"""No secret is found where it does not belong; no host gets what is not its own."""

import pytest
import yaml
from conftest import HOSTS, TREE


def secret_values():
    """Every value below pillar/secrets."""

    def leaves(value):
        if isinstance(value, dict):
            for below in value.values():
                yield from leaves(below)
        elif isinstance(value, str):
            yield value

    found = {
        leaf for path in (TREE / "pillar/secrets").rglob("*.sls") for leaf in leaves(yaml.safe_load(path.read_text()))
    }
    assert found, "pillar/secrets holds no secret: this test would look for nothing"
    return found


# Where Salt itself keeps compiled pillar (FACTS: "Pillar lies in clear on disk"), and the app's own files.
ALLOWED = ("/etc/shop/", "/srv/slipway-pillar/", "/srv/slipway/")
LOOK_IN = ("/var/log", "/var/lib", "/etc", "/srv", "/run", "/tmp", "/var/tmp", "/var/cache/salt/master/jobs")


@pytest.mark.parametrize("host", ["master", *HOSTS])
def test_no_secret_lies_in_a_file_of_a_host_but_its_own(serving_v1, host):
    for secret in secret_values():
        done = serving_v1.lab.run(host, ["grep", "-rlsF", "-D", "skip", "-e", secret, *LOOK_IN], check=False)
        found = [path for path in done.stdout.splitlines() if not path.startswith(ALLOWED)]
        assert found == [], f"a secret of {len(secret)} characters"


@pytest.mark.parametrize("host", ["master", *HOSTS])
def test_no_secret_is_in_a_process_title_or_a_foreign_environment(serving_v1, host):
    titles = serving_v1.lab.run(host, ["sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'"])
    assert [value for value in secret_values() if value in titles.stdout] == []


def test_no_secret_is_in_the_output_of_a_deploy_nor_on_the_event_bus(serving_v1):
    site = serving_v1
    listen = "exec timeout 300 salt-run state.event >/run/events.txt 2>&1 </dev/null"
    site.lab.run("master", ["systemd-run", "--unit=slipway-events", "sh", "-c", listen])
    outputs = [site.deploy(revision) for revision in ("v2", "broken-migration", "broken-import", "v1")]
    site.lab.run("master", ["systemctl", "stop", "slipway-events"])
    events = site.lab.run("master", ["cat", "/run/events.txt"]).stdout
    assert "salt/job/" in events
    text = events + "".join(done.stdout + done.stderr for done in outputs)
    assert [value for value in secret_values() if value in text] == []


def test_the_logs_of_a_minion_at_debug_level_hold_no_secret(serving_v1):
    done = serving_v1.lab.run("web1", ["salt-call", "-l", "all", "state.apply"], check=False, timeout=300)
    text = done.stdout + done.stderr
    assert "shop" in text
    assert [value for value in secret_values() if value in text] == []


@pytest.mark.parametrize("path", ["pillar/secrets/shop.sls", "../pillar/secrets/shop.sls", "tests/lab/conftest.py"])
def test_the_file_server_serves_the_tree_and_nothing_beside_it(serving_v1, path):
    assert serving_v1.salt("web1", "cp.get_file_str", f"salt://{path}")["web1"] is False
    assert "def " in serving_v1.salt("web1", "cp.get_file_str", "salt://_modules/apps.py")["web1"]


def test_the_database_host_gets_no_secret_of_the_app_and_the_balancer_none_at_all(serving_v1):
    # Not pillar.items, which shows ********** for every value.
    assert "SECRET_KEY" not in str(serving_v1.salt("db1", "pillar.raw")["db1"])
    balancer = str(serving_v1.salt("lb1", "pillar.raw")["lb1"])
    assert [value for value in secret_values() if value in balancer] == []


@pytest.mark.parametrize(("host", "other"), [("lb1", "web1"), ("web1", "db1"), ("db1", "web1")])
def test_a_host_that_calls_itself_another_gets_no_secret(serving_v1, host, other):
    argv = ["salt-call", f"--id={other}", "--out=json", "pillar.raw"]
    done = serving_v1.lab.run(host, argv, check=False, timeout=60)
    assert [value for value in secret_values() if value in done.stdout] == []


def test_the_secrets_file_belongs_to_root_and_is_read_by_the_app_alone(serving_v1):
    done = serving_v1.lab.run("web1", ["stat", "-c", "%U:%G %a", "/etc/shop/secrets.json"])
    assert done.stdout.strip() == "root:shop 640"
