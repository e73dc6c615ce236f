"""The lines are Nginx 1.22's own, of a backend on a unix socket that was killed, with shorter names of sockets."""

import os
import time

import pytest

import access_log

DOMAINS = ("a.example.com",)
# The backend was killed after 1.2 s; /stream and /chunked were in the middle of their bodies, the websocket was open.
KILLED = """\
127.0.0.1 [2026-11-22T23:23:40+00:00] "GET /ws?secret=1 HTTP/1.1" 101 5 host=a.example.com time=1.201 \
upstream=unix:/run/web upstream_status=101 upstream_time=1.201 "exp"
127.0.0.1 [2026-11-22T23:23:40+00:00] "GET /chunked?secret=1 HTTP/1.1" 200 4109 host=a.example.com time=1.201 \
upstream=unix:/run/web upstream_status=200 upstream_time=1.201 "exp"
127.0.0.1 [2026-11-22T23:23:40+00:00] "GET /before/?secret=1 HTTP/1.1" 502 157 host=a.example.com time=1.202 \
upstream=unix:/run/web, unix:/run/back upstream_status=502, 502 upstream_time=1.202, 0.000 "exp"
"""
KILLED_ERRORS = """\
2026/11/22 23:23:40 [error] 17884#17884: *32 upstream prematurely closed connection while reading upstream, client: \
127.0.0.1, server: a.example.com, request: "GET /chunked?secret=1 HTTP/1.1", upstream: \
"http://unix:/run/web:/chunked?secret=1", host: "a.example.com"
2026/11/22 23:23:40 [error] 17884#17884: *25 upstream prematurely closed connection while reading response header from \
upstream, client: 127.0.0.1, server: a.example.com, request: "GET /before/?secret=1 HTTP/1.1", upstream: \
"http://unix:/run/web:/before/?secret=1", host: "a.example.com"
2026/11/22 23:23:42 [crit] 17884#17884: *25 connect() to unix:/run/back failed (2: No such file or directory) while \
connecting to upstream, client: 127.0.0.1, server: a.example.com, request: "GET /before/?secret=1 HTTP/1.1", upstream: \
"http://unix:/run/back:/before/?secret=1", host: "a.example.com"
"""
POST_ERROR = """\
2026/11/22 23:23:40 [error] 17884#17884: *40 upstream prematurely closed connection while reading response header from \
upstream, client: 127.0.0.1, server: a.example.com, request: "POST /before/post HTTP/1.1", upstream: \
"http://unix:/run/web:/before/post", host: "a.example.com"
"""
# Its client kept the connection open for 0.7 s after the answer.
POST = """\
127.0.0.1 [2026-11-22T23:23:40+00:00] "POST /before/post HTTP/1.1" 502 157 host=a.example.com time=1.903 \
upstream=unix:/run/web upstream_status=502 upstream_time=1.200 "exp"
"""
GOOD = """\
127.0.0.1 [2026-11-22T23:23:29+00:00] "GET /ok?x=1 HTTP/1.1" 200 2 host=a.example.com time=0.001 \
upstream=unix:/run/web upstream_status=200 upstream_time=0.000 "exp"
"""
# What the old app did not answer, the one behind `back` did.
ASKED_AGAIN = """\
127.0.0.1 [2026-11-22T23:23:44+00:00] "GET /ok HTTP/1.1" 200 2 host=a.example.com time=1.003 upstream=unix:/run/web, \
unix:/run/back upstream_status=502, 200 upstream_time=1.002, 0.001 "exp"
"""
ASKED_AGAIN_ERROR = POST_ERROR.replace("POST /before/post", "GET /ok")
CLIENT_LEFT = """\
127.0.0.1 [2026-11-22T23:23:31+00:00] "GET /before HTTP/1.1" 499 0 host=a.example.com time=0.500 \
upstream=unix:/run/web upstream_status=- upstream_time=0.500 "exp"
127.0.0.1 [2026-11-22T23:23:31+00:00] "GET /length HTTP/1.1" 200 4052 host=a.example.com time=0.500 \
upstream=unix:/run/web upstream_status=200 upstream_time=0.500 "exp"
"""
CLIENT_LEFT_ERRORS = """\
2026/11/22 23:23:31 [info] 17884#17884: *12 epoll_wait() reported that client prematurely closed connection, so \
upstream connection is closed too (104: Connection reset by peer) while reading upstream, client: 127.0.0.1, server: \
a.example.com, request: "GET /length HTTP/1.1", upstream: "http://unix:/run/web:/length", host: "a.example.com"
"""
TOO_SLOW = """\
127.0.0.1 [2026-11-22T23:23:38+00:00] "GET /before HTTP/1.1" 504 167 host=a.example.com time=6.006 \
upstream=unix:/run/web upstream_status=504 upstream_time=6.006 "exp"
"""
TOO_SLOW_ERROR = POST_ERROR.replace("upstream prematurely closed", "upstream timed out (110: Connection timed out)")
NOBODY_LISTENS = """\
127.0.0.1 [2026-11-22T23:23:40+00:00] "GET /ok HTTP/1.1" 502 157 host=a.example.com time=0.000 \
upstream=unix:/run/web upstream_status=502 upstream_time=0.000 "exp"
"""
STATIC = """\
127.0.0.1 [2026-11-22T23:23:40+00:00] "POST /static/a.css HTTP/1.1" 405 0 host=a.example.com time=0.903 upstream=- \
upstream_status=- upstream_time=- "-"
"""
APACHE = """\
127.0.0.1 [2026-11-22T23:23:40+0000] "GET /a\\"b?q=1 HTTP/1.1" 502 299 host=a.example.com time=31200000us upstream=- \
upstream_status=- upstream_time=- "Mozilla/5.0 (X11; \\"Linux\\")"
"""


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "access.log"
    path.write_text(GOOD, encoding="utf-8")
    return path


