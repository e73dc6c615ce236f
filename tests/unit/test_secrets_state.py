import configparser
import dataclasses
import json
import logging
import os
import re
import stat
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from salt.exceptions import CommandExecutionError

import app_spec
import atomic_file
import secret_formats

PASSWORD = "dat@base/pässword"
SECRET = "wiring-of-the-secret"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the files belong to root")


def pillar(secrets=None, passwords=None, secrets_file=None, **app):
    required = {"source": {"path": "/src"}, "revision": "v1", "domains": ["shop.example.com"]}
    return {
        "hosts": {"web1": {"address": "10.213.7.11", "roles": ["app", "database"]}},
        "apps": {"shop": {**required, "secrets": secrets_file or {}, **app}},
        "secrets": {"shop": {"SECRET_KEY": SECRET} if secrets is None else secrets},
        "passwords": {"database": {"shop": PASSWORD} if passwords is None else passwords},
    }


def at(folder, app):
    """The app with ``folder`` in the place of /etc/shop, and of the folder of its slots."""
    files = [dataclasses.replace(file, path=file.path.replace("/etc/shop", str(folder))) for file in app.secrets_files]
    paths = [file.path for file in files]
    slots = [
        dataclasses.replace(slot, record=str(folder / f"{slot.name}.json"), secrets_files=paths) for slot in app.slots
    ]
    return dataclasses.replace(app, secrets_files=files, slots=slots)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "secrets.json"


@pytest.fixture
def state(load, tmp_path):
    """``state(test, **changes)`` is the state module for a changed pillar, with its files in ``tmp_path``."""

    def loaded(test=False, **changes):
        module = load("_states/secrets.py", test=test, pillar=pillar(**changes), grains={"id": "web1"})
        find = module._app
        module._app = lambda name: at(tmp_path, find(name))
        return module

    return loaded


@pytest.fixture
def written(state, path):
    """The state function; keywords change the pillar, ``test`` and ``group``."""

    def run(test=False, group="root", path=path, **changes):
        return state(test, **changes).written(str(path), "shop", group)

    return run


@pytest.fixture
def converge(state, tmp_path):
    """The files as a state run makes them -> the results; keywords change the pillar."""

    def run(test=False, **changes):
        module = state(test, **changes)
        paths = [file.path for file in module._app("shop").secrets_files]
        results = [module.written(path, "shop", "root") for path in paths]
        return [*results, module.pruned(paths[0], "shop")]

    return run


def start(folder, slot, *names):
    """A slot's record, as if its process had been started with these secrets files."""
    record = {"release": "1a2b3c4d5e6f", "slot": {"secrets_files": [str(folder / name) for name in names]}}
    (folder / f"{slot}.json").write_text(json.dumps(record))


def files(folder):
    """The secrets files in a folder."""
    return sorted(file.name for file in folder.iterdir() if file.stem in ("secrets", "environment", "shop"))


@pytest.fixture
def deploy_key(load, tmp_path):
    def run(key=KEY, test=False):
        secrets = {"deploy_key": key} if key else {}
        state = load("_states/secrets.py", test=test, pillar=pillar(secrets), grains={"id": "web1"})
        return state.deploy_key(str(tmp_path / "deploy_key"), "shop")

    return run


@pytest.fixture
def token(load, tmp_path):
    def run(test=False, app="shop", group="root"):
        return load("_states/secrets.py", test=test).token(str(tmp_path / "door.conf"), app, group)

    return run


def word(path):
    return path.read_text().split()[-1]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_file_holds_what_the_app_needs(written, path):
    assert written()["result"] is True
    values = json.loads(path.read_text())
    assert values["SECRET_KEY"] == SECRET
    assert values["ALLOWED_HOSTS"] == ["shop.example.com"]
    assert values["DATABASE_URL"] == "postgresql://shop:dat%40base%2Fp%C3%A4ssword@10.213.7.11:5432/shop"


def test_the_file_can_be_read_by_root_and_the_group_alone(written, path):
    written(group="daemon")
    assert (mode(path), path.owner(), path.group()) == (0o640, "root", "daemon")


def test_a_first_run_names_the_keys(written):
    assert written()["changes"] == {"added": ["ALLOWED_HOSTS", "DATABASE_URL", "SECRET_KEY"]}


