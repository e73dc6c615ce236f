"""
The files on an app's hosts that hold secrets.

Core's ``file.managed`` is not used on purpose: it can show a diff, it may keep a copy in the minion's cache, and the
values would have to pass through a rendered SLS file.
"""

import os
import re
from pathlib import Path

import app_spec
import atomic_file
import secret_formats
import slot_record
import state_result

OWNER = "root"
# Beside the secrets files: the paths of all that were written, until they are removed.
NOTE = ".secrets"


@state_result.failures_are_results
def written(name, app, group):
    """
    Ensure that a secrets file of an app holds what the pillar says, readable by root and the app only.

    name
        The path of the file, in a folder that exists: one of the app's ``secrets_files``, which says in which format.
    group
        The group of the app's user: the file is root:<group> 0640.

    The result names the keys that differ and never a value.

    .. code-block:: yaml

        shop-secrets:
          secrets.written:
            - name: /etc/shop/secrets.json
            - app: shop
            - group: shop
    """
    spec = _app(app)
    format = next(file.format for file in spec.secrets_files if file.path == name)
    content = secret_formats.dump(format, app_spec.secret_values(spec)).encode()
    answer = _file(name, content, group, 0o640, lambda old: _keys(format, old, content))
    if not __opts__["test"]:
        _note(name, [*_noted(name), name])
    return answer


@state_result.failures_are_results
def pruned(name, app):
    """
    Ensure that an app has none of the secrets files any more that were written for it and that nobody needs.

    name
        The path of the one that the app reads now.

    A file with which one of the two slots was last started stays: its process may start again, or get the traffic back.

    .. code-block:: yaml

        shop-old-secrets:
          secrets.pruned:
            - name: /etc/shop/secrets.json
            - app: shop
    """
    needed = _needed(_app(app))
    old = [path for path in _noted(name) if path not in needed]
    if not old:
        return state_result.unchanged(name, "There is no secrets file of before, or a slot needs it")
    if __opts__["test"]:
        return state_result.would(name, {"removed": old}, f"{len(old)} files would be removed")
    for path in old:
        Path(path).unlink(missing_ok=True)
    _note(name, [path for path in _noted(name) if path in needed])
    return state_result.changed(name, {"removed": old}, f"{len(old)} files were removed")


@state_result.failures_are_results
def deploy_key(name, app):
    """
    Ensure that the private key with which root fetches the app's code is there, readable by root only.

    name
        The path of the file, in a folder that exists. The key comes from the pillar, ``secrets:<app>:deploy_key``;
        where the pillar has none, or no longer, the file is removed.

    .. code-block:: yaml

        shop-deploy-key:
          secrets.deploy_key:
            - name: /etc/shop/deploy_key
            - app: shop
    """
    key = _app(app).deploy_key
    if key is None:
        return _no_file(name, f"The code of {app} is fetched without a key")
    # OpenSSH cannot read a key without the newline at its end, which is easily lost on the way through YAML.
    content = key.reveal().strip() + "\n"
    return _file(name, content.encode(), OWNER, 0o600, lambda old: {"key": "added" if old is None else "changed"})


@state_result.failures_are_results
def token(name, app, group):
    """
    Ensure that there is a word by which the slots of an app know the web server in front, readable by root and the app.

    name
        The path of the file, in a folder that exists. Apache includes it, in front and in the slots: its last line is
        ``Define slipway_door_<app> <64 hexadecimal digits>``.
    group
        The group of the app's user: the file is root:<group> 0640.

    The word is made here, by chance, and kept from then on. A file that holds none is written anew.

    .. code-block:: yaml

        shop-door:
          secrets.token:
            - name: /etc/shop/door.conf
            - app: shop
            - group: shop
    """
    pattern = rf"^Define slipway_door_{re.escape(app)} ([0-9a-f]{{64}})$"
    found = re.search(pattern.encode(), _content(name) or b"", re.MULTILINE)
    word = found[1].decode() if found else os.urandom(32).hex()
    content = f"# Managed by Salt: secrets.token\nDefine slipway_door_{app} {word}\n"
    return _file(name, content.encode(), group, 0o640, lambda old: _about_word(old, found))


def _about_word(old, found):
    if found:
        return {"layout": "rewritten"}
    return {"token": "added" if old is None else "replaced"}


def _app(name):
    return app_spec.load(__pillar__, __grains__).app(name)


def _file(path, content, group, mode, describe):
    """The answer about a file that shall be there; ``describe`` names, without values, how it differs from the old."""
    old = _content(path)
    changes = {**({} if old == content else describe(old)), **atomic_file.attributes(path, OWNER, group, mode)}
    if not changes:
        return state_result.unchanged(path, f"{path} is as it should be")
    if __opts__["test"]:
        return state_result.would(path, changes, f"{path} would be written")
    atomic_file.write(path, content, OWNER, group, mode)
    return state_result.changed(path, changes, f"{path} was written")


def _no_file(path, comment):
    changes = {"key": "removed"}
    if not os.path.lexists(path):
        return state_result.unchanged(path, comment)
    if __opts__["test"]:
        return state_result.would(path, changes, f"{path} would be removed")
    Path(path).unlink()
    return state_result.changed(path, changes, f"{path} was removed")


def _content(path):
    """The bytes of a file; None if there is none, or something else in its place."""
    file = Path(path)
    return file.read_bytes() if file.is_file() and not file.is_symlink() else None


def _keys(format, old, new):
    """Which keys of a secrets file differ from what it shall hold; all are new to one in another format."""
    before, after = _entries(format, old), _entries(format, new)
    names = {
        "added": sorted(after.keys() - before.keys()),
        "changed": sorted(key for key in before.keys() & after.keys() if before[key] != after[key]),
        "removed": sorted(before.keys() - after.keys()),
    }
    return {what: keys for what, keys in names.items() if keys} or {"layout": "rewritten"}


def _entries(format, content):
    try:
        return secret_formats.entries(format, (content or b"").decode())
    except ValueError:
        return {}


def _needed(spec):
    """The paths of the secrets files of today, and of those with which a slot was started."""
    started = [slot_record.started(slot) for slot in app_spec.plain(spec)["slots"]]
    today = {file.path for file in spec.secrets_files}
    return today.union(*(slot.get("secrets_files", ()) for slot in started))


def _noted(path):
    """The paths of the secrets files that were written into the folder of this one."""
    return (_content(Path(path).with_name(NOTE)) or b"").decode().splitlines()


def _note(path, paths):
    note, content = Path(path).with_name(NOTE), "".join(f"{each}\n" for each in sorted(set(paths)))
    if content.encode() != _content(note):
        atomic_file.write(note, content.encode(), OWNER, OWNER, 0o600)
