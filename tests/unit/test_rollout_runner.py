"""The plan of an orchestration."""

import time
from inspect import signature
from pathlib import Path
from unittest.mock import create_autospec

import pytest
import yaml
from salt.exceptions import CommandExecutionError

import asking
import catching_up
import ledger_file
import notices

ADDRESS = "10.0.0."
APP = {
    "source": {"git": "https://git.example.com/shop.git"},
    "revision": "v1",
    "domains": ["shop.example.com"],
    "rollout": {"canary": 1, "wave": 2},
}
COMMIT = "1a2b3c4d5e6f" + "0" * 28
FOUND = {
    "requirements": {"celery": ["", "5.4"], "django": ["5.2.1", "5.2.3"], "six": ["1.17", ""]},
    "migrations": ["catalogue.0003_origin", "catalogue.0004_x"],
    "unsafe": {"catalogue.0004_x": ["drops a column"]},
    "unexamined": {},
    "unknown": "",
    "problem": "",
}


@pytest.fixture
def plan(load, monkeypatch, tmp_path):
    def make(hosts, answer=None, app="shop", revision="v2", holders=None, people=False, preview=None, out="", **keys):
        module = load("_runners/rollout.py", slipway_dir=str(tmp_path), conf_file="/etc/salt/master", output=out)
        allow_unsafe, silent = keys.pop("allow_unsafe", ""), keys.pop("silent", ())
        first = next(host for host in hosts if host not in silent)
        monkeypatch.setattr(asking, "BRIEFLY", 0.1)
        addressed = enumerate(hosts.items(), 10)
        inventory = {name: {"address": f"{ADDRESS}{number}", "roles": roles} for number, (name, roles) in addressed}
        pillar = {"hosts": inventory, "apps": {"shop": {**APP, **keys}}}
        module.__salt__ = {"pillar.show_pillar": lambda: pillar}
        answer = answer or {"ret": {"id": COMMIT[:12], "commit": COMMIT}, "retcode": 0}

        class Client:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

            def run_job(self, tgt, fun, tgt_type):
                assert fun == "fronts.holder"
                return {"jid": "1"}

            def get_cache_returns(self, jid):
                return {host: {"ret": holder} for host, holder in (holders or {}).items()}

            def cmd_iter(self, tgt, fun, arg, tgt_type, kwarg, expect_minions):
                assert (arg, tgt_type, expect_minions) == ([], "list", True)
                make.asked.append(fun)
                if fun == "test.ping":
                    return [{host: {"failed": True} if host in silent else {"ret": True, "retcode": 0}} for host in tgt]
                assert tgt == [first]
                if fun == "releases.preview":
                    kwarg["django"]["variables"]["SECRETS_FILE"]
                    del kwarg["django"]
                    signature(load("_modules/releases.py").preview).bind(**kwarg, django={})
                    return [{first: preview or {"ret": FOUND, "retcode": 0}}]
                assert (fun, kwarg["revision"]) == ("releases.resolve", revision or "v1")
                return [{first: answer if answer != "silence" else {"failed": True}}]

        monkeypatch.setattr(asking.salt.client, "get_local_client", lambda conf_file: Client())
        make.module, make.asked = module, []
        return module.plan(app, revision) if people else module.way_forth(app, revision, allow_unsafe)

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


def test_of_many_hosts_that_close_port_80_some_are_told(plan):
    hosts = {f"web{number}": ["app"] for number in range(1, 31)} | {"db1": ["database"]}
    summary = plan(hosts, server="mod_wsgi", holders=dict.fromkeys(hosts, "nginx"))["summary"].splitlines()
    assert len(summary) == 10
    assert summary[-1] == "...: 22 more hosts likewise"


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


@pytest.mark.parametrize(("word", "allowed"), [("", False), (True, True), (False, False), ("no", False)])
def test_the_first_host_examines_the_migrations_and_only_true_allows_unsafe_ones(plan, word, allowed):
    planned = plan(HOSTS, allow_unsafe=word)
    assert (planned["examine"], planned["allow_unsafe"]) == (["web1"], allowed)


def test_a_plan_with_a_problem_has_the_same_keys(plan):
    assert set(plan(HOSTS, app="shpo")) == set(plan(HOSTS))


