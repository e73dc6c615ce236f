"""What the master does with what hosts tell of processes that died."""

import json

import pytest
from salt.exceptions import CommandExecutionError

import deaths
import notices

DEATH = {
    "app": "shop",
    "host": "web1",
    "process": "shop-blue",
    "manager": "systemd",
    "what": "died",
    "reason": "killed by SIGKILL",
    "when": "2026-11-26T05:24:00Z",
}
LINE = "web1: shop-blue died at 2026-11-26T05:24:00Z (killed by SIGKILL), systemd starts it again"


@pytest.fixture
def people(tmp_path, monkeypatch):
    """``people.tell({...})``: the host tells something; ``people.told`` is what reached people, ``now`` the clock."""

    class People:
        def __init__(self):
            self.told, self.now, self.file = [], 1_000_000.0, tmp_path / "slipway/deaths.told"

        def tell(self, **other):
            return deaths.take({"slipway_dir": str(tmp_path / "slipway")}, {**DEATH, **other})

    people = People()
    monkeypatch.setattr(notices, "send_death", lambda opts, death, line: people.told.append(line))
    monkeypatch.setattr(deaths.time, "time", lambda: people.now)
    return people


def test_a_process_that_died_is_in_the_masters_log_and_told(people, caplog):
    assert people.tell(id="web1", _stamp="now") == LINE
    assert caplog.messages == people.told == [LINE]


def test_a_process_that_dies_again_and_again_is_told_once_an_hour_and_always_in_the_log(people, caplog):
    for _ in range(3):
        people.tell()
        people.now += 60
    assert (len(people.told), len(caplog.messages)) == (1, 3)
    people.now += 3600
    people.tell()
    assert len(people.told) == 2


def test_that_it_is_given_up_is_told_at_once(people):
    people.tell()
    assert people.tell(what="given up", reason="too many starts too quickly").endswith(
        "(too many starts too quickly), systemd does not start it any more"
    )
    assert len(people.told) == 2


def test_other_processes_and_hosts_are_told_as_well(people):
    for other in ({}, {"host": "web2"}, {"process": "shop-green"}):
        people.tell(**other)
    assert len(people.told) == 3


def test_a_host_that_makes_names_up_does_not_fill_a_mailbox_nor_the_disk(people):
    for number in range(deaths.MOST + 10):
        people.tell(process=f"shop-{number}")
    assert len(people.told) == len(json.loads(people.file.read_text())) == deaths.MOST


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", "web1\nweb2"),
        ("process", "../../etc/passwd"),
        ("manager", "upstart"),
        ("what", "deployed"),
        ("reason", "see https://evil.example.com"),
        ("reason", "x" * 81),
        ("when", "yesterday"),
        ("app", {"a": 1}),
        ("app", None),
    ],
)
def test_what_the_beacon_does_not_say_is_refused_and_goes_nowhere(people, caplog, key, value):
    with pytest.raises(CommandExecutionError, match=f"no event of a process that died: {key}$"):
        people.tell(**{key: value})
    assert people.told == caplog.messages == []


@pytest.mark.parametrize("told", [None, "died", ["died"]])
def test_an_event_without_data_is_refused(told):
    with pytest.raises(CommandExecutionError):
        deaths.take({}, told)


@pytest.mark.parametrize("text", ["", "[]", '{"web1 shop-blue died": null}'])
def test_a_broken_note_of_who_was_told_hides_nothing(people, text):
    people.file.parent.mkdir()
    people.file.write_text(text)
    people.tell()
    assert people.told == [LINE]
