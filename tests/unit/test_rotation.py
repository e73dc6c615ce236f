"""Which of several values of a secret is in use, which are accepted, and what becomes of the two logins."""

from datetime import datetime, timedelta, timezone

import pytest
import yaml

import app_spec
import rotation
from app_spec_classes import Secret

KEY, PASSWORD, CACHE = "secrets:shop:SECRET_KEY", "passwords:database:shop", "passwords:cache:shop"
OLD, NEW = "old-value", "new-value"


def days_ago(days):
    return (datetime.now(timezone.utc) - timedelta(days=days)).isoformat(timespec="seconds")


def noted(value, path=KEY, days=0, **more):
    return {"value": rotation.fingerprint(path, Secret(value)), "since": days_ago(days), **more}


def several(*values, path=KEY, entry=None, newest=False):
    return rotation.Several(path, tuple(map(Secret, values)), entry or {}, newest)


def shown(secrets):
    return [secret.reveal() for secret in secrets]


def pillar(secrets=None, password="fake", in_use=None, **keys):
    hosts = {"web1": {"address": "10.0.0.11", "roles": ["app"]}, "db1": {"address": "10.0.0.21", "roles": ["database"]}}
    app = {"source": {"git": "https://git.example.com/x.git"}, "revision": "v1", "domains": ["x.example.com"]}
    return {
        "hosts": hosts,
        "apps": {"shop": {**app, **keys.pop("app", {})}},
        "secrets": {"shop": secrets or {}},
        "passwords": {"database": {"shop": password}},
        "in_use": {"shop": in_use or {}},
        **keys,
    }


def completed(*args, **keys):
    return app_spec.load(pillar(*args, **keys)).app("shop")


def file(*args, **keys):
    return app_spec.secret_values(completed(*args, **keys))


def test_a_fingerprint_tells_two_values_apart_and_is_not_the_same_for_two_secrets():
    found = {rotation.fingerprint(path, Secret(value)) for path in (KEY, PASSWORD) for value in (OLD, NEW)}
    assert len(found) == 4
    assert all(len(digits) == 8 for digits in found)


def test_of_several_values_the_last_is_in_use_where_nothing_is_noted():
    assert several("newer", NEW, OLD).current.reveal() == OLD


def test_the_value_that_is_noted_is_in_use():
    assert several("newer", NEW, OLD, entry=noted(NEW)).current.reveal() == NEW


def test_a_value_that_was_noted_and_is_no_longer_there_decides_nothing():
    assert several(NEW, OLD, entry=noted("gone")).current.reveal() == OLD


def test_during_a_rotation_the_newest_is_in_use_whatever_is_noted():
    assert several(NEW, OLD, entry=noted(OLD), newest=True).current.reveal() == NEW


def test_a_newer_value_is_accepted_before_it_is_used():
    assert shown(several("newer", NEW, OLD).others(14)) == ["newer", NEW]


def test_an_older_value_is_accepted_for_some_days_after():
    assert shown(several(NEW, OLD, entry=noted(NEW, days=13)).others(14)) == [OLD]
    assert shown(several(NEW, OLD, entry=noted(NEW, days=14)).others(14)) == []


def test_during_a_rotation_all_others_are_accepted_however_old():
    """What the ledger notes at its end is that they have become old just now."""
    values = ("newest", NEW, OLD)
    assert shown(several(*values, entry=noted(NEW, days=20), newest=True).others(14)) == [NEW, OLD]
    assert shown(several(*values, entry=noted("newest")).others(14)) == [NEW, OLD]


@pytest.mark.parametrize(
    ("values", "entry", "due"),
    [((OLD,), None, False), ((OLD,), noted(NEW), False), ((NEW, OLD), None, True), ((NEW, OLD), noted(NEW), False)],
)
def test_only_a_newer_value_than_the_one_in_use_is_due(values, entry, due):
    assert several(*values, entry=entry).is_due is due


