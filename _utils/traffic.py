"""
What users meet at a host's web server, by its access log: how many get a 5xx answer, and how long the slowest wait.

``Watch`` compares it, for a release that just got the traffic, with what was usual in the minutes before.
"""

import dataclasses
import heapq
import logging
import math
import time
from collections import Counter, deque
from functools import cached_property
from pathlib import Path

import access_log
import probe

log = logging.getLogger(__name__)

# Seconds before the flip that say what is usual. The examples of Flagger (docs.flagger.app, Metrics Analysis) have a
# minute, of all the traffic: a host has a part of it, and errors that come in waves are to be among it.
BEFORE = 300
# Of fewer requests, or of fewer bad ones among them, nothing is concluded: so many are also the last answers of the old
# release, or a robot that asks for a page that never worked.
LEAST = 20
LEAST_BAD = 5
# More than is usual by three standard deviations (of a Poisson distribution: roots of what is expected) is so by chance
# in one of 180 cases at most.
DEVIATIONS = 3
# Seconds by which answers may be slower whatever the factor: caches are cold, and from 5 to 20 ms nobody notices. It is
# what a request may take in Flagger's examples.
SLOWER = 0.5
MOST = 0.95
# Seconds in which a release may be slow: what it answers with is not in memory yet, and its start has just taken the
# cores (two hosts that flipped at once on two cores: 1.2 s in the first 4 s, 0.1 s before; our measurement). From then
# on it is slow if it still is, in the later half of the time since the flip; of that at most the LATEST seconds.
WARM_UP = 10
LATEST = 30

# What the front answers by itself where it gets no answer of the app: bad gateway, unavailable, time-out.
NO_ANSWER = (502, 503, 504)
# How many requests are kept to name some, and how many are named.
SAMPLE = 100
NAMED = 3


@dataclasses.dataclass(frozen=True)
class Traffic:
    """
    Some requests: how many, how many of them failed (5xx), and how many took how many hundredths of a second.

    Of some of the failed ones and of the slowest ``failures`` and ``slowest`` say what was asked for, of the latter
    after their hundredths of a second.
    """

    requests: int = 0
    failed: int = 0
    times: Counter = dataclasses.field(default_factory=Counter)
    failures: tuple = ()
    slowest: tuple = ()

    def __add__(self, other):
        return Traffic(
            self.requests + other.requests,
            self.failed + other.failed,
            self.times + other.times,
            (self.failures + other.failures)[:SAMPLE],
            tuple(heapq.nlargest(SAMPLE, self.slowest + other.slowest)),
        )

    @property
    def is_enough(self):
        """Whether they are so many that they tell what is usual."""
        return self.requests >= LEAST

    @property
    def is_suspicious(self):
        """Whether so many fared badly that it depends on what is usual."""
        return self.is_enough and max(self.failed, self.slower_than(SLOWER)) >= LEAST_BAD

    @property
    def share(self):
        """The share that failed, from 0 to 1."""
        return self.failed / max(self.requests, 1)

    @property
    def p95(self):
        """The seconds within which 95 % of them were answered."""
        left = math.ceil(MOST * self.requests)
        for hundredths, number in sorted(self.times.items()):
            left -= number
            if left <= 0:
                return hundredths / 100
        return 0.0

    def slower_than(self, seconds):
        """How many took longer."""
        return sum(number for hundredths, number in self.times.items() if hundredths / 100 > seconds)


def of(entries):
    """Return the ``Traffic`` that a list of ``access_log.Entry`` is."""
    failed = [f"{entry.name} {entry.status}" for entry in entries if entry.status >= 500]
    times = [(round(100 * entry.lasted), entry.name) for entry in entries]
    counted = Counter(hundredths for hundredths, _ in times)
    return Traffic(len(entries), len(failed), counted, tuple(failed[:SAMPLE]), tuple(heapq.nlargest(SAMPLE, times)))


def counts(entry):
    """Whether a request is a user's and the app's to answer: no probe, no websocket, nothing that the front answers."""
    reached = entry.upstream_status is not None or entry.upstream_time is not None or entry.status in NO_ANSWER
    return reached and entry.status != access_log.SWITCHING_PROTOCOLS and entry.agent != probe.AGENT


