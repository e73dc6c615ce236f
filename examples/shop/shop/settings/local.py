"""For one's own machine: SQLite, the debug page, no secrets."""

from core.config import logging_to_stdout

from .base import *  # noqa: F403
from .base import BASE_DIR

DEBUG = True
SECRET_KEY = "not a secret: this key is for local use only"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}

LOGGING = logging_to_stdout("DEBUG")