def test_a_hook_runs_on_the_first_host_in_the_release_that_it_is_about(plan):
    commands = {"before_deploy": ["python manage.py pause"], "on_failure": ["python manage.py resume"]}
    hooks = plan(HOSTS, hooks=commands, variables={"A": "1"})["hooks"]
    before, failure = hooks["before_deploy"], hooks["on_failure"]
    assert (before["host"], before["commands"]) == ("web1", [["python", "manage.py", "pause"]])
    assert before["arguments"]["folder"] == f"/srv/shop/releases/{COMMIT[:12]}"
    assert before["arguments"]["python"] == f"/srv/shop/releases/{COMMIT[:12]}/.venv/bin/python"
    assert failure["arguments"]["folder"] == "/srv/shop/current"
    assert hooks["after_deploy"]["commands"] == []
    told = before["arguments"]["variables"]
    assert (told["A"], told["DJANGO_SETTINGS_MODULE"], told["SLIPWAY_REVISION"]) == ("1", "shop.settings", "v2")
    assert (told["SLIPWAY_COMMAND"], told["SLIPWAY_PHASE"]) == ("deploy", "before_deploy")


def test_the_lock_lasts_as_long_as_the_hooks_may_take(plan):
    seconds = plan(HOSTS)["lock_seconds"]
    assert plan(HOSTS, hooks={"after_deploy": ["true", "false"]})["lock_seconds"] == seconds + 2 * 600


def test_a_wave_after_the_first_requires_the_wait_before_it(plan):
    planned = plan(HOSTS, rollout={"wave": 2, "between": 60})
    assert [(wave["after"], wave["pauses"]) for wave in planned["waves"]] == [
        ("migrate", []),
        ("wait-1", [{"id": "wait-1", "after": "activate-1", "seconds": 60}]),
        ("wait-2", [{"id": "wait-2", "after": "activate-2", "seconds": 60}]),
    ]
    assert planned["summary"].endswith("web1, then after 60 s web2 + web3, then after 60 s web4")
    assert planned["lock_seconds"] == plan(HOSTS, rollout={"wave": 2})["lock_seconds"] + 120


def test_the_steps_of_a_deploy_do_not_wait_for_a_preview(plan):
    plan(HOSTS)
    assert plan.asked == ["releases.resolve"]


def test_the_plan_for_people_says_what_would_happen(plan, tmp_path):
    attempt = {"token": "1", "who": "ann", "started": "2026-11-25T12:00:00+00:00", "before": {}}
    release = {"id": "0" * 12, "commit": "0" * 40, "revision": "v1"}
    ledger_file.begin(tmp_path, "shop", {**attempt, "release": release})
    ledger_file.succeed(tmp_path, "shop", {})
    shown = plan(HOSTS, people=True, rollout={"wave": 3, "between": 60})
    assert shown["outputter"] == "txt"
    assert shown["data"] == {
        "deploy": "shop v2 (1a2b3c4d5e6f)",
        "activate-1": "web1",
        "wait-1": "60 s",
        "activate-2": "web2 + web3 + web4",
        "migrations": "catalogue.0003_origin, catalogue.0004_x (unsafe: drops a column); needs allow_unsafe: true",
        "requirements": "celery 5.4 (new), django 5.2.1 -> 5.2.3, six 1.17 (removed)",
        "dump": "shop on db1, before the migrations",
        "way back": "v1 (000000000000), with keep_migrations: true or restore: true",
    }


def test_the_plan_is_data_for_programs(plan):
    shown = plan(HOSTS, people=True, out="json")["data"]
    assert shown["problems"] == []
    assert shown["requirements"] == FOUND["requirements"]
    assert shown["dumps"] == [{"name": "shop", "host": "db1"}]
    assert shown["way_back"] == []
    assert [wave["hosts"] for wave in shown["waves"]][0] == ["web1"]
    assert "retcode" not in shown


def test_without_migrations_no_dump_is_planned(plan):
    found = {**FOUND, "migrations": [], "unsafe": {}, "requirements": {}}
    shown = plan(HOSTS, people=True, preview={"ret": found, "retcode": 0})
    words = {key: shown["data"][key] for key in ("migrations", "dump", "requirements", "way back")}
    assert words == {
        "migrations": "none",
        "dump": "none",
        "requirements": "as they are",
        "way back": "none: nothing is deployed yet",
    }