LOGINS = [
    # No rotation: the one login, and no other.
    ((OLD,), {}, False, 1, {1: OLD, 2: None}),
    # The new password goes to the login that is not in use.
    ((NEW, OLD), {}, False, 1, {1: OLD, 2: NEW}),
    # All hosts change to it.
    ((NEW, OLD), {"overlap": True}, True, 2, {2: NEW, 1: None}),
    # They have; the ledger says so, but slots with the old one may still run.
    ((NEW, OLD), {"of": NEW, "login": 2, "overlap": True}, False, 2, {2: NEW}),
    ((NEW, OLD), {"of": NEW, "login": 2, "overlap": True}, True, 2, {2: NEW, 1: None}),
    # The end; the old value is still in the pillar, then it is not.
    ((NEW, OLD), {"of": NEW, "login": 2}, False, 2, {2: NEW, 1: None}),
    ((NEW,), {"of": NEW, "login": 2}, False, 2, {2: NEW, 1: None}),
    # The next one goes the other way.
    (("newer", NEW), {"of": NEW, "login": 2}, False, 2, {2: NEW, 1: "newer"}),
    (("newer", NEW), {"of": NEW, "login": 2, "overlap": True}, True, 1, {1: "newer", 2: None}),
    # The operator has thought better of it in the middle: whoever uses the new one goes on until a rotation ends it.
    ((OLD,), {"overlap": True}, False, 1, {1: OLD}),
    # A password that was just replaced stays with its login.
    (("other",), {"of": NEW, "login": 2}, False, 2, {2: "other", 1: None}),
]


@pytest.mark.parametrize(("values", "entry", "newest", "login", "logins"), LOGINS)
def test_the_two_logins_take_turns(values, entry, newest, login, logins):
    entry = dict(entry)
    entry = noted(entry.pop("of", OLD), PASSWORD, **entry) if entry else {}
    found = several(*values, path=PASSWORD, entry=entry, newest=newest)
    assert found.login() == login
    assert {number: secret and secret.reveal() for number, secret in found.logins().items()} == logins


ACCEPTED = [
    # No rotation: one value, and no other.
    ((OLD,), {}, False, [OLD], True),
    # A newer one waits, then all hosts accept it.
    ((NEW, OLD), {}, False, [NEW, OLD], False),
    ((NEW, OLD), {"overlap": True}, False, [NEW, OLD], False),
    # They use it; the ledger says so, but slots with the old one may still run.
    ((NEW, OLD), {"of": NEW, "overlap": True}, False, [NEW, OLD], False),
    # The end.
    ((NEW, OLD), {"of": NEW, "overlap": True}, True, [NEW], True),
    ((NEW, OLD), {"of": NEW}, False, [NEW], True),
    # The operator has thought better of it in the middle.
    ((OLD,), {"overlap": True}, False, [OLD], False),
    ((OLD,), {"overlap": True}, True, [OLD], True),
    # One that was just replaced.
    (("other",), {"of": NEW}, False, ["other"], True),
]


@pytest.mark.parametrize(("values", "entry", "newest", "accepted", "alone"), ACCEPTED)
def test_a_login_with_several_passwords_takes_all_of_them_until_the_end(values, entry, newest, accepted, alone):
    entry = dict(entry)
    entry = noted(entry.pop("of", OLD), CACHE, **entry) if entry else {}
    found, is_alone = several(*values, path=CACHE, entry=entry, newest=newest).accepted()
    assert (shown(found), is_alone) == (accepted, alone)


def test_the_file_has_the_key_in_use_and_the_other_one_in_fallbacks():
    before, after = (file({"SECRET_KEY": [NEW, OLD]}, in_use=entry) for entry in ({}, {KEY: noted(NEW)}))
    assert (before["SECRET_KEY"], before["SECRET_KEY_FALLBACKS"]) == (OLD, [NEW])
    assert (after["SECRET_KEY"], after["SECRET_KEY_FALLBACKS"]) == (NEW, [OLD])


def test_without_another_value_there_is_no_key_of_fallbacks():
    assert "SECRET_KEY_FALLBACKS" not in file({"SECRET_KEY": OLD})
    assert "SECRET_KEY_FALLBACKS" not in file({"SECRET_KEY": [OLD]})


def test_the_operator_says_for_how_many_days_an_old_key_is_accepted():
    held = {"secrets": {"SECRET_KEY": [NEW, OLD]}, "in_use": {KEY: noted(NEW, days=2)}}
    assert "SECRET_KEY_FALLBACKS" in file(**held)
    assert "SECRET_KEY_FALLBACKS" not in file(**held, app={"secrets": {"fallback": 1}})


