import os

from django.core.asgi import get_asgi_application
from django.core.cache import caches
from django.db import connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.production")

application = get_asgi_application()

# What takes long to import, as Redis's client does, is imported before the first visitor of a release is there.
caches.all()

# Here each request has a thread of its own: a connection that it leaves open would be of no use to the next.
for database in connections.settings.values():
    database["CONN_MAX_AGE"] = 0
