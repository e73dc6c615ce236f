"""The orchestrations on a real master with real minions; the hosts' own work is done by doubles."""

import subprocess
import threading

from conftest import release

# What the master asks in any case, before it changes anything.
QUESTIONS = ("resolve", "preflight", "examine", "pending", "preview")
UNSAFE = {"shop.0002_price": ["DROP_COLUMN: DROPPING columns (table shop_thing, column name)"]}

TRACEBACK = "\n".join(["shop-green did not start", *(f"  frame {number}" for number in range(30)), "ImportError: no x"])


def results(done):
    """``{step: its result}`` of an orchestration."""
    (steps,) = done.data["data"].values()
    return {step["__id__"]: step for step in steps.values()}


def comment(done, step="finish"):
    return results(done)[step]["comment"]


def assert_nothing_is_left_open(fleet):
    assert fleet.lock() == {}
    assert fleet.ledger()["in_progress"] == {}


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


def test_a_deploy_is_written_into_the_ledger_and_unlocked(fleet):
    fleet.deploy("two")
    ledger = fleet.ledger()
    assert ledger["deployed"] == release("two")
    (entry,) = ledger["history"]
    assert (entry["revision"], entry["result"], entry["reason"]) == ("two", "deployed", "")
    assert entry["who"]
    assert list(entry["phases"])[:3] == ["plan", "lock", "preflight"]
    assert_nothing_is_left_open(fleet)


def test_a_database_without_pending_migrations_is_not_dumped(fleet):
    assert fleet.deploy("two").returncode == 0
    assert "dump db1" not in fleet.log()


def test_deploying_what_is_deployed_changes_nothing_and_leaves_no_entry(fleet):
    fleet.deploy("two")
    again = fleet.deploy("two")
    assert again.returncode == 0
    assert {step for step, result in results(again).items() if result["changes"]} == set()
    assert len(fleet.ledger()["history"]) == 1
    assert_nothing_is_left_open(fleet)


def test_a_host_that_cannot_stage_keeps_all_hosts_from_activating(fleet):
    fleet.script("web2", stage={"fail": "no such package: djangoo"})
    done = fleet.deploy("two")
    assert done.returncode == 1
    assert {line.split()[0] for line in fleet.log(*QUESTIONS)} == {"stage"}
    assert comment(done).endswith("web2 failed at the step stage: shop-stage: no such package: djangoo")
    assert fleet.serving() == ["one", "one"]
    assert_nothing_is_left_open(fleet)


def test_a_host_that_fails_in_a_later_wave_brings_the_earlier_ones_back(fleet):
    fleet.script("web2", activate={"fail": TRACEBACK})
    done = fleet.deploy("two")
    assert done.returncode == 1
    assert fleet.serving() == ["one", "one"]
    assert fleet.log(*QUESTIONS)[-1] == "revert web1"
    assert f"web1 serves {release('one')['id']} again" in comment(done)
    assert comment(done).endswith("  frame 29\nImportError: no x")


def test_a_host_that_went_back_by_itself_brings_all_of_them_back(fleet):
    fleet.script("web1", activate={"goes_back": True})
    done = fleet.deploy("two")
    assert done.returncode == 1
    assert comment(done).endswith(f"the step confirm failed: web1: it serves {release('one')['id']} again")
    assert fleet.serving() == ["one", "one"]
    assert fleet.ledger()["deployed"] == {}


def test_a_failed_deploy_is_in_the_ledger_with_its_reason_and_the_release_before_is_still_deployed(fleet):
    fleet.deploy("two")
    fleet.script("web2", activate={"fail": TRACEBACK})
    fleet.deploy("three")
    ledger = fleet.ledger()
    assert ledger["deployed"]["revision"] == "two"
    assert ledger["history"][-1]["revision"] == "three"
    assert ledger["history"][-1]["result"] == "failed"
    assert "ImportError: no x" in ledger["history"][-1]["reason"]
    assert_nothing_is_left_open(fleet)


