"""The plan of an orchestration."""

from unittest.mock import create_autospec

import pytest

import ledger_file

ADDRESS = "10.0.0."
APP = {
    "source": {"git": "https://git.example.com/shop.git"},
    "revision": "v1",
    "domains": ["shop.example.com"],
    "rollout": {"canary": 1, "wave": 2},
}
COMMIT = "1a2b3c4d5e6f" + "0" * 28


@pytest.fixture
def plan(load, monkeypatch):
    def make(hosts, answer=None, app="shop", revision="v2", holders=None, **keys):
        module = load("_runners/rollout.py")
        module.ANSWERS = 0.1
        addressed = enumerate(hosts.items(), 10)
        inventory = {name: {"address": f"{ADDRESS}{number}", "roles": roles} for number, (name, roles) in addressed}
        pillar = {"hosts": inventory, "apps": {"shop": {**APP, **keys}}}
        module.__salt__ = {"pillar.show_pillar": lambda: pillar}
        answer = answer or {"ret": {"id": COMMIT[:12], "commit": COMMIT}, "retcode": 0}

        class Client:
            def run_job(self, tgt, fun, tgt_type):
                assert fun == "fronts.holder"
                return {"jid": "1"}

            def get_cache_returns(self, jid):
                return {host: {"ret": holder} for host, holder in (holders or {}).items()}

            def cmd(self, tgt, fun, arg, tgt_type, full_return):
                assert (tgt, fun, arg[1]) == (["web1"], "releases.resolve", revision or "v1")
                return {"web1": answer} if answer != "silence" else {}

        monkeypatch.setattr(module.salt.client, "get_local_client", lambda mopts: Client())
        make.module = module
        return module.plan(app, revision)

    return make


HOSTS = {"web1": ["app"], "web2": ["app"], "web3": ["app"], "web4": ["app"], "db1": ["database"], "lb1": ["balancer"]}


def test_each_wave_requires_the_step_before(plan):
    planned = plan(HOSTS)
    assert planned["problems"] == []
    assert [(wave["id"], wave["after"], wave["hosts"]) for wave in planned["waves"]] == [
        ("activate-1", "migrate", ["web1"]),
        ("activate-2", "activate-1", ["web2", "web3"]),
        ("activate-3", "activate-2", ["web4"]),
    ]
    assert planned["activated"] == "activate-3"


def test_a_web_server_that_takes_over_port_80_is_told_first(plan):
    holders = {"web1": "nginx", "web2": "apache", "web3": "", "web4": "'fronts.holder' is not available."}
    first, *closures = plan(HOSTS, server="mod_wsgi", holders=holders)["summary"].splitlines()
    assert first.startswith("shop v2")
    [closure] = closures
    assert closure.startswith("web1: apache takes port 80 over from nginx: new connections are refused for")


def test_one_host_resolves_the_revision_for_all(plan):
    planned = plan(HOSTS)
    release = {"id": COMMIT[:12], "commit": COMMIT, "revision": "v2"}
    assert planned["release"] == release
    assert planned["pillar"] == {"releases": {"shop": release}, "only": "shop"}
    assert planned["questions"]["folder"] == f"/srv/shop/releases/{COMMIT[:12]}"


def test_without_a_revision_it_is_the_one_of_the_pillar(plan):
    assert plan(HOSTS, revision="")["release"]["revision"] == "v1"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("silence", "web1: it does not answer"),
        ({"ret": "ERROR: no revision v2", "retcode": 1}, "web1: no revision v2"),
        ({"ret": "'releases.resolve' is not available.", "retcode": 254}, "is not available"),
    ],
)
def test_a_revision_that_cannot_be_resolved_is_a_problem_and_no_exception(plan, answer, sentence):
    planned = plan(HOSTS, answer)
    assert sentence in planned["problems"][0]
    assert planned["waves"] == []


def test_a_plan_with_a_problem_has_the_same_keys(plan):
    assert set(plan(HOSTS, app="shpo")) == set(plan(HOSTS))


@pytest.fixture
def runner(load, tmp_path, monkeypatch):
    """The runner with v1 in the ledger, over hosts that answer ``slots.status`` as given."""
    attempt = {"token": "1", "who": "ann", "started": "2026-11-25T12:00:00+00:00", "before": {}}
    attempt["release"] = {"id": COMMIT[:12], "commit": COMMIT, "revision": "v1"}
    ledger_file.begin(tmp_path, "shop", attempt)
    ledger_file.succeed(tmp_path, "shop", {"stage": 1.25, "activate-1": 6.5})

    def make(answers):
        module = load("_runners/rollout.py", slipway_dir=str(tmp_path))
        hosts = {f"web{n}": {"address": f"{ADDRESS}{n}", "roles": ["app"]} for n in (1, 2, 3)}
        pillar = {"hosts": hosts, "apps": {"shop": {**APP, "database": "none"}}}
        module.__salt__ = {"pillar.show_pillar": lambda: pillar}
        client = create_autospec(module.salt.client.LocalClient, instance=True)
        client.cmd.return_value = answers
        monkeypatch.setattr(module.salt.client, "get_local_client", lambda mopts: client)
        return module

    return make


