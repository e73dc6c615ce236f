"""
What the web server in front says about requests: ``entries`` of its access log, and which of them were ``cut``.

The format is ``timed`` of ``salt/nginx/nginx.conf``; Apache writes the same fields, with ``-`` for what it does not
know and microseconds as ``time=31200000us``. A request is logged when it ends.

What Nginx 1.22 logs of a request whose app was killed (our measurement): before the answer began, status 502 with
upstream_status 502; in the middle of a body, the status that was sent and nothing else in this log ($request_completion
is "OK" as well), so that only the error log tells; a websocket, status 101 as if it had ended by itself, in no error
log either. A POST is logged only when its client has gone too, up to 5 s later, unless the connection is kept.
"""

import dataclasses
import datetime
import functools
import os
import re
from contextlib import suppress
from pathlib import Path

# Longer than any line that is ours: Nginx accepts request lines of 8 KB (large_client_header_buffers).
LONGEST_LINE = 64 * 1024
# Of a path in a sentence.
LONGEST_PATH = 200
SWITCHING_PROTOCOLS = 101
BAD_GATEWAY = 502
UNITS = {"": 1, "ms": 1e-3, "us": 1e-6}
# How far ``before`` looks back, in bytes: about 14,000 lines, which take 0.2 s of a core (12 us each, our measurement).
# A host with 1,000 requests a second has written them in 14 s; so many tell well enough what is usual there.
LOOK_BACK = 4 * 1024 * 1024

LINE = re.compile(
    r'\S+ \[(?P<time>[^]]+)\] "(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) \S+ host=(?P<host>\S*) '
    r"time=(?P<seconds>[\d.]+)(?P<unit>|ms|us) upstream=.*? "
    r"upstream_status=(?P<upstream_status>[-\d,: ]+) upstream_time=(?P<upstream_time>[-\d.,: ]+)"
    r'(?: "(?P<agent>(?:[^"\\]|\\.)*)"$|(?= |$))'
)
# Only of requests that an upstream had taken: "upstream prematurely closed connection while reading upstream".
BROKEN = re.compile(
    r"(?:upstream prematurely closed connection|\w+\(\) failed \((?:32|104): [^)]*\))"
    r' while (?:reading|sending)[^,]*upstream, .*?request: "(?P<method>\S+) (?P<target>\S+).*host: "(?P<host>[^"]*)"'
)


@dataclasses.dataclass(frozen=True)
class Entry:
    """
    One request. ``upstream_status`` and ``upstream_time`` (seconds, of all that were asked) are ``None`` if not known.

    ``time`` is when it ended, in seconds since 1970; ``method`` and ``path`` are empty if it was no HTTP; ``status`` is
    0 of a request that is known from the error log only. ``asked_again``: another upstream answered in place of the
    first. ``agent`` is what the client calls itself.
    """

    time: float
    method: str
    path: str
    status: int
    host: str
    seconds: float
    upstream_status: int | None = None
    upstream_time: float | None = None
    asked_again: bool = False
    agent: str = ""

    @property
    def lasted(self):
        """How long the app had it, in seconds: not how long its client took to fetch the answer and to leave."""
        return self.seconds if self.upstream_time is None else self.upstream_time

    @property
    def name(self):
        """What was asked for, such as ``GET /slow/``: without a query, it may hold secrets."""
        path = self.path if len(self.path) <= LONGEST_PATH else self.path[:LONGEST_PATH] + "..."
        return f"{self.method} {path}"

    def __str__(self):
        return f"{self.name} after {self.lasted:.1f} s" if self.status else self.name


def position(path):
    """Return where the access log, and the error log beside it, end now; JSON can hold it."""
    return [_end(log) for log in (path, _error_log(path))]


def entries(path, position):
    """
    Return the requests that were logged since a position, as ``Entry``; lines that are no request are left out.

    A log that was rotated since is read to its end, where it still lies beside as ``.1``, and then its successor.
    """
    return since(path, position)[0]


def since(path, position):
    """Return what ``entries`` does, and the position after them, for those that follow."""
    found, mark = [], position[0]
    for line, after in _lines(path, position[0]):
        found.append(_entry(line))
        mark = after
    return list(filter(None, found)), [mark, position[1]]


def before(path, position, earliest):
    """
    Return the requests that were logged before a position, the latest first, back to a time in seconds since 1970.

    Of a busy host's log only the last ``LOOK_BACK`` bytes are read. Of one that was rotated meanwhile, the end of what
    still lies beside as ``.1`` is among them.
    """
    found = []
    for line in reversed(_tail(path, *position[0], LOOK_BACK).splitlines()):
        entry = _entry(_text(line))
        if entry and entry.time < earliest:
            break
        found.append(entry)
    return list(filter(None, found))


def cut(path, position, domains, websockets_over=0.0):
    """
    Return the requests that got no answer, or half of one, because their app was ended, as ``Entry``.

    Take the position just before the app is ended, and ask half a second after. A body that broke off is not known on
    Apache, whose error log names no paths, and nowhere if it has no end but that of its connection, as uWSGI's streams.

    :param domains: the hosts of the app
    :param websockets_over: seconds that a websocket was open at least to have been one of the app that was ended, for
        they all end alike: how long ago it lost the traffic
    """
    left = [entry for entry in entries(path, position) if entry.host in domains]
    left.sort(key=lambda entry: (_unanswered(entry, websockets_over), entry.lasted), reverse=True)
    found = []
    for broken in filter(None, (_broken(line) for line, _ in _lines(_error_log(path), position[1]))):
        same = [entry for entry in left if _key(entry) == _key(broken)]
        if same:
            left.remove(same[0])
        if broken.host in domains:
            found += same[:1] or [broken]
    found += [entry for entry in left if _unanswered(entry, websockets_over)]
    return [entry for entry in found if not entry.asked_again]


