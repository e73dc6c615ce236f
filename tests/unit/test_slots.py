"""Slots with a Supervisor of our own that starts real servers: each release folder says how its server behaves."""

import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path
from unittest.mock import create_autospec

import pytest
from salt.exceptions import CommandExecutionError

import editions
import slot_record

# Answers with the status in the file "status" of the folder it runs in, the page /late/ with that in "late", and with
# the folder's name as its release, but for what an edition has behind it. What was asked is in the file "asked".
SERVER = """
import http.server, os, socketserver, sys
class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64
    def get_request(self):
        return super().get_request()[0], ("unix", 0)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open("asked", "a") as asked:
            asked.write(self.path + "\\n")
        self.send_response(int(open("late" if self.path == "/late/" else "status").read()))
        self.send_header("X-Release", os.path.basename(os.getcwd()).partition(".")[0])
        self.end_headers()
    def log_message(self, *_):
        pass
if open("status").read() == "exit":
    sys.exit("ImportError: no module named shop")
if os.path.exists(sys.argv[1]):
    os.unlink(sys.argv[1])
Server(sys.argv[1], Handler).serve_forever(0.01)
"""


class Manager:
    """What a process manager does, for programs whose section says in which folder and on which socket."""

    def __init__(self, name, module):
        self.sections, self.processes, self.calls = {}, {}, []
        names = ("programs", "configure", "start", "stop", "kill", "tail", "remove", "is_configured")
        self.functions = {f"{name}.{function}": self._function(module, function) for function in names}

    def is_configured(self, name):
        return name in self.sections

    def remove(self, name):
        self.calls.append(("remove", name))
        self.kill(name)
        self.sections.pop(name, None)
        self.processes.pop(name, None)

    def programs(self, name=""):
        self.calls.append(("programs", name))
        return {
            program: {"state": self._state(program), "pid": getattr(self.processes.get(program), "pid", 0)}
            for program in self.sections
            if program == name
        }

    def configure(self, name, section):
        self.sections[name] = section

    def start(self, name, wait=True):
        self.calls.append(("start", name))
        section = self.sections[name]
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-S", "-c", SERVER, section["socket"]], cwd=section["directory"], stderr=subprocess.PIPE
        )

    def stop(self, name, timeout=60):
        self.calls.append(("stop", name))
        if name in self.processes:
            self.processes[name].terminate()
            self.processes[name].wait()

    def kill(self, name):
        self.calls.append(("kill", name))
        if name in self.processes:
            self.processes[name].kill()
            self.processes[name].wait()

    def tail(self, name):
        return "Traceback of the app"

    def _function(self, module, name):
        return create_autospec(getattr(module, name), side_effect=getattr(self, name))

    def _state(self, name):
        if name not in self.processes:
            return "STOPPED"
        return "STARTING" if self.processes[name].poll() is None else "EXITED"


