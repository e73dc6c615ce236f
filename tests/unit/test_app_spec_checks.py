"""Every mistake of a pillar is told, with its key as typed and what to do, and all of them at once."""

import copy

import pytest

import app_spec

PILLAR = {
    "hosts": {
        "lb1": {"address": "10.0.0.10", "roles": ["balancer"]},
        "web1": {"address": "10.0.0.11", "roles": ["app"]},
        "web2": {"address": "10.0.0.12", "roles": ["app"]},
        "db1": {"address": "10.0.0.21", "roles": ["database"]},
    },
    "apps": {
        "shop": {
            "source": {"git": "https://git.example.com/shop.git"},
            "revision": "v1",
            "domains": ["shop.example.com"],
        }
    },
    "secrets": {"shop": {"SECRET_KEY": "fake"}},
    "passwords": {"database": {"shop": "fake"}},
}
SERVERS = "gunicorn, uwsgi, uvicorn, granian, mod_wsgi"
GONE = object()
OTHER = {"source": {"path": "/srv/source/blog"}, "revision": "v1", "domains": ["blog.example.com"], "database": "none"}
DIGEST = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"


def with_changes(changes):
    """The right pillar with some keys (``apps:shop:server``) set to other values."""
    pillar = copy.deepcopy(PILLAR)
    for path, value in changes.items():
        *folders, last = path.split(":")
        place = pillar
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
        if value is GONE:
            del place[last]
    return pillar


def mistakes(changes, id=None):
    try:
        app_spec.load(with_changes(changes), {"id": id})
    except app_spec.SpecError as error:
        return str(error).splitlines()
    return []


