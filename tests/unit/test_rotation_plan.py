"""What a rotation is going to do, and what it says of each secret."""

import json

import pytest

import ledger_file
import rotation
from app_spec_classes import Secret

KEY, PASSWORD, DEPLOY_KEY = "secrets:shop:SECRET_KEY", "passwords:database:shop", "secrets:shop:deploy_key"
CACHE = "passwords:cache:shop"
V1 = {"id": "1a2b3c4d5e6f", "commit": "1a2b3c4d5e6f" + "0" * 28, "revision": "v1"}
SINCE = "2020-11-25T18:41:17+00:00"
APP = {"source": {"git": "https://git.example.com/x.git"}, "revision": "v1", "domains": ["shop.example.com"]}
HOSTS = {
    "web1": {"address": "10.0.0.11", "roles": ["app"]},
    "web2": {"address": "10.0.0.12", "roles": ["app"]},
    "web3": {"address": "10.0.0.13", "roles": ["app"]},
    "db1": {"address": "10.0.0.21", "roles": ["database"]},
    "cache1": {"address": "10.0.0.22", "roles": ["cache"]},
}


def noted(path, value, since=SINCE, **more):
    return {path: {"value": rotation.fingerprint(path, Secret(value)), "since": since, **more}}


@pytest.fixture
def plan(load, tmp_path):
    """The plan; a host's own pillar has secrets, the one for everybody has none."""

    def make(secrets=None, password="old", cache="old", in_use=None, deployed=True, name="shop", **keys):
        module = load("_runners/rotation.py", slipway_dir=str(tmp_path))
        shared = {"hosts": HOSTS, "apps": {"shop": {**APP, **keys}}, "releases": {"shop": V1}}
        own = {
            "secrets": {"shop": secrets or {}},
            "passwords": {"database": {"shop": password}, "cache": {"shop": cache}},
        }
        own["in_use"] = {"shop": in_use or {}}
        module.__salt__ = {"pillar.show_pillar": lambda *host: shared | own if host == ("web1",) else shared}
        if deployed:
            attempt = {"token": "1", "who": "ann", "started": SINCE, "before": {}, "release": V1}
            ledger_file.begin(tmp_path, "shop", attempt)
            ledger_file.succeed(tmp_path, "shop", {})
        return module.steps(name)

    return make


@pytest.mark.parametrize(
    ("files", "sls"), [({}, "app.activate"), ({"a.ini": {"template": "salt://shop/a.ini"}}, "app.stage,app.activate")]
)
def test_files_with_secrets_in_them_are_made_anew(plan, files, sls):
    assert plan({"SECRET_KEY": ["new", "old"]}, files=files)["sls"] == sls


def test_without_a_newer_value_there_is_nothing_to_do(plan):
    planned = plan({"SECRET_KEY": "old"})
    assert (planned["work"], planned["rotates"], planned["problems"]) == ([], {}, [])
    assert planned["summary"] == "shop: no secret has a newer value than the one in use"


def test_the_steps_come_in_waves_twice_each_behind_the_one_before(plan):
    planned = plan({"SECRET_KEY": ["new", "old"]}, rollout={"canary": 1, "wave": 1, "between": 60})
    steps = [*planned["accept"], *planned["use"]]
    assert [step["id"] for step in steps] == ["accept-1", "accept-2", "accept-3", "use-1", "use-2", "use-3"]
    assert [step["hosts"] for step in steps] == [["web1"], ["web2"], ["web3"]] * 2
    pauses = [pause["id"] for step in steps for pause in step["pauses"]]
    assert pauses == ["wait-accept-1", "wait-accept-2", "wait-use-1", "wait-use-2"]
    assert (steps[0]["after"], steps[3]["after"]) == ("cache", "accepted")
    assert (planned["accepted"], planned["used"]) == ("accept-3", "use-3")


def test_what_the_ledger_will_note_is_the_newest_value_and_the_login_that_it_goes_to(plan):
    planned = plan({"SECRET_KEY": ["new", "old"], "TOKEN": "x"}, ["new", "old"])
    key, password = (noted(path, "new")[path]["value"] for path in (KEY, PASSWORD))
    assert planned["rotates"] == {
        KEY: {"value": key, "overlap": True},
        PASSWORD: {"value": password, "login": 2, "overlap": True},
    }
    old = noted(PASSWORD, "old")[PASSWORD]["value"]
    assert planned["overlap"] == {PASSWORD: {"value": old, "login": 1, "overlap": True}}


def test_the_next_password_goes_to_the_first_login_again(plan):
    planned = plan(password=["newer", "new"], in_use=noted(PASSWORD, "new", login=2))
    assert planned["rotates"][PASSWORD]["login"] == 1
    assert planned["overlap"][PASSWORD]["login"] == 2


def test_the_database_takes_part_only_if_its_password_changes(plan):
    assert plan({"SECRET_KEY": ["new", "old"]})["databases"] == []
    assert plan(password=["new", "old"])["databases"] == ["db1"]