class App:
    """An app with folders in a temporary place, and the calls that its states would make."""

    def __init__(self, folder, load):
        self.folder = folder
        for name in ("slots", "run", "releases", "furnished", "files"):
            (folder / name).mkdir()
        self.config = folder / "secrets.json"
        self.config.write_text("{}", encoding="utf-8")
        (folder / "access.log").touch()
        self.slots = [self._slot(name) for name in ("blue", "green")]
        self.live, self.standby, self.current = self.slots[0]["live"], self.slots[0]["standby"], str(folder / "current")
        self.health = {
            "path": "/", "statuses": [200, 399], "timeout": 2, "interval": 0.01, "successes": 2, "start_timeout": 5,
            "host": "shop.test", "warm": [],
        }  # fmt: skip
        self.supervisor = Manager("supervisor", load("_modules/supervisor.py"))
        self.systemd = Manager("systemd", load("_modules/systemd.py"))
        self.take = create_autospec(load("_modules/fronts.py").take)
        paths = {"current": self.current}
        self.flag = folder / "on"
        spec = {"slots": self.slots, "paths": paths, "health": self.health, "web": {"server": "gunicorn"}}
        spec["maintenance"] = {"flag": str(self.flag)}
        self.salt = {**self.supervisor.functions, **self.systemd.functions, "apps.spec": lambda name: spec}
        self.salt["fronts.take"] = self.take
        self.module = load("_modules/slots.py", salt=self.salt)
        self.module.__opts__ = {"config_dir": "/etc/salt"}
        # Nginx is left out: it does nothing but connect through the link.
        self.module.FRONT_DOOR = self.live
        self.module.STARTING_INTERVAL = self.module.WATCH_INTERVAL = 0.02
        self.module.DRAIN = 0.05
        self.timers, self.stopped = [], []
        self.module.host_timers.start = lambda *arguments, **again: self.timers.append(arguments)
        self.module.host_timers.stop = self.stopped.append
        # What the master says of the app to whom it asks; None: it is not reached.
        self.master = {"deployed": "r1", "in_progress": "r2"}
        self.module.command = types.SimpleNamespace(run=self._ask_master)
        self.window = {"seconds": 0.1, "errors": 1, "slowdown": 3}

    def _slot(self, name):
        link, socket = str(self.folder / "slots" / name), str(self.folder / "run" / f"{name}.sock")
        run = self.folder / "run"
        return {"name": name, "link": link, "record": f"{link}.json", "program": f"shop-{name}",
                "manager": "supervisor", "files": str(self.folder / "files" / name),
                "file_set": str(self.folder / "files/set"), "furnished": str(self.folder / "furnished"),
                "live": str(run / "web"), "standby": str(run / "back"), "nobody": str(run / "none"), "target": socket,
                "door": socket, "token": "", "front": "nginx", "timeout": 30, "domains": ["shop.test"],
                "access_log": str(self.folder / "access.log"), "log": str(self.folder / f"{name}.log"),
                "section": {"directory": link, "socket": socket}}  # fmt: skip

    def release(self, id, status="200"):
        path = self.folder / "releases" / id
        path.mkdir(exist_ok=True)
        (path / "status").write_text(status, encoding="utf-8")

    def where(self, id):
        furnished = self.folder / "furnished" / id
        path = furnished if furnished.is_symlink() else self.folder / "releases" / id
        return self.slots, self.current, id, str(path), [str(self.config), str(self.folder / "files/set")]

    def furnish(self, id, status="200"):
        """The release gets a file of the pillar: how its server answers."""
        link = self.folder / "furnished" / id
        with editions.next_of(link) as new:
            new.mkdir()
            (new / "status").write_text(status, encoding="utf-8")
            editions.publish(new, link)

    def put(self, text):
        """The app gets another config file."""
        link = self.folder / "files/set"
        with editions.next_of(link) as new:
            new.mkdir()
            (new / "app.ini").write_text(text, encoding="utf-8")
            editions.publish(new, link)

    def file_of(self, name):
        """What is in the config file of a slot, or in that which the next one gets."""
        return (self.folder / "files" / name / "app.ini").read_text(encoding="utf-8")

    def _ask_master(self, argv, timeout):
        if self.master is None:
            raise CommandExecutionError("salt-call: no end after 10 seconds, so it was stopped")
        assert argv[-2:] == ["apps.rollout", "shop"]
        return json.dumps({"local": self.master})

    def activate(self, id, keep_warm=0, confirm=0, again=True):
        return self.module.activate(*self.where(id), self.health, self.window, 4, keep_warm, confirm, again)

    def confirm(self):
        """The timer that the last ``activate`` has set runs out."""
        (name, _, _, function, arguments) = self.timers[-1]
        assert (name, function) == ("slipway-confirm-shop", "slots.confirm")
        return self.module.confirm(*map(str, arguments))

    def manage(self, manager):
        """The pillar wants another process manager from now on."""
        for slot in self.slots:
            slot["manager"] = manager
            slot["section"] = {**slot["section"], "manager": manager}

    def wait(self, seconds):
        """Let the flip be longer ago."""
        then = slot_record.flipped(self.slots[0]) - seconds
        os.utime(self.live, (then, then), follow_symlinks=False)

    def leads_to(self, link):
        return Path(link).readlink().name

    def pending(self, id):
        return self.module.pending(*self.where(id))

    def serving(self):
        serving = self.module.serving("shop")
        return serving["slot"], serving["release"]

    def running(self):
        processes = {**self.supervisor.processes, **self.systemd.processes}
        return [name for name, process in sorted(processes.items()) if process.poll() is None]


@pytest.fixture
def app(tmp_path, load, monkeypatch):
    # Syncing every disk of the machine is for power failures, which no test has.
    monkeypatch.setattr(os, "sync", lambda: None)
    app = App(tmp_path, load)
    for id in ("r1", "r2"):
        app.release(id)
    yield app
    for process in [*app.supervisor.processes.values(), *app.systemd.processes.values()]:
        process.kill()
        process.communicate()


def test_a_first_release_gets_the_traffic(app):
    assert app.activate("r1") == {"release": {"old": "", "new": "r1"}}
    assert app.serving() == ("blue", "r1")
    assert os.path.realpath(app.current) == str(app.folder / "releases/r1")


def test_before_the_first_release_nothing_serves(app):
    assert app.module.serving("shop") == {"slot": "", "release": "", "since": ""}


@pytest.mark.parametrize(("status", "answer"), [("200", "well"), ("500", "status 500 instead of 200 to 399")])
def test_the_status_says_how_the_site_answers_just_now(app, status, answer):
    app.activate("r1")
    app.release("r1", status)
    found = app.module.status("shop")
    assert (found["slot"], found["release"], found["server"], found["answer"]) == ("blue", "r1", "gunicorn", answer)


def test_the_status_says_whether_visitors_are_kept_out(app):
    app.activate("r1")
    assert app.module.status("shop")["maintenance"] is False
    app.flag.touch()
    assert app.module.status("shop")["maintenance"] is True


def test_a_release_that_has_the_traffic_costs_one_question_and_no_process(app):
    app.activate("r1")
    app.supervisor.calls.clear()
    assert app.activate("r1") == {}
    assert app.supervisor.calls == [("programs", "shop-blue")]


def test_the_next_release_gets_the_traffic_while_the_old_one_still_runs(app):
    app.activate("r1")
    assert app.activate("r2") == {"release": {"old": "r1", "new": "r2"}}
    assert app.serving() == ("green", "r2")
    assert app.running() == ["shop-blue", "shop-green"]


def test_a_changed_config_file_starts_the_same_release_in_the_other_slot(app):
    app.activate("r1")
    app.config.write_text('{"DEBUG": false}', encoding="utf-8")
    assert list(app.activate("r1")) == ["configuration"]
    assert app.serving() == ("green", "r1")


def test_a_slot_keeps_the_files_that_it_was_started_with(app):
    app.put("one")
    app.activate("r1")
    app.put("two")
    assert (app.file_of("blue"), app.file_of("set")) == ("one", "two")
    assert list(app.activate("r1")) == ["configuration"]
    assert app.serving() == ("green", "r1")
    assert (app.file_of("blue"), app.file_of("green")) == ("one", "two")
    assert app.pending("r1") == {}


