"""What the beacon makes of what Supervisor and systemd write down: samples of Supervisor 4.2 and systemd 252."""

import json
import os
import subprocess
import time
from pathlib import Path
from unittest.mock import create_autospec

import pytest

LINES = {
    "killed": "2026-11-26 05:27:06,555 WARN exited: shop-blue (terminated by SIGKILL; not expected)",
    "crashed": "2026-11-26 05:27:04,140 WARN exited: shop-blue (exit status 3; not expected)",
    "dumped": "2026-11-26 05:27:04,140 WARN exited: shop-blue (terminated by SIGSEGV (core dumped); not expected)",
    "well": "2026-11-26 05:27:06,157 INFO exited: shop-blue (exit status 0; expected)",
    "gave up": "2026-11-26 05:27:08,525 INFO gave up: shop-blue entered FATAL state, too many start retries too "
    "quickly",
}
# All that it wrote about a process that was started, and one that had to be killed when it was told to stop.
ASKED_FOR = """\
2026-11-26 05:27:04,088 INFO spawned: 'shop-blue' with pid 15716
2026-11-26 05:27:05,157 INFO success: shop-blue entered RUNNING state, process has stayed up for > than 1 seconds
2026-11-26 05:27:11,119 WARN stopped: shop-blue (terminated by SIGTERM)
2026-11-26 05:27:11,120 INFO waiting for shop-blue to stop
2026-11-26 05:27:12,120 WARN killing 'shop-blue' (15724) with SIGKILL
2026-11-26 05:27:12,121 WARN stopped: shop-blue (terminated by SIGKILL)
"""

ENDED_BADLY = "98e322203f7a4ed290d09fe03c09fe15"
ENDED_WELL = {"MESSAGE_ID": "7ad2d189f7e94e70a38c781354912448"}
FAILED = {"MESSAGE_ID": "d9b373ed55a64feb8242e02dbe79a49c"}
RESTARTED = {"MESSAGE_ID": "5eb03494b6584870a536b337290809b3"}
STOPPED = {"MESSAGE_ID": "9d1aaa27d60140bd96365438aad20286"}
KILLED = {"MESSAGE_ID": ENDED_BADLY, "EXIT_CODE": "killed", "EXIT_STATUS": "9"}
DUMPED = {"MESSAGE_ID": ENDED_BADLY, "EXIT_CODE": "dumped", "EXIT_STATUS": "11"}
REAL_TIME = {"MESSAGE_ID": ENDED_BADLY, "EXIT_CODE": "killed", "EXIT_STATUS": "40"}
CRASHED = {"MESSAGE_ID": ENDED_BADLY, "EXIT_CODE": "exited", "EXIT_STATUS": "3"}


class Host:
    """A host with the app ``shop`` and both process managers, at which the beacon looks."""

    def __init__(self, load, folder, monkeypatch):
        self.load, self.folder, self.entries = load, folder, []
        self.log = folder / "supervisord.log"
        self.log.touch()
        self.run = create_autospec(subprocess.run, side_effect=self._journalctl)
        monkeypatch.setattr(subprocess, "run", self.run)
        self.add_app("shop")
        for path in ("conf.d/shop-blue.conf", "system/shop-blue.service"):
            self.configure(path)
        self.restart()
        assert self.look() == []

    def add_app(self, name):
        (self.folder / "srv" / name / "slots").mkdir(parents=True)

    def configure(self, path, mark="Managed by Salt: apps"):
        comment = "#" if path.endswith(".service") else ";"
        (self.folder / path).parent.mkdir(exist_ok=True)
        (self.folder / path).write_text(f"{comment} {mark}\n")

    def restart(self):
        """The minion starts anew."""
        self.beacon = self.load("_beacons/processes.py", cachedir=str(self.folder))
        names = {"APPS": "srv", "LOG": "supervisord.log", "PROGRAMS": "conf.d", "UNITS": "system"}
        for name, path in names.items():
            setattr(self.beacon, name, str(self.folder / path))

    def look(self):
        return self.beacon.beacon([{"interval": 5}])

    def supervisor(self, *lines):
        """Supervisor writes lines; what the next look tells."""
        with self.log.open("a") as log:
            log.write("".join(f"{line.rstrip()}\n" for line in lines))
        return self.look()

    def systemd(self, *messages, unit="shop-blue"):
        """systemd says something of a unit, a second before the next look, of which this is what it tells."""
        now = int((time.time() - 1) * 1e6) + len(self.entries)
        for number, message in enumerate(messages):
            at = {"__REALTIME_TIMESTAMP": str(now + number), "UNIT": f"{unit}.service"}
            self.entries.append({**message, **at})
        return self.look()

    def _journalctl(self, argv, **_keywords):
        since = next(part for part in argv if part.startswith("--since=@")).removeprefix("--since=@")
        since = int(since.replace(".", ""))
        units = {part.removeprefix("UNIT=") for part in argv if part.startswith("UNIT=")}
        shown = [
            entry for entry in self.entries if int(entry["__REALTIME_TIMESTAMP"]) >= since and entry["UNIT"] in units
        ]
        return subprocess.CompletedProcess(argv, 0, "".join(f"{json.dumps(entry)}\n" for entry in shown).encode(), b"")