def describe(entries):
    """Return a sentence for each request, such as ``GET /slow/ after 31.2 s``."""
    return [str(entry) for entry in entries]


def _unanswered(entry, websockets_over):
    """Whether the access log alone tells that the app did not finish the request."""
    if entry.status == SWITCHING_PROTOCOLS:
        return entry.lasted >= websockets_over
    # One that nobody could be asked about took no time.
    return entry.status == BAD_GATEWAY and entry.upstream_status in (None, BAD_GATEWAY) and entry.lasted > 0


def _key(entry):
    return entry.method, entry.path, entry.host


def _entry(line):
    """Return the ``Entry`` of a line of the access log; ``None`` if it is none."""
    found = LINE.match(line)
    if not found:
        return None
    try:
        time = _timestamp(found["time"])
        statuses, times = (_numbers(found[name]) for name in ("upstream_status", "upstream_time"))
        seconds = float(found["seconds"]) * UNITS[found["unit"]]
    except ValueError:
        return None
    method, path = _method_and_path(found["request"])
    return Entry(
        time=time,
        method=method,
        path=path,
        status=int(found["status"]),
        host=found["host"],
        seconds=seconds,
        upstream_status=None if not statuses or statuses[-1] is None else int(statuses[-1]),
        upstream_time=None if set(times) == {None} else sum(filter(None, times)),
        asked_again=len(statuses) > 1 and statuses[-1] not in (None, BAD_GATEWAY),
        agent=found["agent"] or "",
    )


@functools.lru_cache(maxsize=16)
def _timestamp(text):
    """Seconds since 1970. Many lines have the same time, and to read it takes longer than to read the rest."""
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp()


def _broken(line):
    """Return the request whose app went away, if that is what a line of the error log is about; else ``None``."""
    found = BROKEN.search(line)
    if not found:
        return None
    return Entry(0, found["method"], _path(found["target"]), 0, found["host"].partition(":")[0].lower(), 0)


def _numbers(text):
    """``"502, 200"`` as numbers, in order; ``-`` is ``None``. Nginx separates by ``:`` where it was sent on inside."""
    return [None if part == "-" else float(part) for part in re.split(r"[,:\s]+", text.strip())]


def _method_and_path(request):
    """The method and the path of ``GET /shop/?page=2 HTTP/1.1``; empty if it is none, such as TLS on a plain port."""
    words = request.split(" ")
    if len(words) != 3 or not words[0].isalpha():
        return "", ""
    return words[0], _path(words[1])


def _path(target):
    """The path of ``/shop/?page=2`` and of ``http://user:password@host/shop/``."""
    return re.sub(r"^\w+://[^/?#]*", "", re.split(r"[?#]", target, maxsplit=1)[0])


def _error_log(path):
    return Path(path).with_name("error.log")


def _end(path):
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return [0, 0]
    return [status.st_ino, status.st_size]


def _rotated(path):
    """Debian's logrotate renames, and compresses a day later (delaycompress)."""
    return Path(f"{path}.1")


def _lines(path, mark):
    """Each whole line since a mark, and the mark after it; where the log was rotated first those of what it was."""
    inode, offset = mark
    now, before = _end(path), _end(_rotated(path))
    if now[0] != inode and before[0] == inode:
        yield from _lines_of(_rotated(path), offset)
        offset = 0
    elif now[0] != inode or now[1] < offset:
        offset = 0
    yield from _lines_of(path, offset)


def _lines_of(path, offset):
    """
    The whole lines of a file from an offset on, as text, and the mark after each; nothing is kept in memory, not even a
    line too long.
    """
    with suppress(FileNotFoundError), open(path, "rb") as file:
        file.seek(offset)
        inode, whole = os.fstat(file.fileno()).st_ino, True
        while line := file.readline(LONGEST_LINE):
            ended = line.endswith(b"\n")
            offset += len(line)
            if ended and whole:
                yield _text(line), [inode, offset]
            whole = ended


def _text(line):
    """A line as text; empty if it is none: Nginx and Apache escape control characters."""
    text = line.decode("utf-8", "backslashreplace").rstrip("\n")
    return text if text.isprintable() else ""


def _tail(path, inode, offset, size):
    """The last ``size`` bytes that were written before a mark, those of the log before this one included."""
    rotated = _rotated(path)
    if _end(path)[0] == inode:
        now = _bytes(path, offset, size)
        return _bytes(rotated, _end(rotated)[1], size - len(now)) + now
    return _bytes(rotated, offset, size) if _end(rotated)[0] == inode else b""


def _bytes(path, end, size):
    """At most ``size`` bytes of a file before an offset."""
    with suppress(FileNotFoundError), open(path, "rb") as file:
        file.seek(max(end - size, 0))
        return file.read(min(end, size))
    return b""