def test_files_that_no_slot_has_any_more_are_removed(app):
    for text in ("one", "two", "three", "four"):
        app.put(text)
        app.activate("r1")
    assert sorted(path.read_text() for path in app.folder.glob("files/set.*/app.ini")) == ["four", "three"]


def test_an_app_that_has_no_files_any_more_leaves_none_to_the_next_slot(app):
    app.put("one")
    app.activate("r1")
    (app.folder / "files/set").unlink()
    for _ in range(2):
        app.config.write_text(app.config.read_text() + " ", encoding="utf-8")
        app.activate("r1")
    assert list((app.folder / "files").iterdir()) == []


def test_files_with_which_a_release_does_not_start_are_taken_back(app):
    app.put("one")
    app.activate("r1")
    app.health["start_timeout"] = 0.5
    app.put("two")
    app.release("r1", "500")
    with pytest.raises(CommandExecutionError):
        app.activate("r1")
    assert app.serving() == ("blue", "r1")
    assert (app.file_of("blue"), app.file_of("set")) == ("one", "one")
    assert app.pending("r1") == {}


def test_files_with_which_a_release_fails_in_the_watch_window_are_taken_back(app):
    app.put("one")
    app.activate("r1")
    app.put("two")
    app.module.FRONT_DOOR = str(app.folder / "no-nginx.sock")
    with pytest.raises(CommandExecutionError):
        app.activate("r1")
    assert app.serving() == ("blue", "r1")
    assert app.file_of("set") == "one"


def test_a_way_back_is_one_to_the_files_of_that_time_too(app):
    app.put("one")
    app.activate("r1")
    app.put("two")
    app.activate("r2")
    app.module.revert("shop", "blue")
    assert app.serving() == ("blue", "r1")
    assert app.file_of("set") == "one"


def test_a_file_in_the_release_starts_it_in_the_other_slot_and_what_serves_does_not_see_it(app):
    app.furnish("r1")
    app.activate("r1")
    served = Path(app.live).resolve(), os.path.realpath(app.current)
    app.furnish("r1", "201")
    assert (Path(app.live).resolve(), os.path.realpath(app.current)) == served
    assert list(app.pending("r1")) == ["configuration"]
    assert list(app.activate("r1")) == ["configuration"]
    assert app.serving() == ("green", "r1")
    assert [Path(slot["link"], "status").read_text() for slot in app.slots] == ["200", "201"]
    assert app.pending("r1") == {}


def test_a_file_in_the_release_with_which_it_does_not_start_is_taken_back(app):
    app.furnish("r1")
    app.activate("r1")
    app.furnish("r1", "exit")
    with pytest.raises(CommandExecutionError, match="its process ended"):
        app.activate("r1")
    assert app.serving() == ("blue", "r1")
    assert (app.folder / "furnished/r1/status").read_text() == "200"
    assert app.pending("r1") == {}


def test_copies_of_a_release_that_no_slot_has_any_more_are_removed(app):
    for status in ("200", "201", "202", "203"):
        app.furnish("r1", status)
        app.activate("r1")
    assert sorted(path.read_text() for path in app.folder.glob("furnished/r1.*/status")) == ["202", "203"]


def test_what_was_started_before_there_were_files_can_be_gone_back_to(app):
    app.activate("r1")
    record = slot_record.read(app.slots[0])
    before = {key: value for key, value in record["slot"].items() if key not in ("files", "file_set", "furnished")}
    slot_record.write(app.slots[0], {**record, "slot": before})
    app.module.FRONT_DOOR = str(app.folder / "no-nginx.sock")
    with pytest.raises(CommandExecutionError, match="the traffic went back"):
        app.activate("r2")
    slot_record.give_files_back(before)
    assert app.serving() == ("blue", "r1")


@pytest.mark.parametrize("status", ["exit", "500"])
def test_a_broken_release_gets_no_traffic(app, status):
    app.health["start_timeout"] = 0.5
    app.activate("r1")
    app.release("r2", status)
    with pytest.raises(CommandExecutionError):
        app.activate("r2")
    assert app.serving() == ("blue", "r1")
    assert app.running() == ["shop-blue"]


def test_the_error_of_a_broken_release_ends_with_what_the_app_said(app):
    app.release("r1", "exit")
    with pytest.raises(CommandExecutionError, match=r"(?s)shop-blue: release r1: .*Traceback of the app$"):
        app.activate("r1")


def test_a_release_that_ends_at_once_is_not_waited_for(app):
    app.health["start_timeout"] = 60
    app.release("r1", "exit")
    with pytest.raises(CommandExecutionError, match="its process ended"):
        app.activate("r1")


def test_a_process_that_runs_in_another_folder_gets_no_traffic(app, monkeypatch):
    app.health["start_timeout"] = 0.5
    app.release("elsewhere")
    # As of an app that does not tell its release.
    monkeypatch.setattr(app.module.probe, "fault", lambda answer, statuses, release: answer.error)
    app.salt["supervisor.configure"].side_effect = lambda name, section: app.supervisor.configure(
        name, {**section, "directory": str(app.folder / "releases/elsewhere")}
    )
    with pytest.raises(CommandExecutionError, match="the process runs in .*elsewhere instead of"):
        app.activate("r1")