def add(log, text, errors=""):
    for path, more in ((log, text), (log.with_name("error.log"), errors)):
        with path.open("ab") as file:
            file.write(more if isinstance(more, bytes) else more.encode())


def paths(entries):
    return [entry.path for entry in entries]


def cut(log, text, errors="", **options):
    position = access_log.position(log)
    add(log, text, errors)
    return access_log.describe(access_log.cut(log, position, DOMAINS, **options))


def test_what_was_logged_before_the_position_is_not_told(log):
    position = access_log.position(log)
    add(log, POST)
    assert paths(access_log.entries(log, position)) == ["/before/post"]


def test_an_entry_has_every_field(log):
    position = access_log.position(log)
    add(log, POST)
    assert access_log.entries(log, position) == [
        access_log.Entry(1795389820.0, "POST", "/before/post", 502, "a.example.com", 1.903, 502, 1.2, agent="exp")
    ]


def test_a_query_is_never_told(log):
    position = access_log.position(log)
    add(log, KILLED, KILLED_ERRORS)
    told = [access_log.entries(log, position), access_log.cut(log, position, DOMAINS)]
    assert "secret" not in repr(told)


@pytest.mark.parametrize("target", ["http://me:secret@a.example.com/shop/?q", "/shop/#secret", "/shop/?a=b?secret"])
def test_of_any_target_only_the_path_is_told(log, target):
    add(log, POST.replace("/before/post", target))
    assert access_log.entries(log, [[0, 0], [0, 0]])[-1].path == "/shop/"


def test_what_no_app_answered_has_no_upstream(log):
    position = access_log.position(log)
    add(log, STATIC)
    (entry,) = access_log.entries(log, position)
    assert (entry.upstream_status, entry.upstream_time, entry.lasted) == (None, None, 0.903)


def test_of_several_upstreams_the_last_status_and_all_the_time_are_told(log):
    position = access_log.position(log)
    add(log, ASKED_AGAIN)
    (entry,) = access_log.entries(log, position)
    assert (entry.upstream_status, round(entry.upstream_time, 3), entry.asked_again) == (200, 1.003, True)


def test_apache_s_line_is_read(log):
    position = access_log.position(log)
    add(log, APACHE)
    (entry,) = access_log.entries(log, position)
    assert (entry.path, entry.status, entry.seconds, entry.upstream_status) == ('/a\\"b', 502, 31.2, None)
    assert entry.agent == 'Mozilla/5.0 (X11; \\"Linux\\")'


