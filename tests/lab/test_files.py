"""Config files of an app go live through the other slot, and one with which it does not start never does."""

import contextlib
import json
import threading
import time
import urllib.request

import pytest
from conftest import ADDRESSES, RATE, SITE, changed, failed

# In the place of the shop's own: it reads a file when it is imported, and again for each request. It also says how
# often its process has answered the page before.
MIDDLEWARE = """\
import collections
import os
from pathlib import Path

from django.conf import settings

FILE = Path(os.environ["NUMBER_FILE"])
AT_START = int(FILE.read_text())
answered = collections.Counter()


def release_header(get_response):
    def middleware(request):
        response = get_response(request)
        response["X-Release"] = settings.RELEASE
        response["X-Number"] = f"{AT_START} {int(FILE.read_text())}"
        response["X-Before"] = str(answered[request.path])
        answered[request.path] += 1
        return response

    return middleware
"""
# No deploy of the master is behind what is applied here: nobody could confirm it.
SHORT = {
    "rollout": {"watch": 0, "confirm": 0},
    "keep_warm": 120,
    "health": {"path": "/healthz/", "start_timeout": 20, "warm": ["/"]},
}
CHECK = "python -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' {file}"


def files(number, code=MIDDLEWARE):
    return {
        "conf.d/number": {"contents": f"{number}\n", "variable": "NUMBER_FILE"},
        "core/middleware.py": {"into": "release", "contents": code, "check": CHECK},
    }


def apply(site, files, *options):
    pillar = json.dumps({"apps": {"shop": {**SHORT, "files": files}}})
    return site.apply("web1", "app", f"pillar={pillar}", *options)


def header(name, page="/healthz/"):
    request = urllib.request.Request(f"http://{ADDRESSES['web1']}{page}", headers={"Host": SITE})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers[name]


def number():
    """What the shop on web1 says of its file: as it was at its start, and as it is."""
    return header("X-Number")


@contextlib.contextmanager
def visitors(site):
    """Users on web1; yields what they met and every ``number`` that was answered, both complete when the block ends."""
    over, told = threading.Event(), set()

    def ask():
        while not over.is_set():
            told.add(number())
            time.sleep(0.05)

    asking = threading.Thread(target=ask)
    with site.loads({"web1": ADDRESSES["web1"]}, rate=RATE / 2) as users:
        asking.start()
        try:
            yield users["web1"], told
        finally:
            over.set()
            asking.join()


def serving(site):
    return site.salt("web1", "slots.serving", "shop")["web1"]


def cat(site, path):
    return site.lab.run("web1", ["cat", path], check=False).stdout.strip()


@pytest.fixture(scope="module")
def numbered(provisioned):
    """The shop on web1 with a file that says 1 and one of its code replaced; afterwards without them."""
    provisioned.must_deploy("v1")
    try:
        assert failed(apply(provisioned, files(1))) == {}
        yield provisioned
    finally:
        assert failed(apply(provisioned, {})) == {}


def test_no_worker_meets_a_page_that_is_warmed_with_a_visitor_first(numbered):
    # More visitors than workers: some of them come to each.
    assert min(int(header("X-Before", "/")) for _ in range(20)) > 0


@pytest.fixture(scope="module")
def changing(numbered):
    """Both files change under load: what was foretold, what was done, what the users met, and who served."""
    wanted, slots = files(2, f"{MIDDLEWARE}# Changed.\n"), [serving(numbered)]
    foretold = apply(numbered, wanted, "test=True")
    with visitors(numbered) as (users, told):
        done = apply(numbered, wanted)
    slots.append(serving(numbered))
    return {"wanted": wanted, "foretold": foretold, "done": done, "users": users, "told": told, "slots": slots}


def test_changed_files_go_live_through_the_other_slot_and_fail_no_request(changing):
    assert failed(changing["done"]) == {}
    before, after = changing["slots"]
    assert (after["release"], after["slot"] != before["slot"]) == (before["release"], True)
    assert changing["users"]["failed"] == 0, changing["users"]["failures"]


def test_what_serves_does_not_see_the_files_of_the_next_even_if_it_reads_them_late(changing):
    assert changing["told"] == {"1 1", "2 2"}


def test_test_mode_foretells_what_follows_from_changed_files(changing):
    would = {"shop-files", "shop-release-files", "shop-static", "shop-static-shared", "shop-active"}
    assert changed(changing["foretold"]) == changed(changing["done"]) == would


def test_a_second_run_with_files_changes_nothing(numbered, changing):
    assert changed(apply(numbered, changing["wanted"])) == set()


def test_a_file_with_which_the_app_does_not_start_leaves_the_one_before_and_fails_no_request(numbered, changing):
    broken = changing["wanted"] | {"conf.d/number": {"contents": "three\n", "variable": "NUMBER_FILE"}}
    with visitors(numbered) as (users, told):
        refused = apply(numbered, broken)
    assert "invalid literal for int() with base 10: 'three" in failed(refused)["shop-active"]
    assert users["failed"] == 0, users["failures"]
    assert told == {"2 2"}
    assert cat(numbered, "/etc/shop/conf.d/number") == "2"


def test_files_that_left_the_pillar_are_gone_and_the_code_is_as_it_was(numbered, changing):
    assert failed(apply(numbered, {})) == {}
    assert number() is None
    assert cat(numbered, "/etc/shop/conf.d/number") == ""
    assert "X-Number" not in cat(numbered, "/srv/shop/current/core/middleware.py")