def test_a_release_that_fails_in_the_watch_window_loses_the_traffic_again(app):
    app.activate("r1")
    app.module.FRONT_DOOR = str(app.folder / "no-nginx.sock")
    with pytest.raises(CommandExecutionError, match="2 bad answers in a row at the front door"):
        app.activate("r2")
    assert app.serving() == ("blue", "r1")
    assert os.path.realpath(app.current) == str(app.folder / "releases/r1")
    assert app.running() == ["shop-blue"]


def lost_traffic(app, release):
    """The release had the traffic and lost it again; now the front door is well."""
    door, app.module.FRONT_DOOR = app.module.FRONT_DOOR, str(app.folder / "no-nginx.sock")
    with pytest.raises(CommandExecutionError, match="at the front door"):
        app.activate(release)
    app.module.FRONT_DOOR = door


def test_no_pull_gives_the_traffic_once_more_to_what_has_lost_it(app):
    app.activate("r1")
    lost_traffic(app, "r2")
    app.supervisor.calls.clear()
    with pytest.raises(CommandExecutionError, match="release r2 had the traffic .* lost it at 20.*Z: 2 bad answers"):
        app.activate("r2", again=False)
    assert ("start", "shop-green") not in app.supervisor.calls
    assert app.serving() == ("blue", "r1")


def test_a_pull_tries_another_release_and_other_config_files(app):
    app.activate("r1")
    lost_traffic(app, "r2")
    app.config.write_text('{"changed": true}', encoding="utf-8")
    app.activate("r2", again=False)
    assert app.serving() == ("green", "r2")


def test_what_has_proved_itself_in_a_second_try_is_pardoned(app):
    app.activate("r1")
    lost_traffic(app, "r2")
    app.activate("r2")
    app.activate("r1", again=False)
    app.activate("r2", again=False)
    assert app.serving() == ("green", "r2")


def test_a_first_release_that_fails_in_the_watch_window_leaves_no_traffic(app):
    app.module.FRONT_DOOR = str(app.folder / "no-nginx.sock")
    with pytest.raises(CommandExecutionError):
        app.activate("r1")
    assert app.serving() == ("", "")
    assert not Path(app.current).is_symlink()
    assert app.running() == []


def test_what_had_the_traffic_of_users_is_stopped_and_not_killed(app):
    app.module.FRONT_DOOR = str(app.folder / "no-nginx.sock")
    with pytest.raises(CommandExecutionError):
        app.activate("r1")
    assert ("stop", "shop-blue") in app.supervisor.calls
    assert ("kill", "shop-blue") not in app.supervisor.calls


def test_one_bad_answer_in_the_watch_window_is_forgiven(app, monkeypatch):
    answers = iter(["status 502", "", "status 502"])
    ask = app.module._fault
    monkeypatch.setattr(
        app.module, "_fault", lambda door, *rest: next(answers, "") if door["door"] == app.live else ask(door, *rest)
    )
    app.activate("r1")
    assert app.serving() == ("blue", "r1")


LINE = (
    '127.0.0.1 [{time}] "GET / HTTP/1.1" {status} 2 host=shop.test time={seconds} upstream=unix:/run/web'
    ' upstream_status={status} upstream_time={seconds} "browser"\n'
)


