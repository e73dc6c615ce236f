"""Small things that every part of the lab needs: commands, files, locks, and where things are kept."""

import contextlib
import fcntl
import os
import subprocess
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("SLIPWAY_LAB_CACHE", "/var/cache/slipway-lab"))
STATE = Path("/var/lib/slipway-lab")


class LabError(RuntimeError):
    """Something that the lab needs is missing or failed; the message says what and what to do."""


def tail(text, lines=20):
    """The last ``lines`` lines of ``text``."""
    return "\n".join(text.rstrip().splitlines()[-lines:])


def command(*argv, check=True, **options):
    """
    Run ``argv`` on this machine and return what it printed (both streams).

    Keywords go to ``subprocess.run``. Raises LabError with the end of the output when it fails and ``check`` is set.
    """
    argv = [str(part) for part in argv]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **options}
    done = subprocess.run(argv, **options)
    if check and done.returncode:
        raise LabError(f"{' '.join(argv)}: exit code {done.returncode}\n{tail(done.stdout or '')}")
    return done.stdout or ""


def write(path, text, mode=0o644):
    """Write ``text`` to ``path``; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_text(text)


@contextlib.contextmanager
def locked(path):
    """Hold an exclusive lock on the file ``path``: one process at a time, freed by the kernel when it dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def wait_until(condition, what, timeout, pause=0.05):
    """
    Ask ``condition`` every ``pause`` seconds until it is true, and return its value.

    Raises LabError("<what>: ...") after ``timeout`` seconds.
    """
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(pause)
    raise LabError(f"{what}: not within {timeout} seconds")


class Steps:
    """Tells what happens: one line a step, with the host it happens on and its seconds."""

    def __init__(self, say=None):
        self.say = say or (lambda line: None)

    @contextlib.contextmanager
    def step(self, host, text):
        """Report ``text`` for ``host`` when the block has ended well."""
        begin = time.monotonic()
        yield
        self.report(host, text, time.monotonic() - begin)

    def report(self, host, text, seconds):
        """Report a step that took ``seconds``."""
        self.say(f"{host:<10} {text:<52} {seconds:6.1f} s")
