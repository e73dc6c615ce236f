"""Users of Redis, as several versions of it write them."""

import pytest

import redis_acl
from app_spec_classes import Secret

ONE, TWO = "1" * 64, "2" * 64
SHOP = redis_acl.User(True, frozenset([ONE, TWO]), frozenset(["~shop:*"]))


@pytest.mark.parametrize(
    "line",
    [
        f"user shop on #{ONE} #{TWO} ~shop:* +@all -@admin -@dangerous",
        f"user shop on #{TWO} #{ONE} ~shop:* &* +@all -@admin -keys",
        f"user shop on sanitize-payload #{ONE} #{TWO} ~shop:* resetchannels -@all +get",
    ],
)
def test_the_versions_of_redis_say_the_same_in_other_words(line):
    assert redis_acl.users(f"\n{line}\n") == {"shop": SHOP}


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("~* +@all", {"~*"}),
        ("%R~blog:* ~shop:* +@all", {"%R~blog:*", "~shop:*"}),
        ("(~* +get)", {"(~*"}),
        ("+get", set()),
    ],
)
def test_every_rule_that_gives_keys_is_seen(words, keys):
    assert redis_acl.users(f"user shop off {words}")["shop"].keys == keys


def test_who_gets_in_with_any_password_has_none_of_his_own():
    assert redis_acl.users("user default on nopass ~* +@all")["default"].hashes == {redis_acl.ANY}


def test_what_is_no_user_is_left_out():
    assert redis_acl.users("# Managed\nuser\nuser shop on\n") == {"shop": redis_acl.User(on=True)}


def test_an_app_has_the_keys_of_its_prefix_and_its_passwords_as_redis_hashes_them():
    wanted = redis_acl.wanted("shop:", [Secret("hello")])
    # From the documentation of ACL SETUSER.
    digits = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert wanted == redis_acl.User(True, frozenset([digits]), frozenset(["~shop:*"]))


def test_the_rules_of_a_user_begin_anew_and_know_no_channel():
    rules = redis_acl.rules(SHOP)
    assert rules[:5] == ["reset", "on", f"#{ONE}", f"#{TWO}", "~shop:*"]
    # Redis 6.0 refuses it.
    assert [rule for rule in rules if rule.startswith("&")] == []
    assert redis_acl.users(f"user shop {' '.join(rules)}")["shop"] == SHOP