WRONG = [
    # The whole pillar
    (
        {"hosts": GONE},
        "hosts: missing: list your hosts in pillar/hosts.yaml, as web1: {address: 10.0.0.11, roles: [app]}",
    ),
    (
        {"apps": GONE, "secrets": {}, "passwords": {}},
        "apps: missing: describe your apps in pillar/apps; without any write {}",
    ),
    ({"apps": None, "secrets": {}, "passwords": {}}, "apps: nothing is no mapping of apps: describe your apps"),
    # Hosts
    ({"hosts:web1:address": GONE}, "hosts:web1:address: missing: write the address"),
    ({"hosts:web1:address": "10.0.0.300"}, "hosts:web1:address: '10.0.0.300' is no IP address"),
    ({"hosts:web1:address": "0.0.0.0"}, "hosts:web1:address: '0.0.0.0' is no IP address"),
    ({"hosts:web1:address": "web1.example.com"}, "hosts:web1:address: 'web1.example.com' is no IP address"),
    ({"hosts:web1:address": "10.0.0.12"}, "hosts:web2:address: 10.0.0.12 is the address of web1 too"),
    ({"hosts:web1:roles": ["ap"]}, "hosts:web1:roles: 'ap' is not one of app, database, cache, balancer: did you"),
    (
        {"hosts:web1:roles": ["queue"]},
        "hosts:web1:roles: 'queue' is not one of app, database, cache, balancer: the roles",
    ),
    ({"hosts:db1:cache_memory": 512}, "hosts:db1:cache_memory: 512 is no size in k, m or g: write it as 512m"),
    ({"hosts:web1:roles": "app"}, "hosts:web1:roles: 'app' is no list of:"),
    ({"hosts:web1:roles": []}, "hosts:web1:roles: the list is empty"),
    ({"hosts:web1:roles": ["app", "app"]}, "hosts:web1:roles: 'app' is there twice"),
    (
        {"hosts:web1:adress": "x"},
        "hosts:web1:adress: unknown key: did you mean 'address'? The keys here are address, roles",
    ),
    ({"hosts:we b": {"address": "10.0.0.99", "roles": ["app"]}}, "hosts:we b: 'we b' is no name of a host"),
    # Keys of an app
    ({"apps:shop:source": GONE}, "apps:shop:source: missing: write {git: https://host/path}"),
    ({"apps:shop:revision": GONE}, "apps:shop:revision: missing: write a tag, commit or branch in quotes"),
    ({"apps:shop:domains": GONE}, "apps:shop:domains: missing: write a list"),
    ({"apps:shop:tls": {"certificate": "/c.pem"}}, "apps:shop:tls:key: missing: write it as /etc/letsencrypt"),
    ({"apps:shop:tls": {"certificate": "c.pem", "key": "/k.pem"}}, "apps:shop:tls:certificate: 'c.pem' is no absolute"),
    ({"apps:shop:processes": {}}, "apps:shop:processes: unknown key:"),
    ({"apps:shop:wsig": "x"}, "apps:shop:wsig: unknown key: did you mean 'wsgi'? The keys here are source, revision,"),
    ({"apps:shop:zzz": 1}, "apps:shop:zzz: unknown key: The keys here are source"),
    (
        {"apps:shop:server": "gunicron"},
        f"apps:shop:server: 'gunicron' is not one of {SERVERS}: did you mean 'gunicorn'?",
    ),
    ({"apps:shop:server": "mod_python"}, f"apps:shop:server: 'mod_python' is not one of {SERVERS}: it ended in 2013"),
    ({"apps:shop:server": ["gunicorn"]}, "apps:shop:server: a list is not one of gunicorn"),
    ({"apps:shop:process_manager": "runit"}, "apps:shop:process_manager: 'runit' is not one of supervisor, systemd"),
    ({"apps:shop:interface": "asgi"}, "apps:shop:interface: gunicorn serves wsgi only: leave it out, or take uvicorn"),
    ({"apps:shop:server": "uvicorn", "apps:shop:threads": 4}, "apps:shop:threads: nothing uses them with asgi"),
    ({"apps:shop:limits": {"memory": "512"}}, "apps:shop:limits:memory: '512' is no size in k, m or g"),
    ({"hosts:db1:max_connections": 5}, "hosts:db1:max_connections: 5 is no number, 20 to 10000"),
    ({"apps:shop:revision": 1.1}, "apps:shop:revision: 1.1 is not a text: put it in quotes"),
    ({"apps:shop:revision": "-x"}, "apps:shop:revision: '-x' is no tag, commit or branch"),
    ({"apps:shop:revision": "a..b"}, "apps:shop:revision: 'a..b' is no tag"),
    ({"apps:shop:python": 3.1}, "apps:shop:python: 3.1 is not a text: put it in quotes"),
    ({"apps:shop:keep": 1}, "apps:shop:keep: 1 is no number, 2 to 100"),
    ({"apps:shop:keep": True}, "apps:shop:keep: true (YAML reads yes, no, on and off so) is no number"),
    ({"apps:shop:keep": "5"}, "apps:shop:keep: '5' is no number"),
    ({"apps:shop:workers": 10**5000}, "apps:shop:workers: a number of many digits is no number, 1 to 512"),
    ({"apps:shop:health": {"timeout": float("nan")}}, "apps:shop:health:timeout: nan is no seconds"),
    ({"apps:shop:health": {"status": "400-200"}}, "apps:shop:health:status: '400-200' is no status, or range of them"),
    ({"apps:shop:rollout": {"canary": 0}}, "apps:shop:rollout:canary: 0 is no number"),
    ({"apps:shop:rollout": {"errors": "off"}}, "apps:shop:rollout:errors: 'off' is no percentage points, 0 to 100"),
    ({"apps:shop:rollout": {"slowdown": 0.5}}, "apps:shop:rollout:slowdown: 0.5 is no factor, 1 to 1000"),
    ({"apps:shop:rollout": {"canary": []}}, "apps:shop:rollout:canary: the list is empty"),
    (
        {"apps:shop:rollout": {"canary": ["wbe1"]}},
        "apps:shop:rollout:canary: 'wbe1' is not a host of the app: did you mean 'web1'?",
    ),
    ({"apps:shop:rollout": {"canary": ["web1", "web1"]}}, "apps:shop:rollout:canary: 'web1' is there twice"),
    ({"apps:shop:rollout": {"wave": "0%"}}, "apps:shop:rollout:wave: '0%' is no number, 1 to 10000, or percentage"),
    ({"apps:shop:rollout": {"wave": "101%"}}, "apps:shop:rollout:wave: '101%' is no number"),
    ({"apps:shop:rollout": {"between": -1}}, "apps:shop:rollout:between: -1 is no seconds, 0 to 86400"),
    ({"apps:shop:health": "x"}, "apps:shop:health: 'x' is no mapping"),
    ({"apps:shop:maintenance": {"retry_after": 0}}, "apps:shop:maintenance:retry_after: 0 is no seconds, 1 to 86400"),
    # Of an orchestration
    ({"allow": ["203.0.113.0/24"]}, "allow: '203.0.113.0/24' is no IP address: write each visitor's address alone"),
    ({"allow": ["fe80::1%eth0"]}, "allow: 'fe80::1%eth0' is no IP address"),
    ({"allow": "203.0.113.7"}, "allow: '203.0.113.7' is no list of: IP address: write a list"),
    ({"apps:shop:requirements": "../x"}, "apps:shop:requirements: '../x' is no path inside the release"),
    ({"apps:shop:max_body": "10 MB"}, "apps:shop:max_body: '10 MB' is no size"),
    (
        {"apps:shop:media_url": "/static/media/"},
        "apps:shop:media_url: '/static/media/' and static_url '/static/' overlap",
    ),
    # Names of apps
    ({"apps:ssh": OTHER}, "apps:ssh: 'ssh' is no name of an app"),
    ({"apps:Blog": OTHER}, "apps:Blog: 'Blog' is no name of an app"),
    ({"apps:" + "a" * 32: OTHER}, f"apps:{'a' * 32}: '{'a' * 32}' is no name of an app"),
    ({"apps:shop:user": "root"}, "apps:shop:user: 'root' is no name of a user"),
    # Sources
    ({"apps:shop:source": {}}, "apps:shop:source: needs one of git, archive, path and has none"),
    (
        {"apps:shop:source": {"git": "/a", "path": "/b"}},
        "apps:shop:source: needs one of git, archive, path and has git and path",
    ),
    ({"apps:shop:source": {"archive": "https://x.example.com/a.zip"}}, "apps:shop:source:hash: missing"),
    ({"apps:shop:source": {"git": "/a", "hash": DIGEST}}, "apps:shop:source:hash: belongs to an archive"),
    ({"apps:shop:source": {"path": "/a", "known_hosts": ["x"]}}, "apps:shop:source:known_hosts: belongs to git"),
    ({"apps:shop:source": {"git": "--upload-pack=x"}}, "apps:shop:source:git: '--upload-pack=x' is no git URL"),
    ({"apps:shop:source": {"git": "ext::sh -c x"}}, "apps:shop:source:git: 'ext::sh -c x' is no git URL"),
    (
        {"apps:shop:source": {"git": "ssh://-oProxyCommand=x/y"}},
        "apps:shop:source:git: 'ssh://-oProxyCommand=x/y' is no",
    ),
    (
        {"apps:shop:source": {"git": "https://me:word@x.example.com/y"}},
        "apps:shop:source:git: 'https://...@x.example.com/y' is",
    ),
    ({"apps:shop:source": {"path": "/srv/../etc"}}, "apps:shop:source:path: '/srv/../etc' is no absolute path"),
    ({"apps:shop:source": {"archive": "/a.zip", "hash": "abc"}}, "apps:shop:source:hash: 'abc' is no SHA-256"),
    # Where an app runs, and its database
    ({"apps:shop:hosts": ["wbe1"]}, "apps:shop:hosts: 'wbe1' is not a host: did you mean 'web1'?"),
    ({"apps:shop:hosts": ["db1"]}, "apps:shop:hosts: db1 has not the role app: add it to hosts:db1:roles"),
    ({"hosts:web1:roles": ["balancer"], "hosts:web2:roles": ["balancer"]}, "apps:shop: no host has the role app"),
    (
        {"hosts:db1:roles": ["app"]},
        "apps:shop:database: no host has the role database: add it to a host in hosts, or set",
    ),
    (
        {"hosts:web1:roles": ["app", "database"]},
        "apps:shop:database:host: missing, and web1, db1 have the role database",
    ),
    ({"apps:shop:database": {"host": "web1"}}, "apps:shop:database:host: web1 has not the role database"),
    ({"hosts:db1:address": GONE}, "apps:shop:database:host: db1 has no address: add a right one as hosts:db1:address"),
    ({"apps:shop:database": {"name": "postgres"}}, "apps:shop:database:name: 'postgres' is no name in the database"),
    ({"apps:shop:database": None}, "apps:shop:database: nothing is no mapping or `none`"),
    # What two apps share
    ({"apps:blog": {**OTHER, "user": "shop"}}, "apps:blog:user: 'shop' is taken by apps:shop:user, both on web1"),
    (
        {"apps:blog": {**OTHER, "domains": ["shop.example.com"]}},
        "apps:blog:domains: 'shop.example.com' is taken by apps:shop",
    ),
    (
        {"apps:blog": {**OTHER, "database": {"name": "shop", "user": "blog"}}},
        "apps:blog:database:name: 'shop' on db1 is taken by apps:shop:database:name",
    ),
    (
        {"apps:blog": {**OTHER, "database": {"user": "shop"}}},
        "apps:blog:database:user: 'shop' on db1 is taken by apps:shop:database:user",
    ),
    # Values and secrets
    (
        {"apps:shop:config": {"SECRET_KEY": "x"}},
        "apps:shop:config:SECRET_KEY: is in secrets:shop too: keep one of them",
    ),
    ({"apps:shop:config": {"ALLOWED_HOSTS": []}}, "apps:shop:config:ALLOWED_HOSTS: is made from domains: leave it out"),
    (
        {"hosts:db1:roles": ["database", "cache"], "passwords:cache": {"shop": "x"}, "secrets:shop:CACHE_URL": "x"},
        "secrets:shop:CACHE_URL: is made from cache and passwords:cache: leave it out",
    ),
    ({"secrets:shop:DATABASE_URL": "x"}, "secrets:shop:DATABASE_URL: is made from database and passwords:database"),
    ({"apps:shop:config": {"A": {1, 2}}}, "apps:shop:config:A: {1, 2} is no JSON value"),
    (
        {"apps:shop:variables": {"SECRETS_FILE": "x"}},
        "apps:shop:variables:SECRETS_FILE: is set for every app: set secrets:path",
    ),
    (
        {"apps:shop:variables": {"ENVIRONMENT_FILE": "x"}},
        "apps:shop:variables:ENVIRONMENT_FILE: is set for every app: set secrets:export",
    ),
    ({"apps:shop:secrets": {"format": "yaml"}}, "apps:shop:secrets:format: 'yaml' is not one of json, ini, cfg, xml"),
    ({"apps:shop:secrets": {"export": "yes"}}, "apps:shop:secrets:export: 'yes' is no `true` or `false`"),
    (
        {"apps:shop:secrets": {"path": "/etc/ssl/shop.ini"}},
        "apps:shop:secrets:path: '/etc/ssl/shop.ini' is not in /etc/shop: write it as /etc/shop/secrets.ini",
    ),
    ({"apps:shop:secrets": {"path": "/etc/shop/x/y.ini"}}, "apps:shop:secrets:path: '/etc/shop/x/y.ini' is not in"),
    ({"apps:shop:secrets": {"path": "/etc/shop/.secrets"}}, "apps:shop:secrets:path: '/etc/shop/.secrets' is not in"),
    (
        {"apps:shop:secrets": {"path": "/etc/shop/uwsgi.ini"}},
        "apps:shop:secrets:path: '/etc/shop/uwsgi.ini' is a file of ours: take another name in /etc/shop",
    ),
    (
        {"apps:shop:secrets": {"format": "xml"}, "secrets:shop:TOKEN": "hunter2\x1b"},
        "secrets:shop:TOKEN: the format xml cannot hold it: control characters are in no XML: leave them out",
    ),
    (
        {"apps:shop:secrets": {"format": "env"}, "secrets:shop:TOKEN": "hunter2${X}"},
        "secrets:shop:TOKEN: the format env cannot hold it: python-dotenv puts a variable in the place of ${...}",
    ),
    (
        {"apps:shop:secrets": {"format": "toml"}, "apps:shop:config": {"A": {"B": None}}},
        "apps:shop:config:A: the format toml cannot hold it: there is no null: leave the key out",
    ),
    (
        {"apps:shop:secrets": {"export": True}, "apps:shop:config": {"A": None}},
        "apps:shop:config:A: it cannot be exported: there is no null: leave the key out, or leave apps:shop",
    ),
    (
        {"apps:shop:secrets": {"export": True}, "secrets:shop:PATH": "x"},
        "secrets:shop:PATH: it cannot be exported: a variable of that name changes how programs start: give it another",
    ),
    (
        {"apps:shop:secrets": {"export": True}, "secrets:shop:A": "x", "apps:shop:variables": {"A": "y"}},
        "secrets:shop:A: is exported, and in apps:shop:variables too: keep one of them",
    ),
    (
        {"apps:shop:hooks": {"before_deploi": []}},
        "apps:shop:hooks:before_deploi: unknown key: did you mean 'before_deploy'?",
    ),
    (
        {"apps:shop:hooks": {"on_failure": "python manage.py x"}},
        "apps:shop:hooks:on_failure: 'python manage.py x' is no list",
    ),
    ({"apps:shop:variables": {"A": 1}}, "apps:shop:variables:A: 1 is not a text: put it in quotes"),
    ({"apps:shop:variables": {"A-B": "x"}}, "apps:shop:variables:A-B: 'A-B' is no name of a variable"),
    ({"secrets:shpo": {"A": "x"}}, "secrets:shpo: there is no such app: did you mean 'shop'?"),
    ({"passwords:database:shpo": "x"}, "passwords:database:shpo: there is no such app: did you mean 'shop'?"),
    ({"passwords:cache": {"shpo": "x"}}, "passwords:cache:shpo: there is no such app: did you mean 'shop'?"),
    (
        {"apps:shop:cache": {}},
        "apps:shop:cache: no host has the role cache: add it to a host in hosts, or set apps:shop",
    ),
    ({"apps:shop:cache": {"host": "db1"}}, "apps:shop:cache: no host has the role cache: add it to a host in hosts"),
    (
        {"hosts:db1:roles": ["database", "cache"], "hosts:web1:roles": ["app", "cache"]},
        "apps:shop:cache:host: missing, and web1, db1 have the role cache: choose one of them",
    ),
    (
        {"hosts:db1:roles": ["database", "cache"], "apps:shop:cache": {"host": "web1"}},
        "apps:shop:cache:host: web1 has not the role cache: add it to hosts:web1:roles or take another host",
    ),
    ({"apps:shop:cache": "redis"}, "apps:shop:cache: 'redis' is no mapping or `none`"),
    ({"apps:redis": OTHER}, "apps:redis: 'redis' is no name of an app"),
    ({"passwords:databse": {}}, "passwords:databse: unknown key: did you mean 'database'?"),
    ({"releases": {"shop": {"id": "v1"}}}, "releases:shop:id: 'v1' is no id of a release"),
]


