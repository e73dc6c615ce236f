"""Apps that are like another one, and the keys of environments."""

import pytest

import app_spec

HOSTS = {"web1": {"address": "10.0.0.11", "roles": ["app"]}, "web2": {"address": "10.0.0.12", "roles": ["app"]}}
SHOP = {
    "source": {"git": "https://git.example.com/shop.git"},
    "revision": "v1",
    "domains": ["shop.example.com"],
    "database": "none",
    "workers": 4,
    "rollout": {"watch": 60, "canary": 1},
    "environments": {"staging": {"workers": 1, "rollout": {"watch": 2}, "settings": "shop.settings.staging"}},
}
STAGING = {"like": "shop", "environment": "staging", "domains": ["staging.example.com"], "database": "none"}


def apps(**given):
    fleet = app_spec.load({"hosts": HOSTS, "apps": given})
    return {app.name: app for app in fleet.apps}


def problems(**given):
    with pytest.raises(app_spec.SpecError) as error:
        apps(**given)
    return str(error.value).splitlines()


def staging(**keys):
    return apps(**{"shop": SHOP, "shop-staging": {**STAGING, **keys}})


def test_an_app_that_is_like_another_has_its_keys_and_over_them_those_of_its_environment():
    one = staging()["shop-staging"]
    assert one.source.url == SHOP["source"]["git"]
    assert (one.settings, one.web.workers, one.revision) == ("shop.settings.staging", 1, "v1")
    assert (one.rollout.watch.seconds, one.rollout.canary) == (2, ("web1",))


def test_the_app_itself_is_as_it_was():
    shop = staging()["shop"]
    assert (shop.web.workers, shop.rollout.watch.seconds, shop.environment) == (4, 60, "production")
    assert shop == apps(shop={key: value for key, value in SHOP.items() if key != "environments"})["shop"]


def test_its_own_keys_are_over_all():
    one = staging(workers=3, revision="main", hosts=["web2"])["shop-staging"]
    assert (one.web.workers, one.revision, one.hosts) == (3, "main", ("web2",))


def test_what_two_apps_cannot_share_is_its_own():
    shop = {**SHOP, "user": "shopkeeper", "port": 12000}
    one = apps(**{"shop": shop, "shop-staging": STAGING})["shop-staging"]
    assert (one.user, one.paths.home, one.domains) == ("shop-staging", "/srv/shop-staging", ("staging.example.com",))


def test_the_modules_are_those_of_the_same_project():
    one = apps(**{"shop": {**SHOP, "environments": {}}, "shop-next": {**STAGING, "environment": "next"}})["shop-next"]
    assert (one.settings, one.wsgi) == ("shop.settings", "shop.wsgi:application")


def test_an_environment_holds_for_an_app_that_is_like_none_too():
    shop = apps(shop={**SHOP, "environment": "staging"})["shop"]
    assert (shop.web.workers, shop.rollout.watch.seconds, shop.rollout.canary) == (1, 2, ("web1",))
    assert apps(shop={**SHOP, "environments": {"production": {"workers": 2}}})["shop"].web.workers == 2


def test_a_mistake_is_told_once_and_where_it_was_typed():
    shop = {**SHOP, "server": "gunicron", "environments": {"staging": {"wrokers": 1, "keep": "many"}}}
    found = problems(**{"shop": shop, "shop-staging": STAGING})
    assert [line.partition(": ")[0] for line in found] == [
        "apps:shop:server",
        "apps:shop:environments:staging:wrokers",
        "apps:shop:environments:staging:keep",
    ]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"like": "shpo"}, "apps:shop-staging:like: 'shpo' is no app that is like none itself: take one of shop"),
        ({"like": "shop-staging"}, "apps:shop-staging:like: 'shop-staging' is no app that is like none itself"),
        (
            {"environment": "stagign"},
            "apps:shop-staging:environment: 'stagign' is none of apps:shop:environments: staging",
        ),
        ({"environments": {}}, "apps:shop-staging:environments: write them at apps:shop:environments"),
        ({"like": 3}, "apps:shop-staging:like: 3 is no name of an app"),
        ({"environment": ["staging"]}, "apps:shop-staging:environment"),
    ],
)
def test_who_is_like_whom_is_checked(keys, words):
    found = problems(**{"shop": SHOP, "shop-staging": {**STAGING, **keys}})
    assert any(line.startswith(words) for line in found), found


@pytest.mark.parametrize(
    "junk",
    [
        None,
        [],
        "shop",
        {"shop": None},
        {"shop": {"like": {}}},
        {3: {"like": "shop"}},
        {"shop": {"like": "shop"}, "\n": {}},
    ],
)
def test_what_is_no_app_is_a_mistake_and_no_crash(junk):
    with pytest.raises(app_spec.SpecError) as error:
        app_spec.load({"hosts": HOSTS, "apps": junk})
    assert all(": " in line for line in str(error.value).split("\n"))
