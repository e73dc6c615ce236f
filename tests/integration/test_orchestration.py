"""Deploys on a real master with real minions; the hosts' own work is done by doubles."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from conftest import APP, QUESTIONS, TRACEBACK, assert_nothing_is_left_open, comment, release, results

import steps

PAUSED = {**APP["rollout"], "between": 1}


@pytest.fixture(scope="module")
def deployed(daemons, tmp_path_factory):
    """A deploy of the pillar's revision with a second between its waves, and the same once more."""
    daemons.reset()
    with daemons.pillar(rollout=PAUSED):
        with daemons.bus() as told:
            done = daemons.deploy("")
        then = daemons.as_it_is(tmp_path_factory.mktemp("deployed"))
        again = daemons.deploy("two")
    now = daemons.as_it_is(tmp_path_factory.mktemp("again"))
    return SimpleNamespace(done=done, told=told, then=then, again=again, now=now)


@pytest.fixture(scope="module")
def failed(daemons, tmp_path_factory):
    """A deploy that fails on the host of the second wave; its hosts served two."""
    daemons.reset()
    daemons.was_deployed("two")
    daemons.script("web2", activate={"fail": TRACEBACK})
    with daemons.bus() as told:
        done = daemons.deploy("three")
    return SimpleNamespace(done=done, told=told, then=daemons.as_it_is(tmp_path_factory.mktemp("failed")))


def test_a_deploy_runs_its_steps_in_order_and_the_canary_goes_first(fleet):
    fleet.script("web1", pending={"pending": ["shop.0002"]})
    done = fleet.deploy("two")
    assert done.returncode == 0, done.stdout
    log = fleet.log("resolve", "preflight")
    assert sorted(log[:2]) == ["stage web1", "stage web2"]
    assert log[2:5] == ["examine web1", "pending web1", "dump db1"]
    assert log[5:8] == ["migrate web1", "activate web1", "activate web2"]
    assert sorted(log[8:10]) == ["settle web1", "settle web2"]
    assert sorted(log[10:]) == ["retire web1", "retire web2"]
    assert fleet.serving() == ["two", "two"]


def test_a_deploy_is_written_into_the_ledger_and_unlocked(deployed):
    ledger = deployed.then.ledger()
    assert ledger["deployed"] == release("two")
    (entry,) = ledger["history"]
    assert (entry["revision"], entry["result"], entry["reason"]) == ("two", "deployed", "")
    assert entry["who"]
    assert list(entry["phases"])[:4] == ["plan", "lock", "heal", "preflight"]
    assert_nothing_is_left_open(deployed.then)


def test_a_database_without_pending_migrations_is_not_dumped(deployed):
    assert deployed.done.returncode == 0
    assert "dump db1" not in deployed.then.log()


def test_deploying_what_is_deployed_changes_nothing_and_leaves_no_entry(deployed):
    assert deployed.again.returncode == 0
    assert {step for step, result in results(deployed.again).items() if result["changes"]} == set()
    assert len(deployed.now.ledger()["history"]) == 1
    assert_nothing_is_left_open(deployed.now)


def test_without_a_revision_the_one_of_the_pillar_is_deployed(deployed):
    assert deployed.done.returncode == 0
    assert deployed.then.ledger()["deployed"]["revision"] == "two"


def test_time_passes_between_the_waves(deployed):
    assert results(deployed.done)["wait-1"]["comment"] == "1 s have passed"
    assert results(deployed.done)["wait-1"]["duration"] >= 1000
    assert results(deployed.again)["wait-1"]["comment"] == "no host has changed: nothing to wait for"


def test_the_bus_is_told_when_each_phase_begins_and_ends_on_each_host(deployed):
    for host in ("web1", "web2"):
        for phase in ("stage", f"activate-{host[-1]}", "retire"):
            tag = f"rollout/shop/{phase}/{host}"
            assert [what for where, what in deployed.told if where == tag] == ["begun", "done"]
    assert ("rollout/shop/migrate/web1", "done") in deployed.told
    assert deployed.told[0] == ("rollout/shop/plan/master", "begun")
    assert deployed.told[-1] == ("rollout/shop/finish/master", "done")


def test_a_host_that_cannot_stage_keeps_all_hosts_from_activating(fleet):
    fleet.script("web2", stage={"fail": "no such package: djangoo"})
    done = fleet.deploy("two")
    assert done.returncode == 1
    assert {line.split()[0] for line in fleet.log(*QUESTIONS)} == {"stage"}
    assert comment(done).endswith("web2 failed at the step stage: shop-stage: no such package: djangoo")
    assert fleet.serving() == ["one", "one"]
    assert_nothing_is_left_open(fleet)


