"""Helpers for the settings; they need no settings themselves."""

import json
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

BACKENDS = {
    # A database that does not answer must fail a health check within its 5 s, so connecting gives up earlier.
    "postgresql": {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"connect_timeout": 3}},
    "sqlite": {"ENGINE": "django.db.backends.sqlite3"},
}


class Secrets(dict):
    """The values of a secrets file. Asking for one that is missing names the key and the file."""

    def __init__(self, path, values):
        super().__init__(values)
        self.path = path

    def __missing__(self, key):
        raise ImproperlyConfigured(f"The key {key} is missing in the secrets file {self.path}")

    def __repr__(self):
        return f"<Secrets from {self.path}>"


def read_secrets():
    """Return the secrets in the JSON file that the environment variable SECRETS_FILE names."""
    path = os.environ.get("SECRETS_FILE")
    if not path:
        raise ImproperlyConfigured("Set the environment variable SECRETS_FILE to the path of the secrets file")
    try:
        return Secrets(path, json.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise ImproperlyConfigured(f"The secrets file {path} cannot be read: {error.strerror}") from error
    except (TypeError, ValueError):
        # The cause is left out on purpose: it would put the file's text into the log.
        raise ImproperlyConfigured(f"The secrets file {path} is not a JSON object") from None


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
