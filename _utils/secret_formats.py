"""
The formats of an app's secrets file: what each makes of the values, and what it cannot hold.

Whatever a format takes its standard reader gives back: json, ConfigParser, ElementTree, tomllib, python-dotenv.
"""

import configparser
import dataclasses
import io
import json
import re
import shlex
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

HEADER = "Managed by Salt: secrets.written"
# Where python-decouple looks for a value.
SECTION = "settings"
NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
SURROGATE = re.compile(r"[\ud800-\udfff]")
# What is no character of XML 1.0 (https://www.w3.org/TR/xml/#charsets).
NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# An assignment of the env format, as we write it.
ASSIGNMENT = re.compile(r"""^(\w+)=('[^']*'|"(?:\\.|[^"\\])*"|[^'"\s]*)$""", re.MULTILINE | re.DOTALL)
# Linux takes no longer text in an environment, with its name and a byte at its end: MAX_ARG_STRLEN, execve(2).
LONGEST = 128 * 1024


def dump(format, values):
    """
    Return the text of a file in which the values are.

    :param format: a key of ``FORMATS``
    :param values: a mapping of names to what JSON can hold, of which ``misfit`` has found nothing
    """
    return FORMATS[format].dump(_plain(values))


def entries(format, text):
    """
    Return what of a file can be compared, key by key: no value has to be the one that was written.

    :raises ValueError: if the file is in another format
    """
    return FORMATS[format].entries(text)


def misfit(format, key, value):
    """Return why a format cannot hold a value, and what to do, without a word of the value; empty if it can."""
    value = _plain(value)
    if any(SURROGATE.search(text) for text in _texts(value)):
        return "half of a character (a surrogate) is in no file: write the character itself"
    return FORMATS[format].misfit(key, value)


def flat(value):
    """
    Return a value as one text, for what knows nothing else.

    A list of plain values is joined by commas, which ``env.list`` of django-environ and ``Csv`` of python-decouple
    split; other lists, and mappings, are JSON. true, false and numbers are as in JSON.
    """
    if isinstance(value, str):
        return value
    return ",".join(map(flat, value)) if _is_plain_list(value) else json.dumps(value, ensure_ascii=False)


def _plain(value):
    """The value as JSON has it, mappings by their keys, which are texts."""
    return json.loads(json.dumps(json.loads(json.dumps(value)), sort_keys=True))


def _is_plain_list(value):
    return isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value)


def _texts(value):
    """Every text in a value, keys included."""
    if isinstance(value, str):
        return [value]
    inside = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for item in inside for text in _texts(item)]


def _has(value, found):
    """Whether ``found`` is true of the value or of anything in it."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return found(value) or any(_has(item, found) for item in inside)


def _not_flat(value):
    """What of a value is lost in one text."""
    if value is None:
        return "there is no null: leave the key out"
    if _is_plain_list(value) and any(not item or item != item.strip() or "," in item for item in map(flat, value)):
        return "a list is joined by commas: its texts must not be empty, hold a comma, or begin or end with a space"
    return ""


def _dump_json(values):
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _json_entries(text):
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("no object")
    # As JSON, because for Python 1 and True are the same.
    return {key: json.dumps(value, sort_keys=True) for key, value in values.items()}


def _parser():
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    return parser


def _dump_ini(values):
    parser = _parser()
    parser[SECTION] = {key: flat(value) for key, value in values.items() if not isinstance(value, dict)}
    for key, value in values.items():
        if isinstance(value, dict):
            parser[key] = {name: flat(item) for name, item in value.items()}
    file = io.StringIO()
    parser.write(file)
    return f"# {HEADER}\n{file.getvalue().rstrip()}\n"


def _ini_entries(text):
    parser = _parser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ValueError("not what ConfigParser reads") from error
    found = {name: dict(parser[name]) for name in parser.sections()}
    return {**found.pop(SECTION, {}), **found}


def _ini_misfit(key, value):
    if not isinstance(value, dict):
        return _not_flat(value) or _not_in_ini(flat(value))
    if key in (SECTION, configparser.DEFAULTSECT):
        return f"a mapping is a section, and [{key}] has a meaning of its own: give the key another name"
    if not all(map(NAME.fullmatch, value)):
        return "keys of a mapping must be letters, digits and . _ -, no digit first"
    return next(filter(None, (_not_flat(item) or _not_in_ini(flat(item)) for item in value.values())), "")


def _not_in_ini(text):
    """ConfigParser strips every line, takes the empty ones off the end, and skips those that look like comments."""
    first, *others = text.split("\n")
    if "\r" in text or any(line != line.strip() for line in (first, *others)) or (others and not others[-1]):
        return "no line of a text may begin or end with a space, and the last one may not end with a line break"
    if any(line.startswith(("#", ";")) for line in others):
        return "no line of a text after the first may begin with # or ;"
    return ""


def _dump_xml(values):
    root = ElementTree.Element(SECTION)
    for key, value in values.items():
        _add(root, key, value)
    ElementTree.indent(root)
    # A carriage return can be in texts only; a reader would take it for a line break.
    body = ElementTree.tostring(root, encoding="unicode").replace("\r", "&#13;")
    return f'<?xml version="1.0" encoding="utf-8"?>\n<!-- {HEADER} -->\n{body}\n'


def _add(parent, tag, value):
    kinds = {dict: "mapping", list: "list", bool: "boolean", int: "number", float: "number", type(None): "null"}
    element = ElementTree.SubElement(parent, tag, {} if isinstance(value, str) else {"type": kinds[type(value)]})
    if isinstance(value, dict):
        for name, item in value.items():
            _add(element, name, item)
    elif isinstance(value, list):
        for item in value:
            _add(element, "item", item)
    else:
        element.text = flat(value)


def _xml_entries(text):
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError("no XML") from error
    return {element.tag: ElementTree.tostring(element, encoding="unicode").strip() for element in root}


def _xml_misfit(_key, value):
    if any(NOT_XML.search(text) for text in _texts(value)):
        return "control characters are in no XML: leave them out, or encode them (Base64)"
    if _has(value, lambda item: isinstance(item, dict) and not all(map(NAME.fullmatch, item))):
        return "keys of a mapping are elements: they must be letters, digits and . _ -, no digit first"
    return ""


def _dump_toml(values):
    return f"# {HEADER}\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())


def _toml(value):
    """A value on one line: what is in a mapping is in an inline table."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(name)} = {_toml(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # Its basic strings, numbers and booleans are those of JSON, but for this one control character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_entries(text):
    """By lines, of which each has one key: Python 3.10 has no reader."""
    lines = [line.partition(" = ") for line in text.split("\n") if line and line[0] != "#"]
    if not all(separator for _, separator, _ in lines):
        raise ValueError("not what we write")
    return {key: value for key, _, value in lines}


