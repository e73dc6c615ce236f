"""Helpers for the settings; they need no settings themselves."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

BACKENDS = {
    # A database that does not answer must fail a health check within its 5 s, so connecting gives up earlier.
    "postgresql": {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"connect_timeout": 3}},
    "sqlite": {"ENGINE": "django.db.backends.sqlite3"},
}


def database(url):
    """Return Django's settings for postgresql://user:password@host:5432/name or sqlite:////path, percent-encoded."""
    try:
        parts = urlsplit(url)
        return BACKENDS[parts.scheme] | {
            "NAME": unquote(parts.path[1:]),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": unquote(parts.hostname or ""),
            "PORT": parts.port or "",
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
        }
    except KeyError:
        raise ImproperlyConfigured(f"DATABASE_URL must begin with one of {', '.join(BACKENDS)} and ://") from None
    except ValueError:
        # The cause is left out on purpose: it would show a part of the password.
        raise ImproperlyConfigured("DATABASE_URL is no URL: percent-encode the user and the password") from None


def cache(url):
    """Return Django's settings for rediss://user:password@host:6379/0; without a URL each process has a cache alone."""
    if not url:
        return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    try:
        user = unquote(urlsplit(url).username or "")
    except ValueError:
        raise ImproperlyConfigured("CACHE_URL is no URL: percent-encode the user and the password") from None
    return {
        "BACKEND": "core.caches.OptionalRedisCache",
        "LOCATION": url,
        # Redis lets a user have keys that begin with its name, and no other.
        "KEY_PREFIX": user,
        # A page waits no longer than this for what it can do without.
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
    }


def release_id(folder):
    """Return what the deployment wrote into the file .release of this copy of the code, "development" without one."""
    try:
        return (Path(folder) / ".release").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return "development"


def logging_to_stdout(level):
    """Return a LOGGING setting: one line format, to stdout, where the process manager collects it."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "line"}},
        "root": {"handlers": ["stdout"], "level": level},
        # Replaces Django's own handlers, which would print each line a second time, in another format.
        "loggers": {"django": {"handlers": [], "level": "INFO"}},
    }
