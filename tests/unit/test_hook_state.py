"""The app's commands around a rollout, on hosts that answer what the test says."""

import pytest
from orchestration import V1, Hosts, deployed, hook, hosts_with_hooks, step


@pytest.fixture
def hooks(steps_of):
    def make(hosts=None, running=None, test=False):
        return steps_of("_states/hook.py", hosts, running, test)

    return make


AHEAD = {"hosts": ["web1", "web2"], "pillar": {"only": "shop"}, "questions": {}}
STAGED = {"out": "highstate", "ret": {"web1": {}}}


def test_hooks_run_one_after_the_other_with_the_name_of_who_deploys(hooks):
    hosts = hosts_with_hooks()
    ret = hooks(hosts).ran_before("before-deploy", "shop", V1, hook(["echo", "a"], ["echo", "b"]), **AHEAD)
    assert (ret["result"], ret["changes"]) == (True, {"ran": ["echo a", "echo b"]})
    assert ret["comment"] == "web1 ran: echo a; echo b"
    assert [ran["command"] for ran in hosts.ran] == [["echo", "a"], ["echo", "b"]]
    assert hosts.ran[0]["variables"]["A"] == "1"
    assert hosts.ran[0]["variables"]["SLIPWAY_WHO"]


def test_in_test_mode_hooks_say_what_they_would_run(hooks):
    hosts = hosts_with_hooks()
    ret = hooks(hosts, test=True).ran_before("before-deploy", "shop", V1, hook(["echo", "a b"]), **AHEAD)
    assert (ret["result"], ret["changes"]) == (None, {"ran": ["echo 'a b'"]})
    assert hosts.ran == []


def test_a_hook_that_fails_ends_the_step_and_what_ran_before_is_told(hooks):
    hosts = hosts_with_hooks()
    commands = hook(["echo", "a"], ["false"], ["echo", "c"])
    ret = hooks(hosts).ran_before("before-deploy", "shop", V1, commands, **AHEAD)
    assert (ret["result"], ret["changes"], ret["comment"]) == (False, {"ran": ["echo a"]}, "web1: false failed: no")
    assert len(hosts.ran) == 2


@pytest.mark.parametrize("test", [True, False])
def test_an_app_without_hooks_asks_nobody(hooks, test):
    hosts = Hosts()
    module = hooks(hosts, test=test)
    before = module.ran_before("before-deploy", "shop", V1, hook(), **AHEAD)
    after = module.ran_after("after-deploy", "shop", hook())
    assert [(ret["result"], ret["changes"]) for ret in (before, after)] == [(True, {}), (True, {})]
    assert hosts.asked == []


@pytest.mark.parametrize("test", [True, False])
def test_no_hook_runs_before_a_deploy_that_changes_nothing(hooks, test):
    unchanged = {"slot": {"changes": {}, "result": True}}
    hosts = hosts_with_hooks(state_sls=unchanged)
    module = hooks(hosts, test=test)
    deployed(module)
    ret = module.ran_before("before-deploy", "shop", V1, hook(["echo", "a"]), **AHEAD)
    assert (ret["result"], ret["changes"], hosts.ran) == (True, {}, [])


@pytest.mark.parametrize(
    ("running", "answers"),
    [
        (step(1, "stage", changes=STAGED), {}),
        ({}, {"state_sls": lambda host: {"slot": {"changes": {"slot": "green"}, "result": None}}}),
        ({}, {"state_sls": lambda host: RuntimeError("no such pillar")}),
        ({}, {"manage_pending_migrations": ["shop.0002"]}),
    ],
)
def test_hooks_run_before_a_deploy_of_what_is_deployed_that_changes_a_host(hooks, running, answers):
    hosts = hosts_with_hooks(**answers)
    module = hooks(hosts, running)
    deployed(module)
    assert module.ran_before("before-deploy", "shop", V1, hook(["echo", "a"]), **AHEAD)["changes"]


@pytest.mark.parametrize(("test", "result"), [(True, None), (False, True)])
def test_hooks_run_after_a_deploy_that_was_recorded(hooks, test, result):
    running = step(1, "record", result=result, changes={"deployed": {}})
    ret = hooks(hosts_with_hooks(), running, test=test).ran_after("after-deploy", "shop", hook(["echo", "a"]))
    assert (ret["result"], ret["changes"]) == (result, {"ran": ["echo a"]})


@pytest.mark.parametrize("test", [True, False])
def test_no_hook_runs_after_a_deploy_that_changed_nothing(hooks, test):
    hosts = hosts_with_hooks()
    ret = hooks(hosts, step(1, "record"), test=test).ran_after("after-deploy", "shop", hook(["echo", "a"]))
    assert (ret["result"], ret["changes"], hosts.ran) == (True, {}, [])
