import os

import pytest
from salt.exceptions import CommandExecutionError

import slot_record


@pytest.fixture
def slot(tmp_path):
    path = str(tmp_path / "blue")
    links = {"live": str(tmp_path / "web"), "target": f"{path}.sock"}
    return {"name": "blue", "link": path, "record": f"{path}.json", **links, "section": {"command": "gunicorn"}}


@pytest.mark.parametrize("door", ["blue.sock", "blue.map"])
def test_the_slot_whose_door_the_live_link_names_is_active_whatever_its_server(tmp_path, slot, door):
    slot_record.point(slot["live"], tmp_path / door)
    assert slot_record.active([slot]) == slot


def test_without_a_link_or_with_one_to_nobody_no_slot_is_active(tmp_path, slot):
    assert slot_record.active([slot]) is None
    slot_record.point(slot["live"], tmp_path / "none")
    assert slot_record.active([slot]) is None


def test_a_slot_is_as_it_was_started_whatever_it_shall_be_now(slot):
    slot_record.write(slot, {"release": "1a2b", "slot": slot})
    assert slot_record.started({**slot, "manager": "systemd"}) == slot


def test_a_slot_that_was_never_started_is_as_it_shall_be(slot):
    assert slot_record.started(slot) == slot


def test_the_file_of_a_door_gets_a_new_time_and_a_missing_one_is_no_error(tmp_path, slot):
    slot_record.renew_door({**slot, "target": str(tmp_path / "green.map")})
    target = tmp_path / "blue.map"
    target.touch()
    os.utime(target, (1, 1))
    slot_record.renew_door({**slot, "target": str(target)})
    assert target.stat().st_mtime > 1


def test_a_link_is_replaced_and_relative(tmp_path):
    slot_record.point(tmp_path / "link", tmp_path / "old")
    slot_record.point(tmp_path / "link", tmp_path / "new")
    assert os.readlink(tmp_path / "link") == "new"  # noqa: PTH115


def test_what_a_crash_left_of_a_link_is_no_obstacle(tmp_path):
    (tmp_path / ".link.new").symlink_to("half")
    slot_record.point(tmp_path / "link", tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_record_is_read_as_it_was_written(slot):
    slot_record.write(slot, {"release": "1a2b"})
    assert slot_record.read(slot) == {"release": "1a2b"}


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_record_that_cannot_be_read_is_none(slot, text):
    with open(slot["record"], "w") as file:
        file.write(text)
    assert slot_record.read(slot) == {}


def test_a_fingerprint_is_the_same_in_whichever_order_the_options_come(slot):
    orders = [dict(zip("ab", "12", strict=True)), dict(zip("ba", "21", strict=True))]
    assert len({slot_record.fingerprint({**slot, "section": {"Unit": order}}, "1a2b", []) for order in orders}) == 1


def test_forgetting_twice_is_no_error(slot):
    slot_record.write(slot, {"release": "1a2b"})
    slot_record.forget(slot)
    slot_record.forget(slot)
    assert slot_record.read(slot) == {}


def test_a_fingerprint_differs_with_the_edition_to_which_a_config_file_leads(tmp_path, slot):
    fingerprints = []
    for edition in ("set.1", "set.2"):
        (tmp_path / edition).mkdir()
        slot_record.point(tmp_path / "set", tmp_path / edition)
        fingerprints.append(slot_record.fingerprint(slot, "1a2b", [str(tmp_path / "set")]))
    assert len(set(fingerprints)) == 2


def test_a_fingerprint_stays_while_nothing_changes(slot):
    assert slot_record.fingerprint(slot, "1a2b", ["/nowhere"]) == slot_record.fingerprint(slot, "1a2b", ["/nowhere"])


def test_a_fingerprint_differs_with_the_release_the_options_and_a_config_file(tmp_path, slot):
    config = tmp_path / "config"
    fingerprints = [slot_record.fingerprint(slot, release, [config]) for release in ("1a2b", "0f1e")]
    config.write_text("new", encoding="utf-8")
    fingerprints.append(slot_record.fingerprint(slot, "1a2b", [str(config)]))
    fingerprints.append(slot_record.fingerprint({**slot, "section": {}}, "1a2b", [str(config)]))
    assert len(set(fingerprints)) == 4


def test_the_folder_of_a_process_is_told():
    assert slot_record.folder_of(os.getpid()) == os.path.realpath(".")


def test_a_host_that_does_not_tell_where_a_process_runs_is_said_to_be_it(monkeypatch):
    def realpath(path, strict):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os.path, "realpath", realpath)
    with pytest.raises(
        CommandExecutionError, match="root may not read /proc/7/cwd, .*: give this container CAP_SYS_PTRACE"
    ):
        slot_record.folder_of(7)


def test_a_process_that_is_gone_has_no_folder():
    assert slot_record.folder_of(2**22 + 1) == ""
