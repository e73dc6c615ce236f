"""For servers. Whatever is secret, or differs from one server to another, is in the file named by SECRETS_FILE."""

from core.config import cache, database
from core.readers import read_secrets

from .server import *  # noqa: F403

secrets = read_secrets()

SECRET_KEY = secrets["SECRET_KEY"]
# While the key is rotated the old one is still accepted, so that nobody loses a session.
SECRET_KEY_FALLBACKS = secrets.words("SECRET_KEY_FALLBACKS", [])

ALLOWED_HOSTS = secrets.words("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS]

DATABASES = {"default": database(secrets["DATABASE_URL"])}
CACHES = {"default": cache(secrets.get("CACHE_URL"))}

SECURE_SSL_REDIRECT = secrets.flag("SECURE_SSL_REDIRECT", True)
SESSION_COOKIE_SECURE = SECURE_SSL_REDIRECT
CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT
