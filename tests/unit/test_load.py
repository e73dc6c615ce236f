"""The load that proves "no failed request" must itself see every failure."""

import asyncio
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from lab.load import Kind, Load, Result, slow  # noqa: E402
from tests.certificates import self_signed  # noqa: E402

FAST = (Kind("get", "GET", "/", 50, False), Kind("kept", "GET", "/", 50, True))


def measure(answer, seconds=0.4, timeout=2.0, tls=None, mix=FAST, **options):
    """Load a server that writes `answer(count)` for its count-th request, or hangs up on None; ``tls``: by https."""

    async def run():
        count = 0

        async def serve(reader, writer):
            nonlocal count
            while await reader.readuntil(b"\r\n\r\n"):
                count += 1
                if (reply := answer(count)) is None:
                    break
                writer.write(reply)
                await writer.drain()
            writer.close()

        async def guarded(reader, writer):
            try:
                await serve(reader, writer)
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                writer.close()

        server = await asyncio.start_server(guarded, "127.0.0.1", 0, ssl=tls)
        url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        load = Load(url, "shop", timeout=timeout, mix=mix, **options)
        result = await load.run(seconds)
        server.close()
        await asyncio.sleep(0.05)  # the connections see their clients leave
        return result.summary()

    return asyncio.run(run())


def reply(status=200, release="abc"):
    return f"HTTP/1.1 {status} X\r\nX-Release: {release}\r\nContent-Length: 2\r\n\r\nok".encode()


def test_a_site_that_answers_has_no_failures():
    summary = measure(lambda count: reply())
    assert summary["failed"] == 0
    assert summary["requests"] >= 30
    assert summary["releases"] == {"abc": summary["requests"]}


def test_a_site_is_loaded_by_https_too(tmp_path):
    subprocess.run(self_signed(tmp_path, "shop"), check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "fullchain.pem", tmp_path / "privkey.pem")
    summary = measure(lambda count: reply(), tls=tls)
    assert (summary["failed"], summary["requests"] >= 30) == (0, True)


@pytest.mark.parametrize("bad", [reply(502), None, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"])
def test_each_request_without_its_answer_is_counted(bad):
    summary = measure(lambda count: bad if count == 7 else reply(), timeout=0.5)
    assert summary["failed"] == 1, summary["failures"]


PAGE = b"HTTP/1.1 503 X\r\nRetry-After: 300\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("closed", "bad", "failed", "counted"),
    [(True, PAGE, 0, 1), (False, PAGE, 1, 0), (True, reply(503), 1, 0), (True, reply(500), 1, 0)],
)
def test_the_maintenance_page_is_an_answer_only_if_wanted_and_if_it_says_when_to_ask_again(
    closed, bad, failed, counted
):
    summary = measure(lambda count: bad if count == 7 else reply(), closed=closed)
    assert (summary["failed"], summary["closed"]) == (failed, counted), summary["failures"]


@pytest.mark.parametrize(("resend", "failed"), [(False, 1), (True, 0)])
def test_a_request_is_sent_again_if_wanted_where_a_kept_connection_was_closed_without_a_word(resend, failed):
    summary = measure(lambda count: None if count == 7 else reply(), mix=FAST[1:], resend=resend)
    assert (summary["failed"], summary["resent"]) == (failed, 1 - failed)


def test_a_request_of_which_the_answer_broke_off_is_never_sent_again():
    broken = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"
    summary = measure(lambda count: broken if count == 7 else reply(), mix=FAST[1:], resend=True, timeout=0.5)
    assert (summary["failed"], summary["resent"]) == (1, 0)


def test_requests_start_on_time_although_earlier_ones_are_unanswered():
    summary = measure(lambda count: b"", timeout=0.3)
    assert summary["requests"] >= 30
    assert summary["failed"] == summary["requests"]


def test_the_slowest_request_is_named_whole_beside_what_the_slowest_endpoint_takes():
    result = Result()
    fast, patient = FAST[0], slow(2)
    for kind, seconds, at in ((fast, 0.01, 1.0), (fast, 0.5, 2.0), (patient, 2.25, 3.0), (patient, 2.0, 4.0)):
        result.took(kind, seconds, at)
    summary = result.summary()
    assert summary["slowest"] == {"ms": 2250.0, "kind": "slow 2", "at": 3.0}
    assert summary["slowest_endpoint"] == 2000
    assert summary["worst"] == summary["by_kind"]["get"]["worst"] == 500
    assert summary["by_kind"]["slow 2"] == {"p50": 250.0, "p99": 250.0, "worst": 250.0}


def test_a_load_that_met_nobody_still_has_numbers():
    summary = Result().summary()
    assert (summary["p50"], summary["p99"], summary["worst"], summary["slowest_endpoint"]) == (0, 0, 0, 0)