def test_the_pillar_that_the_mistakes_are_made_in_has_none():
    assert mistakes({}) == []


@pytest.mark.parametrize(("changes", "sentence"), WRONG, ids=[sentence[:60] for _, sentence in WRONG])
def test_a_mistake_is_told_with_its_key_and_what_to_do(changes, sentence):
    assert [line for line in mistakes(changes) if line.startswith(sentence)]


@pytest.mark.parametrize(("changes", "sentence"), WRONG, ids=[sentence[:60] for _, sentence in WRONG])
def test_every_sentence_has_a_key_what_is_wrong_and_what_to_do(changes, sentence):
    assert [line for line in mistakes(changes) if line.count(": ") < 2] == []


def test_all_mistakes_are_told_at_once():
    told = mistakes(
        {
            "hosts:web1:adress": "x",
            "apps:shop:server": "gunicron",
            "apps:shop:domains": GONE,
            "apps:shop:hosts": ["web9"],
            "secrets:shpo": {},
        }
    )
    keys = [line.partition(": ")[0] for line in told]
    assert sorted(keys) == [
        "apps:shop:domains", "apps:shop:hosts", "apps:shop:server", "hosts:web1:adress", "secrets:shpo",
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["hunter2\x00", 5551234, ["5551234", "5551234"], {"A": {"B": "5551234"}}])
@pytest.mark.parametrize("key", ["secrets", "secrets:shop", "secrets:shop:KEY", "passwords", "passwords:database:shop"])
def test_a_wrong_secret_is_not_shown(key, value):
    told = "\n".join(mistakes({key: value}))
    assert told
    assert "5551234" not in told
    assert "hunter2\x00" not in told


