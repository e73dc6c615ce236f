# Managed by Salt: salt://app/servers/wsgi.py
"""What mod_wsgi loads in each process: the app, with the environment that Apache may not have passed on."""

import importlib
import os

os.environ.update({{ app.variables | json }})

module, _, name = {{ web.application | json }}.partition(":")
application = getattr(importlib.import_module(module), name or "application")

# Load the URLs, and with them the views, before the first request instead of in it.
importlib.import_module("django.urls").get_resolver().url_patterns  # noqa: B018
