"""Users with websockets: what they count as an echo, as a cut and as a failure."""

import asyncio
import json
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from lab.websocket import CLOSE, PING, PONG, TEXT, Talks, talk  # noqa: E402

from lab import websocket  # noqa: E402

OPEN = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def frame(kind, data=b"", final=0x80):
    """A frame as a server sends it: not masked."""
    length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack("!H", len(data))
    return bytes([final | kind]) + length + data


def echo(text, **more):
    return frame(TEXT, json.dumps({"release": "abc", "echo": json.loads(text), **more}).encode())


async def heard(reader):
    """(kind, data) of the next frame of a client."""
    first, length = await reader.readexactly(2)
    assert length & 0x80, "a client must mask what it sends"
    mask = await reader.readexactly(4)
    data = await reader.readexactly(length & 0x7F)
    return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


def converse(answer, handshake=OPEN, seconds=0.3):
    """The summary of one user of a server that writes ``answer(count, text)``, and hangs up after None."""
    frames = []

    async def serve(reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(handshake)
            count = 0
            while True:
                frames.append(await heard(reader))
                if frames[-1][0] != TEXT:
                    continue
                count += 1
                if (reply := answer(count, frames[-1][1])) is None:
                    break
                writer.write(reply)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        talks = Talks()
        stopping = asyncio.Event()
        user = asyncio.create_task(talk(*server.sockets[0].getsockname()[:2], "shop", talks, lambda: 1.5, stopping))
        await asyncio.sleep(seconds)
        stopping.set()
        await asyncio.wait_for(user, 5)
        server.close()
        await asyncio.sleep(0.05)  # the connections see their clients leave
        return talks.summary()

    return asyncio.run(run()), frames


def quick(monkeypatch):
    monkeypatch.setattr(websocket, "PAUSE", 0.01)


def test_echoes_are_counted_with_the_release_that_sent_them(monkeypatch):
    quick(monkeypatch)
    met, _ = converse(lambda count, text: echo(text))
    assert (met["opened"], met["failed"], met["cut"]) == (1, 0, [])
    assert met["releases"] == {"abc": met["echoes"]}
    assert met["echoes"] > 5


def test_a_long_echo_arrives_whole(monkeypatch):
    quick(monkeypatch)
    met, _ = converse(lambda count, text: echo(text, padding="x" * 5000))
    assert met["failed"] == 0
    assert met["echoes"] > 5


def test_a_websocket_that_the_server_closes_is_cut_with_its_code_and_comes_back(monkeypatch):
    quick(monkeypatch)
    closing = frame(CLOSE, struct.pack("!H", 1012))
    met, frames = converse(lambda count, text: closing if count == 3 else echo(text), seconds=0.15)
    assert met["failed"] == 0
    assert met["cut"][0] == {"at": 1.5, "reason": "Closed: 1012"}
    assert met["opened"] >= 2
    assert (CLOSE, struct.pack("!H", 1012)) in frames


def test_a_websocket_that_breaks_off_is_cut_too(monkeypatch):
    quick(monkeypatch)
    met, _ = converse(lambda count, text: None if count == 3 else echo(text))
    assert met["failed"] == 0
    assert "IncompleteReadError" in met["cut"][0]["reason"]


def test_a_ping_is_answered(monkeypatch):
    quick(monkeypatch)
    met, frames = converse(lambda count, text: frame(PING, b"here?") + echo(text))
    assert met["failed"] == 0
    assert (PONG, b"here?") in frames


def test_a_wrong_echo_is_a_failure(monkeypatch):
    quick(monkeypatch)
    met, _ = converse(lambda count, text: echo(b"-1"))
    assert met["failures"][0]["reason"] == "ValueError: -1 instead of 0"


def test_silence_is_a_failure(monkeypatch):
    quick(monkeypatch)
    monkeypatch.setattr(websocket, "PATIENCE", 0.1)
    met, _ = converse(lambda count, text: b"")
    assert met["failures"][0]["reason"].startswith("TimeoutError")
    assert met["cut"] == []


def test_a_server_that_opens_none_is_a_failure(monkeypatch):
    quick(monkeypatch)
    met, _ = converse(lambda count, text: None, handshake=b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
    assert met["opened"] == 0
    assert met["failures"][0]["reason"] == "ValueError: HTTP/1.1 502 Bad Gateway"


def test_a_user_ends_whenever_he_is_told_to(monkeypatch):
    # Often enough to meet the moment at which an answer arrives.
    monkeypatch.setattr(websocket, "PAUSE", 0.0001)
    for number in range(50):
        met, _ = converse(lambda count, text: echo(text), seconds=0.01 + number % 7 * 0.001)
        assert met["failed"] == 0
