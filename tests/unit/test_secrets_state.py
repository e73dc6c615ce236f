import json
import logging
import os
import re
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from salt.exceptions import CommandExecutionError

import app_spec
import atomic_file

PASSWORD = "dat@base/pässword"
SECRET = "wiring-of-the-secret"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the files belong to root")


def pillar(secrets=None, passwords=None, **app):
    return {
        "hosts": {"web1": {"address": "10.213.7.11", "roles": ["app", "database"]}},
        "apps": {"shop": {"source": {"path": "/src"}, "revision": "v1", "domains": ["shop.example.com"], **app}},
        "secrets": {"shop": {"SECRET_KEY": SECRET} if secrets is None else secrets},
        "passwords": {"database": {"shop": PASSWORD} if passwords is None else passwords},
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "secrets.json"


@pytest.fixture
def written(load, path):
    """The state function; keywords change the pillar, ``test`` and ``group``."""

    def run(test=False, group="root", **changes):
        state = load("_states/secrets.py", test=test, pillar=pillar(**changes), grains={"id": "web1"})
        return state.written(str(path), "shop", group)

    return run


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
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    failed = written(secrets={"SECRET_KEY": "new"})
    assert (failed["result"], failed["changes"]) == (False, {})
    assert "No space left on device" in failed["comment"]
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_nobody_can_read_the_file_while_it_is_written(written, tmp_path, monkeypatch):
    seen = []
    fchown = os.fchown

    def look(descriptor, *owner):
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        fchown(descriptor, *owner)

    monkeypatch.setattr(os, "fchown", look)
    written()
    assert seen == [0o600]


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
def test_any_values_come_back_from_the_file_and_are_found_again(load, tmp_path_factory, old, new):
    path = tmp_path_factory.mktemp("values") / "secrets.json"
    state = load("_states/secrets.py", pillar=pillar(), grains={"id": "web1"})
    for values in (old, new):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(app_spec, "secret_values", lambda app, values=values: values)
            state.written(str(path), "shop", "root")
            assert json.loads(path.read_bytes()) == values
            assert state.written(str(path), "shop", "root")["changes"] == {}


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