def test_a_failed_deploy_says_that_its_migrations_stay(fleet):
    fleet.script("web1", activate={"fail": "boom"})
    assert "the migrations that ran stay applied" in comment(fleet.deploy("two"))


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
    fleet.script("web1", stage={"sleep": 12})
    first = []
    thread = threading.Thread(target=lambda: first.append(fleet.deploy("two")))
    thread.start()
    while not fleet.lock():
        assert thread.is_alive()
    second = fleet.deploy("three")
    thread.join()
    assert first[0].returncode == 0, first[0].stdout
    assert second.returncode == 1
    for words in ("shop is locked by ", "shop two (", "expires at", "salt-run rollout.unlock shop"):
        assert words in comment(second)
    assert fleet.serving() == ["two", "two"]
    assert [entry["revision"] for entry in fleet.ledger()["history"]] == ["two"]


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
    fleet.minions["web2"].terminate()
    try:
        done = fleet.deploy("two")
    finally:
        fleet.minions["web2"].start()
    assert done.returncode == 1
    assert "web2: it does not answer" in comment(done)
    assert fleet.log(*QUESTIONS) == []


def test_test_mode_shows_the_plan_and_touches_nothing(fleet):
    done = fleet.deploy("two", "test=True")
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
    assert fleet.log(*QUESTIONS) == []
    assert not fleet.ledgers.exists()


def test_the_plan_in_words_is_what_test_mode_says(fleet):
    fleet.deploy("one")
    found = {"migrations": ["shop.0002"], "requirements": {"django": ["5.2.1", "5.2.3"]}}
    fleet.script("web1", preview={"found": found})
    before = fleet.ledger()
    planned = fleet.run("rollout.plan", "shop", "two", "--out=txt")
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
        f"way back: one ({release('one')['id']}) (with keep_migrations: true, because these migrations stay applied)",
    ]
    assert comment(fleet.deploy("two", "test=True"), "plan").splitlines() == words
    assert fleet.ledger() == before


def test_the_plan_is_text_unless_another_output_is_asked_for(fleet):
    argv = [word for word in fleet.master.salt_run_cli().cmdline("rollout.plan", "shop", "two") if "--out" not in word]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert "activate-1: web1\nwait-1: 1 s\nactivate-2: web2\nmigrations: none\n" in done.stdout


def test_the_plan_of_a_release_that_cannot_be_made_ready_names_the_problem_and_fails(fleet):
    planned = fleet.run("rollout.plan", "shop", "broken")
    assert planned.returncode == 1
    assert planned.data["problems"] == ["web1: no such package: djangoo"]
    assert [wave["hosts"] for wave in planned.data["waves"]] == [["web1"], ["web2"]]


def test_time_passes_between_the_waves(fleet):
    done = fleet.deploy("two")
    assert results(done)["wait-1"]["comment"] == "1 s have passed"
    assert results(done)["wait-1"]["duration"] >= 1000
    again = fleet.deploy("two")
    assert results(again)["wait-1"]["comment"] == "no host has changed: nothing to wait for"


def test_an_unknown_app_is_refused_with_a_sentence(fleet):
    done = fleet.deploy("two", app="shpo")
    assert done.returncode == 1
    assert "no app has the name 'shpo'" in comment(done, "plan")
    assert "no app has the name 'shpo'" in comment(done)


def test_without_a_revision_the_one_of_the_pillar_is_deployed(fleet):
    assert fleet.deploy("").returncode == 0
    assert fleet.ledger()["deployed"]["revision"] == "two"


def test_a_rollback_brings_back_what_was_deployed_before_without_asking_the_repository(fleet):
    fleet.deploy("one")
    fleet.deploy("two")
    planned = fleet.rollback("test=True")
    assert fleet.serving() == ["two", "two"]
    assert results(planned)["record"]["changes"]["deployed"]["new"] == release("one")
    asked = fleet.log().count("resolve web1")
    done = fleet.rollback()
    assert done.returncode == 0, done.stdout
    assert fleet.serving() == ["one", "one"]
    assert fleet.log().count("resolve web1") == asked
    ledger = fleet.ledger()
    assert ledger["deployed"] == release("one")
    assert [(entry["revision"], entry["result"]) for entry in ledger["history"]][-1] == ("one", "rolled back")
    assert_nothing_is_left_open(fleet)


