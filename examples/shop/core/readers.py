"""
Readers of a secrets file, one for each format. A project needs the one of its format, the class and the last function.
"""

import configparser
import json
import os
import shlex
from pathlib import Path
from xml.etree import ElementTree

from django.core.exceptions import ImproperlyConfigured


class Secrets(dict):
    """The values of a secrets file. Asking for one that is missing names the key and the file."""

    def __init__(self, path, values):
        super().__init__(values)
        self.path = path

    def __missing__(self, key):
        raise ImproperlyConfigured(f"The key {key} is missing in the secrets file {self.path}")

    def __repr__(self):
        return f"<Secrets from {self.path}>"

    def words(self, key, default=None):
        """A list of texts. Formats that know only texts have it on one line, with commas."""
        value = self[key] if default is None else self.get(key, default)
        return [word for word in value.split(",") if word] if isinstance(value, str) else value

    def flag(self, key, default):
        """True or false, which some formats write as a text."""
        value = self.get(key, default)
        if value not in (True, False, "true", "false"):
            raise ImproperlyConfigured(f"The key {key} in the secrets file {self.path} is neither true nor false")
        return value in (True, "true")


def read_json(text):
    return json.loads(text)


def read_toml(text):
    import tomllib  # Python 3.11; before that the package tomli

    return tomllib.loads(text)


def read_ini(text):
    parser = configparser.ConfigParser(interpolation=None)  # a % is a %
    parser.optionxform = str  # keys keep their capitals
    parser.read_string(text)
    mappings = {name: dict(parser[name]) for name in parser.sections()}
    return {**mappings.pop("settings"), **mappings}


def read_xml(text):
    def value(element):
        kind = element.get("type", "text")
        if kind == "mapping":
            return {item.tag: value(item) for item in element}
        if kind == "list":
            return [value(item) for item in element]
        return element.text or "" if kind == "text" else json.loads(element.text)

    return {element.tag: value(element) for element in ElementTree.fromstring(text)}


def read_env(text):
    """As ``dotenv_values`` of python-dotenv does, without the package."""
    return dict(word.split("=", 1) for word in shlex.split(text, comments=True))


READERS = {
    ".json": read_json,
    ".toml": read_toml,
    ".ini": read_ini,
    ".cfg": read_ini,
    ".xml": read_xml,
    ".env": read_env,
}


def read_secrets():
    """Return the secrets in the file that the environment variable SECRETS_FILE names. Its ending names the format."""
    path = os.environ.get("SECRETS_FILE")
    if not path:
        raise ImproperlyConfigured("Set the environment variable SECRETS_FILE to the path of the secrets file")
    ending = Path(path).suffix
    if ending not in READERS:
        raise ImproperlyConfigured(f"The secrets file {path} must end with one of {', '.join(READERS)}")
    try:
        return Secrets(path, READERS[ending](Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise ImproperlyConfigured(f"The secrets file {path} cannot be read: {error.strerror}") from error
    except (KeyError, SyntaxError, TypeError, ValueError, configparser.Error):
        # The cause is left out on purpose: it would put the file's text into the log.
        raise ImproperlyConfigured(f"The secrets file {path} is not what its ending says") from None
