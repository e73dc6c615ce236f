# Managed by Salt: salt://app/servers/mod_wsgi_server.py
"""Starts a slot at the door 127.0.0.1:PORT: this process becomes the Apache that runs the app in mod_wsgi."""

import math
import os
import sys
from pathlib import Path

TIMEOUT, THREADS = {{ web.timeout }}, {{ web.threads }}
address, _, port = sys.argv[1].partition(":")
root = Path("{{ app.paths.run }}", f"{port}.express")
express = Path(sys.executable).with_name("mod_wsgi-express")

options = {
    "host": address,
    "port": port,
    "server-root": root,
    "process-group": "{{ app.name }}",
    # Demands the word that only the web server in front knows.
    "include-file": "{{ app.paths.etc }}/mod_wsgi.conf",
    "processes": {{ web.workers }},
    "threads": THREADS,
    "limit-request-body": {{ app.max_body_bytes }},
    "startup-timeout": math.ceil({{ app.health.start_timeout }}),
    # mod_wsgi lets a request take this times 1 + ln(threads), and then raises an exception in its thread; only where
    # that does not help within five seconds the process is started anew.
    "request-timeout": math.ceil(TIMEOUT / (1 + math.log(THREADS))),
    "interrupt-timeout": 5,
    "queue-timeout": TIMEOUT,
    # Apache gives up after mod_wsgi has, and the web server in front waits no longer than this.
    "socket-timeout": TIMEOUT + 15,
    # A client may be as slow as in front: RequestReadTimeout there.
    "body-timeout": 60,
    "graceful-timeout": TIMEOUT,
    "shutdown-timeout": 5,
    # A connection that was kept would lead to the old release.
    "keep-alive-timeout": 0,
    "locale": "C.UTF-8",
    "trust-proxy": "127.0.0.1",
}
# A changed file is for the next release: the one that serves must not load half of it.
switches = ["--disable-reloading", "--chunked-request", "--log-to-terminal"]
switches += ["--trust-proxy-header=X-Forwarded-For", "--trust-proxy-header=X-Forwarded-Proto"]

# The process manager knows what runs. After a crash this may be the number of another process, and Apache would say
# that it runs already.
(root / "httpd.pid").unlink(missing_ok=True)
arguments = [f"--{name}={value}" for name, value in options.items()]
os.execv(express, [express, "start-server", "{{ app.paths.etc }}/wsgi.py", *arguments, *switches])