def test_a_rollback_goes_further_back_and_not_forth(fleet):
    for revision in ("one", "two", "three"):
        fleet.deploy(revision)
    fleet.rollback()
    fleet.rollback()
    assert fleet.serving() == ["one", "one"]
    last = fleet.rollback()
    assert last.returncode == 1
    assert "shop: nothing was deployed before: choose one of these" in comment(last)
    assert fleet.rollback(to="three").returncode == 0
    assert fleet.serving() == ["three", "three"]


def test_an_unsafe_migration_stops_a_deploy_before_the_database_is_touched(fleet):
    fleet.script("web1", examine={"unsafe": UNSAFE})
    done = fleet.deploy("two")
    assert done.returncode == 1
    assert f"shop.0002_price: {UNSAFE['shop.0002_price'][0]}" in comment(done)
    assert "allow_unsafe: true" in comment(done)
    assert {line.split()[0] for line in fleet.log(*QUESTIONS)} == {"stage"}
    assert fleet.serving() == ["one", "one"]
    assert fleet.ledger()["history"][-1]["applied"] == []
    assert_nothing_is_left_open(fleet)


def test_a_rollback_over_an_unsafe_migration_names_it_and_wants_a_word(fleet):
    fleet.deploy("one")
    fleet.script("web1", examine={"unsafe": UNSAFE}, migrate={"applied": ["shop.0002_price"]})
    assert fleet.deploy("two", allow_unsafe=True).returncode == 0
    fleet.script("web1")
    refused = fleet.rollback()
    assert refused.returncode == 1
    assert f"shop.0002_price: {UNSAFE['shop.0002_price'][0]}" in comment(refused)
    assert fleet.serving() == ["two", "two"]
    assert fleet.rollback(keep_migrations=True).returncode == 0
    assert fleet.serving() == ["one", "one"]


def test_a_rollback_over_migrations_that_only_added_needs_no_word_and_examines_nothing(fleet):
    fleet.deploy("one")
    fleet.script("web1", migrate={"applied": ["shop.0002_price"]})
    fleet.deploy("two")
    fleet.script("web1")
    examined = fleet.log().count("examine web1")
    assert fleet.rollback().returncode == 0
    assert fleet.serving() == ["one", "one"]
    assert fleet.log().count("examine web1") == examined


def test_a_rollback_that_fails_brings_the_hosts_back_to_what_they_served(fleet):
    fleet.deploy("one")
    fleet.deploy("two")
    fleet.script("web2", activate={"fail": "boom"})
    assert fleet.rollback().returncode == 1
    assert fleet.serving() == ["two", "two"]
    assert fleet.ledger()["deployed"] == release("two")


def test_the_bus_is_told_when_each_phase_begins_and_ends_on_each_host(fleet):
    with fleet.bus() as told:
        fleet.deploy("two")
    for host in ("web1", "web2"):
        for phase in ("stage", f"activate-{host[-1]}", "retire"):
            tag = f"rollout/shop/{phase}/{host}"
            assert [what for where, what in told if where == tag] == ["begun", "done"]
    assert ("rollout/shop/migrate/web1", "done") in told
    assert told[0] == ("rollout/shop/plan/master", "begun")
    assert told[-1] == ("rollout/shop/finish/master", "done")


def test_the_bus_is_told_which_host_failed(fleet):
    fleet.script("web2", activate={"fail": "boom"})
    with fleet.bus() as told:
        fleet.deploy("two")
    assert ("rollout/shop/activate-2/web2", "failed") in told
    assert told[-1] == ("rollout/shop/finish/master", "failed")


def test_rollout_deploy_shows_each_step_as_it_ends_and_a_table_at_the_end(fleet):
    done = fleet.shown("rollout.deploy", "shop", "two")
    assert done.returncode == 0, done.stderr
    assert fleet.serving() == ["two", "two"]
    assert f"shop two ({release('two')['id']}): web1, then web2" in done.stderr
    told = [line.partition(" after ")[0] for line in done.stderr.splitlines()]
    order = [told.index(line) for line in ("stage web2: done", "migrate web1: done", "activate-2 web2: done")]
    assert order == sorted(order)
    head, *rows = done.stdout.splitlines()
    assert head.split()[:3] == ["Host", "App", "Release"]
    assert [row.split()[:3] for row in rows] == [[host, "shop", release("two")["id"]] for host in ("web1", "web2")]