def test_a_second_run_changes_nothing(written, path):
    written()
    before = path.stat()
    again = written()
    assert (again["result"], again["changes"]) == (True, {})
    # Not the whole of it: to read a file changes its time of access.
    after = path.stat()
    assert (after.st_ino, after.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)


def test_the_keys_that_differ_are_named(written):
    written(secrets={"SECRET_KEY": "old", "GONE": "x"})
    assert written(secrets={"SECRET_KEY": "new", "MORE": "x"})["changes"] == {
        "added": ["MORE"],
        "changed": ["SECRET_KEY"],
        "removed": ["GONE"],
    }


def test_a_value_that_python_takes_for_the_same_is_changed(written, path):
    written(config={"DEBUG": 1})
    assert written(config={"DEBUG": True})["changes"] == {"changed": ["DEBUG"]}


def test_another_owner_and_mode_are_put_right(written, path):
    written()
    os.chown(path, 0, 1)
    path.chmod(0o644)
    assert written()["changes"] == {"owner": "root:daemon -> root:root", "mode": "0644 -> 0640"}
    assert (mode(path), path.group()) == (0o640, "root")


@pytest.mark.parametrize("old", [b"", b"{", b"[1]", b"\xff"])
def test_a_file_that_is_broken_is_written_anew(written, path, old):
    path.write_bytes(old)
    assert "SECRET_KEY" in written()["changes"]["added"]
    assert json.loads(path.read_bytes())["SECRET_KEY"] == SECRET


def test_a_layout_of_somebody_else_is_written_anew(written, path):
    written()
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert written()["changes"] == {"layout": "rewritten"}


def test_a_link_is_replaced_and_not_followed(written, path, tmp_path):
    other = tmp_path / "other"
    other.write_text("untouched")
    path.symlink_to(other)
    written()
    assert not path.is_symlink()
    assert other.read_text() == "untouched"


def test_test_mode_foretells_the_changes_and_makes_none(written, path):
    foretold = written(test=True)
    assert foretold["result"] is None
    assert not path.exists()
    assert written()["changes"] == foretold["changes"]


def test_test_mode_does_not_need_the_group_yet(written):
    assert written(test=True, group="nosuchgroup")["result"] is None


def test_a_group_that_is_missing_is_an_error_and_leaves_nothing(written, tmp_path):
    failed = written(group="nosuchgroup")
    assert (failed["result"], failed["changes"]) == (False, {})
    assert "there is no 'nosuchgroup' on this host" in failed["comment"]
    assert list(tmp_path.iterdir()) == []


def test_a_missing_password_names_the_pillar_key(written, path):
    failed = written(passwords={})
    assert failed["result"] is False
    assert "passwords:database:shop" in failed["comment"]
    assert not path.exists()


def test_a_write_that_fails_leaves_the_old_file_and_no_other(written, path, tmp_path, monkeypatch):
    written()
    before, there = path.read_bytes(), sorted(tmp_path.iterdir())

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    failed = written(secrets={"SECRET_KEY": "new"})
    assert (failed["result"], failed["changes"]) == (False, {})
    assert "No space left on device" in failed["comment"]
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == there


def test_nobody_can_read_the_file_while_it_is_written(written, tmp_path, monkeypatch):
    seen = []
    fchown = os.fchown

    def look(descriptor, *owner):
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        fchown(descriptor, *owner)

    monkeypatch.setattr(os, "fchown", look)
    written()
    assert set(seen) == {0o600}


def test_no_value_is_seen_in_results_or_logs(written, path, caplog):
    caplog.set_level(1, logger="")
    logging.getLogger().setLevel(1)
    results = [written(test=True), written(), written(secrets={"SECRET_KEY": "another-secret"}), written()]
    path.write_text("{")
    results += [written(), written(group="nosuchgroup"), written(passwords={})]
    for value in (SECRET, "another-secret", PASSWORD, "p%C3%A4ssword"):
        assert value not in repr(results) + caplog.text


VALUES = st.dictionaries(st.text(max_size=8), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
), max_size=5)  # fmt: skip


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES, VALUES)
def test_any_values_come_back_from_the_file_and_are_found_again(written, path, old, new):
    for values in (old, new):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(app_spec, "secret_values", lambda app, values=values: values)
            written()
            assert json.loads(path.read_bytes()) == values
            assert written()["changes"] == {}


