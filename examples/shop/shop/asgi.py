import os

from django.core.asgi import get_asgi_application
from django.db import connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.production")

application = get_asgi_application()

# Here each request has a thread of its own: a connection that it leaves open would be of no use to the next.
for database in connections.settings.values():
    database["CONN_MAX_AGE"] = 0
