"""Slots with a Supervisor of our own that starts real servers: each release folder says how its server behaves."""

import os
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import create_autospec

import pytest
from salt.exceptions import CommandExecutionError

import slot_record

# Answers with the status in the file "status" of the folder it runs in, and with the folder's name as its release.
SERVER = """
import http.server, os, socketserver, sys
class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64
    def get_request(self):
        return super().get_request()[0], ("unix", 0)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(open("status").read()))
        self.send_header("X-Release", os.path.basename(os.getcwd()))
        self.end_headers()
    def log_message(self, *_):
        pass
if open("status").read() == "exit":
    sys.exit("ImportError: no module named shop")
if os.path.exists(sys.argv[1]):
    os.unlink(sys.argv[1])
Server(sys.argv[1], Handler).serve_forever(0.01)
"""


class Supervisor:
    """What the module ``supervisor`` does, for programs whose section says in which folder and on which socket."""

    def __init__(self, module):
        self.sections, self.processes, self.calls = {}, {}, []
        names = ("programs", "configure", "start", "stop", "kill", "tail")
        self.functions = {f"supervisor.{name}": self._function(module, name) for name in names}

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
        for name in ("slots", "run", "releases"):
            (folder / name).mkdir()
        self.config = folder / "secrets.json"
        self.config.write_text("{}", encoding="utf-8")
        self.slots = [self._slot(name) for name in ("blue", "green")]
        self.front, self.current = str(folder / "run/web.sock"), str(folder / "current")
        self.health = {
            "path": "/", "statuses": [200, 399], "timeout": 2, "interval": 0.01, "successes": 2, "start_timeout": 5,
            "host": "shop.test",
        }  # fmt: skip
        self.supervisor = Supervisor(load("_modules/supervisor.py"))
        paths = {"current": self.current}
        spec = {"slots": self.slots, "front": self.front, "paths": paths, "health": self.health}
        self.salt = {**self.supervisor.functions, "apps.spec": lambda name: spec}
        self.module = load("_modules/slots.py", salt=self.salt)
        # Nginx is left out: it does nothing but connect through the link.
        self.module.FRONT_DOOR = self.front
        self.module.STARTING_INTERVAL = self.module.WATCH_INTERVAL = 0.02
        self.module.DRAIN = 0.05
        self.window = 0.1

    def _slot(self, name):
        link, socket = str(self.folder / "slots" / name), str(self.folder / "run" / f"{name}.sock")
        section = {"directory": link, "socket": socket, "stopwaitsecs": "40"}
        record, log = f"{link}.json", f"/var/log/shop/{name}.log"
        program = f"shop-{name}"
        return {"name": name, "link": link, "record": record, "socket": socket, "program": program, "log": log,
                "section": section}  # fmt: skip

    def release(self, id, status="200"):
        path = self.folder / "releases" / id
        path.mkdir(exist_ok=True)
        (path / "status").write_text(status, encoding="utf-8")

    def where(self, id):
        return self.slots, self.front, self.current, id, str(self.folder / "releases" / id), [str(self.config)]

    def activate(self, id):
        return self.module.activate(*self.where(id), self.health, self.window, 4)

    def pending(self, id):
        return self.module.pending(*self.where(id))

    def serving(self):
        serving = self.module.serving("shop")
        return serving["slot"], serving["release"]

    def running(self):
        return [name for name, process in sorted(self.supervisor.processes.items()) if process.poll() is None]


@pytest.fixture
def app(tmp_path, load):
    app = App(tmp_path, load)
    for id in ("r1", "r2"):
        app.release(id)
    yield app
    for process in app.supervisor.processes.values():
        process.kill()
        process.communicate()


def test_a_first_release_gets_the_traffic(app):
    assert app.activate("r1") == {"release": {"old": "", "new": "r1"}}
    assert app.serving() == ("blue", "r1")
    assert os.path.realpath(app.current) == str(app.folder / "releases/r1")


def test_before_the_first_release_nothing_serves(app):
    assert app.module.serving("shop") == {"slot": "", "release": "", "since": ""}


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
    with pytest.raises(CommandExecutionError, match="its process ended while it started"):
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
    with pytest.raises(CommandExecutionError, match="2 bad answers in a row through Nginx"):
        app.activate("r2")
    assert app.serving() == ("blue", "r1")
    assert os.path.realpath(app.current) == str(app.folder / "releases/r1")
    assert app.running() == ["shop-blue"]


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
        app.module, "_fault", lambda door, *rest: next(answers, "") if door == app.front else ask(door, *rest)
    )
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
    app.module.retire(app.slots, app.front)
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
    assert app.module.retire(app.slots, app.front) == ["shop-blue"]
    assert app.running() == ["shop-green"]


def test_retiring_twice_stops_nothing_more(app):
    app.activate("r1")
    app.activate("r2")
    app.module.retire(app.slots, app.front)
    assert app.module.retire(app.slots, app.front) == []


def test_where_no_slot_has_the_traffic_nothing_is_retired(app):
    app.activate("r1")
    Path(app.front).unlink()
    assert app.module.idle_programs(app.slots, app.front) == []


def test_a_slot_is_stopped_only_when_the_flip_is_some_time_ago(app):
    app.module.DRAIN = 0.4
    app.activate("r1")
    app.activate("r2")
    began = slot_record.flipped(app.front)
    app.module.retire(app.slots, app.front)
    assert time.time() - began >= 0.4


def test_without_supervisor_a_dead_program_is_what_would_change(app):
    app.activate("r1")
    app.salt["supervisor.programs"].side_effect = app.module.supervisor_rpc.SupervisorDown("no socket")
    assert list(app.pending("r1")) == ["program"]