def test_a_migration_that_nobody_could_examine_is_named_with_the_reason(plan):
    found = {**FOUND, "migrations": ["shop.0002"], "unsafe": {}, "unexamined": {"shop.0002": "no linter"}}
    shown = plan(HOSTS, people=True, preview={"ret": found, "retcode": 0})["data"]
    assert shown["migrations"] == "shop.0002 (not examined: no linter)"


def test_what_is_not_known_yet_is_said_with_the_reason(plan):
    unknown = {**FOUND, "migrations": None, "unknown": "there is no /etc/shop/secrets.json yet"}
    shown = plan(HOSTS, people=True, preview={"ret": unknown, "retcode": 0})["data"]
    reason = "web1: there is no /etc/shop/secrets.json yet"
    assert shown["migrations"] == f"known when the release is staged ({reason})"
    assert shown["dump"] == "shop on db1, if migrations are pending"
    assert shown["requirements"] == "3 packages, all new"
    assert "retcode" not in shown


def test_a_host_without_the_function_is_no_problem_of_the_release(plan):
    answer = {"ret": "'releases.preview' is not available.", "retcode": 254}
    shown = plan(HOSTS, people=True, preview=answer)["data"]
    assert "'releases.preview' is not available" in shown["migrations"]
    assert "problem" not in shown


def test_a_preview_that_fails_is_a_problem_and_an_exit_code(plan):
    answer = {"ret": "ERROR: no such package: djangoo", "retcode": 1}
    shown = plan(HOSTS, people=True, preview=answer)["data"]
    assert (shown["problem"], shown["retcode"]) == ("web1: no such package: djangoo", 1)
    assert shown["activate-1"] == "web1"
    data = plan(HOSTS, people=True, preview=answer, out="json")["data"]
    assert (data["problems"], data["retcode"]) == (["web1: no such package: djangoo"], 1)


@pytest.mark.parametrize("answer", [None, {"ret": "ERROR: no such package: djangoo", "retcode": 1}])
def test_in_test_mode_a_deploy_shows_its_plan_and_its_exit_code(plan, answer):
    planned = plan(HOSTS, people=True, preview=answer)
    assert plan.module.deploy("shop", "v2", test=True) == planned


def test_in_test_mode_a_rollback_shows_what_it_would_do(runner, tmp_path, monkeypatch):
    deploy_v2(tmp_path, [], {})
    module = runner({"web1": {"ret": FOUND, "retcode": 0}})
    module.__opts__["output"] = ""
    assert module.rollback("shop", test=True)["data"]["rollback"] == f"shop v1 ({COMMIT[:12]})"
    assert module.rollback("shop", to="v7", test=True)["data"]["retcode"] == 1


def test_a_plan_of_what_cannot_be_resolved_asks_no_further(plan):
    shown = plan(HOSTS, "silence", people=True)["data"]
    assert shown == {"problem": "web1: it does not answer", "retcode": 1}
    assert plan.asked == ["releases.resolve"]


SKIP = {"rollout": {"canary": 1, "wave": 1, "unreachable": "skip"}}


def test_hosts_that_do_not_answer_are_skipped_and_the_next_one_goes_first(plan):
    planned = plan(HOSTS, silent=["web1", "web3"], **SKIP)
    assert (planned["hosts"], planned["skipped"], planned["first"]) == (["web2", "web4"], ["web1", "web3"], "web2")
    assert [wave["hosts"] for wave in planned["waves"]] == [["web2"], ["web4"]]
    assert (planned["examine"], planned["balancers"]) == (["web2"], ["lb1"])
    assert planned["hooks"]["before_deploy"]["host"] == planned["look"]["host"] == "web2"
    assert planned["summary"].splitlines()[1] == "skipped: web1 + web3 do not answer"


def test_the_plan_for_people_names_the_hosts_that_are_skipped(plan):
    assert plan(HOSTS, people=True, silent=["web1"], **SKIP)["data"]["skipped"] == "web1 does not answer"
    assert plan(HOSTS, people=True, silent=["web1"], out="json", **SKIP)["data"]["skipped"] == ["web1"]


