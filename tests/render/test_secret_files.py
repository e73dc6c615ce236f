"""
The pillar as Salt compiles it for every host of the example inventories, with a secret planted in every file of
pillar/secrets: a host gets those of its apps, databases, caches and roles, and no other's.
"""

import shutil

import pytest
import salt.config
import salt.pillar
import yaml
from conftest import HOSTS, INVENTORIES, TREE, inventory

APPS = yaml.safe_load((INVENTORIES[0].parent / "many.yaml").read_text(encoding="utf-8"))["apps"]


class Tree:
    """A pillar folder with the tree's own top file, and what Salt makes of it."""

    def __init__(self, folder, hosts, apps):
        self.folder = folder / "pillar"
        self._opts = salt.config.master_config(None)
        self._opts.update(
            root_dir=str(folder), cachedir=str(folder / "cache"), extension_modules=str(folder / "extmods")
        )
        self._opts.update(file_roots={"base": [str(folder)]}, pillar_roots={"base": [str(self.folder)]})
        self._opts.update(module_dirs=[str(TREE)], pillar_source_merging_strategy="recurse")
        for name in ("top.sls", "hosts.sls"):
            (self.folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(TREE / "pillar" / name, self.folder)
        self.write("hosts.yaml", hosts)
        self.write("apps/init.sls", {"include": [f"apps.{name}" for name in apps]} if apps else {})
        for name, app in apps.items():
            self.write(f"apps/{name}.sls", {"apps": {name: app}})
            # For each app, also where it has no database or no cache: nobody is to get that one.
            self.write(f"secrets/{name}.sls", {"secrets": {name: {"SECRET_KEY": f"<key of {name}>"}}})
            self.write(f"secrets/{name}_database.sls", {"passwords": {"database": {name: f"<password of {name}>"}}})
            self.write(f"secrets/{name}_cache.sls", {"passwords": {"cache": {name: f"<cache word of {name}>"}}})
        for role in ("app", "database", "cache", "balancer"):
            self.write(f"secrets/role_{role}.sls", {f"of_role_{role}": f"<token of {role}>"})

    def write(self, name, values):
        """Write a file of the pillar: a mapping, or its text."""
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        text = values if isinstance(values, str) else yaml.safe_dump(values, sort_keys=False)
        file.write_text(text, encoding="utf-8")

    def pillar(self, host, grains=None, **sent):
        """What the master compiles for the minion that it knows as ``host``, with what the minion says and sends."""
        grains = {**(grains or {}), "id": host}
        return salt.pillar.get_pillar(self._opts, grains, host, "base", **sent).compile_pillar()

    def secrets(self, host, *args, **sent):
        """The planted secrets in the pillar of ``host``."""
        shown = repr(self.pillar(host, *args, **sent))
        return {text for text in self._planted() if text in shown}

    def _planted(self):
        texts = [file.read_text(encoding="utf-8") for file in self.folder.glob("secrets/*.sls")]
        return {f"<{part.partition('>')[0]}>" for text in texts for part in text.split("<")[1:]}


@pytest.fixture
def tree(tmp_path):
    """``tree(hosts, apps)``: a pillar folder with secrets planted for them."""
    return lambda hosts, apps: Tree(tmp_path, hosts, apps)


@pytest.fixture
def many(tree):
    """The inventory with several apps on several hosts."""
    pillar = inventory(INVENTORIES[0].parent / "many.yaml")
    return tree(pillar["hosts"], pillar["apps"])


def its_own(pillar, host):
    """The secrets that ``host`` must have, as docs/pillar.md says it."""
    hosts = pillar["hosts"]
    roles, services = ("app", "database", "cache"), {"database": "password", "cache": "cache word"}
    with_role = {role: [name for name in hosts if role in hosts[name]["roles"]] for role in roles}
    needed = {f"<token of {role}>" for role in hosts[host]["roles"]}
    for name, app in pillar["apps"].items():
        runs_here = host in app.get("hosts", with_role["app"])
        needed |= {f"<key of {name}>"} if runs_here else set()
        for kind, word in services.items():
            service = app.get(kind, {} if with_role[kind] else "none")
            serves_it = service != "none" and host == service.get("host", with_role[kind][0])
            needed |= {f"<{word} of {name}>"} if serves_it or (runs_here and service != "none") else set()
    return needed


def ids(value):
    return getattr(value, "stem", value)


@pytest.mark.parametrize(("path", "host"), HOSTS, ids=ids)
def test_a_host_gets_its_own_secrets_and_no_other(tree, path, host):
    pillar = inventory(path)
    assert tree(pillar["hosts"], pillar["apps"]).secrets(host) == its_own(pillar, host)


@pytest.mark.parametrize(("path", "host"), HOSTS, ids=ids)
def test_a_host_that_claims_to_be_another_gets_nothing_more(tree, path, host):
    pillar = inventory(path)
    hosts, planted = pillar["hosts"], tree(pillar["hosts"], pillar["apps"])
    for other in hosts:
        claim = dict.fromkeys(("id", "host", "fqdn", "nodename", "localhost", "minion_id", "master"), other)
        claim |= {"roles": hosts[other]["roles"], "fqdns": [other], "ipv4": [hosts[other]["address"]]}
        assert planted.secrets(host, claim) == its_own(pillar, host), other


# What `salt-call pillar.items pillar=... pillarenv=...` sends to the master.
@pytest.mark.parametrize(
    "sent",
    [
        {"pillar_override": {"hosts": {"lb1": {"address": "10.0.0.10", "roles": ["app", "database"]}}}},
        {"pillar_override": {"apps": {name: {"hosts": ["lb1"]} for name in APPS}}},
        {"pillar_override": {"apps": {name: {"database": {"host": "lb1"}} for name in APPS}}},
        {"pillar_override": {"include": [f"secrets.{name}" for name in APPS]}},
        {"pillarenv": "secrets"},
        {"pillarenv": "base"},
        {"ext": {"file_tree": {"root_dir": "/"}}},
    ],
    ids=["inventory", "hosts of apps", "hosts of databases", "include", "another environment", "base", "ext pillar"],
)
def test_a_host_that_sends_something_along_gets_nothing_more(many, sent):
    assert many.secrets("lb1", **sent) <= {"<token of balancer>"}


# web10 and WEB1 look like web1, and a name with a * would be a pattern were it not matched as a list.
@pytest.mark.parametrize("id", ["web10", "WEB1", "xweb1", "web1.example.com", "web3", "*", "web*", "web1,db1", "shop"])
def test_a_minion_that_the_inventory_does_not_name_gets_no_secret(many, id):
    assert many.secrets(id) == set()
    assert set(many.pillar(id)) == {"hosts", "apps"}


def test_an_app_without_secrets_leaves_those_of_the_others_where_they_are(many):
    for name in ("secrets/web-log.sls", "secrets/role_app.sls", "secrets/role_balancer.sls"):
        (many.folder / name).unlink()
    assert "_errors" not in many.pillar("web1")
    passwords = {f"<{word} of {app}>" for word in ("password", "cache word") for app in ("shop", "web-log")}
    assert many.secrets("web1") == {"<key of shop>", *passwords}


def test_a_secrets_file_that_is_broken_is_a_mistake_of_its_own_hosts_only(many):
    many.write("secrets/shop.sls", "secrets: {shop: {SECRET_KEY: '<key of shop>'")
    assert "secrets.shop" in str(many.pillar("web1")["_errors"])
    assert "_errors" not in many.pillar("web4")
    assert "<key of shop>" not in repr(many.pillar("web1"))


def test_a_secrets_file_may_have_a_renderer_of_its_own(many):
    many.write("secrets/shop.sls", "#!py\ndef run():\n    return {'secrets': {'shop': {'SECRET_KEY': '<made>'}}}\n")
    assert many.pillar("web2")["secrets"] == {"shop": {"SECRET_KEY": "<made>"}}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        # YAML reads it as a text and not as a list: not to be taken for "every host".
        ("apps/shop.sls", "apps: {shop: {source: {path: /srv/shop}, revision: v1, domains: [a.b], hosts: web2}}"),
        ("apps/shop.sls", "apps: {shop: {source: {path: /srv/shop}, revision: v1, domains: [a.b], hosts: [web9]}}"),
        ("apps/shop.sls", "apps: {shop: "),
        ("apps/init.sls", "include: [apps.shop, apps.none]"),
        ("hosts.yaml", "lb1: {address: 10.0.0.10, roles: [app, databse]}"),
    ],
    ids=["a text for a list", "an unknown host", "no YAML", "a missing app", "an unknown role"],
)
def test_with_a_mistake_in_the_apps_or_the_inventory_nobody_gets_a_secret(many, file, text):
    many.write(file, text)
    assert [host for host in ("lb1", "web1", "web2", "web4", "db1") if many.secrets(host)] == []


def test_a_mistake_in_an_app_is_still_in_the_pillar_for_everybody_to_be_told(many):
    app = {"source": {"path": "/srv/shop"}, "revision": 1.1, "domains": ["shop.example.com"]}
    many.write("apps/shop.sls", {"apps": {"shop": app}})
    pillar = many.pillar("web1")
    assert "_errors" not in pillar
    assert pillar["apps"]["shop"]["revision"] == 1.1