def fault(before, after, limits, latest):
    """
    Return what users meet that they did not before, or an empty text.

    :param before: the ``Traffic`` that says what is usual; if it is not enough, no failure is, and any time
    :param after: that of the release
    :param limits: ``errors``: the percentage points by which the share of failed requests may rise; ``slowdown``: the
        factor by which the time may rise within which 95 % are answered
    :param latest: the later part of ``after``, which must be slow as well if it is enough; ``None``: it is too early to
        say that the release is slow
    """
    if not after.is_suspicious:
        return ""
    return _errors(before, after, limits["errors"]) or _slowdown(before, after, limits["slowdown"], latest)


class Watch:
    """What users meet since a slot got the traffic. Made right after that, and asked for the ``fault`` repeatedly."""

    def __init__(self, slot, flipped, limits):
        """
        ``flipped``: when the slot got the traffic, in seconds since 1970; ``limits``: those of ``fault``, and the
        ``seconds`` of the whole watch.
        """
        self._log, self._domains = slot["access_log"], slot["domains"]
        self._flipped, self._limits = flipped, limits
        self._begin = self._position = access_log.position(self._log)
        self._after = Traffic()
        self._looks = deque()

    def fault(self):
        """Return what users have met until now that they did not before, or an empty text."""
        if not self._is_readable:
            return ""
        entries, self._position = access_log.since(self._log, self._position)
        found, now = of([entry for entry in self._counted(entries) if not self._was_sent_before(entry)]), time.time()
        self._after += found
        self._looks.append((now, found))
        # To read what was before takes up to 0.2 s of a core: mostly nobody needs to know.
        if not self._after.is_suspicious:
            return ""
        return fault(self._before, self._after, self._limits, self._latest(now))

    def _latest(self, now):
        """What users have met lately; ``None`` while the release may be slow."""
        lasts = now - self._flipped
        while self._looks[0][0] < now - min(lasts / 2, LATEST):
            self._looks.popleft()
        if lasts < min(self._limits["seconds"], WARM_UP):
            return None
        return sum((found for _, found in self._looks), Traffic())

    @cached_property
    def _before(self):
        entries = access_log.before(self._log, self._begin, self._flipped - BEFORE)
        return of([entry for entry in self._counted(entries) if entry.time <= self._flipped])

    @cached_property
    def _is_readable(self):
        try:
            Path(self._log).open("rb").close()
        except OSError as error:
            log.warning("What users meet is not watched, only the probes decide: %s", error)
            return False
        return True

    def _counted(self, entries):
        return [entry for entry in entries if entry.host in self._domains and counts(entry)]

    def _was_sent_before(self, entry):
        """Whether the old release had it. The log leaves out the fraction of the second in which a request ended."""
        return entry.time + 1 - entry.seconds < self._flipped


def _errors(before, after, points):
    usual = before.share if before.is_enough else 0
    expected = usual * after.requests
    allowed = expected + max(points / 100 * after.requests, DEVIATIONS * math.sqrt(expected))
    if after.failed < LEAST_BAD or after.failed <= allowed:
        return ""
    compared = f"{100 * usual:.1f} %" if before.is_enough else "of too few to compare with"
    return (
        f"{after.failed} of {after.requests} requests ({100 * after.share:.1f} %) got a 5xx answer since it got the"
        f" traffic, {compared} in the {BEFORE} s before; such as {_some(after.failures)}"
    )


def _slowdown(before, after, factor, latest):
    allowed = max(factor * before.p95, before.p95 + SLOWER)
    if not before.is_enough or after.p95 <= allowed or after.slower_than(allowed) < LEAST_BAD:
        return ""
    if latest is None or (latest.is_enough and latest.p95 <= allowed):
        return ""
    slow = [name for hundredths, name in after.slowest if hundredths / 100 > allowed]
    return (
        f"95 % of {after.requests} requests were answered within {after.p95:.2f} s since it got the traffic, within"
        f" {before.p95:.2f} s in the {BEFORE} s before; slow were such as {_some(slow)}"
    )


def _some(names):
    """Those that come most often."""
    return ", ".join(name for name, _ in Counter(names).most_common(NAMED))
