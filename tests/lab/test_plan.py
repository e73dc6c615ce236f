"""The plan says what a deploy would do, and nothing has changed afterwards."""

import json
import shlex

import pytest

SERVER = "/srv/git/shop.git"
MIGRATION = "catalogue.0003_origin_and_gift"


@pytest.fixture(scope="module")
def before_v2(provisioned):
    """v1 on both hosts and in the database, and v2 as ``v2-unseen``, which no host has staged."""
    site = provisioned
    again = f"git -C {SERVER} tag -f v2-unseen $(git -C {SERVER} commit-tree -p v2 -m again 'v2^{{tree}}')"
    site.lab.run("master", ["sh", "-ec", again])
    site.must_deploy("v2")
    spec = site.salt("web1", "apps.spec", "shop")["web1"]
    variables = " ".join(shlex.quote(f"{name}={value}") for name, value in spec["variables"].items())
    back = f"cd {spec['paths']['current']}/ && runuser -u {spec['user']} -- env {variables} .venv/bin/python manage.py"
    site.lab.run("web1", ["sh", "-ec", f"{back} migrate --no-input catalogue 0002"])
    site.must_deploy("v1")
    yield site
    site.lab.run("master", ["git", "-C", SERVER, "tag", "-d", "v2-unseen"])


def everything(site):
    """What lies in the app's home (but for the sockets of its processes), beside it, and in the ledger's folder."""
    listing = "find /srv/shop -path /srv/shop/run -prune -o -printf '%p %i %s %T@\\n'; ls -A /srv"
    ledgers = "find /var/lib/slipway -printf '%p %i %s %T@\\n'"
    web1 = site.lab.run("web1", ["sh", "-ec", listing]).stdout
    return sorted(web1.splitlines()), sorted(site.lab.run("master", ["sh", "-ec", ledgers]).stdout.splitlines())


def test_the_plan_names_the_migration_the_dump_and_the_way_back_and_touches_nothing(before_v2):
    site = before_v2
    before = everything(site)
    words = site.run_runner("rollout.plan", "shop", "v2-unseen")
    assert words.returncode == 0, words.stdout + words.stderr
    lines = dict(line.split(": ", 1) for line in words.stdout.splitlines() if ": " in line)
    assert lines["activate-1"] == "web1"
    assert lines["migrations"].startswith(MIGRATION)
    assert lines["requirements"] == "as they are"
    assert lines["dump"] == "shop on db1, before the migrations"
    assert lines["way back"].startswith(f"v1 ({site.commit('v1')})")
    assert everything(site) == before


def test_test_mode_says_the_same_and_touches_nothing(before_v2):
    site = before_v2
    before = everything(site)
    pillar = json.dumps({"app": "shop", "revision": "v2-unseen"})
    done = site.run_runner("state.orchestrate", "orch.deploy", f"pillar={pillar}", "test=True", "--out=json")
    assert done.returncode == 0, done.stdout[-6000:]
    (steps,) = json.loads(done.stdout[done.stdout.index("{") :])["data"].values()
    comments = {step["__id__"]: step["comment"] for step in steps.values()}
    assert f"migrations: {MIGRATION}" in comments["plan"]
    assert f"way back: v1 ({site.commit('v1')})" in comments["plan"]
    assert everything(site) == before


def test_a_plan_of_what_does_not_exist_says_so_and_fails(serving_v1):
    planned = serving_v1.run_runner("rollout.plan", "shop", "v99")
    assert planned.returncode == 1
    assert "problem: web1: git://" in planned.stdout
    assert "has no tag, branch or commit 'v99'" in planned.stdout
