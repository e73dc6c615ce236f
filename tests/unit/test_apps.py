"""The execution module shows the spec of this host."""

import json
from pathlib import Path

import pytest
import yaml

import app_spec

INVENTORIES = Path(__file__).parents[1] / "render" / "inventories"
RELEASE = {"id": "1a2b3c4d5e6f", "commit": "1a2b3c4d5e6f" + "0" * 28}


class Resolver:
    """Stands for ``releases.resolve`` and remembers what it was asked."""

    def __init__(self):
        self.questions = []

    def __call__(self, source, revision, mirror):
        self.questions.append((source["url"], revision, mirror))
        return RELEASE


@pytest.fixture
def resolve():
    return Resolver()


@pytest.fixture
def apps(load, resolve):
    """``apps("web1")`` is the module on a host of an inventory."""

    def on_host(id, inventory="lab", **grains):
        pillar = yaml.safe_load((INVENTORIES / f"{inventory}.yaml").read_text())
        grains = {"id": id, "os": "Debian", "osrelease": "12", "num_cpus": 4, **grains}
        return load("_modules/apps.py", salt={"releases.resolve": resolve}, pillar=pillar, grains=grains, id=id)

    return on_host


def test_specs_are_those_of_this_host(apps):
    assert [app["name"] for app in apps("web1", "many").specs()] == ["shop", "web-log"]
    assert [app["name"] for app in apps("web2", "many").specs()] == ["shop"]
    assert apps("db1", "many").specs() == []


def test_specs_can_be_printed_as_json_and_hold_no_secret(apps):
    text = json.dumps(apps("web1").specs())
    assert "fake-for-local-testing" not in text


def test_without_a_ledger_the_revision_is_resolved_on_the_host(apps, resolve):
    [spec] = apps("web1").specs()
    assert spec["releases"][0]["path"] == "/srv/shop/releases/1a2b3c4d5e6f"
    assert resolve.questions == [("git://10.213.7.2/shop.git", "v1", "/srv/shop/source.git")]


def test_a_revision_is_resolved_once_a_run(apps, resolve):
    module = apps("web1")
    assert module.specs() == module.specs() == [module.spec("shop")]
    assert len(resolve.questions) == 1


def test_with_a_ledger_nothing_is_resolved(apps, resolve):
    [shop, _] = apps("web1", "many").specs()
    assert shop["releases"][0]["id"] == "1a2b3c4d5e6f"
    assert resolve.questions == []


def test_a_spec_of_an_app_that_is_elsewhere_says_where(apps):
    with pytest.raises(app_spec.SpecError, match="apps:shop:hosts: db1 is not one of them: ask web1, web2"):
        apps("db1").spec("shop")


def test_a_spec_of_an_app_that_is_nowhere_names_the_nearest(apps):
    with pytest.raises(app_spec.SpecError, match="apps: no app has the name 'shpo': did you mean 'shop'"):
        apps("web1").spec("shpo")


def test_a_minion_that_is_not_in_the_inventory_is_told(apps):
    with pytest.raises(app_spec.SpecError, match="hosts:web9: missing: add this minion's id to pillar/hosts.yaml"):
        apps("web9").specs()


def test_roles_and_hosts_are_those_of_the_inventory(apps):
    module = apps("web1")
    assert module.roles() == ["app"]
    assert module.hosts()[0] == {"name": "lb1", "address": "10.213.7.10", "roles": ["balancer"]}


def test_databases_are_those_that_this_host_serves(apps):
    assert apps("db1").databases() == [
        {
            "app": "shop", "name": "shop", "user": "shop", "logins": ["shop", "shop-2"],
            "address": "10.213.7.21", "port": 5432,
            "max_connections": 100,
            "clients": ["10.213.7.11", "10.213.7.12"], "version": "15",
        }
    ]  # fmt: skip
    assert apps("web1").databases() == []


def test_sites_are_on_balancers_only(apps):
    [site] = apps("lb1").sites()
    assert site["upstreams"] == [
        {"host": "web1", "address": "10.213.7.11"},
        {"host": "web2", "address": "10.213.7.12"},
    ]
    assert (site["app"], site["domains"]) == ("shop", ["shop.lab.test", "10.213.7.10"])
    assert apps("web1").sites() == []


