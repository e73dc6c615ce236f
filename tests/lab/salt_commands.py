"""Commands of Salt on the lab's master, as fast as they can be had there: see ``tests.forks``."""

import contextlib
import json
import queue
import subprocess
from pathlib import Path

from tests import forks

PYTHON = "/opt/salt/bin/python"
FOLDER = "/usr/local/bin"
SERVER = Path(forks.__file__).read_text(encoding="utf-8") + "\nserve()\n"


class SaltCommands:
    """Those of one lab, as many at once as there are threads that ask; they end with the master, or with us."""

    def __init__(self, lab):
        self._lab, self._idle = lab, queue.LifoQueue()

    def run(self, argv, timeout):
        """Like ``Lab.run`` on the master with ``check=False``; what takes longer is killed."""
        server = self._take()
        server.stdin.write(json.dumps([[f"{FOLDER}/{argv[0]}", *argv[1:]], timeout]) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, f"{' '.join(argv)}: the master ended meanwhile"
        self._idle.put(server)
        return subprocess.CompletedProcess(argv, *json.loads(answer))

    def _take(self):
        """One that waits, unless the master has been rebooted since; or a new one."""
        with contextlib.suppress(queue.Empty):
            while True:
                server = self._idle.get_nowait()
                if server.poll() is None:
                    return server
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        return subprocess.Popen(self._lab.host("master").argv([PYTHON, "-c", SERVER]), **streams)