def test_a_host_that_fails_in_a_later_wave_brings_the_earlier_ones_back(failed):
    assert failed.done.returncode == 1
    assert failed.then.serving() == ["two", "two"]
    assert failed.then.log(*QUESTIONS)[-1] == "revert web1"
    assert f"web1 serves {release('two')['id']} again" in comment(failed.done)
    assert comment(failed.done).endswith("  frame 29\nImportError: no x")


def test_a_host_that_went_back_by_itself_brings_all_of_them_back(fleet):
    fleet.script("web1", activate={"goes_back": True})
    done = fleet.deploy("two")
    assert done.returncode == 1
    assert comment(done).endswith(f"the step confirm failed: web1: it serves {release('one')['id']} again")
    assert fleet.serving() == ["one", "one"]
    assert fleet.ledger()["deployed"] == {}


def test_a_failed_deploy_is_in_the_ledger_with_its_reason_and_the_release_before_is_still_deployed(failed):
    ledger = failed.then.ledger()
    assert ledger["deployed"]["revision"] == "two"
    assert ledger["history"][-1]["revision"] == "three"
    assert ledger["history"][-1]["result"] == "failed"
    assert "ImportError: no x" in ledger["history"][-1]["reason"]
    assert_nothing_is_left_open(failed.then)


def test_a_failed_deploy_says_that_its_migrations_stay(failed):
    assert "the migrations that ran stay applied" in comment(failed.done)


def test_the_bus_is_told_which_host_failed(failed):
    assert ("rollout/shop/activate-2/web2", "failed") in failed.told
    assert failed.told[-1] == ("rollout/shop/finish/master", "failed")


def test_a_host_that_cannot_be_brought_back_is_named(fleet):
    fleet.script("web1", revert={"fail": "blue does not start"})
    fleet.script("web2", activate={"fail": "boom"})
    assert f"web1 was NOT brought back to {release('one')['id']}: blue does not start" in comment(fleet.deploy("two"))


def test_a_failure_after_the_release_was_recorded_takes_nothing_back(fleet):
    fleet.script("web2", retire={"fail": "boom"})
    done = fleet.deploy("two")
    assert done.returncode == 1
    assert "the release is deployed on every host" in comment(done)
    assert fleet.serving() == ["two", "two"]
    assert_nothing_is_left_open(fleet)


def test_every_problem_of_every_host_is_reported_together_and_nothing_is_touched(fleet):
    fleet.script("web1", preflight={"problems": ["the disk is full", "Nginx does not run"]})
    fleet.script("web2", preflight={"skew": 60})
    done = fleet.deploy("two")
    assert done.returncode == 1
    assert "web1: the disk is full; Nginx does not run" in comment(done)
    assert "web2: its clock is +60 s off" in comment(done)
    assert fleet.log(*QUESTIONS) == []
    assert_nothing_is_left_open(fleet)


def test_of_two_deploys_at_once_the_second_is_refused_and_told_who_holds_the_lock(fleet):
    with ThreadPoolExecutor() as pool, fleet.held("web1", "stage"):
        first = pool.submit(fleet.deploy, "two")
        while not fleet.lock():
            assert not first.done()
        second = fleet.deploy("three")
    assert first.result().returncode == 0, first.result().stdout
    assert second.returncode == 1
    for words in ("shop is locked by ", "shop two (", "expires at", "salt-run rollout.unlock shop"):
        assert words in comment(second)
    assert fleet.serving() == ["two", "two"]
    assert [entry["revision"] for entry in fleet.ledger()["history"]] == ["two"]


def test_two_apps_on_the_same_hosts_are_deployed_at_once(fleet):
    fleet.script("web1", stage={"sleep": 3})
    with fleet.pillar(others=["blog"]), ThreadPoolExecutor() as pool:
        both = {app: pool.submit(fleet.deploy, "two", app=app) for app in ("shop", "blog")}
        codes = {app: deploy.result().returncode for app, deploy in both.items()}
    assert codes == {"shop": 0, "blog": 0}
    assert fleet.serving("shop") == fleet.serving("blog") == ["two", "two"]
    first, second = sorted((fleet.ledger(app)["history"][0] for app in codes), key=lambda entry: entry["started"])
    assert second["started"] < first["finished"]


def test_a_host_that_is_at_another_state_run_is_waited_for(fleet):
    with ThreadPoolExecutor() as pool, fleet.held("web1", "highstate") as is_held, fleet.bus_of_jobs() as answers:
        # Queued behind what an earlier test left: a host clears a state run away after it has answered.
        other = pool.submit(fleet.call, "web1", "state.apply", "queue=True")
        while not is_held():
            assert not other.done()
            time.sleep(0.05)
        deploy = pool.submit(fleet.deploy, "two")
        assert any(steps.is_busy(answer.get("return")) for answer in answers)
    assert all(state["result"] for state in other.result().values())
    done = deploy.result()
    assert done.returncode == 0, done.stdout
    assert fleet.log().index("highstate web1") < fleet.log().index("stage web1")


