"""Ask an app through one of its doors, as a browser behind the balancer would, and judge the answer."""

import dataclasses
import http.client
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# More than any health page; an answer that never ends must not hold up a deploy.
LONGEST_BODY = 1024 * 1024
# Enough threads to reach every worker, few enough for a host with many of them.
AT_ONCE = 32
# What the probe calls itself: requests of this agent are none of users'.
AGENT = "slipway-probe"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back: ``status`` 0 and an ``error`` if nothing did; ``release`` is the header X-Release, or empty."""

    status: int = 0
    release: str = ""
    error: str = ""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket; the host is only for the Host header."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(door, path, host, timeout, token=""):
    """
    Return the ``Answer`` of a door to one GET; nothing is raised for a door that does not answer.

    The request says that it came by HTTPS, because SECURE_SSL_REDIRECT would answer every other one with a redirect.

    :param door: path of a unix socket, or ``address:port``
    :param path: of the request, such as ``/healthz``
    :param host: the Host header: one of the app's domains, because ALLOWED_HOSTS refuses every other
    :param timeout: seconds for the connection and for each read
    :param token: a file of which the last word is the one that the door demands in the header X-Slipway-Token
    """
    connection = _connection(door, timeout)
    # Granian believes the second header only beside the first.
    forwarded = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"}
    ours = {"Host": host, **forwarded, "User-Agent": AGENT, "Connection": "close"}
    try:
        connection.request("GET", path, headers=ours | _demanded(token))
        response = connection.getresponse()
        body = response.read(LONGEST_BODY)
    except TimeoutError:
        return Answer(error=f"no answer within {timeout:g} s")
    except (OSError, http.client.HTTPException) as error:
        return Answer(error=str(error) or type(error).__name__)
    finally:
        connection.close()
    if response.length and len(body) < LONGEST_BODY:
        return Answer(error="the answer broke off")
    return Answer(response.status, response.getheader("X-Release", ""))


def many(number, question):
    """Ask ``number`` times, as many at once as a host can take, and return the faults that are not empty."""
    with ThreadPoolExecutor(max_workers=min(number, AT_ONCE)) as pool:
        return [fault for fault in pool.map(lambda _: question(), range(number)) if fault]


def fault(answer, statuses, release):
    """
    Return what is wrong with an ``Answer``, or an empty text if it is good.

    :param statuses: the lowest and the highest good status
    :param release: the id that the header X-Release must have where the app sends one
    """
    lowest, highest = statuses
    if answer.error:
        return answer.error
    if not lowest <= answer.status <= highest:
        return f"status {answer.status} instead of {lowest} to {highest}"
    if answer.release not in ("", release):
        return f"release {answer.release} answered instead of {release}"
    return ""


def _demanded(token):
    words = Path(token).read_text(encoding="utf-8").split() if token else []
    return {"X-Slipway-Token": words[-1]} if words else {}


def _connection(door, timeout):
    if door.startswith("/"):
        return _UnixConnection(door, timeout)
    return http.client.HTTPConnection(door, timeout=timeout)