@pytest.fixture
def host(load, tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    host = Host(load, tmp_path, monkeypatch)
    # A minute ago: what was said since is new.
    _rewind(host, 60)
    yield host
    monkeypatch.undo()
    time.tzset()


def _rewind(host, seconds):
    state = host.folder / "slipway-processes.json"
    found = json.loads(state.read_text())
    found["systemd"]["since"] -= seconds * 10**6
    state.write_text(json.dumps(found))


def told(events):
    return [(event["process"], event["what"], event["reason"]) for event in events]


def test_an_event_names_host_app_and_process_and_says_how_and_when_it_died(host):
    assert host.supervisor(LINES["killed"]) == [
        {
            "tag": "shop/shop-blue",
            "app": "shop",
            "host": "web1",
            "process": "shop-blue",
            "manager": "supervisor",
            "what": "died",
            "reason": "killed by SIGKILL",
            "when": "2026-11-26T05:27:06Z",
        }
    ]


def test_supervisors_local_time_is_told_as_utc(host, monkeypatch):
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    assert host.supervisor(LINES["killed"])[0]["when"] == "2026-11-26T04:27:06Z"


@pytest.mark.parametrize(
    ("sample", "what", "reason"),
    [
        ("killed", "died", "killed by SIGKILL"),
        ("crashed", "died", "exit code 3"),
        ("dumped", "died", "killed by SIGSEGV"),
        ("well", "died", "exit code 0"),
        ("gave up", "given up", "too many starts too quickly"),
    ],
)
def test_supervisors_words_for_an_end_are_understood(host, sample, what, reason):
    assert told(host.supervisor(LINES[sample])) == [("shop-blue", what, reason)]


def test_what_supervisor_was_told_to_do_is_no_event(host):
    assert host.supervisor(*ASKED_FOR.splitlines()) == []


def test_what_an_app_prints_into_supervisors_log_is_not_taken_for_a_statement(host):
    assert host.supervisor(f"sesame {LINES['killed']}", LINES["killed"].replace("SIGKILL", "sesame: 'x'")) == []


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ((KILLED, FAILED, RESTARTED), "killed by SIGKILL"),
        ((DUMPED, FAILED, RESTARTED), "killed by SIGSEGV"),
        ((REAL_TIME, FAILED, RESTARTED), "killed by signal 40"),
        ((CRASHED, FAILED, RESTARTED, STOPPED), "exit code 3"),
        ((ENDED_WELL, RESTARTED, STOPPED), "exit code 0, or a signal that asks it to end"),
    ],
)
def test_a_unit_that_is_started_again_has_died(host, messages, reason):
    (event,) = host.systemd(*messages)
    assert (event["manager"], event["what"], event["reason"]) == ("systemd", "died", reason)
    assert event["when"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_first_moment(host)))


def _first_moment(host):
    return int(host.entries[0]["__REALTIME_TIMESTAMP"]) // 10**6


@pytest.mark.parametrize("end", [(ENDED_WELL,), (CRASHED, FAILED), (KILLED, FAILED)])
def test_a_unit_that_was_told_to_stop_has_not_died_however_it_ended(host, end):
    assert host.systemd(*end, STOPPED) == []
    assert told(host.systemd(RESTARTED)) == [("shop-blue", "died", "exit code 0, or a signal that asks it to end")]


def test_a_unit_that_is_stopped_before_its_next_start_is_no_event(host):
    assert host.systemd(CRASHED, FAILED) + host.systemd(STOPPED) == []


def test_how_a_unit_ended_is_known_at_a_later_look_and_after_a_restart_of_the_minion(host):
    assert host.systemd(KILLED, FAILED) == []
    host.restart()
    assert told(host.systemd(RESTARTED)) == [("shop-blue", "died", "killed by SIGKILL")]


def test_a_unit_that_fails_without_another_start_is_given_up(host):
    events = host.systemd(CRASHED, FAILED, RESTARTED, STOPPED, FAILED)
    assert told(events) == [
        ("shop-blue", "died", "exit code 3"),
        ("shop-blue", "given up", "too many starts too quickly"),
    ]


def test_nothing_is_told_twice_not_even_by_a_minion_that_starts_anew(host):
    assert len(host.supervisor(LINES["killed"])) == len(host.systemd(KILLED, FAILED, RESTARTED)) == 1
    host.restart()
    assert host.look() == []


def test_what_happened_before_the_first_look_is_not_told(host):
    (host.folder / "slipway-processes.json").unlink()
    assert host.supervisor(LINES["killed"]) == []