def test_a_deploy_that_was_killed_is_healed_by_the_next_once_its_lock_is_released(fleet):
    fleet.script("web1", stage={"sleep": 3})
    fleet.kill_deploy("two", when=lambda: (fleet.ledgers / "shop.json").exists())
    assert fleet.ledger()["in_progress"]["release"] == release("two")
    assert fleet.run("ledger.show", "shop").data == fleet.ledger()
    (lock,) = fleet.run("rollout.locks").data
    assert (lock["app"], lock["job"]) == ("shop", fleet.lock()["token"])
    assert fleet.deploy("two").returncode == 1
    fleet.run("rollout.unlock", "shop")
    done = fleet.deploy("two")
    assert done.returncode == 0, done.stdout
    assert "never ended" in comment(done, "preflight")
    assert [entry["result"] for entry in fleet.ledger()["history"]] == ["failed", "deployed"]
    assert fleet.serving() == ["two", "two"]


def test_a_host_that_does_not_answer_stops_the_deploy_before_anything_is_touched(fleet):
    with fleet.off("web2"):
        done = fleet.deploy("two")
    assert done.returncode == 1
    assert "web2: it does not answer" in comment(done)
    assert fleet.log(*QUESTIONS) == []


@pytest.fixture
def waiting(fleet):
    """The fleet of an app that waits a second between its waves."""
    with fleet.pillar(rollout=PAUSED):
        yield fleet


def test_test_mode_shows_the_plan_and_touches_nothing(waiting):
    done = waiting.deploy("two", "test=True")
    assert done.returncode == 0, done.stdout
    steps = results(done)
    assert steps["plan"]["comment"].splitlines() == [
        f"deploy: shop two ({release('two')['id']})",
        "activate-1: web1",
        "wait-1: 1 s",
        "activate-2: web2",
        "migrations: none",
        "requirements: as they are",
        "dump: none",
        "way back: none: nothing is deployed yet",
    ]
    assert steps["wait-1"]["comment"] == "1 s would pass before the next wave"
    assert steps["activate-2"]["result"] is None
    assert steps["record"]["changes"] == {"deployed": {"old": {}, "new": release("two")}}
    assert waiting.log(*QUESTIONS) == []
    assert not waiting.ledgers.exists()


def test_the_plan_in_words_is_what_test_mode_says(waiting):
    waiting.was_deployed("one")
    found = {"migrations": ["shop.0002"], "requirements": {"django": ["5.2.1", "5.2.3"]}}
    waiting.script("web1", preview={"found": found})
    before = waiting.ledger()
    planned = waiting.run("rollout.plan", "shop", "two", "--out=txt")
    assert planned.returncode == 0, planned.stdout
    words = planned.stdout.strip().splitlines()[-8:]
    assert words == [
        f"deploy: shop two ({release('two')['id']})",
        "activate-1: web1",
        "wait-1: 1 s",
        "activate-2: web2",
        "migrations: shop.0002",
        "requirements: django 5.2.1 -> 5.2.3",
        "dump: shop on db1, before the migrations",
        f"way back: one ({release('one')['id']})",
    ]
    assert comment(waiting.deploy("two", "test=True"), "plan").splitlines() == words
    assert waiting.ledger() == before


def test_the_plan_is_text_unless_another_output_is_asked_for(waiting):
    argv = [
        word for word in waiting.master.salt_run_cli().cmdline("rollout.plan", "shop", "two") if "--out" not in word
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert "activate-1: web1\nwait-1: 1 s\nactivate-2: web2\nmigrations: none\n" in done.stdout
    foretold = waiting.shown("rollout.deploy", "shop", "two", "test=True")
    assert (foretold.stdout, foretold.returncode) == (done.stdout, 0)
    assert waiting.log(*QUESTIONS) == []


def test_the_plan_of_a_release_that_cannot_be_made_ready_names_the_problem_and_fails(fleet):
    planned = fleet.run("rollout.plan", "shop", "broken")
    assert planned.returncode == 1
    assert planned.data["problems"] == ["web1: no such package: djangoo"]
    assert [wave["hosts"] for wave in planned.data["waves"]] == [["web1"], ["web2"]]


def test_an_unknown_app_is_refused_with_a_sentence(fleet):
    done = fleet.deploy("two", app="shpo")
    assert done.returncode == 1
    assert "no app has the name 'shpo'" in comment(done, "plan")
    assert "no app has the name 'shpo'" in comment(done)