def test_the_cache_takes_part_only_if_its_password_changes_and_has_no_second_login(plan):
    assert plan(password=["new", "old"])["caches"] == []
    planned = plan(cache=["new", "old"])
    assert (planned["caches"], planned["databases"], planned["others"]) == (["cache1"], [], ["cache1"])
    new, old = (noted(CACHE, value)[CACHE]["value"] for value in ("new", "old"))
    assert planned["rotates"] == {CACHE: {"value": new, "overlap": True}}
    assert planned["overlap"] == {CACHE: {"value": old, "overlap": True}}


def test_a_deploy_key_is_tried_only_if_there_is_a_new_one(plan):
    assert plan({"deploy_key": ["new", "old"]})["trying"] == ["web1", "web2", "web3"]
    assert plan({"deploy_key": ["new", "old"]}, in_use=noted(DEPLOY_KEY, "new"))["trying"] == []


def test_a_rotation_that_was_killed_before_its_end_is_taken_up_again(plan):
    planned = plan(password=["new", "old"], in_use=noted(PASSWORD, "new", login=2, overlap=True))
    assert (planned["work"], planned["rotates"], planned["databases"]) == (["shop"], {}, ["db1"])
    assert planned["summary"] == "passwords:database:shop: shop-2 is in use; shop is shut out"


def test_a_key_with_which_a_slot_may_still_run_is_taken_up_again_too(plan):
    planned = plan({"SECRET_KEY": ["new", "old"]}, in_use=noted(KEY, "new", overlap=True))
    assert (planned["work"], planned["rotates"], planned["databases"]) == (["shop"], {}, [])
    assert planned["summary"] == f"{KEY}: the newest value is in use; what still runs with another one is stopped"


def test_a_password_that_was_taken_out_again_in_the_middle_loses_its_login(plan):
    planned = plan(password="old", in_use=noted(PASSWORD, "old", overlap=True))
    assert (planned["work"], planned["databases"]) == (["shop"], ["db1"])
    assert planned["summary"] == "passwords:database:shop: shop is in use; shop-2 is shut out"


WORDS = [
    (
        {"secrets": {"SECRET_KEY": ["new", "old"]}},
        f"{KEY}: the newest value comes into use; those before it are accepted for 14 more days",
    ),
    (
        {"secrets": {"SECRET_KEY": ["new", "old"]}, "in_use": noted(KEY, "new")},
        f"{KEY}: the newest value is in use, and no other is accepted any more: take them out of the pillar",
    ),
    (
        {"secrets": {"SECRET_KEY": ["new", "old"]}, "in_use": noted(KEY, "new", "2090-01-02T03:04:05+00:00")},
        f"{KEY}: the newest value is in use; those before it are accepted until 2090-01-16 03:04 UTC,"
        " then take them out of the pillar",
    ),
    (
        {"secrets": {"deploy_key": ["new", "old"]}},
        f"{DEPLOY_KEY}: the newest value comes into use if the git server takes it",
    ),
    (
        {"secrets": {"deploy_key": ["new", "old"]}, "in_use": noted(DEPLOY_KEY, "new")},
        f"{DEPLOY_KEY}: the newest value is in use: take the others out of the pillar",
    ),
    (
        {"password": ["new", "old"]},
        f"{PASSWORD}: the newest value comes into use, with the login shop-2; then shop is shut out",
    ),
    (
        {"password": ["new", "old"], "in_use": noted(PASSWORD, "new", login=2)},
        f"{PASSWORD}: shop-2 is in use, and shop is shut out: take the other values out of the pillar",
    ),
    ({"cache": ["new", "old"]}, f"{CACHE}: the newest value comes into use; then no other is accepted"),
    (
        {"cache": ["new", "old"], "in_use": noted(CACHE, "new", overlap=True)},
        f"{CACHE}: the newest value is in use; from now on no other is accepted",
    ),
    (
        {"cache": ["new", "old"], "in_use": noted(CACHE, "new")},
        f"{CACHE}: the newest value is in use, and no other is accepted: take them out of the pillar",
    ),
]


@pytest.mark.parametrize(("held", "words"), WORDS)
def test_each_secret_with_several_values_is_told_what_is_to_be_done(plan, held, words):
    assert plan(**held)["summary"] == words


def test_no_value_is_in_the_plan(plan):
    values = ["newest-key", "oldest-key", "newest-word", "oldest-word", "newest-pass", "oldest-pass"]
    text = json.dumps(plan({"SECRET_KEY": values[:2], "deploy_key": values[:2]}, values[2:4], values[4:]))
    assert [value for value in values if value in text] == []


def test_an_app_that_is_not_deployed_or_not_there_is_a_problem_and_no_exception(plan):
    assert plan(deployed=False)["problems"][0].startswith("shop is not deployed yet: leave one value of each secret")
    assert plan(name="shpo")["problems"] == ["apps: no app has the name 'shpo': did you mean 'shop'?"]


def test_a_mistake_in_the_pillar_is_a_problem(plan):
    planned = plan(password=[])
    assert planned["problems"][0].startswith(f"{PASSWORD}: the value is not a text, or list of them")
    assert planned["work"] == []


def test_the_plan_of_a_mistake_has_all_that_the_orchestration_loops_over(plan):
    assert plan(name="shpo").keys() >= {"problems", "summary", "apps", "work", "hosts"}