def test_a_rollback_skips_hosts_too(plan, tmp_path):
    for revision, id in (("v1", "1"), ("v2", "2")):
        attempt = {"token": "1", "who": "ann", "started": "2026-11-25T12:00:00+00:00", "before": {}}
        ledger_file.begin(tmp_path, "shop", {**attempt, "release": {"id": id * 12, "commit": id, "revision": revision}})
        ledger_file.succeed(tmp_path, "shop", {})
    plan(HOSTS, silent=["web1"], **SKIP)
    back = plan.module.way_back("shop")
    assert (back["problems"], back["hosts"], back["skipped"]) == ([], ["web2", "web3", "web4"], ["web1"])


def test_where_no_host_of_the_app_answers_nothing_is_skipped(plan):
    problems = plan(HOSTS, silent=["web1", "web2", "web3", "web4"], **SKIP)["problems"]
    assert problems == ["shop: none of its hosts answers: web1, web2, web3, web4"]


def test_the_host_of_the_database_is_not_skipped(plan):
    hosts = {"web1": ["app"], "web2": ["app", "database"]}
    planned = plan(hosts, silent=["web2"], **SKIP)
    assert (planned["hosts"], planned["skipped"]) == (["web1", "web2"], [])


def test_unless_the_pillar_says_skip_nobody_is_asked_who_is_there(plan):
    planned = plan(HOSTS, silent=["web2"])
    assert (planned["hosts"], planned["skipped"]) == (["web1", "web2", "web3", "web4"], [])
    assert "test.ping" not in plan.asked


def test_five_thousand_hosts_are_planned_in_a_moment_and_not_listed(plan, monkeypatch):
    hosts = [f"web{number}" for number in range(1, 5001)]
    inventory = {name: {"address": f"10.1.{n // 250}.{n % 250 + 1}", "roles": ["app"]} for n, name in enumerate(hosts)}
    plan(HOSTS)
    pillar = {"hosts": inventory, "apps": {"shop": {**APP, "hosts": hosts, "database": "none"}}}
    pillar["apps"]["shop"]["rollout"] = {"canary": hosts[::500], "wave": "25%", "between": 60}
    plan.module.__salt__ = {"pillar.show_pillar": lambda: pillar}
    monkeypatch.setattr(asking, "BRIEFLY", 0)
    began = time.process_time()
    planned = plan.module.way_forth("shop", "v2")
    # 0.1 s where this was written; what is quadratic takes tens of seconds.
    assert time.process_time() - began < 5
    groups = [wave["hosts"] for wave in planned["waves"]]
    assert [len(group) for group in groups] == [10, 1250, 1250, 1250, 1240]
    assert groups[0] == hosts[::500]
    assert [host for group in groups[1:] for host in group] == [host for host in hosts if host not in groups[0]]
    assert len(planned["summary"]) < 500
    assert len(str(planned["look"]["told"])) < 500


@pytest.fixture
def runner(load, tmp_path, monkeypatch):
    """The runner with v1 in the ledger, over hosts that answer ``slots.status`` as given."""
    attempt = {"token": "1", "who": "ann", "started": "2026-11-25T12:00:00+00:00", "before": {}}
    attempt["release"] = {"id": COMMIT[:12], "commit": COMMIT, "revision": "v1"}
    ledger_file.begin(tmp_path, "shop", attempt)
    ledger_file.succeed(tmp_path, "shop", {"stage": 1.25, "activate-1": 6.5})

    def make(answers):
        module = load("_runners/rollout.py", slipway_dir=str(tmp_path), conf_file="/etc/salt/master")
        hosts = {f"web{n}": {"address": f"{ADDRESS}{n}", "roles": ["app"]} for n in (1, 2, 3)}
        pillar = {"hosts": hosts, "apps": {"shop": {**APP, "database": "none"}}}
        module.__salt__ = {"pillar.show_pillar": lambda: pillar}
        client = create_autospec(asking.salt.client.LocalClient, instance=True)
        client.__enter__.return_value = client
        client.cmd_iter.return_value = [{host: answer} for host, answer in answers.items()]
        monkeypatch.setattr(asking.salt.client, "get_local_client", lambda conf_file: client)
        # It has no answers for who asks in passing.
        monkeypatch.setattr(asking, "BRIEFLY", 0)
        return module

    return make


