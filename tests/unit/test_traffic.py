"""What users meet, and when it is so much worse than before that a release must go."""

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import access_log
import probe
import traffic

LIMITS = {"errors": 1, "slowdown": 3, "seconds": 10}
USUAL = {"status": 200, "seconds": 0.01}
# As the latest of what users met: too few to say that it is better by now.
NOTHING = traffic.Traffic()


def entry(status=200, seconds=0.01, path="/", **more):
    known = {"upstream_status": status, "upstream_time": seconds}
    return access_log.Entry(0, "GET", path, status, "shop.test", seconds, **{**known, **more})


def some(number, bad=0, **kind):
    """Traffic of a number of requests, the bad ones among them of another kind."""
    return traffic.of([entry(**kind)] * bad + [entry(**USUAL)] * (number - bad))


requests = st.builds(entry, st.sampled_from([200, 404, 500, 502]), st.floats(0, 60), st.sampled_from("abc"))
entries = st.lists(requests)


@given(entries, entries)
def test_traffic_that_is_added_up_is_that_of_all_its_requests(first, second):
    assert traffic.of(first) + traffic.of(second) == traffic.of(first + second)


@given(entries)
def test_95_percent_are_answered_within_the_time_that_is_told_and_not_within_less(found):
    told = traffic.of(found)
    assert told.slower_than(told.p95) <= 0.05 * len(found)
    assert not found or told.slower_than(told.p95 - 0.01) > 0.05 * len(found)


@given(entries, entries)
def test_nothing_is_concluded_from_few_requests_or_from_few_bad_ones(before, after):
    bad = [one for one in after if one.status >= 500 or one.lasted > traffic.SLOWER]
    if len(after) < traffic.LEAST or len(bad) < traffic.LEAST_BAD:
        assert traffic.fault(traffic.of(before), traffic.of(after), {"errors": 0, "slowdown": 1}, NOTHING) == ""


@given(st.lists(requests, min_size=traffic.LEAST), st.integers(1, 5))
def test_what_is_as_it_was_before_is_no_fault(found, times):
    assert traffic.fault(traffic.of(found), traffic.of(found * times), {"errors": 0, "slowdown": 1}, NOTHING) == ""


@given(entries, entries)
def test_limits_that_are_high_enough_switch_it_off(before, after):
    assert traffic.fault(traffic.of(before), traffic.of(after), {"errors": 100, "slowdown": 10**6}, NOTHING) == ""


def test_more_failed_requests_than_before_are_a_fault_that_says_which():
    assert traffic.fault(some(1000, 1, status=500), some(120, 7, status=500, path="/orders/"), LIMITS, NOTHING) == (
        "7 of 120 requests (5.8 %) got a 5xx answer since it got the traffic, 0.1 % in the 300 s before; such as"
        " GET /orders/ 500"
    )


@pytest.mark.parametrize("before", [0, 19])
def test_without_enough_before_no_failed_request_is_usual(before):
    fault = traffic.fault(some(before, before, status=500), some(120, 7, status=500), LIMITS, NOTHING)
    assert "got a 5xx answer since it got the traffic, of too few to compare with in the 300 s before" in fault


@pytest.mark.parametrize(
    ("before", "after", "requests", "is_fault"),
    [
        (0, 5, 500, False),
        (0, 6, 500, True),
        (0, 4, 20, False),
        (0, 5, 20, True),
        (10, 300, 15000, False),
        (10, 301, 15000, True),
        (50, 26, 300, False),
        (50, 27, 300, True),
    ],
    ids=lambda value: str(value),
)
def test_more_failed_requests_are_a_fault_if_they_are_many_and_neither_allowed_nor_chance(
    before, after, requests, is_fault
):
    fault = traffic.fault(some(1000, before, status=500), some(requests, after, status=500), LIMITS, NOTHING)
    assert bool(fault) is is_fault


def test_the_paths_that_fail_most_often_are_named():
    paths = ["/a", *["/b"] * 3, *["/c"] * 4, *["/d"] * 5]
    after = traffic.of([entry(502, path=path) for path in paths] + [entry()] * 20)
    assert traffic.fault(some(100), after, LIMITS, NOTHING).endswith("such as GET /d 502, GET /c 502, GET /b 502")


