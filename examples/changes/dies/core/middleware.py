import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

from django.conf import settings

LIFE = 5  # seconds


def own_doors():
    """The paths of the unix sockets at which this process listens."""
    held = set()
    for link in Path("/proc/self/fd").iterdir():
        # Some are closed by the time that one looks.
        with contextlib.suppress(OSError):
            held.add(str(link.readlink()))
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return [Path(words[7]) for words in lines if len(words) > 7 and f"socket:[{words[6]}]" in held]


def end_server():
    """
    Have the server end as it does when it is told to: what it has accepted it answers.

    Supervisor and systemd start a program as the leader of a process group: that is the server's main process.
    """
    server = os.getpgrp()
    name = Path(f"/proc/{server}/comm").read_text().strip()
    if "uwsgi" in sys.modules:
        # It leaves its door open to the end, and drops whoever comes meanwhile.
        for door in own_doors():
            door.unlink(missing_ok=True)
        time.sleep(0.2)
    # TERM would have Apache cut the requests that it is answering.
    os.kill(server, signal.SIGWINCH if name in ("apache2", "httpd") else signal.SIGTERM)


def release_header(get_response):
    """Name the release in every answer, redirects and errors included."""
    # The mistake of this release: it serves well, but not for long.
    timer = threading.Timer(LIFE, end_server)
    timer.daemon = True
    timer.start()

    def middleware(request):
        response = get_response(request)
        response["X-Release"] = settings.RELEASE
        return response

    return middleware
