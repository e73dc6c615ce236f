"""What the benchmark of the web servers reads out of wrk's words, and what it leaves behind."""

import os
import pwd
from pathlib import Path

import pytest

SAID = """\
Running 1s test @ http://127.0.0.1:8080/small/
  1 threads and 64 connections
  Latency Distribution
     50%   34.94ms
     99%   {p99}
  1500 requests in 1.00s, 264.51KB read
{errors}Requests/sec:   1495.00
Transfer/sec:    263.60KB
"""


@pytest.fixture
def servers(load, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "bench")
    return load("bench/servers.py")


@pytest.fixture
def said(servers):
    return lambda p99="52.10ms", errors="": servers.parse(SAID.format(p99=p99, errors=errors))


def test_requests_and_their_rate_are_read(said):
    assert said() == {"requests": 1500, "failed": 0, "rate": 1495, "p99": 52.1}


@pytest.mark.parametrize(("written", "ms"), [("980.00us", 0.98), ("7.5ms", 7.5), ("1.42s", 1420)])
def test_every_unit_of_a_latency_is_read(said, written, ms):
    assert said(written)["p99"] == pytest.approx(ms)


@pytest.mark.parametrize(
    "errors",
    ["  Non-2xx or 3xx responses: 150\n", "  Socket errors: connect 0, read 100, write 0, timeout 50\n"],
)
def test_failed_requests_are_no_part_of_the_rate(said, errors):
    found = said(errors=errors)
    assert found["failed"] == pytest.approx(10)
    assert found["rate"] == pytest.approx(1345.5)


def test_a_cell_says_ours_before_its_own_and_what_failed(servers):
    rounds = {True: [{"wait": {"rate": 1600, "failed": 0}}], False: [{"wait": {"rate": 40, "failed": 2}}]}
    assert servers.pair(rounds, "wait", "rate") == "1,600 / 40 (2 % failed)"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which the benchmark needs too")
def test_nothing_of_a_process_is_left_when_it_is_stopped(servers):
    servers.rig_of.PATIENCE = 0.2
    with servers.rig_of.Rig() as rig:
        script = "sleep 70 & setsid sleep 70 & (sleep 70 & exec true); trap '' TERM; while :; do sleep 1; done"
        rig.start("stubborn", ["sh", "-c", script], pwd.getpwuid(os.geteuid()).pw_name)
        servers.rig_of.wait_for(lambda: len(rig._family(rig.processes["stubborn"][0].pid)) >= 5, "too few processes")
        family = rig._family(rig.processes["stubborn"][0].pid)
    assert not [pid for pid, begun in family.items() if servers.rig_of.lives(pid, begun)]
    assert not rig.folder.exists()