def test_a_host_that_missed_what_is_deployed_is_no_upstream(apps):
    module = apps("lb1")
    module.__pillar__ = {**module.__pillar__, "skipped": {"shop": ["web2", "gone"]}}
    [site] = module.sites()
    assert site["upstreams"] == [{"host": "web1", "address": "10.213.7.11"}]
    assert site["skipped"] == [{"host": "web2", "address": "10.213.7.12"}]


def test_a_site_of_an_app_that_runs_on_the_balancer_itself_is_not_balanced(apps):
    assert apps("server1", "one").sites() == []


def test_caches_are_those_that_this_host_serves(apps):
    assert apps("db1").caches() == [
        {"app": "shop", "host": "db1", "address": "10.213.7.21", "port": 6379, "user": "shop", "prefix": "shop:"}
    ]
    assert apps("web1").caches() == apps("db2", "many").caches() == []
    assert [cache["app"] for cache in apps("cache1", "many").caches()] == ["web-log"]


@pytest.mark.parametrize(("host", "memory"), [("db1", 512), ("cache1", 3072), ("db2", None), ("web1", None)])
def test_a_cache_server_is_where_the_role_is_and_fills_what_the_pillar_says_or_what_there_is(apps, host, memory):
    found = apps(host, "many", mem_total=4096).cache_servers()
    assert [server["memory"] for server in found] == ([memory] if memory else [])


def test_one_server_serves_its_app_and_its_database(apps):
    module = apps("server1", "one")
    assert (len(module.specs()), len(module.databases())) == (1, 1)


def test_visitors_are_kept_out_of_what_they_reach_on_a_host(apps):
    names = lambda host: [app["app"] for app in apps(host, "many").maintenance()]  # noqa: E731
    assert (names("lb1"), names("web2"), names("db1")) == (["shop", "web-log", "pages"], ["shop"], [])


def test_during_maintenance_of_one_app_a_balancer_leaves_the_others_alone(apps):
    module = apps("lb1", "many")
    module.__pillar__["only"] = "web-log"
    assert [app["app"] for app in module.maintenance()] == ["web-log"]
    assert len(module.sites()) == 3


def test_proxies_are_the_balancers(apps):
    assert apps("web1", "many").proxies() == ["10.0.0.10", "10.0.0.9"]


def in_rollout(apps, **more):
    module = apps("web1")
    module.__pillar__ = {**module.__pillar__, "rollouts": {"shop": "1a2b3c4d5e6f"}, **more}
    return module


def test_an_app_in_the_middle_of_a_rollout_is_left_alone_by_all_else(apps):
    module = in_rollout(apps)
    assert "shop" not in [spec["name"] for spec in module.specs()]
    assert module.left_alone() == ["shop"]
    assert module.spec("shop")["name"] == "shop"


def test_the_rollout_itself_sees_its_app(apps):
    module = in_rollout(apps, only="shop")
    assert [spec["name"] for spec in module.specs()] == ["shop"]
    assert module.left_alone() == []


def test_a_host_is_told_what_is_deployed_and_what_is_on_its_way(apps):
    release = {**RELEASE, "revision": "v1"}
    module = in_rollout(apps, releases={"shop": release})
    assert module.rollout("shop") == {"deployed": RELEASE["id"], "in_progress": "1a2b3c4d5e6f"}
    module.__pillar__ = {**module.__pillar__, "releases": {}, "rollouts": {}}
    assert module.rollout("shop") == {"deployed": "", "in_progress": ""}


def test_only_a_release_that_is_pushed_is_to_be_confirmed_by_the_master(apps):
    module = apps("web1")
    assert module.spec("shop")["rollout"]["confirm"] == 0
    module.__pillar__ = {**module.__pillar__, "only": "shop"}
    assert module.spec("shop")["rollout"]["confirm"] == 60


def test_where_hosts_pull_an_app_that_was_never_deployed_has_its_revision(apps, resolve):
    module = apps("web1")
    module.__pillar__ = {**module.__pillar__, "pull": {"every": "30m"}, "releases": {}}
    (spec,) = module.specs()
    assert (spec["releases"][0]["id"], spec["releases"][0]["revision"]) == ("1a2b3c4d5e6f", "v1")


def test_a_pull_never_undoes_a_push(apps, resolve):
    module = apps("web1")
    deployed = {"shop": {"id": "f" * 12, "commit": "f" * 40, "revision": "v2"}}
    module.__pillar__ = {**module.__pillar__, "pull": {"every": "30m"}, "releases": deployed}
    (spec,) = module.specs()
    assert (spec["releases"][0]["id"], resolve.questions) == ("f" * 12, [])