ENCRYPTED = "-----BEGIN PGP MESSAGE-----\n\nhF4D\n-----END PGP MESSAGE-----\n"


@pytest.mark.parametrize("path", ["secrets:shop:SECRET_KEY", "secrets:shop:deploy_key", "passwords:database:shop"])
@pytest.mark.parametrize(
    ("value", "why"), [(ENCRYPTED, "is still encrypted: the master"), ("sdb://store/key", "is where a secret lies")]
)
def test_a_secret_that_was_not_fetched_or_decrypted_is_none(path, value, why):
    for given in (value, ["new", value]):
        (told,) = mistakes({path: given})
        assert told.startswith(f"{path}: {why}")
        assert value not in told


@pytest.mark.parametrize("format", ["xml", "ini", "env"])
def test_a_secret_that_a_format_cannot_hold_is_not_shown(format):
    told = mistakes({"apps:shop:secrets": {"format": format, "export": True}, "secrets:shop:KEY": " hunter2\x01${\r"})
    assert len(told) == 1
    assert "hunter2" not in told[0]


TAKEN = ["LD_PRELOAD", "PYTHONPATH", "DJANGO_SETTINGS_MODULE", "HOME", "BASH_ENV", "UWSGI_HTTP", "GUNICORN_CMD_ARGS"]


