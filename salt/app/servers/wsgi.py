# Managed by Salt: salt://app/servers/wsgi.py
"""What mod_wsgi loads in each process: the app, with the environment of which Apache may have changed a part."""

import importlib
import os

# Where the slot has files of its own is in the environment that it was started with.
own = os.environ.keys() & {{ app.files | map(attribute="variable") | list | json }}
os.environ.update({name: value for name, value in {{ app.variables | json }}.items() if name not in own})

module, _, name = {{ web.application | json }}.partition(":")
application = getattr(importlib.import_module(module), name or "application")

# Load the URLs, and with them the views, before the first request instead of in it.
importlib.import_module("django.urls").get_resolver().url_patterns  # noqa: B018