READERS = {
    "ini": lambda text: dict(parser_of(text)["settings"]),
    "cfg": lambda text: dict(parser_of(text)["settings"]),
    "xml": lambda text: {element.tag: element.text for element in ElementTree.fromstring(text)},
    "toml": lambda text: dict(re.findall(r'^(\w+) = "(.*)"$', text, re.MULTILINE)),
    "env": lambda text: dict(re.findall(r"^(\w+)='?(.*?)'?$", text, re.MULTILINE)),
}


def parser_of(text):
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(text)
    return parser


@pytest.mark.parametrize("format", READERS)
def test_the_file_is_in_the_format_and_at_the_path_that_the_pillar_says(converge, tmp_path, format):
    assert all(result["result"] for result in converge(secrets_file={"format": format}))
    assert READERS[format]((tmp_path / f"secrets.{format}").read_text())["SECRET_KEY"] == SECRET
    converge(secrets_file={"format": format, "path": "/etc/shop/shop.conf"})
    assert READERS[format]((tmp_path / "shop.conf").read_text())["SECRET_KEY"] == SECRET


@pytest.mark.parametrize("format", secret_formats.FILES)
def test_in_every_format_a_second_run_changes_nothing_and_a_third_names_the_key(converge, format):
    file = {"format": format, "export": True}
    converge(secrets_file=file)
    assert [result["changes"] for result in converge(secrets_file=file)] == [{}, {}, {}]
    changes = [
        result["changes"] for result in converge(secrets_file=file, secrets={"SECRET_KEY": "other", "MORE": "x"})
    ]
    assert changes == [{"added": ["MORE"], "changed": ["SECRET_KEY"]}] * 2 + [{}]


@pytest.mark.parametrize("before", secret_formats.FILES)
@pytest.mark.parametrize("after", secret_formats.FILES)
def test_another_format_at_the_same_path_shows_keys_and_no_value(converge, tmp_path, caplog, before, after):
    caplog.set_level(1, logger="")
    place = {"path": "/etc/shop/shop.conf"}
    converge(secrets_file={"format": before, **place})
    foretold = converge(test=True, secrets_file={"format": after, **place})
    done = converge(secrets_file={"format": after, **place})
    assert [result["changes"] for result in foretold] == [result["changes"] for result in done]
    assert "Managed" in (tmp_path / "shop.conf").read_text() or after == "json"
    assert not any(value in repr([foretold, done]) + caplog.text for value in (SECRET, "p%C3%A4ssword"))


def test_what_is_exported_is_flat_text_in_a_file_of_its_own(converge, tmp_path):
    converge(secrets_file={"export": True}, config={"DEBUG": False, "RATES": {"EUR": 1}})
    path = tmp_path / "environment.json"
    assert json.loads(path.read_text()) == {
        "ALLOWED_HOSTS": "shop.example.com",
        "DATABASE_URL": "postgresql://shop:dat%40base%2Fp%C3%A4ssword@10.213.7.11:5432/shop",
        "DEBUG": "false",
        "RATES": '{"EUR": 1}',
        "SECRET_KEY": SECRET,
    }
    assert (mode(path), path.owner()) == (0o640, "root")


def test_a_file_at_another_path_stays_as_long_as_a_slot_was_started_with_it(converge, tmp_path):
    converge()
    start(tmp_path, "blue", "secrets.json")
    for slot in ("green", "blue"):
        assert converge(secrets_file={"format": "ini"})[-1]["changes"] == {}
        assert files(tmp_path) == ["secrets.ini", "secrets.json"]
        start(tmp_path, slot, "secrets.ini")
    foretold = converge(test=True, secrets_file={"format": "ini"})[-1]
    assert (foretold["result"], files(tmp_path)) == (None, ["secrets.ini", "secrets.json"])
    assert converge(secrets_file={"format": "ini"})[-1]["changes"] == foretold["changes"]
    assert foretold["changes"] == {"removed": [str(tmp_path / "secrets.json")]}
    assert files(tmp_path) == ["secrets.ini"]
    assert converge(secrets_file={"format": "ini"})[-1]["changes"] == {}