@pytest.mark.parametrize("name", [*TAKEN, "MOD_WSGI_USER", "SECRETS_FILE", "WEB_CONCURRENCY", "_"])
def test_a_value_that_would_change_how_programs_start_is_not_exported(name):
    changes = {f"secrets:shop:{name}": "x"}
    assert mistakes(changes) == []
    assert (
        f"secrets:shop:{name}: it cannot be exported" in mistakes({**changes, "apps:shop:secrets": {"export": True}})[0]
    )


def test_the_deploy_key_is_not_exported_and_may_hold_what_a_format_cannot():
    assert (
        mistakes({"apps:shop:secrets": {"format": "ini", "export": True}, "secrets:shop:deploy_key": "a\n b\n"}) == []
    )


def test_a_message_is_one_line_whatever_the_key_is():
    told = mistakes({"apps:shop:bad\nkey": 1, "apps:shop:settings": "a\nb"})
    assert [line.partition(": ")[0] for line in told] == ["apps:shop:'bad\\nkey'", "apps:shop:settings"]


BREAKOUTS = ["x\ny", "x;y", "x'y", 'x"y', "x%y", "x y", "x{y}", "x$y", "x\\y", "x`y`", "x#y", "x\u2028y", "ä", "x\n"]
KEYS_OF_FILES = [
    "user",
    "settings",
    "wsgi",
    "environment",
    "python",
    "requirements",
    "static_url",
    "media_url",
    "max_body",
    "revision",
]


