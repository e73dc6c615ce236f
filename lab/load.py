"""
An open-loop load on a site, as users make it: requests start on time whether or not earlier ones have been answered,
so a stall is seen by everyone who would have met it. Standard library only.

    python3 -m lab.load http://10.213.7.10 --host shop.lab.test --seconds 10

prints one JSON object: how many requests of each kind, every failure with its time and reason, p50, p99 and worst
latency in ms (over what the view itself takes; of all, and of each kind), the slowest request whole beside what the
slowest endpoint takes, and how many answers each release gave (the X-Release header). Exit code 1 if a request failed.

The mix per second (`--rate` scales it): GET and POST, each on new and on kept-alive connections, and a few slow
requests that take 2 s, so that some are in flight at any moment of a deploy. `--slow 4` adds one every 2 s that takes
4 s; `--websockets 3` adds three users whose websockets stay open, and says when each was cut. With https:// nobody
asks who signed the certificate. `--resend` does what browsers do: a request is sent once more if the server closed the
kept connection just then, without a word (RFC 9112, 9.3.1); how many were is told. Without it such a request has
failed. `--closed` takes the maintenance page for an answer, a 503 that says when to ask again, and tells how many got
it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import ssl
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lab.websocket import Talks, talk

ORDER = json.dumps({"product": "assam", "quantity": 1}).encode()


@dataclass(frozen=True)
class Kind:
    """One sort of request: its share of the load and what counts as an answer."""

    name: str
    method: str
    path: str
    per_second: float
    keep_alive: bool
    statuses: tuple[int, ...] = (200,)
    body: bytes = b""
    extra_latency: float = 0.0  # seconds that the view itself takes


MIX = (
    Kind("get, new connection", "GET", "/", 40, False),
    Kind("get, kept alive", "GET", "/", 40, True),
    Kind("post, new connection", "POST", "/orders/", 15, False, (201,), ORDER),
    Kind("post, kept alive", "POST", "/orders/", 15, True, (201,), ORDER),
    Kind("release", "GET", "/healthz/", 5, False),
    Kind("slow", "GET", "/slow/?seconds=2", 2, False, extra_latency=2.0),
)


def slow(seconds: float, rate: float = 1.0) -> Kind:
    """A request that takes that many seconds of its own; one comes every 2 seconds, whatever the rate of the others."""
    return Kind(f"slow {seconds:g}", "GET", f"/slow/?seconds={seconds:g}", 0.5 / rate, False, extra_latency=seconds)


def figures(latencies: list[float]) -> dict:
    """p50, p99 and worst in ms of latencies in seconds."""
    ordered = sorted(latencies) or [0.0]
    at = lambda share: round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)  # noqa: E731
    return {"p50": at(0.5), "p99": at(0.99), "worst": at(1)}


@dataclass
class Result:
    """What the whole load met."""

    began: float = field(default_factory=time.time)  # seconds since 1970
    requests: int = 0
    failures: list[dict] = field(default_factory=list)
    resent: int = 0
    closed: int = 0
    kinds: Counter = field(default_factory=Counter)
    releases: Counter = field(default_factory=Counter)
    seen: dict = field(default_factory=dict)  # release -> [first, last] second of the load
    latencies: dict = field(default_factory=dict)  # kind -> [seconds over what the view itself takes]
    slowest: dict = field(default_factory=dict)  # the request that took longest: ms, kind, at (second of the load)
    talks: Talks = field(default_factory=Talks)

    def took(self, kind: Kind, seconds: float, at: float):
        """Count an answer that came after ``seconds``."""
        self.latencies.setdefault(kind, []).append(max(0.0, seconds - kind.extra_latency))
        if 1000 * seconds > self.slowest.get("ms", 0):
            self.slowest = {"ms": round(1000 * seconds, 1), "kind": kind.name, "at": round(at, 2)}

    def summary(self) -> dict:
        """The numbers as plain data, latencies in ms."""
        shown = ("began", "requests", "resent", "closed", "kinds", "releases", "seen", "slowest")
        return {
            **{key: getattr(self, key) for key in shown},
            "failed": len(self.failures),
            "failures": self.failures[:20],
            **figures([latency for latencies in self.latencies.values() for latency in latencies]),
            "by_kind": {kind.name: figures(latencies) for kind, latencies in self.latencies.items()},
            "slowest_endpoint": 1000 * max((kind.extra_latency for kind in self.latencies), default=0.0),
            "websockets": self.talks.summary(),
        }


class Connection:
    """A connection that can carry one request after another."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.used_at = time.monotonic()
        self.open = True
        self.answering = False

    @classmethod
    async def to(cls, address, port, tls=None):
        return cls(*await asyncio.open_connection(address, port, ssl=tls))

    async def request(self, head: bytes, body: bytes) -> tuple[int, dict]:
        """Send one request; returns its status and headers once the body has arrived whole."""
        self.answering = False
        self.writer.write(head + body)
        await self.writer.drain()
        status = int((await self._line()).split()[1])
        self.answering = True
        headers = {}
        while line := await self._line():
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        await self._body(headers)
        self.used_at = time.monotonic()
        self.open = headers.get("connection", "").lower() != "close"
        return status, headers

    async def _line(self) -> str:
        line = await self.reader.readuntil(b"\r\n")
        return line.decode("latin-1").strip()

    async def _body(self, headers):
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(await self._line(), 16):
                await self.reader.readexactly(size + 2)
            await self._line()
        elif "content-length" in headers:
            await self.reader.readexactly(int(headers["content-length"]))
        else:
            await self.reader.read()

    def close(self):
        self.writer.close()