def test_slower_answers_than_before_are_a_fault_that_says_which():
    after = traffic.of([entry(seconds=2.0, path="/slow/")] * 2 + [entry(seconds=0.8)] * 38)
    assert traffic.fault(some(1000, 20, seconds=2.0), after, LIMITS, NOTHING) == (
        "95 % of 40 requests were answered within 0.80 s since it got the traffic, within 0.01 s in the 300 s before;"
        " slow were such as GET /, GET /slow/"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [(0.005, 0.02), (0.01, 0.51), (1.0, 2.9)],
    ids=["nobody notices", "half a second more", "less than three times as long"],
)
def test_somewhat_slower_answers_are_no_fault(before, after):
    assert traffic.fault(some(100, 100, seconds=before), some(100, 100, seconds=after), LIMITS, NOTHING) == ""


def test_few_slow_answers_are_no_fault():
    assert traffic.fault(some(100), some(60, 4, seconds=9), LIMITS, NOTHING) == ""


def test_without_enough_before_any_time_is_usual():
    assert traffic.fault(some(19), some(100, 100, seconds=9), LIMITS, NOTHING) == ""


@pytest.mark.parametrize(
    ("request_", "counted"),
    [
        (entry(), True),
        (entry(500), True),
        (entry(499, upstream_status=None), True),
        (entry(502, upstream_status=None, upstream_time=None), True),
        (entry(101), False),
        (entry(agent=probe.AGENT), False),
        (entry(upstream_status=None, upstream_time=None), False),
        (entry(413, upstream_status=None, upstream_time=None), False),
    ],
    ids=["a page", "an error", "client left", "no answer", "websocket", "probe", "static file", "too large"],
)
def test_what_users_ask_of_the_app_counts(request_, counted):
    assert traffic.counts(request_) is counted


class Log:
    """An access log of Nginx, and the watch of a slot that got the traffic at a certain second."""

    FLIPPED = 1795389820.5

    def __init__(self, folder):
        self.path = folder / "access.log"
        self.path.touch()
        self.slot = {"access_log": str(self.path), "domains": ["shop.test"]}

    def add(self, number=1, status=200, seconds=0.01, after=1, host="shop.test", agent="browser", upstream=None):
        at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(self.FLIPPED + after))
        line = f'127.0.0.1 [{at}] "GET / HTTP/1.1" {status} 2 host={host} time={seconds:.3f} upstream=unix:/run/web'
        line += f' upstream_status={upstream or status} upstream_time={seconds:.3f} "{agent}"\n'
        with self.path.open("a") as file:
            file.write(line * number)

    def watch(self, **limits):
        return traffic.Watch(self.slot, self.FLIPPED, {**LIMITS, **limits})


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path)


@pytest.fixture
def clock(monkeypatch):
    """Calls it with how many seconds have passed since the flip."""

    def passed(seconds):
        monkeypatch.setattr(traffic.time, "time", lambda: Log.FLIPPED + seconds)

    return passed


def look(log, clock, watch, second, number, took):
    """What the watch says in a second in which so many requests end, each after that many seconds."""
    clock(second)
    log.add(number, seconds=took, after=second)
    return watch.fault()


def test_what_was_logged_before_the_flip_is_what_is_usual(log):
    log.add(50, 500, after=-299)
    log.add(50, after=-1)
    watch = log.watch()
    log.add(50, 500)
    log.add(50)
    assert watch.fault() == ""
    log.add(100, 500)
    assert "150 of 200 requests (75.0 %) got a 5xx answer since it got the traffic, 50.0 %" in watch.fault()


@pytest.mark.parametrize("window", [8, 60])
def test_a_release_that_is_slow_at_first_is_not_taken_back(log, clock, window):
    log.add(50, after=-1)
    watch = log.watch(seconds=window)
    assert [look(log, clock, watch, second, 30, 0.9 if second < 4 else 0.01) for second in range(1, 13)] == [""] * 12


@pytest.mark.parametrize(("window", "judged"), [(8, 8), (60, 10)])
def test_a_release_that_is_still_slow_is_taken_back_once_it_should_be_warm(log, clock, window, judged):
    log.add(50, after=-1)
    watch = log.watch(seconds=window)
    assert [look(log, clock, watch, second, 30, 0.9) for second in range(1, judged)] == [""] * (judged - 1)
    assert "requests were answered within 0.90 s since" in look(log, clock, watch, judged, 30, 0.9)


