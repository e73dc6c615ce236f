"""As production.py, for a shop that finds its values in the environment: `secrets: {export: true}` in the pillar."""

import os

from core.config import cache, database

from .server import *  # noqa: F403

SECRET_KEY = os.environ["SECRET_KEY"]

ALLOWED_HOSTS = os.environ["ALLOWED_HOSTS"].split(",")
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS]

DATABASES = {"default": database(os.environ["DATABASE_URL"])}
CACHES = {"default": cache(os.environ.get("CACHE_URL"))}

SECURE_SSL_REDIRECT = os.environ.get("SECURE_SSL_REDIRECT", "true") == "true"
SESSION_COOKIE_SECURE = SECURE_SSL_REDIRECT
CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT
