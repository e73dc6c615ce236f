"""Redis over its unix socket, in its own protocol: nothing is an argument of a program, and no output is for people."""

import re
import socket

from salt.exceptions import CommandExecutionError

# Seconds. What we ask takes it microseconds.
TIMEOUT = 10

# What an error of Redis may repeat of our words.
HASH = re.compile(r"[0-9a-f]{64}")


def ask(path, *commands):
    """
    Return what Redis answers to some commands, one after the other over one connection: texts, numbers, lists of them.

    path
        The socket.
    commands
        Lists of words. ``AUTH`` with a user and a password comes first.

    Raises CommandExecutionError with Redis's own words, without a hash in them.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(path)
            with connection.makefile("rwb") as stream:
                return [_answer(stream, command) for command in commands]
    except OSError as error:
        raise CommandExecutionError(f"Redis does not answer on {path}: {error.strerror or error}") from error


def _answer(stream, command):
    words = [word.encode() for word in command]
    stream.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
    stream.flush()
    return _read(stream)


def _read(stream):
    """One reply: https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP 2)."""
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise CommandExecutionError("Redis has closed the connection")
    kind, text = line[:1], line[1:-2].decode(errors="replace")
    if kind == b"-":
        raise CommandExecutionError(f"Redis: {HASH.sub('********', text)}")
    if kind == b"*":
        return [_read(stream) for _ in range(int(text))]
    if kind == b"$":
        return stream.read(int(text) + 2)[:-2].decode(errors="replace")
    return int(text) if kind == b":" else text