def test_the_status_tells_what_each_host_serves_and_where_the_ledger_says_otherwise(runner):
    serving = {"slot": "blue", "since": "2026-11-25T12:00:05Z", "server": "gunicorn", "answer": "well"}
    serving["maintenance"] = False
    answers = {
        "web1": {"ret": {**serving, "release": COMMIT[:12]}, "retcode": 0},
        "web2": {"ret": {**serving, "release": "0" * 12}, "retcode": 0},
    }
    one, two, three = runner(answers).status()["data"]
    assert (one["host"], one["release"], one["drift"], one["answer"]) == ("web1", COMMIT[:12], "", "well")
    assert (two["host"], two["drift"]) == ("web2", f"the ledger has {COMMIT[:12]}")
    assert (three["host"], three["answer"], three["release"]) == ("web3", "it does not answer", "")
    assert set(one) == set(two) == set(three)


SERVING = {"slot": "blue", "since": "", "server": "gunicorn", "answer": "well", "maintenance": False}


def test_the_status_says_who_keeps_visitors_out_and_others_from_deploying(runner, monkeypatch):
    serving = {**SERVING, "release": COMMIT[:12], "maintenance": True}
    rollout = runner({"web1": {"ret": serving, "retcode": 0}})
    monkeypatch.setattr(ledger_file, "who", lambda: "ann")
    rollout.lock("shop", "the database moves")
    one, two, _ = rollout.status()["data"]
    assert (one["answer"], one["lock"]) == ("well, visitors get the maintenance page", "ann")
    assert (two["answer"], two["lock"]) == ("it does not answer", "ann")


def test_the_status_and_the_history_name_who_was_skipped(runner, tmp_path):
    skip(tmp_path, "web2", "web3")
    serving = {**SERVING, "release": COMMIT[:12]}
    answers = {"web1": {**serving, "release": "0" * 12}, "web2": serving}
    rollout = runner({host: {"ret": answer, "retcode": 0} for host, answer in answers.items()})
    one, two, three = rollout.status()["data"]
    since = "skipped since 2026-11-25T13:00:00+00:00"
    assert (one["drift"], three["drift"]) == ("", since)
    assert two["drift"] == f"the ledger has {'0' * 12}, {since}"
    assert rollout.history("shop")["data"][0]["reason"] == "without web2 + web3"


def test_what_the_master_does_by_itself_is_there(runner):
    configuration = yaml.safe_load((Path(__file__).parents[2] / "conf/master.conf").read_text(encoding="utf-8"))
    jobs = configuration["schedule"]
    assert {name: job["function"] for name, job in jobs.items()} == {
        "catch_up": "rollout.catch_up",
        "drift": "rollout.drift",
    }
    for name, job in jobs.items():
        signature(getattr(runner({}), name)).bind(**job.get("kwargs", {}))


def result(number, name, **more):
    return {"__id__": name, "__run_num__": number, "result": True, "changes": {}, "comment": "", **more}


AS_IT_IS = {"a": result(0, "host-packages")}
DIFF = "--- \n+++ \n@@ -1 +1,2 @@\n # Managed by Salt\n+# by hand\n"
WOULD = {"result": None, "comment": "The file is set to be changed\nNote: none made", "changes": {"diff": DIFF}}
DRIFTED = {**AS_IT_IS, "b": result(1, "nginx-config", **WOULD)}
REMOTE = result(1, "x", result=None, comment="", changes={"url": {"old": "https://ann:hunter2@git.example.com/"}})


def test_drift_is_what_a_highstate_would_change_with_each_diff(runner):
    answers = {"web1": DRIFTED, "web2": AS_IT_IS, "web3": ["Rendering SLS failed"]}
    data = runner({host: {"ret": answer, "retcode": 0} for host, answer in answers.items()}).drift()["data"]
    assert data["hosts"] == [
        {"host": "web1", "state": "nginx-config", "change": "The file is set to be changed"},
        {"host": "web3", "state": "", "change": "Rendering SLS failed"},
    ]
    assert data["reason"].splitlines() == ["web1 nginx-config:", *DIFF.splitlines()]
    assert data["retcode"] == 1


def test_hosts_that_are_as_their_states_say_have_no_drift_and_one_that_is_off_is_named(runner):
    answers = {host: {"ret": AS_IT_IS, "retcode": 0} for host in ("web1", "web2", "web3")}
    data = runner(answers).drift()["data"]
    assert data == {"hosts": [], "reason": "", "told": "every host is as its states say", "retcode": 0}
    del answers["web3"]
    (row,) = runner(answers).drift()["data"]["hosts"]
    assert row == {"host": "web3", "state": "", "change": "it did not answer"}


