"""
How far a rollout is, by its events (``rollout_events``): on a terminal as a line that moves, elsewhere as plain lines.

    stage       2.3 s  web1 2.1 s, web2 2.3 s
    activate-1  5.8 s  web1 5.8 s
    activate-2  [##########----------] 1 of 2 hosts, 4 s: web2
"""

import contextlib
import logging
import threading
import time

import rollout_events

# Seconds between two looks of the line that moves.
PAUSE = 0.25
# Characters of the bar, and of the name of a phase.
BAR = 20
NAME = 11
# Hosts that are named in a line; of more only the number and the slowest.
NAMED = 6
# Seconds in which what is left on the bus has come.
REST = 5

ERASE = "\r\x1b[2K"


@contextlib.contextmanager
def shown(opts, app, token, stream, live):
    """Show on a stream what the bus tells of the rollout ``token`` while the block runs."""
    ready, over = threading.Event(), threading.Event()
    follower = threading.Thread(
        target=_follow, args=(opts, app, token, Progress(stream, live), ready, over), daemon=True
    )
    follower.start()
    ready.wait(REST)
    try:
        with _states_unlogged(stream):
            yield
    finally:
        over.set()
        follower.join(REST)


@contextlib.contextmanager
def _states_unlogged(stream):
    """Keep off a stream what Salt logs of a state that failed: all that its hosts returned. The master's log has it."""

    def is_wanted(record):
        return record.name != "salt.state"

    consoles = [handler for handler in logging.root.handlers if getattr(handler, "stream", None) is stream]
    for console in consoles:
        console.addFilter(is_wanted)
    try:
        yield
    finally:
        for console in consoles:
            console.removeFilter(is_wanted)


def _follow(opts, app, token, progress, ready, over):
    for event in rollout_events.listen(opts, app, PAUSE):
        ready.set()
        if event and event.get("token") == token:
            progress.take(event)
        progress.tick()
        if event is None and over.is_set():
            break
    progress.close()


class Progress:
    """What has been told of one rollout. ``live``: whether the stream is a terminal, where a line can be replaced."""

    def __init__(self, stream, live, clock=time.monotonic):
        self._stream, self._live, self._clock = stream, live, clock
        self._phase, self._began, self._hosts = "", clock(), {}
        self._waves, self._active = [], set()

    def take(self, event):
        """Take an event: what it tells is shown at once, or on a terminal with the next ``tick``."""
        if event["phase"] != self._phase:
            self.close()
            self._phase, self._began, self._hosts = event["phase"], self._clock(), {}
        self._waves = event.get("waves", self._waves)
        self._hosts[event["host"]] = event
        if event["what"] == rollout_events.DONE and event["phase"].startswith("activate"):
            self._active.add(event["host"])
        if event.get("summary"):
            self._print(event["summary"])
        elif not self._live:
            self._print(self._plain(event))

    def tick(self):
        """Show on a terminal how long the phase has taken by now."""
        if self._live and self._phase and self._running():
            self._write(ERASE + self._now())

    def close(self):
        """End the line of the phase, on a terminal, with what it came to."""
        if self._live and self._phase not in ("", "plan"):
            self._write(ERASE)
            self._print(self._past())
        self._phase = ""

    def _plain(self, event):
        host = "" if event["host"] == rollout_events.MASTER else f" {event['host']}"
        took = f" after {event['seconds']:.1f} s" if "seconds" in event else ""
        return f"{event['phase']}{host}: {event['what']}{took}"

    def _now(self):
        running = self._running()
        who = "" if running == [rollout_events.MASTER] else f": {_named(running)}"
        return f"{self._phase:<{NAME}} {self._bar()}{self._clock() - self._began:.0f} s{who}"

    def _bar(self):
        done, of = self._share()
        filled = "#" * (BAR * done // of)
        return f"[{filled:-<{BAR}}] {done} of {of} hosts, " if self._hosts.keys() != {rollout_events.MASTER} else ""

    def _share(self):
        """Hosts that are done, and of how many: while hosts are activated, of all waves."""
        everyone = [host for wave in self._waves for host in wave]
        if self._phase.startswith("activate") and everyone:
            return len(self._active), len(everyone)
        return len(self._hosts) - len(self._running()), len(self._hosts)

    def _past(self):
        seconds = max((event.get("seconds", 0) for event in self._hosts.values()), default=0)
        failed = [host for host, event in self._hosts.items() if event["what"] == rollout_events.FAILED]
        ending = f"  failed on {_named(failed)}" if failed else self._who()
        return f"{self._phase:<{NAME}} {seconds:.1f} s{ending}"

    def _who(self):
        took = {host: event.get("seconds", 0) for host, event in self._hosts.items()}
        if took.keys() == {rollout_events.MASTER}:
            return ""
        if len(took) > NAMED:
            slowest = max(took, key=took.get)
            return f"  {len(took)} hosts, {slowest} the slowest"
        return "  " + ", ".join(f"{host} {seconds:.1f} s" for host, seconds in took.items())

    def _running(self):
        return [host for host, event in self._hosts.items() if event["what"] == rollout_events.BEGUN]

    def _print(self, line):
        self._write(f"{line}\n")

    def _write(self, text):
        self._stream.write(text)
        self._stream.flush()


def _named(hosts):
    return ", ".join(hosts) if len(hosts) <= NAMED else f"{', '.join(hosts[:NAMED])} and {len(hosts) - NAMED} more"
