"""
Salt's commands in processes that have nothing left to import: half of what a short one costs. A worker imports Salt
once, and forks for each command: in a pool of this machine (``forks``), or as a process of a host (``serve``).
"""

import json
import os
import runpy
import signal
import sys
import tempfile
import traceback
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context


@contextmanager
def forks():
    """Yields ``run(argv, seconds)``: the exit code of a script of Python, what it printed, and what it complained."""
    # Of threads, of which the tests have some, only one would be in a fork.
    with ProcessPoolExecutor(4, get_context("spawn"), _import_salt) as workers:
        yield lambda argv, seconds: workers.submit(_run, argv, seconds).result()


def serve():
    """Answer each line of stdin, ``[argv, seconds]`` as JSON, with one that holds what ``run`` returns."""
    _import_salt()
    for line in sys.stdin:
        print(json.dumps(_run(*json.loads(line))), flush=True)


def _import_salt():
    import salt.cli.run
    import salt.cli.salt
    import salt.client
    import salt.modules.state
    import salt.output
    import salt.pillar
    import salt.runner
    import salt.runners.state  # noqa: F401


def _run(argv, seconds):
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        child = os.fork()
        if not child:
            _become(argv, seconds, stdout.fileno(), stderr.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return code, *(stream.seek(0) or stream.read() for stream in (stdout, stderr))


def _become(argv, seconds, stdout, stderr):
    """The script ends the process, or the alarm does."""
    code = 1
    try:
        os.setsid()
        signal.alarm(seconds)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        sys.argv = argv
        runpy.run_path(argv[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)