@pytest.mark.parametrize("text", BREAKOUTS)
@pytest.mark.parametrize("key", KEYS_OF_FILES)
def test_a_value_cannot_break_out_of_a_file_or_a_command(key, text):
    shapes = {"wsgi": f"shop.wsgi:{text}", "static_url": f"/{text}/", "media_url": f"/{text}/", "max_body": f"1{text}"}
    assert mistakes({f"apps:shop:{key}": shapes.get(key, text)})


@pytest.mark.parametrize("text", BREAKOUTS)
def test_a_value_of_another_shape_cannot_break_out_either(text):
    for changes in (
        {"apps:shop:domains": [f"{text}.example.com"]},
        {"apps:shop:health": {"path": f"/{text}"}},
        {"apps:shop:source": {"git": f"https://git.example.com/{text}"}},
        {"apps:shop:source": {"path": f"/srv/{text}"}},
        {"apps:shop:database": {"name": text}},
        {f"hosts:{text}": {"address": "10.0.0.99", "roles": ["app"]}},
    ):
        assert mistakes(changes)


@pytest.mark.parametrize("value", ['a"b', "a'b", "a\nb", "a ;b", "a #b", "\x1b", "\ud800"])
def test_a_variable_that_supervisor_would_misread_is_refused(value):
    assert mistakes({"apps:shop:variables": {"A": value}})