def test_a_release_that_becomes_slow_later_is_taken_back(log, clock):
    log.add(50, after=-1)
    watch = log.watch(seconds=600)
    found = [look(log, clock, watch, second, 30, 0.9 if second > 300 else 0.01) for second in range(1, 320)]
    assert [bool(fault) for fault in found].index(True) in range(305, 320)


def test_too_few_requests_lately_are_judged_with_those_before_them(log, clock):
    log.add(50, after=-1)
    watch = log.watch()
    look(log, clock, watch, 1, 30, 0.9)
    assert "30 requests" not in look(log, clock, watch, 9, 2, 0.01)
    assert "of 33 requests" in look(log, clock, watch, 10, 1, 0.01)


def test_failed_requests_are_told_while_a_release_may_be_slow(log, clock):
    log.add(50, after=-1)
    watch = log.watch()
    clock(1)
    log.add(30, 500)
    assert "30 of 30 requests" in watch.fault()


def test_what_is_longer_ago_is_not_what_is_usual(log):
    log.add(50, 500, after=-302)
    log.add(50, after=-1)
    watch = log.watch()
    log.add(50, 500)
    assert " 0.0 % in the 300 s before" in watch.fault()


def test_each_line_is_read_once(log, monkeypatch):
    watch, read = log.watch(), []
    original = access_log.since
    monkeypatch.setattr(access_log, "since", lambda *where: read.append(original(*where)) or read[-1])
    for _ in range(3):
        log.add(10)
        watch.fault()
    assert [len(found) for found, _ in read] == [10, 10, 10]


def test_a_log_is_not_read_backwards_while_users_fare_well(log, monkeypatch):
    monkeypatch.delattr(access_log, "before")
    log.add(1000, 500, after=-1)
    watch = log.watch()
    log.add(1000, seconds=0.4)
    log.add(4, 500)
    assert watch.fault() == ""


def test_a_log_that_is_rotated_meanwhile_goes_on(log):
    log.add(50, after=-1)
    watch = log.watch()
    log.add(15, 500)
    log.path.rename(f"{log.path}.1")
    log.add(15, 500)
    assert "30 of 30 requests (100.0 %) got a 5xx answer since it got the traffic, 0.0 %" in watch.fault()


@pytest.mark.parametrize(
    "kind",
    [{"host": "other.test"}, {"agent": probe.AGENT}, {"status": 101}, {"seconds": 9.0, "after": 2}],
    ids=["another app", "probes", "websockets", "sent to the old release"],
)
def test_what_says_nothing_about_the_release_is_left_out(log, kind):
    log.add(50, after=-1)
    watch = log.watch()
    log.add(50, **{"status": 500, "upstream": 500, "seconds": 2.0, **kind})
    assert watch.fault() == ""


@pytest.mark.parametrize("what", ["nothing", "a folder"])
def test_a_log_that_cannot_be_read_is_told_once_and_no_fault(log, caplog, what):
    log.path.unlink()
    if what == "a folder":
        log.path.mkdir()
    watch = log.watch()
    assert [watch.fault() for _ in range(3)] == ["", "", ""]
    (message,) = caplog.messages
    assert message.startswith("What users meet is not watched, only the probes decide: ")
    assert str(log.path) in message


def test_an_hour_of_a_busy_host_is_kept_in_little(log):
    whole = traffic.Traffic()
    for second in range(200):
        whole += traffic.of([entry(500, seconds=second / 7 + part / 1000) for part in range(1000)])
    assert (whole.requests, len(whole.failures), len(whole.slowest)) == (200_000, 100, 100)
    assert len(whole.times) < 4000


def test_what_a_busy_host_wrote_is_read_in_less_than_half_a_second(log):
    log.add(1, after=-1)
    with log.path.open("r+") as file:
        line = file.read()
        file.write(line * (2 * access_log.LOOK_BACK // len(line)))
    watch = log.watch()
    log.add(50, 500)
    began = time.process_time()
    assert watch.fault()
    assert time.process_time() - began < 1, os.getloadavg()
