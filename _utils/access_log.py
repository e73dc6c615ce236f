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

LINE = re.compile(
    r'\S+ \[(?P<time>[^]]+)\] "(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) \S+ host=(?P<host>\S*) '
    r"time=(?P<seconds>[\d.]+)(?P<unit>|ms|us) upstream=.*? "
    r"upstream_status=(?P<upstream_status>[-\d,: ]+) upstream_time=(?P<upstream_time>[-\d.,: ]+)(?= |$)"
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
    first.
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

    @property
    def lasted(self):
        """How long the app had it, in seconds: not how long its client took to fetch the answer and to leave."""
        return self.seconds if self.upstream_time is None else self.upstream_time

    def __str__(self):
        path = self.path if len(self.path) <= LONGEST_PATH else self.path[:LONGEST_PATH] + "..."
        return f"{self.method} {path} after {self.lasted:.1f} s" if self.status else f"{self.method} {path}"


def position(path):
    """Return where the access log, and the error log beside it, end now; JSON can hold it."""
    return [_end(log) for log in (path, _error_log(path))]


def entries(path, position):
    """
    Return the requests that were logged since a position, as ``Entry``; lines that are no request are left out.

    A log that was rotated since is read to its end, where it still lies beside as ``.1``, and then its successor.
    """
    return [entry for entry in map(_entry, _lines(path, position[0])) if entry]


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
    for broken in filter(None, map(_broken, _lines(_error_log(path), position[1]))):
        same = [entry for entry in left if _key(entry) == _key(broken)]
        if same:
            left.remove(same[0])
        if broken.host in domains:
            found += same[:1] or [broken]
    found += [entry for entry in left if _unanswered(entry, websockets_over)]
    return [entry for entry in found if not entry.asked_again]


def describe(entries):
    """Return a sentence for each request, such as ``GET /slow/ after 31.2 s``: without a query, it may hold secrets."""
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


def _lines(path, mark):
    """The whole lines that were written since a mark: first what was, where the log has been rotated."""
    inode, offset = mark
    # Debian's logrotate renames and compresses a day later (delaycompress).
    before = Path(f"{path}.1")
    if _end(path)[0] != inode and _end(before)[0] == inode:
        yield from _lines_of(before, offset)
        offset = 0
    elif _end(path)[0] != inode or _end(path)[1] < offset:
        offset = 0
    yield from _lines_of(path, offset)


def _lines_of(path, offset):
    """The whole lines of a file from an offset on, as text; nothing is kept in memory, not even a line too long."""
    with suppress(FileNotFoundError), open(path, "rb") as file:
        file.seek(offset)
        whole = True
        while line := file.readline(LONGEST_LINE):
            ended = line.endswith(b"\n")
            text = line.decode("utf-8", "backslashreplace").rstrip("\n")
            # Nginx and Apache escape control characters: what has some is none of their lines.
            if ended and whole and text.isprintable():
                yield text
            whole = ended