def users(app, number, status=200, seconds=0.01, ago=0):
    """So many requests are in the log, of some seconds ago."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - ago))
    with open(app.slots[0]["access_log"], "a", encoding="utf-8") as log:
        log.write(LINE.format(time=at, status=status, seconds=seconds) * number)


def meanwhile(app, monkeypatch, work):
    """``work`` at each look at the front door in the watch window."""
    ask = app.module._fault

    def answer(door, *rest):
        if door["door"] == app.live:
            work()
        return ask(door, *rest)

    monkeypatch.setattr(app.module, "_fault", answer)


@pytest.mark.parametrize(
    ("window", "kind", "words"),
    [
        (
            30,
            {"status": 500},
            r"\d+ of \d+ requests \(\d+.\d %\) got a 5xx answer since .*; such as GET / 500; the traffic went",
        ),
        (
            1,
            {"seconds": 0.8},
            r"95 % of \d+ requests were answered within 0.80 s since .*, within 0.01 s .*; the traffic went",
        ),
    ],
    ids=["errors", "slow"],
)
def test_a_release_with_which_users_fare_worse_loses_the_traffic_again(app, monkeypatch, window, kind, words):
    app.activate("r1")
    users(app, 100, ago=9)
    app.window["seconds"] = window
    meanwhile(app, monkeypatch, lambda: users(app, 5, **kind) or users(app, 5))
    began = time.monotonic()
    with pytest.raises(CommandExecutionError, match=words):
        app.activate("r2")
    assert time.monotonic() - began < 10
    assert app.serving() == ("blue", "r1")
    assert app.running() == ["shop-blue"]


def test_what_users_meet_at_the_very_end_of_the_watch_window_counts(app, monkeypatch):
    app.activate("r1")
    app.window["seconds"] = app.module.WATCH_INTERVAL = 0.2
    meanwhile(app, monkeypatch, lambda: users(app, 20, status=500))
    with pytest.raises(CommandExecutionError, match="20 of 20 requests"):
        app.activate("r2")


@pytest.mark.parametrize("limits", [{"errors": 100, "slowdown": 1000}, {"seconds": 0}], ids=["allowed", "not watched"])
def test_where_users_may_fare_worse_a_release_keeps_the_traffic(app, monkeypatch, limits):
    app.activate("r1")
    users(app, 100, ago=9)
    app.window.update(limits)
    meanwhile(app, monkeypatch, lambda: users(app, 20, status=500, seconds=2))
    app.activate("r2")
    assert app.serving() == ("green", "r2")


def test_what_users_met_before_is_not_the_release_s_fault(app, monkeypatch):
    app.activate("r1")
    users(app, 20, status=502, ago=1)
    users(app, 80, ago=1)
    meanwhile(app, monkeypatch, lambda: users(app, 4) or users(app, 1, status=502))
    app.activate("r2")
    assert app.serving() == ("green", "r2")


@pytest.mark.parametrize("unreadable", ["missing", "a folder"])
def test_without_a_log_the_probes_decide_and_the_window_ends(app, unreadable):
    log = Path(app.slots[0]["access_log"])
    log.unlink()
    if unreadable == "a folder":
        log.mkdir()
    app.activate("r1")
    assert app.serving() == ("blue", "r1")


def test_a_program_that_died_is_started_again_in_its_slot(app):
    app.activate("r1")
    app.supervisor.kill("shop-blue")
    assert list(app.activate("r1")) == ["program"]
    assert app.serving() == ("blue", "r1")
    assert app.running() == ["shop-blue"]


def test_a_program_that_died_and_answers_badly_is_left_in_its_place(app):
    app.activate("r1")
    app.supervisor.kill("shop-blue")
    app.release("r1", "500")
    app.health["start_timeout"] = 0.5
    with pytest.raises(CommandExecutionError, match="it has the traffic, and stays"):
        app.activate("r1")
    assert app.serving() == ("blue", "r1")
    assert app.running() == ["shop-blue"]


def test_a_slot_that_is_warm_with_the_wanted_release_is_not_started_again(app):
    app.activate("r1")
    app.activate("r2")
    app.supervisor.calls.clear()
    app.activate("r1")
    assert app.serving() == ("blue", "r1")
    assert ("start", "shop-blue") not in app.supervisor.calls


def test_a_watch_window_does_not_end_on_a_bad_answer(app, monkeypatch):
    app.activate("r1")
    answers = iter(["", "late", "status 502"])
    ask = app.module._fault

    def answer(door, *rest):
        if door["door"] != app.live:
            return ask(door, *rest)
        fault = next(answers, "")
        time.sleep(app.window["seconds"] if fault == "late" else 0)
        return fault

    monkeypatch.setattr(app.module, "_fault", answer)
    with pytest.raises(CommandExecutionError, match="2 bad answers in a row"):
        app.activate("r2")
    assert app.serving() == ("blue", "r1")


def page_to_warm(app, status):
    """The next release has a page to be warmed, which answers with a status."""
    app.release("r2")
    (app.folder / "releases/r2/late").write_text(status, encoding="utf-8")
    app.health["warm"] = ["/late/"]


def asked_for(app, page, id):
    return (app.folder / "releases" / id / "asked").read_text(encoding="utf-8").split().count(page)


@pytest.mark.parametrize("status", ["200", "302", "404"])
def test_a_page_to_be_warmed_is_asked_once_for_each_request_at_work_before_the_flip(app, monkeypatch, status):
    app.activate("r1")
    page_to_warm(app, status)
    seen, give = [], app.module._give_traffic

    def give_traffic(*slots):
        seen.append(asked_for(app, "/late/", "r2"))
        give(*slots)

    monkeypatch.setattr(app.module, "_give_traffic", give_traffic)
    app.activate("r2")
    assert (seen, asked_for(app, "/late/", "r2")) == ([4], 4)


def test_a_release_that_fails_on_a_page_to_be_warmed_gets_no_traffic(app):
    app.activate("r1")
    page_to_warm(app, "500")
    with pytest.raises(CommandExecutionError, match="4 of 4 warm-up requests for /late/ got a bad answer: status 500"):
        app.activate("r2")
    assert (app.serving(), app.running()) == (("blue", "r1"), ["shop-blue"])


def test_the_way_back_to_a_warm_release_warms_it_not_again(app):
    app.activate("r1")
    page_to_warm(app, "200")
    app.activate("r2", keep_warm=300)
    app.activate("r1", keep_warm=300)
    app.activate("r2", keep_warm=300)
    assert asked_for(app, "/late/", "r2") == 4


STEPS = ["supervisor.configure", "supervisor.start", "_await_good_answers", "_warm", "_give_traffic", "_watch"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_second_run_finishes_what_a_crash_interrupted(app, monkeypatch, step, moment):
    app.activate("r1")
    owner, name = (app.salt, step) if "." in step else (vars(app.module), step)
    original = owner[name]

    def crash(*args, **kwargs):
        if moment == "after":
            original(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setitem(owner, name, crash)
        app.activate("r2")
    app.activate("r2")
    assert app.serving() == ("green", "r2")
    assert os.path.realpath(app.current) == str(app.folder / "releases/r2")
    assert app.pending("r2") == {}


def test_a_release_whose_watch_window_was_interrupted_is_watched_by_the_next_run(app, monkeypatch):
    app.activate("r1")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(app.module, "_watch", create_autospec(app.module._watch, side_effect=KeyboardInterrupt))
        app.activate("r2")
    app.module.FRONT_DOOR = str(app.folder / "no-nginx.sock")
    with pytest.raises(CommandExecutionError, match="the traffic went back"):
        app.activate("r2")
    assert app.serving() == ("blue", "r1")


def test_a_wrong_current_link_is_put_right_without_a_restart(app):
    app.activate("r1")
    slot_record.point(app.current, app.folder / "releases/r2")
    assert list(app.activate("r1")) == ["current"]
    assert os.path.realpath(app.current) == str(app.folder / "releases/r1")
    assert app.running() == ["shop-blue"]


def test_a_revert_gives_the_traffic_back_and_stops_the_other_slot(app):
    app.activate("r1")
    app.activate("r2")
    assert app.module.revert("shop", "blue")["release"] == "r1"
    assert os.path.realpath(app.current) == str(app.folder / "releases/r1")
    assert app.running() == ["shop-blue"]


def test_a_revert_starts_a_slot_that_was_stopped(app):
    app.activate("r1")
    app.activate("r2")
    app.module.retire(app.slots)
    app.module.revert("shop", "blue")
    assert app.serving() == ("blue", "r1")
    assert app.running() == ["shop-blue"]


def test_a_second_revert_changes_nothing(app):
    app.activate("r1")
    app.activate("r2")
    serving = app.module.revert("shop", "blue")
    app.supervisor.calls.clear()
    assert app.module.revert("shop", "blue") == serving
    assert {call for call, _ in app.supervisor.calls} == {"programs"}


def test_a_revert_to_no_slot_ends_the_first_release(app):
    app.activate("r1")
    assert app.module.revert("shop", "")["slot"] == ""
    assert app.running() == []


def test_a_revert_to_a_slot_that_does_not_answer_leaves_the_traffic_where_it_is(app):
    app.activate("r1")
    app.activate("r2")
    app.release("r1", "500")
    app.health["start_timeout"] = 0.3
    with pytest.raises(CommandExecutionError, match="the traffic was not given back to it"):
        app.module.revert("shop", "blue")
    assert app.serving() == ("green", "r2")


def test_a_revert_to_a_slot_that_never_ran_says_so(app):
    app.activate("r1")
    with pytest.raises(CommandExecutionError, match="no release in this slot"):
        app.module.revert("shop", "green")


def test_a_slot_that_does_not_exist_is_named_in_the_error(app):
    with pytest.raises(CommandExecutionError, match="'red': take one of blue, green"):
        app.module.revert("shop", "red")


def test_retiring_stops_the_slot_without_the_traffic(app):
    app.activate("r1")
    app.activate("r2")
    assert app.module.leftovers(app.slots) == ["shop-blue"]
    assert app.module.retire(app.slots) == []
    assert app.running() == ["shop-green"]


def test_retiring_twice_stops_nothing_more(app):
    app.activate("r1")
    app.activate("r2")
    app.module.retire(app.slots)
    assert app.module.leftovers(app.slots) == []


def test_where_no_slot_has_the_traffic_nothing_is_retired(app):
    app.activate("r1")
    Path(app.live).unlink()
    assert app.module.leftovers(app.slots) == []


def test_a_slot_is_stopped_only_when_the_flip_is_some_time_ago(app):
    app.module.DRAIN = 0.4
    app.activate("r1")
    app.activate("r2")
    began = slot_record.flipped(app.slots[0])
    app.module.retire(app.slots)
    assert time.time() - began >= 0.4


def test_without_supervisor_a_dead_program_is_what_would_change(app):
    app.activate("r1")
    app.salt["supervisor.programs"].side_effect = app.module.supervisor_rpc.SupervisorDown("no socket")
    assert list(app.pending("r1")) == ["program"]


def test_the_release_before_stands_by_while_it_runs(app):
    app.activate("r1")
    app.activate("r2", keep_warm=300)
    assert (app.leads_to(app.live), app.leads_to(app.standby)) == ("green.sock", "blue.sock")


def test_a_release_that_is_not_proved_yet_never_stands_by(app, monkeypatch):
    app.activate("r1")
    app.activate("r2", keep_warm=300)
    app.release("r3")
    seen = []
    monkeypatch.setattr(app.module, "_warm", lambda *_: seen.append(app.leads_to(app.standby)))
    app.activate("r3")
    assert seen == ["none"]


def test_a_release_that_failed_does_not_stand_by(app):
    app.activate("r1")
    app.module.FRONT_DOOR = str(app.folder / "no-nginx.sock")
    with pytest.raises(CommandExecutionError):
        app.activate("r2")
    assert (app.leads_to(app.live), app.leads_to(app.standby)) == ("blue.sock", "none")


def test_the_way_back_to_a_warm_release_is_a_flip(app):
    app.activate("r1")
    app.activate("r2", keep_warm=300)
    app.health["interval"] = 60
    app.window["seconds"] = 60
    began = time.monotonic()
    app.activate("r1", keep_warm=300)
    assert time.monotonic() - began < 1
    assert app.serving() == ("blue", "r1")


def test_a_warm_release_that_does_not_answer_any_more_is_started_anew(app, monkeypatch):
    app.activate("r1")
    app.activate("r2", keep_warm=300)
    monkeypatch.setattr(app.module, "END", 0.1)
    status = app.folder / "releases/r1/status"
    status.write_text("500", encoding="utf-8")
    configure = app.salt["supervisor.configure"].side_effect

    def mended(name, section):
        status.write_text("200", encoding="utf-8")
        configure(name, section)

    app.salt["supervisor.configure"].side_effect = mended
    app.activate("r1")
    assert app.serving() == ("blue", "r1")
    assert ("stop", "shop-blue") in app.supervisor.calls


def test_a_process_that_ends_in_the_watch_window_loses_the_traffic(app):
    app.activate("r1")
    app.window["seconds"] = 30
    ask = app.module._fault

    def die(slot, *rest):
        if slot["door"] == app.live:
            app.supervisor.kill("shop-green")
        return ask(slot, *rest)

    app.module._fault = die
    with pytest.raises(CommandExecutionError, match="its process ended; the traffic went back"):
        app.activate("r2")
    assert app.serving() == ("blue", "r1")


def test_a_warm_slot_is_not_retired_before_its_time(app):
    app.activate("r1")
    app.activate("r2", keep_warm=300)
    assert app.module.leftovers(app.slots, 300) == []
    assert app.module.leftovers(app.slots, 0) == ["shop-blue"]


def test_a_warm_slot_ends_when_its_timer_runs_out(app):
    app.activate("r1")
    app.activate("r2", keep_warm=300)
    (name, seconds, _, function, arguments), *more = app.timers
    assert (name, seconds, function, more) == ("slipway-warm-shop-blue", 300, "slots.expire", [])
    assert app.module.expire(*arguments) == []
    app.wait(300)
    assert app.module.expire(*map(str, arguments[:2])) == ["shop-blue was stopped"]
    assert app.running() == ["shop-green"]


def test_a_warm_slot_lives_at_least_as_long_as_a_request_may(app):
    app.activate("r1")
    app.activate("r2", keep_warm=5)
    assert app.timers[0][1] == 30


def test_a_timer_that_runs_out_late_stops_nothing_that_serves_or_was_started_anew(app):
    app.activate("r1")
    app.activate("r2", keep_warm=300)
    arguments = app.timers[0][4]
    app.activate("r1", keep_warm=300)
    assert app.module.expire(*arguments) == []
    app.release("r3")
    app.activate("r3", keep_warm=300)
    assert app.module.expire(app.slots[1]["record"], "1.5") == []
    assert app.running() == ["shop-blue", "shop-green"]


def test_another_process_manager_takes_over_by_a_flip_and_the_one_before_forgets_the_app(app):
    app.activate("r1")
    app.manage("systemd")
    assert list(app.activate("r1")) == ["configuration"]
    assert list(app.supervisor.sections) == ["shop-blue"]
    assert list(app.systemd.sections) == ["shop-green"]
    app.module.retire(app.slots)
    assert (app.supervisor.sections, app.running()) == ({}, ["shop-green"])
    assert app.module.leftovers(app.slots) == []
    app.release("r3")
    app.activate("r3")
    assert app.supervisor.sections == {}


def test_the_timer_of_a_slot_of_the_manager_before_makes_that_one_forget_it(app):
    app.activate("r1")
    app.manage("systemd")
    app.activate("r1", keep_warm=300)
    app.wait(300)
    app.module.expire(*app.timers[0][4])
    assert app.supervisor.sections == {}
    assert app.module.leftovers(app.slots) == []


def test_while_another_manager_is_wanted_the_one_that_serves_is_asked_and_kept(app):
    app.activate("r1")
    app.manage("systemd")
    assert app.serving() == ("blue", "r1")
    assert app.module.leftovers(app.slots) == []


def test_the_way_back_to_the_manager_before_works_too(app):
    app.activate("r1")
    app.manage("systemd")
    app.activate("r2", keep_warm=300)
    assert app.module.revert("shop", "blue")["release"] == "r1"
    assert app.running() == ["shop-blue"]


def test_the_web_server_in_front_changes_only_when_the_slot_wants_another(app):
    app.activate("r1")
    app.take.assert_called_once_with("nginx")
    app.activate("r2")
    app.take.assert_called_once_with("nginx")
    for slot in app.slots:
        slot["front"] = "apache"
    app.release("r3")
    app.activate("r3")
    assert [call.args for call in app.take.call_args_list] == [("nginx",), ("apache",)]


def test_a_request_that_takes_too_long_is_cut_and_named(app, monkeypatch):
    app.activate("r1")
    app.activate("r2")
    record = slot_record.read(app.slots[0])
    slot_record.write(app.slots[0], {**record, "slot": {**record["slot"], "timeout": 0.1}})
    monkeypatch.setattr(app.module.doors, "connections", lambda door: 1)
    monkeypatch.setattr(app.module.access_log, "cut", lambda *_: [])
    monkeypatch.setattr(app.module.access_log, "describe", lambda _: ["GET /slow/ after 31.2 s"])
    told = app.module.retire(app.slots)
    assert told == ["shop-blue: cut at the limit of 0.1 s: GET /slow/ after 31.2 s"]
    assert told[0] in Path(app.slots[0]["log"]).read_text(encoding="utf-8")


def test_a_flip_that_was_cut_short_before_the_web_server_changed_is_finished_by_the_next_run(app):
    app.activate("r1")
    for slot in app.slots:
        slot["front"] = "apache"
    app.take.side_effect = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        app.activate("r2")
    app.take.side_effect = None
    app.take.reset_mock()
    app.activate("r2")
    app.take.assert_called_once_with("apache")
    assert app.serving() == ("green", "r2")


def test_where_the_other_web_server_does_not_start_the_traffic_is_where_it_was(app):
    app.activate("r1")
    for slot in app.slots:
        slot["front"] = "apache"
    app.take.side_effect = CommandExecutionError("apache does not start")
    with pytest.raises(CommandExecutionError, match="apache does not start"):
        app.activate("r2")
    assert app.serving() == ("blue", "r1")
    assert app.pending("r2")["front"] == {"old": "nginx", "new": "apache"}


def test_a_way_back_asks_the_slot_before_at_the_door_that_it_was_started_with(app):
    app.activate("r1")
    app.activate("r2")
    app.slots[0]["door"] = "127.0.0.1:1"
    assert app.module.revert("shop", "blue")["release"] == "r1"


def test_a_slot_that_was_stopped_does_not_stand_by(app):
    app.activate("r1")
    app.activate("r2")
    app.module.retire(app.slots)
    assert app.leads_to(app.standby) == "none"


def test_a_host_asks_the_master_whether_it_still_wants_the_release_only_if_it_was_pushed_and_there_is_a_way_back(app):
    app.activate("r1", confirm=60)
    app.activate("r2")
    assert app.timers == []
    app.release("r3")
    app.activate("r3", confirm=60)
    [(name, seconds, *_)] = app.timers
    assert (name, seconds) == ("slipway-confirm-shop", 30)


def test_a_host_without_timers_takes_the_release_all_the_same(app):
    def no_systemd(*_, **__):
        raise CommandExecutionError("systemd-run: no such file")

    app.activate("r1")
    app.module.host_timers.start = no_systemd
    app.activate("r2", confirm=60)
    assert app.serving() == ("green", "r2")


def test_as_long_as_the_rollout_goes_on_nothing_is_done(app):
    app.activate("r1")
    app.activate("r2", confirm=60)
    assert app.confirm() == []
    assert (app.serving(), app.stopped) == (("green", "r2"), [])


def test_a_release_that_was_recorded_is_confirmed_and_nobody_asks_again(app):
    app.activate("r1")
    app.activate("r2", confirm=60)
    app.master = {"deployed": "r2", "in_progress": ""}
    assert app.confirm() == ["shop-green: the master has confirmed release r2"]
    assert (app.serving(), app.stopped) == (("green", "r2"), ["slipway-confirm-shop"])


@pytest.mark.parametrize(
    ("master", "reason"),
    [
        ({"deployed": "r1", "in_progress": ""}, "the master has given the rollout up"),
        ({"deployed": "r1", "in_progress": "r3"}, "the master has given the rollout up"),
        (None, "the master is not reached"),
    ],
)
def test_a_host_whose_rollout_was_given_up_or_that_lost_its_master_goes_back_by_itself(app, master, reason):
    app.activate("r1")
    app.activate("r2", keep_warm=300, confirm=60)
    app.timers = app.timers[:1]
    app.master = master
    (said,) = app.confirm()
    assert said == f"shop-green: release r2: {reason}: the traffic goes back to where it was"
    assert said in Path(app.slots[1]["log"]).read_text()
    assert (app.serving(), app.running()) == (("blue", "r1"), ["shop-blue"])
    assert app.stopped == ["slipway-confirm-shop"]


def test_the_release_before_is_started_again_if_it_has_ended_meanwhile(app):
    app.activate("r1")
    app.activate("r2", confirm=60)
    app.module.retire(app.slots)
    app.master = None
    app.confirm()
    assert (app.serving(), app.running()) == (("blue", "r1"), ["shop-blue"])


def test_while_a_release_is_watched_the_watch_decides_and_after_a_killed_one_the_master(app):
    app.activate("r1")
    app.activate("r2", confirm=60)
    slot_record.write(app.slots[1], {**slot_record.read(app.slots[1]), "confirmed": False})
    app.master = None
    assert app.confirm() == []
    app.wait(app.window["seconds"] + app.module.WATCH_ENDED)
    assert app.confirm() != []
    assert app.serving() == ("blue", "r1")


def test_a_timer_that_is_late_asks_nobody_and_ends(app):
    app.activate("r1")
    app.activate("r2", confirm=60)
    app.module.revert("shop", "blue")
    app.master = None
    app.stopped.clear()
    assert (app.confirm(), app.stopped) == ([], ["slipway-confirm-shop"])
    assert app.serving() == ("blue", "r1")


def test_a_revert_by_the_master_ends_the_questions(app):
    app.activate("r1")
    app.activate("r2", confirm=60)
    app.module.revert("shop", "blue")
    assert app.stopped == ["slipway-confirm-shop"]


def test_who_waits_for_quiet_is_told_when_the_last_request_is_answered(app, monkeypatch):
    app.activate("r1")
    left = iter([2, 1, 0])
    monkeypatch.setattr(app.module, "_connected", lambda slot: next(left))
    assert app.module.quiet("shop") == 0
    assert list(left) == []


def test_requests_that_take_longer_than_they_may_are_not_waited_for(app, monkeypatch):
    for slot in app.slots:
        slot["timeout"] = 0.1
    app.activate("r1")
    monkeypatch.setattr(app.module, "_connected", lambda slot: 3)
    assert app.module.quiet("shop") == 3


def test_where_nothing_serves_it_is_quiet(app):
    assert app.module.quiet("shop") == 0


def test_processes_that_are_distrusted_serve_on_and_are_not_activated_again(app):
    app.activate("r1")
    app.activate("r2")
    app.module.distrust("shop")
    assert app.serving() == ("green", "r2")
    before = app.supervisor.processes["shop-blue"].pid
    assert app.activate("r1") == {"release": {"old": "r2", "new": "r1"}}
    assert app.supervisor.processes["shop-blue"].pid != before


def test_a_release_that_is_served_and_distrusted_is_started_anew_in_the_other_slot(app):
    app.activate("r1")
    app.module.distrust("shop")
    assert list(app.activate("r1")) == ["configuration"]
    assert app.serving() == ("green", "r1")


def test_a_distrusted_process_does_not_stand_by(app):
    app.activate("r1")
    app.module.distrust("shop")
    app.activate("r2")
    assert app.leads_to(app.standby) == "none"


def test_the_traffic_can_be_given_back_to_a_distrusted_process(app):
    app.activate("r1")
    app.module.distrust("shop")
    app.activate("r2")
    assert app.module.revert("shop", "blue")["release"] == "r1"