def test_no_password_of_an_address_is_in_what_is_told_of_drift(runner):
    data = runner({"web1": {"ret": {"x": REMOTE}, "retcode": 0}}).drift("web1")["data"]
    assert "https://********@git.example.com/" in data["reason"]
    assert "hunter2" not in str(data)


def test_people_are_told_of_drift_where_the_master_looks_by_itself(runner, monkeypatch, caplog):
    told = []
    monkeypatch.setattr(notices, "send_drift", lambda opts, hosts, lines: told.append((list(hosts), len(lines))))
    answers = {host: {"ret": DRIFTED, "retcode": 0} for host in ("web1", "web2")}
    runner(answers).drift()
    assert told == []
    runner(answers).drift(tell=True)
    assert told == [(["web1", "web2", "web3"], 17)]
    assert caplog.messages[0] == "drift: web1 nginx-config The file is set to be changed"
    runner({host: {"ret": AS_IT_IS, "retcode": 0} for host in ("web1", "web2", "web3")}).drift(tell=True)
    assert len(told) == 1


def test_where_nobody_is_behind_only_ledgers_are_read(runner):
    rollout = runner({})
    rollout.__salt__ = {}
    assert rollout.catch_up()["data"] == {"hosts": [], "reason": "", "retcode": 0}


@pytest.mark.parametrize(
    ("problem", "shown", "retcode"),
    [
        ("", "takes traffic again", 0),
        ("it does not answer", "it does not answer", 0),
        ("shop-release: no room\nmore", "shop-release: no room", 1),
    ],
)
def test_a_table_says_what_came_of_the_hosts_that_were_behind(runner, tmp_path, monkeypatch, problem, shown, retcode):
    skip(tmp_path, "web2")
    monkeypatch.setattr(catching_up.CatchUp, "run", lambda self: {"web2": problem})
    data = runner({}).catch_up()["data"]
    assert data == {"hosts": [{"host": "web2", "app": "shop", "result": shown}], "reason": "", "retcode": retcode}


def test_the_history_begins_with_what_was_tried_last(runner, tmp_path):
    failed = {"token": "2", "who": "bob", "started": "2026-11-25T13:00:00+00:00", "before": {}}
    ledger_file.begin(tmp_path, "shop", failed | {"release": {"id": "0" * 12, "commit": "0" * 40, "revision": "v2"}})
    ledger_file.fail(tmp_path, "shop", "web1 failed at the step stage: no space\nmore", {"stage": 2.0})
    last, first = runner({}).history("shop")["data"]
    assert (last["revision"], last["who"], last["result"], last["seconds"]) == ("v2", "bob", "failed", 2.0)
    assert last["reason"] == "web1 failed at the step stage: no space"
    assert (first["revision"], first["result"], first["seconds"]) == ("v1", "deployed", 7.8)


def test_an_operator_locks_an_app_for_a_while_and_releases_any_lock(runner):
    rollout = runner({})
    assert rollout.lock("shop", "the database moves", seconds=60).startswith("shop is locked until 2")
    (held,) = rollout.locks()["data"]
    assert (held["app"], held["reason"], held["expires"].endswith("over")) == ("shop", "the database moves", False)
    assert rollout.unlock("shop")["reason"] == "the database moves"
    assert rollout.unlock("shop") == {}
    assert rollout.locks()["data"] == []


def test_an_app_that_is_not_there_is_not_locked(runner):
    with pytest.raises(CommandExecutionError, match="no app has the name 'shpo'"):
        runner({}).lock("shpo", "")


def skip(folder, *hosts):
    """A deploy of v2 that went on without some hosts."""
    deploy_v2(folder, [], {}, skipped=list(hosts))


def deploy_v2(folder, applied, unsafe, **more):
    attempt = {"token": "2", "who": "bob", "started": "2026-11-25T13:00:00+00:00", "before": {}, **more}
    release = {"id": "0" * 12, "commit": "0" * 40, "revision": "v2"}
    ledger_file.begin(folder, "shop", attempt | {"release": release})
    ledger_file.succeed(folder, "shop", {}, applied, unsafe=unsafe)


def test_a_way_back_over_migrations_that_only_added_needs_no_word_and_no_examination(runner, tmp_path):
    deploy_v2(tmp_path, ["shop.0002"], {})
    back = runner({}).way_back("shop")
    assert (back["problems"], back["release"]["revision"], back["examine"]) == ([], "v1", [])


