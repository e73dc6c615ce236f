#!/usr/bin/env python3
# Managed by Salt: salt://_utils/pulling.py
"""
Bring this host to what its pillar says, by itself: slipway-pull.timer calls it (docs/pull.md).

    slipway-pull --salt-call=PROGRAM --config-dir=FOLDER --cache=FOLDER --alone=SLS,... [MASTER:PORT ...]

It prints what has changed and what failed, for the journal; the exit code is 1 if anything failed. Where no master is
reached it applies the SLS files of ``--alone`` from what the minion has kept: what belongs to no release and needs no
secret. A host that is at another state run is left to it. Any Python from 3.8 on runs it.
"""

import argparse
import json
import re
import socket
import subprocess
import sys
import time

# Seconds within which a master takes the connection.
REACHED = 5
# Seconds between two looks for the masters while Salt is at work, and the looks in a row without one after which it is
# ended: it would wait three minutes for each file (request_channel_timeout, request_channel_tries).
LOOK, LOOKS = 30, 3
# What Salt returns instead of results where another state run is at work.
BUSY = re.compile(r'The function "state\.\w+" is running as PID \d+')


def is_reached(door):
    """Return whether ``address:port`` takes a connection."""
    address, _, port = door.rpartition(":")
    try:
        socket.create_connection((address.strip("[]"), int(port)), timeout=REACHED).close()
    except OSError:
        return False
    return True


def is_lost(options):
    """Return whether this host has masters, and none of them is reached."""
    return bool(options.masters) and not any(map(is_reached, options.masters))


def commands(options, lost):
    """Return the arguments with which Salt is called, once after the other; the last is the state run."""
    salt = [options.salt_call, f"--config-dir={options.config_dir}", "--out=json", "--log-level=quiet"]
    if lost:
        kept = [f"--file-root={options.cache}/files/base", f"--pillar-root={options.cache}/pillar"]
        return [[*salt, "--local", *kept, "state.sls", options.alone]]
    # The tree may be another than at the last pull. A server without a master has its modules in the tree itself.
    sync = [[*salt, "saltutil.sync_all"]] if options.masters else []
    return [*sync, [*salt, "state.apply", 'pillar={"pulled": true}']]


def answer(options, lost):
    """Return what the last of ``commands`` answers; none comes after one to which Salt gives no answer but a text."""
    if lost:
        print(f"no master is reached ({', '.join(options.masters)}): {options.alone} alone, the apps stay as they are")
    for argv in commands(options, lost):
        said = applied(argv, lambda: not lost and is_lost(options))
        if isinstance(said, str):
            break
    return said


def report(answer):
    """Return the lines that tell what Salt's answer says, and whether all is well."""
    if not isinstance(answer, dict):
        lines = [str(line) for line in answer] if isinstance(answer, list) else [str(answer)]
        if any(BUSY.search(line) for line in lines):
            return ["this host is at another state run: the next pull sees to it"], True
        return lines, False
    results = sorted(answer.values(), key=lambda result: result["__run_num__"])
    changed = [f"changed: {result['__id__']}" for result in results if result["changes"]]
    failed = [f"FAILED: {result['__id__']}: {result['comment']}" for result in results if result["result"] is False]
    return [*changed, *failed], not failed


def applied(argv, is_deserted):
    """
    Return what Salt answers: its results, or a text that says why there are none.

    It is ended where ``is_deserted`` says again and again that there is no master: it may wait for one.
    """
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as salt:
        stdout, stderr = ended(salt, is_deserted)
    try:
        return json.loads(stdout)["local"]
    except (ValueError, KeyError, TypeError):
        return (stdout + stderr).strip() or f"{argv[0]} ended with the exit code {salt.returncode}"


def ended(salt, is_deserted):
    """Return what a process of Salt has printed, once it has ended by itself or been ended."""
    away = 0
    while True:
        try:
            return salt.communicate(timeout=LOOK)
        except subprocess.TimeoutExpired:
            away = away + 1 if is_deserted() else 0
            if away >= LOOKS:
                salt.terminate()


def main(argv):
    parser = argparse.ArgumentParser()
    for name in ("salt-call", "config-dir", "cache", "alone"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("masters", nargs="*")
    options = parser.parse_args(argv)
    begin = time.monotonic()
    lost = is_lost(options)
    lines, well = report(answer(options, lost))
    if not (well or lost) and is_lost(options):
        print("\n".join([*lines, "the master went away meanwhile"]))
        lines, well = report(answer(options, lost=True))
    print("\n".join([*lines, f"{'done' if well else 'failed'} after {time.monotonic() - begin:.1f} s"]), flush=True)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
