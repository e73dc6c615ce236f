"""For servers. Whatever is secret, or differs from one server to another, is in the file named by SECRETS_FILE."""

from core.config import database, read_secrets

from .base import *  # noqa: F403

secrets = read_secrets()

DEBUG = False
SECRET_KEY = secrets["SECRET_KEY"]
# While the key is rotated the old one is still accepted, so that nobody loses a session.
SECRET_KEY_FALLBACKS = secrets.get("SECRET_KEY_FALLBACKS", [])

ALLOWED_HOSTS = secrets["ALLOWED_HOSTS"]
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS]

DATABASES = {"default": database(secrets["DATABASE_URL"])}

# The web server in front ends TLS; it sets this header itself and drops what a client sends under its name.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = secrets.get("SECURE_SSL_REDIRECT", True)
SESSION_COOKIE_SECURE = SECURE_SSL_REDIRECT
CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT
SECURE_HSTS_SECONDS = 31_536_000  # one year; browsers ignore it on plain HTTP
# Subdomains and the browsers' preload lists are for the owner of the domain to decide, not for one app below it.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