@pytest.mark.parametrize(
    "domain",
    ["http://a.example.com", "a.example.com:80", "*.example.com", ".example.com", "A.example.com", "a..b", "1.2.3"],
)
def test_what_is_no_domain_is_refused(domain):
    assert mistakes({"apps:shop:domains": [domain]})


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.com/shop.git",
        "http://10.0.0.1:3000/a/b.git",
        "git://10.213.7.2/shop.git",
        "ssh://git@git.example.com:2222/a.git",
        "git@git.example.com:a/b.git",
        "file:///srv/git/a.git",
        "/srv/git/a.git",
    ],
)
def test_usual_git_urls_are_right(url):
    assert mistakes({"apps:shop:source": {"git": url}}) == []


def test_apps_on_different_hosts_may_have_the_same_user():
    changes = {"apps:shop:hosts": ["web1"], "apps:blog": {**OTHER, "user": "shop", "hosts": ["web2"]}}
    assert mistakes(changes) == []


def test_apps_on_different_hosts_may_have_the_same_domain_without_a_balancer():
    changes = {
        "hosts:lb1": GONE,
        "apps:shop:hosts": ["web1"],
        "apps:blog": {**OTHER, "domains": ["shop.example.com"], "hosts": ["web2"]},
    }
    assert mistakes(changes) == []


@pytest.mark.parametrize(("host", "misses"), [("web1", True), ("db1", True), ("lb1", False), (None, False)])
def test_a_password_is_missed_only_where_it_is_needed(host, misses):
    told = mistakes({"passwords": {}}, id=host)
    assert bool(told) == misses
    assert all(line.startswith("passwords:database:shop: missing: write it into pillar/secrets/") for line in told)


@pytest.mark.parametrize(("host", "misses"), [("web1", True), ("db1", True), ("lb1", False), (None, False)])
def test_the_password_of_a_cache_is_missed_only_where_it_is_needed(host, misses):
    told = mistakes({"hosts:db1:roles": ["database", "cache"]}, id=host)
    missing = (
        "passwords:cache:shop: missing: write it into pillar/secrets/shop_cache.sls (or set apps:shop:cache: none)"
    )
    assert told == [missing] * misses


def test_a_password_is_not_missed_while_something_else_is_wrong_and_no_host_gets_any():
    told = mistakes({"passwords": {}, "apps:shop:revision": 1.1}, id="web1")
    assert told == ["apps:shop:revision: 1.1 is not a text: put it in quotes"]


def test_a_pillar_that_is_no_mapping_is_told():
    with pytest.raises(app_spec.SpecError, match="pillar: a list is not a mapping"):
        app_spec.load([])


def test_keys_of_the_operators_own_are_left_alone():
    assert mistakes({"motd": "hello", "salt": {"minion": 1}}) == []


@pytest.mark.parametrize(
    "command",
    [
        "",
        "  ",
        "say 'tea",
        'say "tea',
        "say ''",
        "say \\",
        "a && b",
        "a | b",
        "a ; b",
        "a > b",
        "a\nb",
        "a\x00",
        7,
        ["a"],
    ],
)
def test_a_command_is_the_words_of_one_program(command):
    [mistake] = mistakes({"apps:shop:hooks": {"after_deploy": ["true", command]}})
    assert mistake.startswith("apps:shop:hooks:after_deploy: ")


@pytest.mark.parametrize("command", ["sh -c 'a && b > c'", "say 'it''s' \"tea;\" a=b", "python manage.py say --to=ü"])
def test_a_command_may_have_anything_in_its_arguments(command):
    assert mistakes({"apps:shop:hooks": {"after_deploy": [command]}}) == []
