"""New secrets for old ones while users are on the site, and one of them writes reviews."""

import http.client
import json
import re
import threading

import pytest
from conftest import APP_HOSTS, BALANCER, SITE
from test_deploy import orchestrated
from test_docs import commands, missing, run

PAGE = "/products/rooibos/"
THANKS = "Thank you for your review."
NEW = {
    "SECRET_KEY": "another-fake-for-local-testing-zyxwvutsrqponmlkjihgfedcba9876543210",
    "password": "another-fake-word",
    "cache": "another-fake-word-for-the-cache",
}
# Answers whether PostgreSQL lets one in who connects with the URL that comes by stdin.
LOG_IN = "import sys, psycopg; print(psycopg.connect(sys.stdin.read()).execute('SELECT session_user').fetchone()[0])"
# The same of Redis.
ASK_CACHE = "import sys, redis; print(redis.Redis.from_url(sys.stdin.read(), decode_responses=True).acl_whoami())"


class Visitor(threading.Thread):
    """
    Writes reviews, and after each goes to the page with the thanks, which are in a cookie that one host has signed and
    another one believes. The cookie of the first review is shown for as long as he is there, too.
    """

    def __init__(self):
        super().__init__(daemon=True)
        self.over, self.thanked, self.ignored = threading.Event(), 0, []

    def run(self):
        first = self._review()
        while not self.over.wait(0.3):
            for what, cookie in (("first", first), ("new", self._review())):
                if THANKS in self._ask("GET", PAGE, messages=cookie)[1]:
                    self.thanked += 1
                else:
                    self.ignored.append(what)

    def _review(self):
        """The cookie with the thanks for a review."""
        cookies, form = self._ask("GET", f"{PAGE}review/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)[1]
        body = f"csrfmiddlewaretoken={token}&author=Ann&rating=5&text=good"
        return self._ask("POST", f"{PAGE}review/", body, csrftoken=cookies["csrftoken"])[0]["messages"]

    @staticmethod
    def _ask(method, path, body=None, **cookies):
        """The cookies and the text of an answer."""
        connection = http.client.HTTPConnection(BALANCER, timeout=30)
        headers = {"Host": SITE, "Content-Type": "application/x-www-form-urlencoded"}
        connection.request(
            method, path, body, headers | {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        )
        answer = connection.getresponse()
        given = [line.partition(";")[0].partition("=") for line in answer.headers.get_all("Set-Cookie", [])]
        return {name: value for name, _, value in given}, answer.read().decode()


@pytest.fixture
def two_of_each(serving_v1):
    """The pillar with a new key and new passwords before the old ones; then only with those that came into use."""
    folder = serving_v1.lab.folder / "pillar/secrets"
    files = {folder / "shop.sls": r"(SECRET_KEY: )(\S+)"}
    files |= {folder / f"shop_{service}.sls": r"(shop: )(\S+)$" for service in ("database", "cache")}
    new = dict(zip(files, NEW.values(), strict=True))
    before = {file: file.read_text(encoding="utf-8") for file in files}
    for file, secret in files.items():
        file.write_text(re.sub(secret, rf"\1[{new[file]}, \2]", before[file], flags=re.MULTILINE), encoding="utf-8")
    yield serving_v1
    if secrets(serving_v1)["SECRET_KEY"] == NEW["SECRET_KEY"]:
        kept = {file: re.sub(secret, rf"\g<1>{new[file]}", before[file], flags=re.M) for file, secret in files.items()}
    else:
        kept = before
    for file, text in kept.items():
        file.write_text(text, encoding="utf-8")


def secrets(site):
    return json.loads(site.lab.run("web1", ["cat", "/etc/shop/secrets.json"]).stdout)


def followed(site, command):
    """What a command of the page did, which printed what the page shows."""
    done = run(site, command)
    assert missing(command, done) == [], done.stdout[-4000:]
    return done


def log_in(site, url, how=LOG_IN):
    python = "/srv/shop/current/.venv/bin/python"
    return site.lab.run("web1", [python, "-c", how], input=url, check=False)


def without_cache(site):
    """The lines of the app's logs that say that it did without its cache: no request fails for that."""
    script = "grep -h 'The cache does not answer' /var/log/shop/*"
    return [
        line for host in APP_HOSTS for line in site.lab.run(host, ["sh", "-c", script], check=False).stdout.splitlines()
    ]


def cached(site):
    """The names of the values in Redis, for one who is root there."""
    password = "$(cat /etc/slipway/redis-password)"
    script = f'(echo "AUTH slipway {password}"; echo "KEYS *") | redis-cli -s /run/redis/redis-server.sock'
    return site.lab.run("db1", ["sh", "-c", script]).stdout.splitlines()[1:]


def test_a_key_and_two_passwords_are_rotated_in_one_go_and_nobody_notices(two_of_each):
    site, visitor = two_of_each, Visitor()
    old, before = secrets(site), without_cache(site)
    visitor.start()
    look, rotate, look_again = commands("docs/rotate.md")
    assert followed(site, look).returncode == 0
    with site.load() as users:
        done = followed(site, rotate)
    visitor.over.set()
    visitor.join(60)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert (users["failed"], visitor.ignored) == (0, []), users["failures"]
    assert visitor.thanked > 20
    assert without_cache(site) == before

    now = secrets(site)
    assert (now["SECRET_KEY"], now["SECRET_KEY_FALLBACKS"]) == (NEW["SECRET_KEY"], [old["SECRET_KEY"]])
    assert log_in(site, now["DATABASE_URL"]).stdout == "shop-2\n"
    refused = log_in(site, old["DATABASE_URL"])
    assert "password authentication failed" in refused.stderr
    assert log_in(site, now["CACHE_URL"], ASK_CACHE).stdout == "shop\n"
    assert "invalid username-password pair" in log_in(site, old["CACHE_URL"], ASK_CACHE).stderr
    Visitor._ask("GET", "/products/assam/")
    assert f"shop:1:product-{site.commit('v1')}-assam" in cached(site)
    assert [value for value in (*NEW.values(), old["SECRET_KEY"]) if value in done.stdout + done.stderr] == []

    assert followed(site, look_again).returncode == 0
    served = {host: site.salt(host, "slots.serving", "shop")[host] for host in APP_HOSTS}
    again = site.run_runner("state.orchestrate", "orch.rotate", 'pillar={"app": "shop"}', "--out=json")
    assert again.returncode == 0
    assert [step["__id__"] for step in orchestrated(again) if step["changes"]] == []
    assert {host: site.salt(host, "slots.serving", "shop")[host] for host in APP_HOSTS} == served
