"""Staging beside production on one host, in a lab of its own: its very release is promoted."""

import json
import subprocess

import pytest
from conftest import SITE, Site, changed, failed, own_pillar
from test_docs import commands, missing, run

from lab import Lab

NET = "10.213.16"
ADDRESS = f"{NET}.11"
INVENTORY = f"web1: {{address: {ADDRESS}, roles: [app, database]}}\n"
STAGING = "staging.lab.test"
ENVIRONMENTS = "    environments: {staging: {workers: 1, threads: 2, keep_warm: 0, variables: {WHERE: staging}}}\n"
LIKE = f"""
  shop-staging:
    like: shop
    environment: staging
    revision: v2
    domains: [{STAGING}]
"""
SECRETS = {
    "secrets/shop-staging.sls": {"secrets": {"shop-staging": {"SECRET_KEY": "staging-" * 8}}},
    "secrets/shop-staging_database.sls": {"passwords": {"database": {"shop-staging": "word-of-staging"}}},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A host that was provisioned for both, with v1 in production."""
    pillar = own_pillar(tmp_path_factory.mktemp("environments") / "pillar", INVENTORY, NET)
    with open(pillar / "apps/shop.sls", "a") as app:
        app.write(ENVIRONMENTS + LIKE)
    for name, secrets in SECRETS.items():
        (pillar / name).write_text(json.dumps(secrets))
    lab = Lab(name="envtest", pillar=pillar, prefix=NET)
    try:
        lab.up()
        site = Site(lab)
        done = site.provision()
        assert done.returncode == 0, done.stdout[-6000:]
        site.must_deploy("v1")
        yield site
    finally:
        lab.down()


def served(domain):
    done = subprocess.run(["curl", "-sS", "-H", f"Host: {domain}", f"http://{ADDRESS}/healthz/"], capture_output=True)
    return json.loads(done.stdout)


def test_the_release_of_staging_is_tried_there_and_then_promoted_as_the_page_says(site):
    first, second = commands("docs/environments.md")
    for command, production in ((first, "v1"), (second, "v2")):
        done = run(site, command)
        assert (done.returncode, missing(command, done)) == (0, []), done.stdout + done.stderr
        assert served(STAGING) == {"release": site.commit("v2"), "database": "ok"}
        assert served(SITE) == {"release": site.commit(production), "database": "ok"}


def test_each_has_its_own_user_secrets_and_size(site):
    spec = site.salt("web1", "apps.spec", "shop-staging")["web1"]
    assert (spec["user"], spec["settings"], spec["web"]["workers"]) == ("shop-staging", "shop.settings.production", 1)
    assert spec["variables"]["WHERE"] == "staging"
    read = site.lab.run("web1", ["runuser", "-u", "shop-staging", "--", "cat", "/etc/shop/secrets.json"], check=False)
    assert "Permission denied" in read.stderr


def test_a_second_run_changes_nothing_and_test_mode_agrees(site):
    assert changed(site.apply("web1", "test=True")) == set()
    again = site.apply("web1")
    assert (failed(again), changed(again)) == ({}, set())