class Load:
    """Runs the mix against one address until it is told to stop."""

    # Browsers and balancers drop an idle connection well before Nginx's default of 75 s; this stays far below it.
    IDLE = 15.0

    def __init__(self, url: str, host: str, rate=1.0, timeout=30.0, mix=MIX, websockets=0, resend=False, closed=False):
        parts = urlsplit(url)
        # Who answers is known; a lab's certificate is signed by nobody.
        self.tls = ssl._create_unverified_context() if parts.scheme == "https" else None
        self.address, self.port, self.host = parts.hostname, parts.port or (443 if self.tls else 80), host
        self.rate, self.timeout, self.mix, self.websockets, self.resend = rate, timeout, mix, websockets, resend
        self.may_be_closed = closed
        self.pool: list[Connection] = []
        self.result = Result()
        self.started = time.monotonic()
        self.stopping = asyncio.Event()

    async def run(self, seconds: float) -> Result:
        """Load for that many seconds (or until `stopping` is set), then wait for every answer still due."""
        tasks: set[asyncio.Task] = set()
        door = (self.address, self.port, self.host)
        ended = asyncio.Event()
        talks = [asyncio.create_task(talk(*door, self.result.talks, self._now, ended)) for _ in range(self.websockets)]
        arrivals = [asyncio.create_task(self._arrivals(kind, seconds, tasks)) for kind in self.mix]
        await asyncio.gather(*arrivals)
        await asyncio.gather(*tasks)
        ended.set()
        await asyncio.gather(*talks)
        for connection in self.pool:
            connection.close()
        return self.result

    async def _arrivals(self, kind: Kind, seconds: float, tasks: set):
        gap = 1 / (kind.per_second * self.rate)
        due = time.monotonic()
        end = self.started + seconds
        while due < end and not self.stopping.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._one(kind, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            due += gap

    async def _one(self, kind: Kind, due: float):
        """One request, timed from the moment at which it was due."""
        self.result.requests += 1
        self.result.kinds[kind.name] += 1
        try:
            status, headers = await asyncio.wait_for(self._send(kind), self.timeout)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError, IndexError) as error:
            return self._failed(kind, due, f"{type(error).__name__}: {error}")
        if self.may_be_closed and status == 503 and headers.get("retry-after", "").isdigit():
            self.result.closed += 1
            return None
        if status not in kind.statuses:
            return self._failed(kind, due, f"status {status}")
        self.result.took(kind, time.monotonic() - due, at=due - self.started)
        self._saw(headers.get("x-release"))
        return None

    async def _send(self, kind: Kind):
        kept = self._kept(kind)
        try:
            return await self._ask(kind, kept or await self._connect())
        except (OSError, asyncio.IncompleteReadError):
            if not (self.resend and kept) or kept.answering:
                raise
        self.result.resent += 1
        return await self._ask(kind, await self._connect())

    async def _connect(self):
        return await Connection.to(self.address, self.port, self.tls)

    async def _ask(self, kind: Kind, connection: Connection):
        try:
            answer = await connection.request(self._head(kind), kind.body)
        except BaseException:
            connection.close()
            raise
        if kind.keep_alive and connection.open:
            self.pool.append(connection)
        else:
            connection.close()
        return answer

    def _kept(self, kind: Kind):
        while kind.keep_alive and self.pool:
            connection = self.pool.pop()
            # As a browser does: one that the server has closed meanwhile is not used again.
            if time.monotonic() - connection.used_at < self.IDLE and not connection.reader.at_eof():
                return connection
            connection.close()
        return None

    def _head(self, kind: Kind) -> bytes:
        lines = [f"{kind.method} {kind.path} HTTP/1.1", f"Host: {self.host}", "User-Agent: slipway-load"]
        lines += [] if kind.keep_alive else ["Connection: close"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(kind.body)}"] if kind.body else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _now(self) -> float:
        """The second of the load."""
        return round(time.monotonic() - self.started, 2)

    def _failed(self, kind: Kind, due: float, reason: str):
        self.result.failures.append({"at": round(due - self.started, 2), "kind": kind.name, "reason": reason})

    def _saw(self, release):
        if release:
            now = self._now()
            self.result.releases[release] += 1
            self.result.seen.setdefault(release, [now, now])[1] = now


async def main(arguments) -> int:
    mix = (*MIX, *(slow(seconds, arguments.rate) for seconds in arguments.slow))
    more = {key: getattr(arguments, key) for key in ("websockets", "resend", "closed")} | {"mix": mix}
    load = Load(arguments.url, arguments.host, arguments.rate, **more)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, load.stopping.set)
    result = await load.run(arguments.seconds)
    print(json.dumps(result.summary(), indent=1))
    return 1 if result.failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--host", required=True, help="the Host header to send")
    parser.add_argument("--seconds", type=float, default=10, help="how long at most (SIGTERM ends it earlier)")
    parser.add_argument("--rate", type=float, default=1.0, help="1 is 117 requests a second")
    parser.add_argument("--slow", type=float, action="append", default=[], metavar="SECONDS", help="one more kind")
    parser.add_argument("--websockets", type=int, default=0, metavar="N", help="users of /ws/echo/, besides")
    parser.add_argument("--resend", action="store_true", help="once, what a closed connection swallowed")
    parser.add_argument("--closed", action="store_true", help="a 503 with Retry-After is an answer")
    sys.exit(asyncio.run(main(parser.parse_args())))