def _toml_misfit(_key, value):
    return "there is no null: leave the key out" if _has(value, lambda item: item is None) else ""


def _dump_env(values):
    return f"# {HEADER}\n" + "".join(f"{key}={_quoted(flat(value))}\n" for key, value in values.items())


def _quoted(text):
    """
    A text in the quotes in which shells, python-dotenv and systemd find the same.

    Between single ones python-dotenv takes backslashes away, between double ones shells look for variables.
    """
    if not _needs_double_quotes(text):
        return shlex.quote(text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _needs_double_quotes(text):
    return "'" in text or "\\\\" in text or text.endswith("\\")


def _env_entries(text):
    return dict(ASSIGNMENT.findall(text))


def _is_no_character(character):
    """Whether Unicode has set it apart for programs (section 23.7): systemd takes no text with it for one."""
    number = ord(character)
    return number & 0xFFFE == 0xFFFE or 0xFDD0 <= number <= 0xFDEF


def _env_misfit(_key, value):
    problem, text = _not_flat(value), flat(value)
    if problem:
        return problem
    if "\0" in text or "\r" in text or any(map(_is_no_character, text)):
        return "readers lose carriage returns, the character 0 and those that Unicode has set apart: leave them out"
    if "${" in text:
        return "python-dotenv puts a variable in the place of ${...}: take another text"
    if _needs_double_quotes(text) and re.search(r"[$`]", text):
        return "a text with $ or ` must have no single quote, no two backslashes together and none at its end"
    return ""


def _dump_environment(values):
    return _dump_json({key: flat(value) for key, value in values.items()})


def _environment_misfit(key, value):
    if "\0" in flat(value):
        return "no variable can hold the character 0: leave it out"
    if len(f"{key}={flat(value)}".encode()) >= LONGEST:
        return f"no variable can be longer than {LONGEST // 1024} KiB: let the app read it from the file"
    return _not_flat(value)


@dataclasses.dataclass(frozen=True)
class _Format:
    dump: Callable
    entries: Callable
    misfit: Callable = lambda key, value: ""


FORMATS = {
    "json": _Format(_dump_json, _json_entries),
    "ini": _Format(_dump_ini, _ini_entries, _ini_misfit),
    "cfg": _Format(_dump_ini, _ini_entries, _ini_misfit),
    "xml": _Format(_dump_xml, _xml_entries, _xml_misfit),
    "toml": _Format(_dump_toml, _toml_entries, _toml_misfit),
    "env": _Format(_dump_env, _env_entries, _env_misfit),
    # What `launch` reads.
    "environment": _Format(_dump_environment, _json_entries, _environment_misfit),
}
# Those that an app may ask for.
FILES = tuple(name for name in FORMATS if name != "environment")
