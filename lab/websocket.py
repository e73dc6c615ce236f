"""
Users who stay: each keeps a websocket open, sends something every 0.2 s and waits for its echo. Standard library only.

Just enough of RFC 6455 for short texts; what a server may not send ends the talk as a failure.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
from collections import Counter
from dataclasses import dataclass, field

PATH = "/ws/echo/"
PAUSE = 0.2  # seconds between two echoes
PATIENCE = 10.0  # seconds for an answer
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
LOST = (OSError, asyncio.IncompleteReadError)


class Closed(Exception):
    """The server ended it; the text has its code, as section 7.4 of the RFC lists them."""


@dataclass
class Talks:
    """What all users with websockets met; times in seconds of the load."""

    opened: int = 0
    echoes: int = 0
    worst: float = 0.0  # seconds, for one echo
    releases: Counter = field(default_factory=Counter)
    seen: dict = field(default_factory=dict)  # release -> [first, last]
    cut: list[dict] = field(default_factory=list)  # was open, and the other side ended it
    failures: list[dict] = field(default_factory=list)  # was not opened, or not echoed

    def echoed(self, release: str, seconds: float, at: float):
        self.echoes += 1
        self.worst = max(self.worst, seconds)
        self.releases[release] += 1
        self.seen.setdefault(release, [at, at])[1] = at

    def summary(self) -> dict:
        """The numbers as plain data, latencies in ms."""
        failed = {"failed": len(self.failures), "failures": self.failures[:20]}
        return {**vars(self), **failed, "worst": round(1000 * self.worst, 1)}


async def talk(address: str, port: int, host: str, talks: Talks, now, stopping: asyncio.Event):
    """
    One user: who is cut comes back at once, as a browser's script does; ``now()`` is the time.

    Ends when ``stopping`` is set and the echo that is due has come. Not by a cancellation: before Python 3.12,
    ``wait_for`` loses one that arrives together with the answer.
    """
    while not stopping.is_set():
        socket = None
        try:
            socket = await asyncio.wait_for(WebSocket.to(address, port, host, PATH), PATIENCE)
            talks.opened += 1
            await _echo(socket, talks, now, stopping)
        except (asyncio.TimeoutError, ValueError, KeyError) as error:
            talks.failures.append(_event(error, now()))
        except (*LOST, Closed) as error:
            (talks.cut if socket else talks.failures).append(_event(error, now()))
        finally:
            if socket:
                socket.close()
        await asyncio.sleep(PAUSE)


def _event(error: Exception, at: float) -> dict:
    return {"at": at, "reason": f"{type(error).__name__}: {error}"}


async def _echo(socket: WebSocket, talks: Talks, now, stopping: asyncio.Event):
    clock = asyncio.get_running_loop().time
    while not stopping.is_set():
        begin, number = clock(), talks.echoes
        socket.send(json.dumps(number))
        answer = json.loads(await asyncio.wait_for(socket.receive(), PATIENCE))
        if answer["echo"] != number:
            raise ValueError(f"{answer['echo']!r} instead of {number}")
        talks.echoed(answer["release"], clock() - begin, now())
        await asyncio.sleep(PAUSE)


class WebSocket:
    """An open websocket, the client's side of it."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, address: str, port: int, host: str, path: str) -> WebSocket:
        """Open one; raises ValueError where the answer is not 101."""
        reader, writer = await asyncio.open_connection(address, port)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", f"Origin: http://{host}"]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        try:
            status = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode("latin-1")
            if status.split()[1:2] != ["101"]:
                raise ValueError(status)
        except BaseException:
            writer.close()
            raise
        return cls(reader, writer)

    def send(self, text: str):
        self._write(TEXT, text.encode())

    async def receive(self) -> str:
        """The next text; raises Closed when the server ends it, and OSError or IncompleteReadError when it breaks."""
        while True:
            kind, data = await self._frame()
            if kind == CLOSE:
                self._write(CLOSE, data[:2])
                raise Closed(struct.unpack("!H", data[:2])[0] if data else "without a code")
            if kind == PING:
                self._write(PONG, data)
            if kind == TEXT:
                return data.decode()

    def close(self):
        self.writer.close()

    def _write(self, kind: int, data: bytes):
        """One whole frame of at most 125 bytes, masked as every client must."""
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self.writer.write(bytes([0x80 | kind, 0x80 | len(data)]) + mask + masked)

    async def _frame(self) -> tuple[int, bytes]:
        first, length = await self.reader.readexactly(2)
        if not first & 0x80 or length > 126:
            raise ValueError("a frame in parts, masked, or longer than 64 KiB")
        if length == 126:
            length = struct.unpack("!H", await self.reader.readexactly(2))[0]
        return first & 0x0F, await self.reader.readexactly(length)
