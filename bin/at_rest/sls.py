"""The files of ``pillar/secrets``: read as plain YAML, and changed in one place with the rest left as it is."""

import json
import os
import re
import tempfile
from pathlib import Path

import yaml

from at_rest import Refused, gpg

RENDERER = "#!yaml|gpg"
HEAD = f"""\
{RENDERER}
# Encrypted for the master, made with `make secret`: docs/secrets.md.
"""
JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
# What a function of the master gives, such as sdb.get, and what stands for it in the data.
FETCHED, FILL = re.compile(r"\{\{-?\s*salt\["), "\ue000"
# The keys of passwords that two hosts need, and what each is for.
PASSWORDS = {"database_password": "database", "cache_password": "cache"}


class _Loader(yaml.SafeLoader):
    """As Salt's: a key that is there twice is a mistake, or the first value would be there and not be seen."""

    def construct_mapping(self, node, deep=False):
        names = [str(key.value) for key, _ in node.value]
        if len(set(names)) < len(names):
            raise yaml.constructor.ConstructorError(None, None, "a key is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def place(app, key):
    """Where a secret belongs: the name of its file, and its path in the pillar."""
    if key in PASSWORDS:
        return f"{app}_{PASSWORDS[key]}.sls", ("passwords", PASSWORDS[key], app)
    return f"{app}.sls", ("secrets", app, key)


def parsed(text, name):
    """The data of an SLS file, with texts of ``FILL`` or x in place of what Jinja would make."""
    try:
        return yaml.load(_plain(text), _Loader) or {}
    except yaml.YAMLError as error:
        # Its own words quote the file.
        mark = getattr(error, "problem_mark", None)
        raise Refused(f"{name}: cannot be read as YAML" + (f": see line {mark.line + 1}" if mark else "")) from None


def leaves(data, path=()):
    """``(path, value)`` of everything in nested data; a list, as of a secret that is rotated, is one value."""
    if not isinstance(data, dict) or not data:
        return [(path, data)]
    return [leaf for key, value in data.items() for leaf in leaves(value, (*path, str(key)))]


def several(value):
    """The values of a secret, the newest first."""
    return value if isinstance(value, list) else [value]


def is_message(value):
    """Whether a value is encrypted, as a whole."""
    lines = str(value).strip().splitlines()
    return len(lines) > 2 and (lines[0], lines[-1]) == (gpg.MESSAGE, gpg.END)


def is_fetched(value):
    """Whether the master fetches a value when it compiles the pillar: then it is not in the file."""
    return isinstance(value, str) and set(value.strip()) == {FILL}


def messages(text, name):
    """``(path, message)`` of everything in a file that is encrypted."""
    return [(path, one) for path, value in leaves(parsed(text, name)) for one in several(value) if is_message(one)]


def keys(text, name):
    """``(app, key)`` of the secrets in a file, some of them of ``PASSWORDS``; other keys of a pillar are left alone."""
    paths = [path for path, _ in leaves(parsed(text, name)) if len(path) > 2]
    secrets = [(app, key) for top, app, key, *_ in paths if top == "secrets"]
    names = {("passwords", service): key for key, service in PASSWORDS.items()}
    return secrets + [(app, names[tuple(top)]) for *top, app in paths if tuple(top) in names]


def value(text, path, name):
    """What is at a path, without the newline at the end of a message; None if there is nothing."""
    found = dict(leaves(parsed(text, name))).get(path)
    cut = [one.strip() if is_message(one) else one for one in several(found)]
    return cut if isinstance(found, list) else cut[0]


def is_decrypted(text):
    """Whether Salt will hand the file to the renderer that decrypts."""
    first = text.partition("\n")[0]
    return first.startswith("#!") and "gpg" in re.split(r"[|!\s]+", first)


def changed(text, path, value, name):
    """The text of an SLS file with ``value``, a message or a list, at ``path``, and all else as it was."""
    before = parsed(text, name)
    try:
        after = _with_renderer(_edited(text, path, value))
    except (ValueError, yaml.YAMLError):
        after = ""
    if not after or parsed(after, name) != _expected(before, path, value):
        raise Refused(f"{name}: {':'.join(path)} cannot be put there: write the file in lines, without {{ }} and &")
    return after


def write(file, text):
    """Put the text of a secrets file in place in one step: 0640, and of the owner that it, or its folder, has."""
    file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    owner = (file if file.exists() else file.parent).stat()
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as new:
            new.write(text)
            new.flush()
            if os.geteuid() == 0:
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            os.fchmod(descriptor, 0o640)
            os.fsync(descriptor)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _plain(text):
    """The text without Jinja, and with everything else where it was."""

    def filled(match):
        return re.sub(r"[^\n]", FILL if FETCHED.match(match[0]) else "x", match[0])

    return JINJA.sub(filled, text)


def _expected(data, path, value):
    """What the file shall hold afterwards."""
    if path:
        data = data or {}
        return {**data, path[0]: _expected(data.get(path[0]), path[1:], value)}
    whole = [f"{one}\n" if is_message(one) else one for one in several(value)]
    return whole if isinstance(value, list) else whole[0]


def _with_renderer(text):
    if is_decrypted(text):
        return text
    first, newline, rest = text.partition("\n")
    if first.startswith("#!"):
        return f"{first}|gpg{newline}{rest}"
    return ("#!jinja|yaml|gpg\n" if JINJA.search(text) else f"{RENDERER}\n") + text


def _edited(text, path, value):
    """The text with the value replaced, or with the lines that were missing added after what is there."""
    text = text if text.endswith("\n") or not text else f"{text}\n"
    node, indent = yaml.compose(_plain(text), yaml.SafeLoader), 0
    for depth, name in enumerate(path):
        if node is None or not getattr(node, "value", None):
            return _inserted(text, _end(text, node), indent, path[depth:], value)
        if not isinstance(node, yaml.MappingNode):
            raise ValueError("not a mapping")
        found = [(key, below) for key, below in node.value if key.value == name]
        if not found:
            return _inserted(text, _end(text, node), node.start_mark.column, path[depth:], value)
        key, node = found[0]
        indent = key.start_mark.column + 2
    return _replaced(text, key, node, value)


def _inserted(text, at, indent, path, value):
    lines = [f"{' ' * (indent + 2 * depth)}{name}:\n" for depth, name in enumerate(path[:-1])]
    last = indent + 2 * (len(path) - 1)
    return text[:at] + "".join(lines) + f"{' ' * last}{path[-1]}:" + _written(value, last + 2) + text[at:]


def _replaced(text, key, old, value):
    """A comment behind the old value stays on the line of the key."""
    behind = key if getattr(old, "style", None) in ("|", ">") or _in_lines(old) else old
    comment = re.search(r"(?:^|\s+)#.*", text[behind.end_mark.index :].partition("\n")[0])
    comment = f"  {comment[0].strip()}" if comment else ""
    head = f"{text[: key.end_mark.index]}:"
    return head + _written(value, key.start_mark.column + 2, comment) + text[_end(text, old) :]


def _written(value, indent, comment=""):
    """What follows the colon of a key: a message in a block, a list with an item for each value."""
    if not isinstance(value, list):
        return f" |{comment}\n" + _block(value, indent)
    items = [f" |\n{_block(one, indent + 2)}" if is_message(one) else f" {_quoted(one)}\n" for one in value]
    return f"{comment}\n" + "".join(f"{' ' * indent}-{item}" for item in items)


def _quoted(value):
    """A value that is not encrypted, as those of this repository; what Jinja makes cannot be moved."""
    if FILL in str(value):
        raise ValueError("it is fetched from elsewhere")
    return json.dumps(value)


def _block(message, indent):
    return "".join(f"{' ' * indent}{line}".rstrip() + "\n" for line in message.splitlines())


def _in_lines(node):
    """Whether a mapping or a list is written in lines, not in { } or [ ]."""
    return isinstance(node, yaml.CollectionNode) and bool(node.value) and not node.flow_style


def _end(text, node):
    """Where the line after a node begins; blank lines and comments below it are not part of it."""
    if node is None:
        return len(text)
    if _in_lines(node):
        last = node.value[-1]
        return _end(text, last[1] if isinstance(node, yaml.MappingNode) else last)
    at = node.end_mark.index
    if node.end_mark.column == 0 and at:
        return len(text[:at].rstrip()) + 1
    return text.index("\n", at) + 1