@pytest.mark.parametrize(
    "junk",
    [
        b"\n",
        b"no log line at all\n",
        b"\x00\xff\xfe\x1b[31m\n",
        GOOD.replace("/ok", "/\x1b[31m").encode(),
        GOOD.replace("2026-11-22T", "yesterday").encode(),
        GOOD.replace("time=0.001", "time=1.2.3").encode(),
        GOOD.replace("/ok", "/" + "x" * 300_000).encode(),
        b"x" * 300_000 + GOOD.encode(),
    ],
    ids=lambda junk: repr(junk[:20]),
)
def test_junk_is_left_out_and_what_follows_is_read(log, junk):
    position = access_log.position(log)
    add(log, junk + POST.encode())
    assert paths(access_log.entries(log, position)) == ["/before/post"]


def test_a_request_that_was_no_http_has_no_path(log):
    position = access_log.position(log)
    add(log, GOOD.replace("GET /ok?x=1 HTTP/1.1", "\\x16\\x03\\x01 secret").replace(" 200 ", " 400 "))
    (entry,) = access_log.entries(log, position)
    assert (entry.method, entry.path, entry.status) == ("", "", 400)


def test_bytes_that_are_no_utf_8_are_shown_escaped(log):
    position = access_log.position(log)
    add(log, POST.encode().replace(b"/before/post", b"/\xff"))
    assert paths(access_log.entries(log, position)) == ["/\\xff"]


def test_a_last_line_that_is_half_written_waits_for_its_end(log):
    position = access_log.position(log)
    add(log, POST[:-2])
    before = access_log.entries(log, position)
    add(log, POST[-2:])
    assert (before, paths(access_log.entries(log, position))) == ([], ["/before/post"])


def test_a_rotated_log_is_read_to_its_end_and_then_its_successor(log):
    position = access_log.position(log)
    add(log, POST)
    log.rename(f"{log}.1")
    add(log, ASKED_AGAIN)
    assert paths(access_log.entries(log, position)) == ["/before/post", "/ok"]


def test_between_two_steps_of_a_rotation_nothing_is_lost(log):
    position = access_log.position(log)
    add(log, POST)
    log.rename(f"{log}.1")
    assert paths(access_log.entries(log, position)) == ["/before/post"]


def test_a_successor_is_read_from_its_start_when_the_rotated_log_is_gone(log):
    position = access_log.position(log)
    kept = log.rename(f"{log}.2.gz")
    add(log, POST)
    assert (kept.exists(), paths(access_log.entries(log, position))) == (True, ["/before/post"])


def test_a_log_that_was_cut_in_place_is_read_from_its_start(log):
    add(log, GOOD * 9)
    position = access_log.position(log)
    os.truncate(log, 0)
    add(log, POST)
    assert paths(access_log.entries(log, position)) == ["/before/post"]


def test_a_log_that_does_not_exist_yet_is_read_once_it_does(tmp_path):
    log = tmp_path / "access.log"
    position = access_log.position(log)
    before = access_log.entries(log, position)
    add(log, POST)
    assert (before, paths(access_log.entries(log, position))) == ([], ["/before/post"])


def test_the_end_of_a_large_log_is_read_without_reading_the_rest(tmp_path):
    log = tmp_path / "access.log"
    with log.open("wb") as file:
        file.truncate(1 << 34)
    position = access_log.position(log)
    add(log, "\n" + POST)
    begin = time.perf_counter()
    assert paths(access_log.entries(log, position)) == ["/before/post"]
    assert time.perf_counter() - begin < 1


def test_a_log_that_grows_is_read_on_from_where_one_was(log):
    found, position = [], access_log.position(log)
    for piece in (POST, KILLED[:-9], "", KILLED[-9:], ASKED_AGAIN):
        add(log, piece)
        entries, position = access_log.since(log, position)
        found.append(paths(entries))
    assert found == [["/before/post"], ["/ws", "/chunked"], [], ["/before/"], ["/ok"]]


def test_a_log_that_is_rotated_while_it_grows_is_read_once(log):
    position = access_log.position(log)
    add(log, POST)
    first, position = access_log.since(log, position)
    add(log, KILLED)
    log.rename(f"{log}.1")
    add(log, ASKED_AGAIN)
    second, position = access_log.since(log, position)
    assert (paths(first), paths(second)) == (["/before/post"], ["/ws", "/chunked", "/before/", "/ok"])
    assert access_log.since(log, position) == ([], position)


def test_what_was_logged_before_a_position_is_told_the_latest_first(log):
    add(log, POST)
    position = access_log.position(log)
    add(log, ASKED_AGAIN)
    assert paths(access_log.before(log, position, earliest=0)) == ["/before/post", "/ok"]


