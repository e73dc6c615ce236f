"""The other orchestrations, and what the runner `rollout` shows, on a real master with real minions and doubles."""

from concurrent.futures import ThreadPoolExecutor

from conftest import APP, QUESTIONS, TRACEBACK, UNSAFE, assert_nothing_is_left_open, comment, release, results


def test_a_rollback_brings_back_what_was_deployed_before_without_asking_the_repository(fleet):
    fleet.was_deployed("one", "two")
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
    fleet.was_deployed("one", "two", "three")
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
    fleet.was_deployed("one")
    fleet.script("web1", examine={"unsafe": UNSAFE}, migrate={"applied": ["shop.0002_price"]})
    assert fleet.deploy("two", allow_unsafe=True).returncode == 0
    fleet.script("web1")
    refused = fleet.rollback()
    assert refused.returncode == 1
    assert f"shop.0002_price: {UNSAFE['shop.0002_price'][0]}" in comment(refused)
    assert "restore: true brings the database back as it was before them" in comment(refused)
    assert fleet.serving() == ["two", "two"]
    assert fleet.rollback(keep_migrations=True).returncode == 0
    assert fleet.serving() == ["one", "one"]


def test_a_rollback_over_migrations_that_only_added_needs_no_word_and_examines_nothing(fleet):
    fleet.was_deployed("one", "two", applied=["shop.0002_price"])
    assert fleet.rollback().returncode == 0
    assert fleet.serving() == ["one", "one"]
    assert "examine web1" not in fleet.log()


def test_a_rollback_that_fails_brings_the_hosts_back_to_what_they_served(fleet):
    fleet.was_deployed("one", "two")
    fleet.script("web2", activate={"fail": "boom"})
    assert fleet.rollback().returncode == 1
    assert fleet.serving() == ["two", "two"]
    assert fleet.ledger()["deployed"] == release("two")


def test_rollout_deploy_shows_each_step_as_it_ends_and_a_table_at_the_end(fleet):
    done = fleet.shown("rollout.deploy", "shop", "two")
    assert done.returncode == 0, done.stderr
    assert fleet.serving() == ["two", "two"]
    assert f"shop two ({release('two')['id']}): web1, then" in done.stderr
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
    # What Salt says of itself is shown, and of states nothing but the end.
    assert [line for line in done.stderr.splitlines() if "result" in line or "ImportError" in line] == []
    assert done.stdout.rstrip().endswith("ImportError: no x")
    assert f"web1 serves {release('one')['id']} again" in done.stdout


def test_rollout_deploy_of_an_app_that_is_not_there_is_one_sentence(fleet):
    done = fleet.shown("rollout.deploy", "shpo", "two")
    assert done.returncode == 1
    assert "no app has the name 'shpo'" in done.stdout


def test_rollout_rollback_goes_back(fleet):
    fleet.was_deployed("one", "two")
    done = fleet.run("rollout.rollback", "shop")
    assert (done.returncode, done.data["result"]) == (0, "done"), (done.data, done.stdout)
    assert fleet.serving() == ["one", "one"]


def test_the_very_release_of_staging_is_promoted_to_production(fleet):
    like = {"like": "shop", "environment": "staging", "domains": ["staging.example.com"], "database": "none"}
    with fleet.pillar(others={"shop-staging": like}):
        assert fleet.deploy("three", app="shop-staging").returncode == 0
        assert fleet.serving() == ["one", "one"]
        done = fleet.run("rollout.promote", "shop", "staging", "production")
    assert (done.returncode, done.data["result"]) == (0, "done"), (done.data, done.stdout)
    assert fleet.serving() == fleet.serving("shop-staging") == ["three", "three"]
    assert fleet.ledger()["deployed"] == release("three")


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


def test_a_password_that_hosts_miss_is_named_before_any_host_is_touched(fleet):
    with fleet.pillar(others={"blog": {**APP, "domains": ["blog.example.com"]}}):
        done = fleet.provision()
    assert done.returncode == 1
    assert "web1: passwords:database:blog: missing: write it into pillar/secrets/blog_database.sls" in comment(done)
    assert fleet.log() == []
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
    with fleet.off("web2"):
        done = fleet.maintain(True)
    assert done.returncode == 1
    assert comment(done).endswith("web2 failed at the step visitors: it did not answer")
    assert fleet.log() == ["maintenance-on web1"]


def test_maintenance_waits_for_no_deploy_and_disturbs_none(fleet):
    with ThreadPoolExecutor() as pool, fleet.held("web1", "stage"):
        deploy = pool.submit(fleet.deploy, "two")
        while not (fleet.ledgers / "shop.json").exists():
            assert not deploy.done()
        done = fleet.maintain(True)
    log = fleet.log()
    assert log.index("maintenance-on web1") < log.index("stage web1")
    assert (done.returncode, deploy.result().returncode) == (0, 0), done.stdout + deploy.result().stdout
    assert fleet.serving() == ["two", "two"]
