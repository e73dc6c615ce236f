"""The plan of a rollback that restores a dump."""

import pytest
from orchestration import V1, Hosts

import asking
import ledger_file

V2 = {"id": "2a2b3c4d5e6f", "commit": "2a2b3c4d5e6f" + "0" * 28, "revision": "v2"}
DUMP = "/var/backups/slipway/shop/20261125T184101.123456Z-before-2a2b3c4d5e6f.dump"
DUMPS = {"shop": {"path": DUMP, "host": "db1", "room": 8_000_000}}
UNSAFE = {"shop.0002": ["DROP_COLUMN"]}
ROLES = {"web1": ["app"], "web2": ["app"], "db1": ["database"], "lb1": ["balancer"]}
HOSTS = {name: {"address": f"10.0.0.{n}", "roles": roles} for n, (name, roles) in enumerate(ROLES.items(), 10)}
APP = {
    "source": {"git": "https://git.example.com/shop.git"},
    "revision": "v1",
    "domains": ["shop.example.com"],
    "rollout": {"canary": 1, "wave": 1, "between": 60},
}


class Fleet(Hosts):
    """Hosts of which nobody says who has port 80."""

    def run_job(self, tgt, fun, tgt_type):
        assert fun == "fronts.holder"
        return {}


@pytest.fixture
def way_back(load, tmp_path, monkeypatch):
    """``way_back(restore=True)``: the plan after v1 and v2, over hosts that answer as given."""

    def deploy(release, result="deployed", applied=(), **notes):
        attempt = {"token": "1", "who": "ann", "started": ledger_file.now(), "release": release, "before": {}}
        ledger_file.begin(tmp_path, "shop", attempt)
        ledger_file.note(tmp_path, "shop", **notes)
        ledger_file.succeed(tmp_path, "shop", {}, applied, result, UNSAFE)

    def make(hosts=None, dumps=DUMPS, applied=("shop.0002",), database=None, **words):
        make.hosts = hosts or Fleet(databases_restorable={"made": "2026-11-25T18:41:01Z", "needs": 1, "free": 2})
        monkeypatch.setattr(asking.salt.client, "get_local_client", lambda conf_file: make.hosts)
        module = load("_runners/rollout.py", slipway_dir=str(tmp_path), conf_file="/etc/salt/master")
        app = {**APP, **({"database": database} if database else {})}
        module.__salt__ = {"pillar.show_pillar": lambda: {"hosts": HOSTS, "apps": {"shop": app}}}
        if not ledger_file.read(tmp_path, "shop")["history"]:
            deploy(V1)
            deploy(V2, applied=applied, dumps=dumps)
        return module.way_back("shop", **words)

    make.deploy = deploy
    return make


def test_the_dump_of_before_the_migration_is_restored(way_back):
    planned = way_back(restore=True)
    assert (planned["problems"], planned["release"], planned["result"]) == ([], V1, "rolled back")
    restore = {"database": "shop", **DUMPS["shop"], "made": "2026-11-25T18:41:01Z", "fronts": ["web1", "web2", "lb1"]}
    assert planned["restores"] == [restore]
    assert way_back.hosts.told == {"name": "shop", "path": DUMP, "room": 8_000_000}


def test_all_hosts_get_the_release_at_once_after_the_swap(way_back):
    planned = way_back(restore=True)
    assert planned["prepared"] == "swap"
    assert [(wave["hosts"], wave["pauses"]) for wave in planned["waves"]] == [(["web1", "web2"], [])]
    assert planned["summary"].splitlines()[0].endswith("web1 + web2")


def test_the_hosts_that_visitors_reach_must_be_ready_too(way_back):
    assert way_back(restore=True)["others"] == ["db1", "web1", "web2", "lb1"]


def test_the_lock_lasts_as_long_as_a_restore_may_take(way_back):
    assert way_back(restore=True)["lock_seconds"] > way_back(keep_migrations=True)["lock_seconds"] + 4 * 3600 - 200


def test_the_plan_says_what_will_be_lost_and_what_is_kept(way_back):
    planned = way_back(restore=True)
    words = [
        f"restore: shop on db1 as of 2026-11-25T18:41:01Z, without what was written since: {DUMP}",
        "visitors: get the maintenance page while databases and releases change: web1 + web2 + lb1",
        "kept: the database as it is until then, as shop_replaced_<time> on db1",
    ]
    assert planned["summary"].splitlines()[1:] == words
    assert [": ".join(line) for line in planned["look"]["told"]][-3:] == words


def test_without_the_word_nothing_is_restored(way_back):
    planned = way_back(keep_migrations=True)
    assert (planned["restores"], planned["prepared"], planned["others"]) == ([], "backup", ["db1"])
    assert len(planned["waves"]) == 2


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"applied": ()},
            "shop: nothing is in the way of v1 (1a2b3c4d5e6f), and the database can stay as it is: leave",
        ),
        ({"dumps": {}}, "no dump was made before shop.0002. If the release works with the database as it is now"),
        ({"database": "none"}, "no dump was made before shop.0002"),
        (
            {"dumps": {"shop": {**DUMPS["shop"], "host": "db0"}}},
            f"the dump {DUMP} is on db0, and the database on db1 by",
        ),
        ({"hosts": Fleet(databases_restorable=RuntimeError("the dump is gone"))}, "db1: the dump is gone"),
        ({"hosts": Fleet(databases_restorable=None)}, "db1: it does not answer"),
        ({"keep_migrations": True}, "restore and keep_migrations: the one takes away what the other keeps: choose one"),
        ({"restore": "soon"}, "restore: 'soon' is neither true nor false: write one of them"),
        ({"restore": 1}, "restore: 1 is neither true nor false: write one of them"),
        ({"to": "v3"}, "shop: 'v3' was never deployed"),
    ],
)
def test_what_is_in_the_way_of_a_restore_is_a_problem_and_no_exception(way_back, given, sentence):
    planned = way_back(**{"restore": True, **given})
    [problem] = planned["problems"]
    assert problem.startswith(sentence)
    assert planned["waves"] == []


def test_a_plan_with_a_problem_has_the_same_keys(way_back):
    assert set(way_back()) == set(way_back(restore=True))


@pytest.fixture
def unfinished(way_back):
    """The same after a rollback to v1 that has not let visitors in."""
    way_back.deploy(V1)
    way_back.deploy(V2, applied=["shop.0002"], dumps=DUMPS)
    noted = {"path": DUMP, "fronts": ["lb1"], "replaced": "shop_replaced_20261125_184101"}
    way_back.deploy(V1, "rolled back", restore=noted)
    return way_back


@pytest.mark.parametrize("to", ["", "v1", V1["id"]])
def test_a_rollback_that_has_not_let_visitors_in_is_brought_to_its_end(unfinished, to):
    planned = unfinished(restore=True, to=to)
    assert (planned["problems"], planned["release"], planned["restores"]) == ([], V1, [])


@pytest.mark.parametrize(("to", "sentence"), [("v0", "'v0' was never deployed"), ("v2", "deploy v2 again")])
def test_another_release_is_looked_for_as_ever(unfinished, to, sentence):
    assert sentence in unfinished(restore=True, to=to)["problems"][0]