def test_what_happened_while_the_minion_was_down_is_told_when_it_is_back(host):
    with host.log.open("a") as log:
        log.write(f"{LINES['killed']}\n")
    host.restart()
    assert told(host.look()) == [("shop-blue", "died", "killed by SIGKILL")]


def test_a_line_that_is_half_written_waits_for_the_other_half(host):
    half, rest = LINES["killed"][:50], LINES["killed"][50:]
    with host.log.open("a") as log:
        log.write(half)
    assert host.look() == []
    assert len(host.supervisor(rest)) == 1


def test_of_a_log_that_was_rotated_the_end_and_the_new_one_are_read(host):
    with host.log.open("a") as log:
        log.write(f"{LINES['killed']}\n")
    host.log.rename(host.folder / "supervisord.log.1")
    assert told(host.supervisor(LINES["crashed"])) == [("shop-blue", "died", "killed by SIGKILL")]
    assert told(host.look()) == [("shop-blue", "died", "exit code 3")]
    assert host.look() == []


def test_a_log_that_was_emptied_is_read_from_its_beginning(host):
    host.supervisor(LINES["killed"], LINES["killed"])
    os.truncate(host.log, 0)
    assert told(host.supervisor(LINES["crashed"])) == [("shop-blue", "died", "exit code 3")]


def test_a_long_log_is_read_in_parts_and_nothing_is_lost(host):
    host.beacon.MOST = 200
    assert len(host.supervisor(*[LINES["killed"]] * 3)) == 2
    assert len(host.look()) == 1


def test_a_clock_that_was_put_back_hides_nothing_that_comes_after(host):
    host.look()
    _rewind(host, -3600)
    host.look()
    _rewind(host, 60)
    assert len(host.systemd(KILLED, FAILED, RESTARTED)) == 1


def test_the_process_belongs_to_the_app_with_the_longest_name(host):
    host.add_app("shop-admin")
    host.configure("conf.d/shop-admin-blue.conf")
    (event,) = host.supervisor(LINES["killed"].replace("shop-blue", "shop-admin-blue"))
    assert (event["app"], event["tag"]) == ("shop-admin", "shop-admin/shop-admin-blue")


def test_programs_and_units_of_others_are_not_told(host):
    host.configure("conf.d/shop-own.conf", mark="mine")
    host.configure("system/shop-own.service", mark="mine")
    others = [LINES["killed"].replace("shop-blue", name) for name in ("shop-own", "mailer", "shop")]
    assert host.supervisor(*others) == host.systemd(KILLED, FAILED, RESTARTED, unit="shop-own") == []


def test_the_journal_is_asked_only_where_an_app_has_units(host):
    (host.folder / "system/shop-blue.service").unlink()
    host.run.reset_mock()
    host.look()
    host.run.assert_not_called()


def test_only_what_systemd_itself_has_said_is_asked_for(host):
    host.look()
    assert "_PID=1" in host.run.call_args.args[0]


@pytest.mark.parametrize("failure", [subprocess.TimeoutExpired("journalctl", 5), FileNotFoundError("journalctl")])
def test_a_journal_that_cannot_be_read_is_warned_of_once_and_supervisor_is_told_all_the_same(host, failure, caplog):
    host.run.side_effect = failure
    assert len(host.supervisor(LINES["killed"])) == 1
    assert host.look() == []
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"processes that died are not told: _systemd: {type(failure).__name__}"
    ]


def test_what_cannot_be_remembered_is_not_told_again_and_again(host):
    host.beacon.__opts__["cachedir"] = str(host.folder / "nowhere")
    assert host.supervisor(LINES["killed"]) == host.look() == []


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_broken_file_of_positions_is_as_none(host, text):
    (host.folder / "slipway-processes.json").write_text(text)
    assert host.supervisor(LINES["killed"]) == []
    assert len(host.supervisor(LINES["killed"])) == 1


def test_a_host_without_apps_and_managers_has_nothing_to_tell(load, tmp_path):
    beacon = load("_beacons/processes.py", cachedir=str(tmp_path))
    beacon.APPS = beacon.UNITS = beacon.PROGRAMS = beacon.LOG = str(tmp_path / "none")
    assert beacon.beacon([]) == beacon.beacon([]) == []


def test_the_configuration_is_a_list(load):
    beacon = load("_beacons/processes.py")
    assert beacon.validate([{"interval": 5}])[0] is True
    assert beacon.validate({"interval": 5})[0] is False


def test_jobs_work_with_the_modules_that_are_synced_because_the_minion_itself_has_imported_none():
    """A minion forks its jobs: what the beacon imports from _utils would stay in them as it once was."""
    tree = Path(__file__).parents[2]
    ours = {file.stem for file in (tree / "_utils").glob("*.py")}
    lines = (tree / "_beacons/processes.py").read_text(encoding="utf-8").splitlines()
    imported = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported & ours == set()