def test_what_is_exported_no_more_is_removed(converge, tmp_path):
    converge(secrets_file={"export": True})
    assert converge()[-1]["changes"] == {"removed": [str(tmp_path / "environment.json")]}
    assert files(tmp_path) == ["secrets.json"]


def test_a_path_that_was_left_and_is_taken_again_is_no_file_of_before(converge, tmp_path):
    converge()
    start(tmp_path, "blue", "secrets.json")
    converge(secrets_file={"format": "ini"})
    converge()
    assert files(tmp_path) == ["secrets.json"]


def test_a_file_of_somebody_else_is_no_file_of_before(converge, tmp_path):
    (tmp_path / "secrets.xml").write_text("")
    converge()
    assert files(tmp_path) == ["secrets.json", "secrets.xml"]


def test_the_deploy_key_is_for_root_alone_and_ends_with_a_newline(deploy_key, tmp_path):
    assert deploy_key()["changes"] == {"key": "added"}
    path = tmp_path / "deploy_key"
    assert (path.read_text(), mode(path), path.owner()) == (KEY + "\n", 0o600, "root")


def test_a_second_run_leaves_the_deploy_key(deploy_key):
    deploy_key()
    assert deploy_key(KEY + "\n")["changes"] == {}


def test_another_deploy_key_is_written(deploy_key):
    deploy_key("old")
    assert deploy_key()["changes"] == {"key": "changed"}


def test_a_deploy_key_that_left_the_pillar_leaves_the_host(deploy_key, tmp_path):
    deploy_key()
    assert deploy_key("", test=True)["result"] is None
    assert deploy_key("")["changes"] == {"key": "removed"}
    assert deploy_key("")["changes"] == {}
    assert list(tmp_path.iterdir()) == []


def test_the_deploy_key_is_not_seen_in_the_results(deploy_key):
    assert "AAAA" not in repr([deploy_key(test=True), deploy_key(), deploy_key("other"), deploy_key("")])


def test_the_token_is_for_root_and_the_app_and_apache_can_include_it(token, tmp_path):
    assert token(group="daemon")["changes"] == {"token": "added"}
    path = tmp_path / "door.conf"
    assert re.fullmatch(r"#[^\n]*\nDefine slipway_door_shop [0-9a-f]{64}\n", path.read_text())
    assert (mode(path), path.owner(), path.group()) == (0o640, "root", "daemon")


def test_a_token_is_kept(token, tmp_path):
    token()
    before = word(tmp_path / "door.conf")
    assert token()["changes"] == {}
    assert word(tmp_path / "door.conf") == before


def test_two_apps_have_two_tokens(token, tmp_path):
    token()
    first = word(tmp_path / "door.conf")
    assert token(app="blog")["changes"] == {"token": "replaced"}
    assert word(tmp_path / "door.conf") != first


@pytest.mark.parametrize("old", ["", "Define slipway_door_shop \n", "Define slipway_door_shop 0123\n", "\xff"])
def test_a_file_without_a_token_gets_one(token, tmp_path, old):
    (tmp_path / "door.conf").write_text(old)
    assert token()["changes"]["token"] == "replaced"
    assert len(word(tmp_path / "door.conf")) == 64


def test_a_token_survives_another_layout_owner_and_mode(token, tmp_path):
    path = tmp_path / "door.conf"
    path.write_text(f"Define slipway_door_shop {'ab' * 32}\n")
    path.chmod(0o644)
    assert token()["changes"] == {"layout": "rewritten", "mode": "0644 -> 0640"}
    assert (word(path), mode(path)) == ("ab" * 32, 0o640)


def test_test_mode_foretells_a_token_and_makes_none(token, tmp_path):
    foretold = token(test=True)
    assert (foretold["result"], list(tmp_path.iterdir())) == (None, [])
    assert token()["changes"] == foretold["changes"]


def test_the_token_is_not_seen_in_the_results(token, tmp_path):
    results = [token(test=True), token(), token()]
    assert word(tmp_path / "door.conf") not in repr(results)


def test_a_folder_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(CommandExecutionError, match="No such file or directory"):
        atomic_file.write(tmp_path / "none" / "file", b"", "root", "root", 0o600)