@pytest.mark.parametrize(
    ("unsafe", "why"), [({"shop.0002": ["DROP_COLUMN: a", "b"]}, "DROP_COLUMN: a; b"), (None, "it")]
)
def test_a_way_back_over_unsafe_or_unexamined_migrations_names_them_and_wants_a_word(runner, tmp_path, unsafe, why):
    deploy_v2(tmp_path, ["shop.0002", "shop.0003"], unsafe)
    problems = runner({}).way_back("shop")["problems"]
    assert problems[0].endswith("migrations were applied with which it may fail:")
    assert problems[1].startswith(f"shop.0002: {why}")
    assert "keep_migrations: true" in problems[-1]
    assert runner({}).way_back("shop", keep_migrations=True)["problems"] == []


def test_hosts_are_provisioned_once_databases_first(plan, load):
    plan(HOSTS)
    module = load("_runners/rollout.py", conf_file="/etc/salt/master")
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


@pytest.fixture
def promote(runner, monkeypatch):
    """``promote(resolved)``: the deploy that a promotion asks for; ``resolved`` is what each revision means now."""

    def make(resolved, staging=None, **keys):
        module = runner({})
        given = module.__salt__["pillar.show_pillar"]()
        like = {"like": "shop", "environment": "staging", "domains": ["staging.example.com"], "database": "none"}
        given["apps"]["shop-staging"] = {**like, **(staging or {})}
        monkeypatch.setattr(module, "_resolve", lambda app, revision: {"id": resolved[app.name, revision]})
        monkeypatch.setattr(module, "deploy", lambda *args: args)
        return module.promote("shop", *keys.pop("between", ("staging", "production")), **keys)

    return make


def in_staging(folder, revision="main"):
    release = {"id": "f" * 12, "commit": "f" * 40, "revision": revision}
    ledger_file.begin(
        folder, "shop-staging", {"token": "1", "who": "ann", "started": "", "before": {}, "release": release}
    )
    ledger_file.succeed(folder, "shop-staging", {})


def test_the_release_of_staging_is_deployed_to_production_by_its_name(promote, tmp_path):
    in_staging(tmp_path, "v2")
    assert promote({("shop", "v2"): "f" * 12}) == ("shop", "v2", False, False)
    assert promote({("shop", "v2"): "f" * 12}, allow_unsafe=True, test=True) == ("shop", "v2", True, True)


def test_a_branch_that_has_gone_on_does_not_change_what_is_promoted(promote, tmp_path):
    in_staging(tmp_path)
    resolved = {("shop", "main"): "e" * 12, ("shop", "f" * 40): "f" * 12}
    assert promote(resolved)[:2] == ("shop", "f" * 40)


def test_what_cannot_be_promoted_is_refused_with_the_reason(promote, tmp_path):
    with pytest.raises(CommandExecutionError, match="shop-staging: nothing is deployed there yet"):
        promote({})
    in_staging(tmp_path)
    other = {("shop", "main"): "e" * 12, ("shop", "f" * 40): "e" * 12}
    with pytest.raises(CommandExecutionError, match="shop: its source has not main .* of shop-staging any more"):
        promote(other)
    with pytest.raises(CommandExecutionError, match="none of the environment 'test': write one, with like: shop"):
        promote({}, between=("staging", "test"))
    with pytest.raises(CommandExecutionError, match="shop, shop-staging of the environment 'production': deploy one"):
        promote({}, staging={"environment": "production"}, between=("production", "staging"))


def test_what_a_rotation_would_change_is_shown_without_running_it(load):
    rollout = load("_runners/rollout.py")
    planned = {"problems": [], "summary": "secrets:shop:SECRET_KEY: the newest value comes into use"}
    rollout.__salt__ = {"rotation.steps": lambda app: planned}
    shown = {"hosts": [], "told": planned["summary"], "reason": "", "retcode": 0}
    assert rollout.rotate("shop", test=True) == {"outputter": "rollout", "data": shown}
    planned |= {"problems": ["no app has the name 'shop'"], "summary": ""}
    assert rollout.rotate("shop", test=True)["data"] == {
        **shown,
        "told": "",
        "reason": planned["problems"][0],
        "retcode": 1,
    }
