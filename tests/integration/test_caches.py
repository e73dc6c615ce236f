"""The cache modules against a real Redis server in a temporary folder, and Django's own backend as its client."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jinja2
import pytest

TREE = Path(__file__).parents[2]
sys.path[:0] = [str(TREE), str(TREE / "_utils")]

from salt.exceptions import CommandExecutionError  # noqa: E402
from tests.certificates import self_signed  # noqa: E402
from tests.local import free_port, module  # noqa: E402

import app_spec  # noqa: E402
import redis_acl  # noqa: E402
import rotation  # noqa: E402

redis = pytest.importorskip("redis")
django_redis = pytest.importorskip("django.core.cache.backends.redis")

OLD, NEW = "p'a\"s\\s:w$ö\u2168rd %s {x} #", "another word"
KEY = "passwords:cache:shop"
RIGHT = "The user shop is as it should be"
HOSTS = {"one": {"address": "127.0.0.1", "roles": ["app", "cache"]}}
APP = {"source": {"path": "/srv/code"}, "revision": "v1", "domains": ["shop.example.com"], "database": "none"}

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("redis-server"), reason="needs root and Redis: apt-get install redis-server"
)


class Server:
    """A Redis with the configuration of the tree, in a folder of its own."""

    def __init__(self, folder):
        self.folder, self.port, self.process = folder, free_port(), None
        subprocess.run(self_signed(folder, "shop.example.com"), check=True, capture_output=True)
        values = {"address": "127.0.0.1", "port": self.port, "memory": 64}
        values |= {"socket": f"{folder}/socket", "users": f"{folder}/users.acl"}
        text = (TREE / "salt/cache/files/slipway.conf").read_text()
        text = jinja2.Template(text, undefined=jinja2.StrictUndefined).render(server=values)
        for theirs, ours in (
            ("/etc/ssl/certs/ssl-cert-snakeoil.pem", "fullchain.pem"),
            ("/etc/ssl/private/ssl-cert-snakeoil.key", "privkey.pem"),
            ("/var/lib/redis", ""),
            ("/var/log/redis/redis-server.log", "log"),
            ("/run/redis/redis-server.pid", "pid"),
        ):
            text = text.replace(theirs, f"{folder}/{ours}")
        (folder / "slipway.conf").write_text(text)

    def start(self):
        account = pwd.getpwnam("redis")
        for path in (self.folder, *self.folder.iterdir()):
            if path.name != "password":
                os.chown(path, account.pw_uid, account.pw_gid)
        argv = ["redis-server", str(self.folder / "slipway.conf"), "--daemonize", "no"]
        self.process = subprocess.Popen(argv, user=account.pw_uid, group=account.pw_gid, extra_groups=[], cwd="/")
        end = time.monotonic() + 10
        while time.monotonic() < end and not (self.folder / "socket").is_socket():
            assert self.process.poll() is None, self.log()
            time.sleep(0.02)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)

    def log(self):
        return (self.folder / "log").read_text()


@pytest.fixture(scope="module")
def running():
    folder = Path(tempfile.mkdtemp(prefix="slipway-redis-"))
    server = Server(folder)
    administrating(server).administer()
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


def administrating(server):
    """The execution module for a server."""
    loaded = module("_modules/caches.py", __salt__={})
    folder = server.folder
    loaded.SOCKET, loaded.USERS, loaded.PASSWORD = (str(folder / name) for name in ("socket", "users.acl", "password"))
    return loaded


@pytest.fixture
def caches(running):
    """The execution module, on a server without values and without users of apps."""
    loaded = administrating(running)
    loaded._redis(["FLUSHALL"], ["ACL", "DELUSER", "shop", "blog"], ["ACL", "SAVE"])
    return loaded


@pytest.fixture
def present(caches):
    """The state function for the shop, with ``test`` given by keyword, and with more keys in the pillar."""
    functions = {f"caches.{name}": getattr(caches, name) for name in dir(caches) if name[0] != "_"}

    def run(*values, app="shop", test=False, **more):
        given = values or (OLD,)
        passwords = {"cache": {app: list(given) if given[1:] else given[0]}}
        pillar = {"hosts": HOSTS, "apps": {app: APP}, "passwords": passwords, **more}
        dunders = {"__salt__": functions, "__opts__": {"test": test}, "__pillar__": pillar, "__grains__": {}}
        return module("_states/cache.py", **dunders).present(app, app)

    return run


@pytest.fixture
def django(running):
    """``django(password)``: a cache as a project has it that reads its URL."""

    def connect(password=OLD, app="shop"):
        app_cache = app_spec.Cache(app, "one", "127.0.0.1", running.port, app, f"{app}:")
        options = {"OPTIONS": {"socket_timeout": 5}, "KEY_PREFIX": app}
        return django_redis.RedisCache(app_spec._cache_url(app_cache, password), options)

    return connect


# ---- what an app can do


def test_django_gets_in_with_its_url_and_does_all_that_it_does(present, django):
    assert present()["result"] is True
    cache = django()
    cache.set("tea", {"name": "Assam"}, 60)
    cache.set_many({"one": 1, "two": 2})
    assert (cache.get("tea"), cache.get_many(["one", "two"])) == ({"name": "Assam"}, {"one": 1, "two": 2})
    assert (cache.add("tea", 1), cache.incr("one"), cache.touch("two", 9), cache.has_key("two")) == (
        False,
        2,
        True,
        True,
    )
    cache.delete_many(["one", "two"])
    assert (cache.delete("tea"), cache.get("one")) == (True, None)
    assert cache._cache.get_client(None).acl_whoami() == "shop"


@pytest.mark.parametrize("password", [NEW, "", "nopass"])
def test_another_password_is_refused(present, django, password):
    present()
    with pytest.raises(redis.exceptions.RedisError):
        django(password).get("tea")


def test_nobody_gets_in_without_a_name_or_unencrypted(present, running):
    present()
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis("127.0.0.1", running.port, ssl=True, ssl_cert_reqs="none").get("shop:1:tea")
    with pytest.raises(redis.exceptions.ConnectionError):
        redis.Redis("127.0.0.1", running.port, username="shop", password=OLD).ping()


def test_an_app_reaches_no_key_of_another_and_is_told_no_name_of_one(present, django):
    present()
    present(app="blog")
    django(app="blog").set("session", "of somebody")
    shop = django()._cache.get_client(None)
    for command in ("GET blog:1:session", "KEYS *", "SCAN 0", "RANDOMKEY", "FLUSHDB", "FLUSHALL", "CONFIG GET *"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            shop.execute_command(*command.split())
    with pytest.raises(redis.exceptions.NoPermissionError):
        django().clear()
    assert django(app="blog").get("session") == "of somebody"


def test_an_app_can_run_scripts_on_its_own_keys_only(present, django):
    present()
    shop = django()._cache.get_client(None)
    assert shop.eval("return redis.call('SET', KEYS[1], 1)", 1, "shop:x") == b"OK"
    with pytest.raises(redis.exceptions.RedisError, match="(?i)permission|access"):
        shop.eval("return redis.call('GET', 'blog:1:session')", 0)


# ---- what the states do


def test_a_second_run_changes_nothing_and_test_mode_agrees(present):
    foretold, done = present(test=True), present()
    assert (foretold["result"], foretold["changes"]) == (None, {"user": "shop created"})
    assert (done["result"], done["changes"]) == (True, foretold["changes"])
    for result in (present(test=True), present()):
        assert (result["result"], result["changes"], result["comment"]) == (True, {}, RIGHT)


CHANGED_BY_HAND = [
    (["off"], {"password": "shop given its password"}),
    (["resetpass"], {"password": "shop given its password"}),
    (["nopass"], {"password": "shop given its password", "others": "other passwords of shop refused"}),
    ([">more"], {"others": "other passwords of shop refused"}),
    (["~*"], {"keys": "shop given its keys"}),
    (["resetkeys"], {"keys": "shop given its keys"}),
]


@pytest.mark.parametrize(("rules", "changes"), CHANGED_BY_HAND)
def test_what_somebody_has_changed_by_hand_is_put_right(caches, present, rules, changes):
    present()
    caches._redis(["ACL", "SETUSER", "shop", *rules])
    foretold = present(test=True)
    assert (foretold["result"], foretold["changes"]) == (None, changes)
    assert present()["changes"] == changes
    assert present()["changes"] == {}


def test_what_is_in_the_server_and_not_in_its_file_is_written(caches, present):
    present()
    kept = Path(caches.USERS).read_text()
    Path(caches.USERS).write_text("".join(line for line in kept.splitlines(True) if "shop" not in line))
    assert present(test=True)["changes"] == present()["changes"] == {"file": "shop written into the file of users"}
    assert redis_acl.users(Path(caches.USERS).read_text()) == redis_acl.users(kept)


def test_users_are_there_after_a_restart(running, present, django):
    present()
    running.stop()
    running.start()
    assert django().get("tea") is None
    assert present()["changes"] == {}


def test_before_the_server_runs_test_mode_foretells_what_the_first_run_does(caches, present, tmp_path):
    caches.SOCKET, caches.USERS = str(tmp_path / "socket"), str(tmp_path / "users.acl")
    foretold = present(test=True)
    assert (foretold["result"], foretold["changes"]) == (None, {"user": "shop created"})


def test_a_server_that_does_not_answer_is_a_failure(caches, present, tmp_path):
    caches.SOCKET = str(tmp_path / "socket")
    failed = present()
    assert (failed["result"], failed["changes"]) == (False, {})
    assert "Redis does not answer on" in failed["comment"]


def test_our_own_password_is_roots_alone_and_users_stay_when_it_is_made_anew(caches, present):
    present()
    assert caches.is_administered()
    before = redis_acl.users(Path(caches.USERS).read_text())
    first = Path(caches.PASSWORD).read_text()
    Path(caches.PASSWORD).unlink()
    try:
        assert not caches.is_administered()
        caches.administer()
        after = redis_acl.users(Path(caches.USERS).read_text())
        assert (after["shop"], after["default"].on) == (before["shop"], False)
        assert after["slipway"] != before["slipway"]
        assert oct(Path(caches.PASSWORD).stat().st_mode) == "0o100600"
        # The server knows the one of before until it starts again.
        assert not caches.is_administered()
    finally:
        Path(caches.PASSWORD).write_text(first)
        Path(caches.PASSWORD).chmod(0o600)
        caches._redis(["ACL", "SAVE"])
    assert caches.is_administered()


def test_a_server_that_lets_people_in_without_a_name_is_noticed(caches):
    caches._redis(["ACL", "SETUSER", "default", "on", "nopass"])
    try:
        assert not caches.is_administered()
    finally:
        caches._redis(["ACL", "SETUSER", "default", "reset"])
    assert caches.is_administered()


# ---- secrets


def test_no_process_is_started_and_no_password_or_hash_is_logged_or_told(running, present, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    told = repr([present(test=True), present(), present(NEW), present(NEW, OLD), present()]) + running.log()
    digits = [redis_acl.hash_of(app_spec.Secret(word)) for word in (OLD, NEW)]
    assert [value for value in (OLD, NEW, *digits) if value in told] == []


def test_an_error_does_not_repeat_a_hash(caches):
    digits = "0" * 64
    with pytest.raises(CommandExecutionError) as error:
        caches._redis(["ACL", "SETUSER", "shop", f"x{digits}"])
    assert "ACL SETUSER" in str(error.value)
    assert digits not in str(error.value)


# ---- rotation


def in_use(value, **more):
    since = "2026-11-25T18:41:17+00:00"
    return {
        "in_use": {"shop": {KEY: {"value": rotation.fingerprint(KEY, app_spec.Secret(value)), "since": since, **more}}}
    }


@pytest.fixture
def logs_in(django):
    """Who gets in with a connection that is new."""

    def ask():
        words = []
        for word in (OLD, NEW):
            try:
                django(word).get("tea")
                words.append(word)
            except redis.exceptions.AuthenticationError:
                pass
        return words

    return ask


def test_a_rotation_lets_both_in_until_its_end_and_no_connection_is_lost(present, django, logs_in):
    present()
    kept = django()
    kept.set("tea", "Assam", None)
    steps = [
        # The newer value waits, and all hosts accept it; a highstate in between.
        ((NEW, OLD), {}, {"password": "shop given its password"}, [OLD, NEW]),
        ((NEW, OLD), in_use(OLD, overlap=True), {}, [OLD, NEW]),
        # All hosts use it, old slots may still run.
        ((NEW, OLD), in_use(NEW, overlap=True), {}, [OLD, NEW]),
        # They run no more.
        (
            (NEW, OLD),
            in_use(NEW, overlap=True) | {"newest": "shop"},
            {"others": "other passwords of shop refused"},
            [NEW],
        ),
        ((NEW, OLD), in_use(NEW), {}, [NEW]),
        ((NEW,), in_use(NEW), {}, [NEW]),
    ]
    for values, pillar, changes, words in steps:
        foretold, done = present(*values, test=True, **pillar), present(*values, **pillar)
        assert (foretold["changes"], done["changes"], done["result"]) == (changes, changes, True)
        assert logs_in() == words
        assert kept.get("tea") == "Assam"


def test_a_value_that_was_taken_out_again_in_the_middle_gets_in_until_a_rotation_ends_it(present, logs_in):
    present(NEW, OLD)
    assert present(OLD, **in_use(OLD, overlap=True))["changes"] == {}
    assert logs_in() == [OLD, NEW]
    present(OLD, **in_use(OLD, overlap=True), newest="shop")
    assert logs_in() == [OLD]


def test_a_password_that_is_replaced_without_a_rotation_is_over_at_once(present, logs_in):
    present(OLD)
    present(NEW)
    assert logs_in() == [NEW]
