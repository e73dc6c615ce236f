# Managed by Salt: salt://app/servers/granian_server.py
"""Serve the app with Granian, which has no config file: ``python granian_server.py SOCKET``."""

import importlib
import os
import sys
from pathlib import Path

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.utils.proxies import wrap_asgi_with_proxy_headers, wrap_wsgi_with_proxy_headers

BELIEVE_NGINX = {"wsgi": wrap_wsgi_with_proxy_headers, "asgi": wrap_asgi_with_proxy_headers}
INTERFACE = "{{ web.interface }}"


def load(target):
    """The application, with its URLs, and with them the views, loaded before the first request instead of in it."""
    module, _, name = target.partition(":")
    application = getattr(importlib.import_module(module), name)
    from django.urls import get_resolver

    get_resolver().url_patterns  # noqa: B018
    return BELIEVE_NGINX[INTERFACE](application, "*")


if __name__ == "__main__":
    # What a killed process has left: Granian does not replace it.
    Path(sys.argv[1]).unlink(missing_ok=True)
    # Python has put the folder of this file there, where gunicorn and uWSGI look for the app in the current folder.
    sys.path[0] = os.getcwd()  # noqa: PTH109
    Granian(
        "{{ web.application }}",
        uds=Path(sys.argv[1]),
        # The folder of the socket lets only the app and Nginx in.
        uds_permissions=0o666,
        interface=Interfaces(INTERFACE),
        workers={{ web.workers }},
        # With threads a worker takes no more requests than it has of them: the others wait for whichever worker is free
        # first. An event loop has one thread, and takes what comes.
        blocking_threads={"wsgi": {{ web.threads }}, "asgi": 1}[INTERFACE],
        backpressure={"wsgi": {{ web.threads }}, "asgi": None}[INTERFACE],
        # Nginx speaks nothing else.
        http=HTTPModes("1"),
        # A worker that died is started again; one that dies within 5.5 seconds ends the slot.
        respawn_failed_workers=True,
        workers_kill_timeout={{ web.timeout }},
    ).serve(target_loader=load)