def test_rollout_deploy_ends_with_the_reason_of_a_failure_and_exit_code_1(fleet):
    fleet.script("web2", activate={"fail": TRACEBACK})
    done = fleet.shown("rollout.deploy", "shop", "two")
    assert done.returncode == 1
    assert "activate-2 web2: failed" in done.stderr
    assert done.stdout.rstrip().endswith("ImportError: no x")
    assert f"web1 serves {release('one')['id']} again" in done.stdout


def test_rollout_deploy_of_an_app_that_is_not_there_is_one_sentence(fleet):
    done = fleet.shown("rollout.deploy", "shpo", "two")
    assert done.returncode == 1
    assert "no app has the name 'shpo'" in done.stdout


def test_rollout_rollback_goes_back(fleet):
    fleet.deploy("one")
    fleet.deploy("two")
    done = fleet.run("rollout.rollback", "shop")
    assert (done.returncode, done.data["result"]) == (0, "done"), (done.data, done.stdout)
    assert fleet.serving() == ["one", "one"]


def test_provision_runs_databases_before_apps_and_locks_deploys_out(fleet):
    done = fleet.provision()
    assert done.returncode == 0, done.stdout
    assert list(results(done)) == ["plan", "lock-shop", "modules", "database-hosts", "app-hosts", "finish"]
    assert fleet.log()[0] == "highstate db1"
    assert fleet.lock() == {}


def test_a_database_host_that_fails_keeps_the_app_hosts_from_being_provisioned(fleet):
    fleet.script("db1", highstate={"fail": "no room"})
    done = fleet.provision()
    assert done.returncode == 1
    assert fleet.log() == ["highstate db1"]
    assert comment(done).endswith("db1 failed at the step database-hosts: host: no room")
    assert fleet.lock() == {}


def test_maintenance_is_for_the_hosts_that_visitors_reach(fleet):
    done = fleet.maintain(True, allow=["203.0.113.7", "203.0.113.8"])
    assert done.returncode == 0, done.stdout
    assert sorted(fleet.log()) == ["maintenance-on web1", "maintenance-on web2"]
    changes = results(done)["visitors"]["changes"]["ret"]["web1"].values()
    assert [change["changes"] for change in changes] == [{"maintenance-on": "shop but for 203.0.113.7 203.0.113.8"}]
    assert fleet.maintain(False).returncode == 0
    assert sorted(fleet.log())[:2] == ["maintenance-off web1", "maintenance-off web2"]


def test_in_test_mode_maintenance_touches_nothing(fleet):
    done = fleet.maintain(True, "test=True")
    assert done.returncode == 0, done.stdout
    assert results(done)["visitors"]["result"] is None
    assert fleet.log() == []


def test_a_mistake_in_the_words_for_maintenance_is_told_before_anything_is_touched(fleet):
    done = fleet.maintain("soon", allow=["office"])
    assert done.returncode == 1
    assert "on: 'soon' is neither true nor false" in comment(done)
    assert "allow: 'office' is no IP address" in comment(done)
    assert fleet.log() == []


def test_a_host_that_does_not_answer_is_named_and_the_others_are_closed(fleet):
    fleet.minions["web2"].terminate()
    try:
        done = fleet.maintain(True)
    finally:
        fleet.minions["web2"].start()
    assert done.returncode == 1
    assert comment(done).endswith("web2 failed at the step visitors: it did not answer")
    assert fleet.log() == ["maintenance-on web1"]


def test_maintenance_waits_for_no_deploy_and_disturbs_none(fleet):
    fleet.script("web1", stage={"sleep": 12})
    first = []
    thread = threading.Thread(target=lambda: first.append(fleet.deploy("two")))
    thread.start()
    while not (fleet.ledgers / "shop.json").exists():
        assert thread.is_alive()
    done = fleet.maintain(True)
    thread.join()
    log = fleet.log()
    assert log.index("maintenance-on web1") < log.index("stage web1")
    assert (done.returncode, first[0].returncode) == (0, 0), done.stdout + first[0].stdout
    assert fleet.serving() == ["two", "two"]