def test_what_is_older_is_not_looked_at(log):
    add(log, POST)
    position = access_log.position(log)
    (post,) = access_log.before(log, position, earliest=1795389815)
    assert access_log.before(log, position, earliest=post.time) == [post]
    assert access_log.before(log, position, earliest=post.time + 1) == []


@pytest.mark.parametrize("after", [POST, ""], ids=["since it was rotated", "not yet"])
def test_the_end_of_a_rotated_log_is_looked_at_too(log, after):
    log.rename(f"{log}.1")
    add(log, after)
    assert paths(access_log.before(log, access_log.position(log), 0)) == [*(["/before/post"] if after else []), "/ok"]


def test_a_log_that_was_rotated_since_the_position_is_looked_at(log):
    position = access_log.position(log)
    log.rename(f"{log}.1")
    add(log, POST)
    assert paths(access_log.before(log, position, 0)) == ["/ok"]


def test_only_the_end_of_a_busy_log_is_looked_at(log, monkeypatch):
    monkeypatch.setattr(access_log, "LOOK_BACK", 2 * len(POST) + 9)
    log.rename(f"{log}.1")
    add(log, POST * 2)
    found = paths(access_log.before(log, access_log.position(log), 0))
    add(log, POST * 9)
    assert found == ["/before/post"] * 2
    assert paths(access_log.before(log, access_log.position(log), 0)) == ["/before/post"] * 2


def test_before_a_log_that_does_not_exist_nothing_was_logged(tmp_path):
    log = tmp_path / "access.log"
    assert access_log.before(log, access_log.position(log), 0) == []


def test_every_request_that_was_cut_is_told_once_with_its_time(log):
    told = cut(log, KILLED, KILLED_ERRORS)
    assert sorted(told) == ["GET /before/ after 1.2 s", "GET /chunked after 1.2 s", "GET /ws after 1.2 s"]


def test_a_post_is_told_before_its_client_has_left(log):
    assert cut(log, "", POST_ERROR) == ["POST /before/post"]


def test_a_post_lasted_until_the_app_was_ended_however_late_its_client_left(log):
    assert cut(log, POST, POST_ERROR) == ["POST /before/post after 1.2 s"]


def test_of_requests_for_the_same_path_the_one_that_was_cut_is_told(log):
    answered = GOOD.replace("/ok?x=1", "/before/post").replace("GET", "POST")
    assert cut(log, answered + POST + answered, POST_ERROR) == ["POST /before/post after 1.2 s"]


def test_an_answer_that_broke_off_is_the_longest_of_its_path(log):
    short = KILLED.splitlines(keepends=True)[1].replace("1.201", "0.010")
    assert "GET /chunked after 1.2 s" in cut(log, short + KILLED + short, KILLED_ERRORS)


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        (GOOD, ""),
        (ASKED_AGAIN, ASKED_AGAIN_ERROR),
        (CLIENT_LEFT, CLIENT_LEFT_ERRORS),
        (TOO_SLOW, TOO_SLOW_ERROR),
        (NOBODY_LISTENS, ""),
        (STATIC, ""),
    ],
    ids=["answered", "answered by another", "client left", "time-out", "nobody listens", "static file"],
)
def test_what_was_not_cut_is_not_told(log, text, errors):
    assert cut(log, text, errors) == []


def test_a_websocket_that_began_after_the_flip_is_not_told(log):
    assert cut(log, KILLED.splitlines(keepends=True)[0], websockets_over=30.0) == []


def test_requests_of_another_app_are_not_told(log):
    mine = "a.example.com"
    assert cut(log, KILLED.replace(mine, "b.example.com"), KILLED_ERRORS.replace(mine, "b.example.com")) == []


def test_without_an_error_log_what_the_access_log_knows_is_told(log):
    position = access_log.position(log)
    with log.open("a") as file:
        file.write(APACHE)
    assert access_log.describe(access_log.cut(log, position, DOMAINS)) == ['GET /a\\"b after 31.2 s']


def test_a_sentence_has_a_long_path_only_in_part():
    entry = access_log.Entry(0, "GET", "/" + "x" * 8000, 502, "a.example.com", 31.234)
    assert str(entry) == "GET /" + "x" * 199 + "... after 31.2 s"
