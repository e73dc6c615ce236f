"""What an operator sees while a rollout runs."""

import io

import progress

MASTER = "master"


class Shown:
    """A progress whose clock is moved by hand."""

    def __init__(self, live):
        self.now, self.stream = 0.0, io.StringIO()
        self.progress = progress.Progress(self.stream, live, clock=lambda: self.now)

    def take(self, phase, host, what, seconds=0.0, **more):
        event = {"app": "shop", "phase": phase, "host": host, "what": what, "token": "1", **more}
        self.progress.take(event if what == "begun" else {**event, "seconds": seconds})

    def planned(self):
        self.take("plan", MASTER, "begun")
        self.take("plan", MASTER, "done", summary="shop v2: web1, then web2", waves=[["web1"], ["web2"]])

    def text(self):
        self.progress.tick()
        return self.stream.getvalue().rpartition(progress.ERASE)[2]

    def lines(self):
        return [line.rpartition(progress.ERASE)[2] for line in self.stream.getvalue().split("\n") if line]


def test_without_a_terminal_each_event_is_a_line():
    shown = Shown(live=False)
    shown.planned()
    shown.take("stage", "web1", "begun")
    shown.take("stage", "web1", "done", 2.14)
    shown.take("record", MASTER, "failed", 0.1)
    assert shown.lines() == [
        "plan: begun",
        "shop v2: web1, then web2",
        "stage web1: begun",
        "stage web1: done after 2.1 s",
        "record: failed after 0.1 s",
    ]


def test_on_a_terminal_the_line_of_a_phase_tells_how_long_it_has_taken_and_whom_it_waits_for():
    shown = Shown(live=True)
    shown.planned()
    for host in ("web1", "web2"):
        shown.take("stage", host, "begun")
    shown.take("stage", "web1", "done", 2.1)
    shown.now = 4
    assert shown.text() == "stage       [##########----------] 1 of 2 hosts, 4 s: web2"


def test_the_bar_of_an_activation_counts_the_hosts_of_all_waves():
    shown = Shown(live=True)
    shown.planned()
    shown.take("activate-1", "web1", "begun")
    assert "[--------------------] 0 of 2 hosts" in shown.text()
    shown.take("activate-1", "web1", "done", 5.8)
    shown.take("activate-2", "web2", "begun")
    assert "[##########----------] 1 of 2 hosts" in shown.text()


def test_a_phase_that_ended_leaves_a_line_with_the_seconds_of_each_host():
    shown = Shown(live=True)
    shown.planned()
    shown.take("preflight", MASTER, "begun")
    shown.take("preflight", MASTER, "done", 0.9)
    for host, seconds in (("web1", 2.1), ("web2", 2.3)):
        shown.take("stage", host, "begun")
        shown.take("stage", host, "done", seconds)
    shown.progress.close()
    assert shown.lines() == [
        "shop v2: web1, then web2",
        "preflight   0.9 s",
        "stage       2.3 s  web1 2.1 s, web2 2.3 s",
    ]


def test_a_phase_that_failed_names_the_hosts():
    shown = Shown(live=True)
    shown.take("stage", "web1", "failed", 2.1)
    shown.progress.close()
    assert shown.lines() == ["stage       2.1 s  failed on web1"]


def test_of_many_hosts_only_some_are_named():
    shown = Shown(live=True)
    for number in range(50):
        shown.take("stage", f"web{number}", "begun")
    assert shown.text().endswith("web5 and 44 more")
    for number in range(50):
        shown.take("stage", f"web{number}", "done", number / 10)
    shown.progress.close()
    assert shown.lines() == ["stage       4.9 s  50 hosts, web49 the slowest"]