def test_the_status_tells_what_each_host_serves_and_where_the_ledger_says_otherwise(runner):
    serving = {"slot": "blue", "since": "2026-11-25T12:00:05Z", "server": "gunicorn", "answer": "well"}
    answers = {
        "web1": {"ret": {**serving, "release": COMMIT[:12]}, "retcode": 0},
        "web2": {"ret": {**serving, "release": "0" * 12}, "retcode": 0},
    }
    one, two, three = runner(answers).status()["data"]
    assert (one["host"], one["release"], one["drift"], one["answer"]) == ("web1", COMMIT[:12], "", "well")
    assert (two["host"], two["drift"]) == ("web2", f"the ledger has {COMMIT[:12]}")
    assert (three["host"], three["answer"], three["release"]) == ("web3", "it does not answer", "")
    assert set(one) == set(two) == set(three)


def test_the_history_begins_with_what_was_tried_last(runner, tmp_path):
    failed = {"token": "2", "who": "bob", "started": "2026-11-25T13:00:00+00:00", "before": {}}
    ledger_file.begin(tmp_path, "shop", failed | {"release": {"id": "0" * 12, "commit": "0" * 40, "revision": "v2"}})
    ledger_file.fail(tmp_path, "shop", "web1 failed at the step stage: no space\nmore", {"stage": 2.0})
    last, first = runner({}).history("shop")["data"]
    assert (last["revision"], last["who"], last["result"], last["seconds"]) == ("v2", "bob", "failed", 2.0)
    assert last["reason"] == "web1 failed at the step stage: no space"
    assert (first["revision"], first["result"], first["seconds"]) == ("v1", "deployed", 7.8)


def test_hosts_are_provisioned_once_databases_first(plan, load):
    plan(HOSTS)
    module = load("_runners/rollout.py")
    hosts = {"all1": ["app", "database"], "web2": ["app"], "lb1": ["balancer"]}
    inventory = {name: {"address": f"{ADDRESS}{n}", "roles": roles} for n, (name, roles) in enumerate(hosts.items(), 1)}
    module.__salt__ = {"pillar.show_pillar": lambda: {"hosts": inventory, "apps": {"shop": APP}}}
    groups = module.provisioning()["groups"]
    assert [(group["id"], group["after"], group["hosts"]) for group in groups] == [
        ("database-hosts", "modules", ["all1"]),
        ("app-hosts", "database-hosts", ["web2"]),
        ("balancer-hosts", "app-hosts", ["lb1"]),
    ]


def test_hosts_that_close_port_80_are_provisioned_one_after_the_other(plan):
    planned = plan(HOSTS, server="mod_wsgi", holders={"web1": "nginx", "web2": "nginx", "web3": "apache"})
    assert planned["problems"] == []
    module = plan.module
    assert [(group["id"], group["after"]) for group in module.provisioning()["groups"]] == [
        ("database-hosts", "modules"),
        ("app-hosts", "database-hosts"),
        ("app-host-web1", "app-hosts"),
        ("app-host-web2", "app-host-web1"),
        ("balancer-hosts", "app-host-web2"),
    ]


@pytest.fixture
def maintenance(plan):
    """``maintenance("shop", True)`` of the runner, over the hosts of these tests."""
    plan(HOSTS)
    return plan.module.maintenance


def test_maintenance_is_for_every_host_that_visitors_reach(maintenance):
    planned = maintenance("shop", True, ["203.0.113.7"])
    assert (planned["problems"], planned["sls"]) == ([], "maintenance.on")
    assert planned["hosts"] == ["web1", "web2", "web3", "web4", "lb1"]
    assert planned["pillar"] == {"only": "shop", "allow": ["203.0.113.7"]}
    assert planned["summary"] == (
        "visitors get the maintenance page instead of shop, but for 203.0.113.7: web1 + web2 + web3 + web4 + lb1"
    )


def test_the_end_of_maintenance_lets_everybody_in(maintenance):
    planned = maintenance("shop", False)
    assert (planned["problems"], planned["sls"]) == ([], "maintenance.off")
    assert planned["summary"].startswith("visitors get shop: web1")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (("shpo", True), "apps: no app has the name 'shpo': did you mean 'shop'?"),
        (("", True), "apps: no app has the name ''"),
        (("shop", ""), "on: '' is neither true nor false: write one of them"),
        (("shop", "yes"), "on: 'yes' is neither true nor false: write one of them"),
        (("shop", 1), "on: 1 is neither true nor false: write one of them"),
        (("shop", True, ["office.example.com"]), "allow: 'office.example.com' is no IP address: write each visitor's"),
        (("shop", True, "203.0.113.7"), "allow: '203.0.113.7' is no list of: IP address"),
    ],
)
def test_what_is_wrong_with_the_words_for_maintenance_is_a_problem_and_no_exception(maintenance, asked, sentence):
    planned = maintenance(*asked)
    [problem] = planned["problems"]
    assert problem.startswith(sentence)
    assert set(planned) == set(maintenance("shop", True))
