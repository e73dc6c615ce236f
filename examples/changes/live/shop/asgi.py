import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.db import connections
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.production")

http = get_asgi_application()

# Here each request has a thread of its own: a connection that it leaves open would be of no use to the next.
for database in connections.settings.values():
    database["CONN_MAX_AGE"] = 0

from core.consumers import Echo  # noqa: E402 (a consumer may import models, which needs what the line above has set up)

application = ProtocolTypeRouter({"http": http, "websocket": URLRouter([path("ws/echo/", Echo.as_asgi())])})