def test_the_url_has_the_login_that_goes_with_the_password_in_use():
    before = file(password=[NEW, OLD])
    after = file(password=[NEW, OLD], in_use={PASSWORD: noted(NEW, PASSWORD, login=2)})
    assert before["DATABASE_URL"] == f"postgresql://shop:{OLD}@10.0.0.21:5432/shop"
    assert after["DATABASE_URL"] == f"postgresql://shop-2:{NEW}@10.0.0.21:5432/shop"


def test_the_roles_of_a_database_are_told_with_their_passwords():
    assert app_spec.database_logins(completed(password=[NEW, OLD])) == {"shop": Secret(OLD), "shop-2": Secret(NEW)}
    assert app_spec.database_logins(completed()) == {"shop": Secret("fake"), "shop-2": None}


def test_a_deploy_key_is_the_one_in_use_and_goes_into_no_file():
    path = "secrets:shop:deploy_key"
    assert completed({"deploy_key": [NEW, OLD]}).deploy_key.reveal() == OLD
    assert completed({"deploy_key": [NEW, OLD]}, in_use={path: noted(NEW, path)}).deploy_key.reveal() == NEW
    assert [key for key in file({"deploy_key": [NEW, OLD]}) if "deploy" in key] == []


def test_an_app_without_a_database_has_no_password_to_rotate():
    app = completed(password=[NEW, OLD], app={"database": "none"})
    assert (app.password, dict(app.values)) == (None, {})


def test_while_an_app_changes_to_its_newest_secrets_no_slot_with_old_ones_is_kept_warm():
    changing = completed({"SECRET_KEY": [NEW, OLD]}, newest="shop")
    assert changing.secrets["SECRET_KEY"].reveal() == NEW
    assert (changing.keep_warm, completed().keep_warm) == (0, 300)


def test_a_spec_that_is_shown_has_no_value_and_no_fingerprint():
    text = str(app_spec.plain(completed({"SECRET_KEY": [NEW, OLD]}, password=[NEW, OLD])))
    assert "SECRET_KEY_FALLBACKS" in text
    digits = [rotation.fingerprint(path, Secret(value)) for path in (KEY, PASSWORD) for value in (OLD, NEW)]
    assert [found for found in (OLD, NEW, *digits) if found in text] == []


MISTAKES = {
    "secrets:shop:SECRET_KEY": [[], [OLD, OLD], [OLD, 5], [[OLD]], [OLD, ""], [OLD, None], {"a": OLD}],
    "passwords:database:shop": [[], [OLD, OLD], [OLD, "two\nlines"]],
}


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, wrong in MISTAKES.items() for value in wrong])
def test_a_wrong_list_is_refused_and_not_shown(path, value):
    given = pillar({"SECRET_KEY": value}) if path.startswith("secrets") else pillar(password=value)
    with pytest.raises(app_spec.SpecError) as refused:
        app_spec.load(given)
    assert str(refused.value).startswith(f"{path}: the value is not a text, or list of them: write")
    assert OLD not in str(refused.value)


@pytest.mark.parametrize("where", ["config", "secrets"])
def test_fallbacks_of_ones_own_beside_a_list_are_a_mistake(where):
    own = {"SECRET_KEY_FALLBACKS": "x"}
    secrets = {"SECRET_KEY": [NEW, OLD], **(own if where == "secrets" else {})}
    with pytest.raises(app_spec.SpecError, match="SECRET_KEY_FALLBACKS: is made from secrets:shop:SECRET_KEY"):
        app_spec.load(pillar(secrets, app={"config": own} if where == "config" else {}))


def test_a_list_may_come_from_yaml_in_any_form():
    given = yaml.safe_load("SECRET_KEY:\n  - new\n  - old\n")
    assert file(given)["SECRET_KEY"] == "old"


def test_the_name_of_a_database_leaves_room_for_the_second_login():
    with pytest.raises(app_spec.SpecError, match="at most 61 of them"):
        completed(app={"database": {"name": "x" * 62}})
    assert len(completed(app={"database": {"name": "x" * 61}}).database.logins[1]) == 63
