"""What is the same on every server; where production.py and environment.py find the rest differs."""

from .base import *  # noqa: F403

DEBUG = False

# The web server in front ends TLS; it sets this header itself and drops what a client sends under its name.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000  # one year; browsers ignore it on plain HTTP
# Subdomains and the browsers' preload lists are for the owner of the domain to decide, not for one app below it.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
