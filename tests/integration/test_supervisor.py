"""The Supervisor modules against a real supervisord, in a temporary folder and without root."""

import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import salt._logging.impl
import salt.client
import salt.config
import salt.loader.lazy
import salt.minion
import salt.utils.args
import salt.utils.yaml

TREE = Path(__file__).parents[2]
SLEEP = {"command": "/bin/sleep 600", "startsecs": 0, "stopwaitsecs": 2}
DIES = {
    "command": f"""{sys.executable} -c "raise SystemExit('no database at db1')" """,
    "startretries": 0,
    "redirect_stderr": True,
}


class Supervisor:
    """A supervisord of its own, started and ended at will."""

    def __init__(self, folder):
        self.folder, self.socket, self.programs = folder, str(folder / "s.sock"), folder / "conf.d"
        self.programs.mkdir()
        self.process = None
        (folder / "supervisord.conf").write_text(
            f"[supervisord]\nnodaemon = true\nlogfile = {folder}/supervisord.log\npidfile = {folder}/pid\n"
            f"childlogdir = {folder}\n[unix_http_server]\nfile = {self.socket}\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[include]\nfiles = {self.programs}/*.conf\n"
        )

    def start(self):
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.folder / "supervisord.conf")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not Path(self.socket).exists():
            assert time.monotonic() < deadline, (self.folder / "supervisord.log").read_text()
            time.sleep(0.02)

    def end(self, number=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)


@pytest.fixture(scope="module")
def caller(tmp_path_factory):
    """Salt without a master, on this tree."""
    root = tmp_path_factory.mktemp("salt")
    config = {
        "id": "web1",
        "root_dir": str(root),
        "file_client": "local",
        "file_roots": {"base": [str(root / "states")]},
        "module_dirs": [str(TREE)],
        "user": "",
    }
    (root / "states").mkdir()
    (root / "minion").write_text(salt.utils.yaml.safe_dump(config))
    opts = salt.config.minion_config(str(root / "minion"))
    opts["states_folder"] = str(root / "states")
    yield salt.client.Caller(mopts=opts)
    # What Salt keeps until a logger is set up it would print when Python ends, onto a stream that pytest has closed.
    if handler := salt._logging.impl.get_temp_handler():
        handler.sync_with_handlers([logging.NullHandler()])


class Host:
    """Salt and a Supervisor: what the tests do."""

    def __init__(self, caller, supervisor):
        self.caller, self.supervisor = caller, supervisor
        self.where = {"folder": str(supervisor.programs), "socket": supervisor.socket}

    def call(self, function, *arguments, **keywords):
        return self.caller.cmd(f"supervisor.{function}", *arguments, socket=self.supervisor.socket, **keywords)

    def states(self):
        return {name: program["state"] for name, program in self.call("programs").items()}

    def pid(self, name):
        return self.call("programs")[name]["pid"]

    def apply(self, text, test=False):
        """Results of the states in ``text``, in their order."""
        states = salt.utils.yaml.safe_load(text)
        for functions in states.values():
            for function, arguments in functions.items():
                self._point(function, arguments)
        Path(self.caller.opts["states_folder"], "it.sls").write_text(salt.utils.yaml.safe_dump(states))
        answer = self.caller.cmd("state.apply", "it", test=test)
        assert isinstance(answer, dict), answer
        return sorted(answer.values(), key=lambda result: result["__run_num__"])

    def _point(self, function, arguments):
        if function.startswith("supervisor."):
            keys = ["socket"] if function == "supervisor.stopped" else ["folder", "socket"]
            arguments += [{key: self.where[key]} for key in keys]

    def single(self, function, name, test=False, **arguments):
        listed = [{key: value} for key, value in {"name": name, **arguments}.items()]
        (result,) = self.apply(salt.utils.yaml.safe_dump({"it": {f"supervisor.{function}": listed}}), test)
        return result


@pytest.fixture
def host(caller, tmp_path):
    supervisor = Supervisor(tmp_path)
    supervisor.start()
    yield Host(caller, supervisor)
    supervisor.end()


@pytest.fixture
def bare_host(caller, tmp_path):
    """A host on which Supervisor does not run."""
    supervisor = Supervisor(tmp_path)
    yield Host(caller, supervisor)
    supervisor.end()


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_program_runs_after_its_startsecs_and_a_second_run_changes_nothing(host):
    section = {**SLEEP, "startsecs": 1}
    began = time.monotonic()
    first = host.single("running", "worker", section=section)
    assert (first["result"], first["changes"]["started"]) == (True, ["worker"])
    assert time.monotonic() - began > 1
    assert host.states() == {"worker": "RUNNING"}
    pid = host.pid("worker")
    second = host.single("running", "worker", section=section)
    assert (second["result"], second["changes"]) == (True, {})
    assert host.pid("worker") == pid


def test_in_test_mode_a_first_run_says_what_the_real_run_then_does(host):
    foretold = host.single("running", "worker", section=SLEEP, test=True)
    assert (foretold["result"], host.states(), list(host.supervisor.programs.iterdir())) == (None, {}, [])
    assert host.single("running", "worker", section=SLEEP)["changes"] == foretold["changes"]


def test_a_changed_program_is_restarted_once_and_no_other_is_touched(host):
    for name in ("active", "worker"):
        host.single("running", name, section=SLEEP)
    # Supervisor's own update would restart this one: FACTS, the active slot.
    active = host.supervisor.programs / "active.conf"
    active.write_text(active.read_text() + "autostart = false\n")
    pids = host.pid("active"), host.pid("worker")
    changed = {**SLEEP, "command": "/bin/sleep 700"}
    foretold = host.single("running", "worker", section=changed, test=True)
    result = host.single("running", "worker", section=changed)
    assert (foretold["result"], result["result"]) == (None, True)
    assert (
        result["changes"]
        == foretold["changes"]
        == {
            "config": {"program:worker": {"command": {"old": "/bin/sleep 600", "new": "/bin/sleep 700"}}},
            "restarted": ["worker"],
        }
    )
    assert host.pid("active") == pids[0] and host.pid("worker") != pids[1]
    assert host.single("running", "worker", section=changed)["changes"] == {}


def runs(host, name, argument):
    """With startsecs 0 a program is RUNNING before it has become the command."""
    wait_until(lambda: argument in Path(f"/proc/{host.pid(name)}/cmdline").read_text())


@pytest.mark.parametrize("autostart", [True, False])
def test_a_changed_program_stays_stopped_or_running_as_it_was(host, autostart):
    for name in ("ran", "stood"):
        host.single("running", name, section={**SLEEP, "autostart": autostart})
    host.single("stopped", "stood")
    changed = {**SLEEP, "autostart": autostart, "command": "/bin/sleep 700"}
    for name in ("ran", "stood"):
        assert host.single("present", name, section=changed)["result"] is True
    # Longer than Supervisor takes to start what it thinks should run.
    time.sleep(1.5)
    assert host.states() == {"ran": "RUNNING", "stood": "STOPPED"}
    runs(host, "ran", "700")
    host.single("running", "stood", section=changed)
    runs(host, "stood", "700")


def test_nothing_of_a_stopped_program_runs_when_it_is_replaced(host, tmp_path):
    script = f'import time; open("{tmp_path}/starts", "a").write("started "); time.sleep(600)'
    section = {**SLEEP, "command": f"{sys.executable} -c '{script}'"}
    host.single("running", "worker", section=section)
    wait_until((tmp_path / "starts").exists)
    host.single("stopped", "worker")
    host.single("present", "worker", section={**section, "priority": 5})
    time.sleep(1.5)
    assert (tmp_path / "starts").read_text() == "started "


def test_a_file_that_supervisor_has_not_loaded_yet_is_a_change(host):
    host.single("running", "worker", section=SLEEP)
    text = (host.supervisor.programs / "worker.conf").read_text()
    (host.supervisor.programs / "worker.conf").write_text(text.replace("600", "700"))
    wanted = {**SLEEP, "command": "/bin/sleep 700"}
    foretold = host.single("present", "worker", section=wanted, test=True)
    result = host.single("present", "worker", section=wanted)
    assert (foretold["result"], list(result["changes"])) == (None, ["loaded"])
    runs(host, "worker", "700")
    assert host.single("present", "worker", section=wanted)["changes"] == {}


def test_each_process_of_a_program_is_started_stopped_and_seen(host):
    section = {**SLEEP, "numprocs": 3, "process_name": "%(program_name)s_%(process_num)02d"}
    assert host.single("running", "worker", section=section)["result"] is True
    names = ["worker:worker_00", "worker:worker_01", "worker:worker_02"]
    assert host.states() == dict.fromkeys(names, "RUNNING")
    host.call("stop", "worker:worker_01")
    for spelled in ("worker", "worker:", "worker:*"):
        assert host.single("running", spelled, test=True)["changes"] == {"started": [names[1]]}
    assert host.single("running", "worker", section=section)["changes"] == {"started": [names[1]]}
    assert host.single("stopped", "worker:*")["changes"] == {"stopped": names}
    assert host.single("running", "worker", section={**section, "numprocs": 1})["result"] is True
    assert host.states() == {"worker:worker_00": "RUNNING"}


def test_a_group_is_one_file_and_its_programs_are_addressed_alone(host):
    section = {"programs": {"web": SLEEP, "mail": SLEEP}}
    assert host.single("running", "shop", kind="group", section=section)["result"] is True
    assert host.states() == {"shop:mail": "RUNNING", "shop:web": "RUNNING"}
    assert host.single("stopped", "shop:mail")["changes"] == {"stopped": ["shop:mail"]}
    assert host.states()["shop:web"] == "RUNNING"
    # One process that had been stopped stays so, the other runs again.
    section["programs"]["mail"] = {**SLEEP, "command": "/bin/sleep 700"}
    assert host.single("present", "shop", kind="group", section=section)["result"] is True
    wait_until(lambda: host.states() == {"shop:mail": "STOPPED", "shop:web": "RUNNING"})
    assert host.single("absent", "shop")["result"] is True
    assert (host.states(), list(host.supervisor.programs.iterdir())) == ({}, [])


def test_a_missing_command_is_named(host):
    result = host.single("running", "worker", section={"command": "/nowhere/worker", "autostart": False})
    assert result["result"] is False
    assert "can't find command '/nowhere/worker'" in result["comment"]
    assert list(result["changes"]) == ["config"]


def test_a_program_that_ends_at_once_is_reported_with_its_own_log(host):
    for _run in range(2):
        result = host.single("running", "worker", section=DIES)
        assert result["result"] is False
        assert "worker is FATAL: Exited too quickly" in result["comment"]
        assert result["comment"].endswith("no database at db1")
        assert "started" not in result["changes"]


def test_a_program_that_still_retries_at_the_end_of_the_time_is_reported_with_its_own_log(host):
    result = host.single("running", "worker", section={**DIES, "startretries": 99}, timeout=2)
    assert result["result"] is False and "no database at db1" in result["comment"]
    assert host.single("stopped", "worker")["result"] is True
    assert host.states() == {"worker": "STOPPED"}


def test_a_program_that_recovers_while_supervisor_retries_is_running(host, tmp_path):
    command = f"/bin/sh -c 'test -e {tmp_path}/again && exec sleep 600 ; touch {tmp_path}/again; exit 1'"
    result = host.single("running", "worker", section={"command": command, "startsecs": 1})
    assert (result["result"], host.states()) == (True, {"worker": "RUNNING"})


def test_a_program_that_is_slower_than_the_time_given_is_still_starting(host):
    result = host.single("running", "worker", section={**SLEEP, "startsecs": 30}, timeout=1)
    assert result["result"] is False and "worker is still STARTING after 1 s" in result["comment"]


def test_a_program_that_ends_by_itself_is_not_running(host):
    host.single("present", "once", section={"command": "/bin/true", "startsecs": 0, "autorestart": False})
    wait_until(lambda: host.states() == {"once": "EXITED"})
    foretold = host.single("running", "once", test=True)
    assert (foretold["result"], foretold["changes"]) == (None, {"started": ["once"]})


def test_every_value_reaches_the_program_as_it_was_written(host, tmp_path):
    out = tmp_path / "out 100%.log"
    values = {"A": "100 % yours; or # not", "B": "%(x)s", "C": "it's", "D": 'say "no"; then', "E": ""}
    script = 'import os, sys, time; print([os.environ[k] for k in "ABCDE"], sys.argv[1:], flush=True); time.sleep(9)'
    section = {
        "command": f"{sys.executable} -c '{script}' %(program_name)s %(h)s '50 %' 'a ; b # c'",
        "environment": values,
        "stdout_logfile": str(out),
        "startsecs": 1,
    }
    assert host.single("running", "worker", section=section)["result"] is True
    assert host.call("tail", "worker") == str([*values.values()]) + " ['worker', '%(h)s', '50 %', 'a ; b # c']"
    assert out.exists()
    assert host.single("running", "worker", section=section)["changes"] == {}


def test_values_of_the_environment_are_never_shown(host):
    host.single("present", "worker", section={**SLEEP, "environment": {"TOKEN": "first"}})
    result = host.single("present", "worker", section={**SLEEP, "environment": {"TOKEN": "second"}})
    assert result["changes"]["config"]["program:worker"]["environment"] == {"old": "********", "new": "********"}
    assert "second" not in str(result)


def test_a_launched_program_has_its_secrets_in_its_environment_and_supervisor_knows_none(host, tmp_path_factory):
    file = tmp_path_factory.mktemp("etc") / "environment.json"
    file.write_text('{"SECRET_KEY": "hunter2 100%"}')
    section = {
        "command": f"{sys.executable} -I {TREE}/_utils/launch.py /bin/sleep 600",
        "environment": {"ENVIRONMENT_FILE": str(file)},
        "startsecs": 1,
    }
    results = [host.single("running", "worker", section=section) for _ in range(2)]
    process = Path(f"/proc/{host.pid('worker')}")
    assert (process / "cmdline").read_text().split("\0")[:2] == ["/bin/sleep", "600"]
    assert "SECRET_KEY=hunter2 100%" in (process / "environ").read_text().split("\0")
    known = [file.read_text() for file in host.supervisor.folder.rglob("*") if file.is_file()]
    known += [Path(f"/proc/{host.supervisor.process.pid}", name).read_text() for name in ("cmdline", "environ")]
    assert "hunter2" not in str([*results, *known])


def test_a_refused_file_is_taken_back_and_the_program_goes_on(host):
    host.single("running", "worker", section=SLEEP)
    before, pid = (host.supervisor.programs / "worker.conf").read_text(), host.pid("worker")
    result = host.single("present", "worker", section={**SLEEP, "user": "nobody-at-all"})
    assert (result["result"], result["changes"]) == (False, {})
    assert "nobody-at-all" in result["comment"] and "worker.conf" in result["comment"]
    assert ((host.supervisor.programs / "worker.conf").read_text(), host.pid("worker")) == (before, pid)
    assert host.single("present", "other", section={**SLEEP, "user": "nobody-at-all"})["result"] is False
    assert not (host.supervisor.programs / "other.conf").exists()


def test_a_folder_that_supervisor_does_not_read_is_an_error(host, tmp_path):
    host.where["folder"] = str(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    result = host.single("present", "worker", section=SLEEP)
    assert result["result"] is False and "Supervisor does not read" in result["comment"]
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_without_supervisor_a_test_run_foretells_and_a_real_run_fails_before_it_writes(bare_host):
    foretold = bare_host.single("running", "worker", section=SLEEP, test=True)
    assert foretold["result"] is None and foretold["changes"]["started"] == ["worker"]
    for function in ("present", "running"):
        result = bare_host.single(function, "worker", section=SLEEP)
        assert (result["result"], result["changes"]) == (False, {})
        assert "There is no Supervisor on" in result["comment"]
    assert list(bare_host.supervisor.programs.iterdir()) == []


def test_without_supervisor_nothing_runs_and_a_file_can_be_removed(bare_host):
    (bare_host.supervisor.programs / "worker.conf").write_text("[program:worker]\ncommand = /bin/sleep 600\n")
    stopped = bare_host.single("stopped", "worker")
    assert (stopped["result"], stopped["changes"]) == (True, {})
    assert bare_host.single("absent", "worker", test=True)["result"] is None
    assert bare_host.single("absent", "worker")["result"] is True
    assert bare_host.single("absent", "worker")["changes"] == {}


def test_a_stale_socket_is_an_error_that_says_what_to_do(host):
    host.supervisor.end(signal.SIGKILL)
    assert Path(host.supervisor.socket).exists()
    answers = [
        host.single("running", "worker", section=SLEEP),
        host.single("present", "worker", section=SLEEP),
        host.single("stopped", "worker"),
        host.single("absent", "worker"),
    ]
    for result in answers:
        assert result["result"] is False
        assert "(nobody listens: a stale socket): systemctl restart supervisor" in result["comment"]
    assert host.single("running", "worker", section=SLEEP, test=True)["result"] is None


def test_stopped_and_absent_change_once_and_foretell_it(host):
    host.single("running", "worker", section=SLEEP)
    for function, key in (("stopped", "stopped"), ("absent", "removed")):
        foretold = host.single(function, "worker", test=True)
        done = host.single(function, "worker")
        assert (foretold["result"], done["result"], done["changes"]) == (None, True, foretold["changes"])
        assert list(done["changes"]) == [key]
        assert host.single(function, "worker")["changes"] == {}
    assert (host.states(), list(host.supervisor.programs.iterdir())) == ({}, [])


def test_a_program_of_another_file_is_not_silently_left_behind(host):
    (host.supervisor.programs / "all.conf").write_text("[program:worker]\ncommand = /bin/sleep 600\n")
    host.call("configure", "other", SLEEP, folder=host.where["folder"])
    assert host.states().keys() == {"other"}
    result = host.single("absent", "worker")
    assert (result["result"], result["changes"]) == (True, {})
    host.single("running", "worker", section=SLEEP)
    result = host.single("absent", "worker")
    assert result["result"] is False and "in another file" in result["comment"]


def test_an_unknown_program_is_an_error_that_lists_the_known(host):
    host.single("running", "worker", section=SLEEP)
    result = host.single("running", "wroker")
    assert result["result"] is False
    assert result["comment"] == "Supervisor has no program 'wroker': it has worker"


def test_kill_ends_a_program_that_does_not_stop_and_its_children(host, tmp_path):
    script = f'trap "" TERM; (trap "" TERM; echo $BASHPID > {tmp_path}/child; while :; do sleep 1; done) & wait; wait'
    (tmp_path / "hangs").write_text(script)
    host.single("running", "worker", section={"command": f"/bin/bash {tmp_path}/hangs", "stopwaitsecs": 60})
    wait_until((tmp_path / "child").exists)
    with pytest.raises(Exception, match="worker still runs 1 s after it was asked to stop"):
        host.call("stop", "worker", timeout=1)
    began = time.monotonic()
    assert host.call("kill", "worker") == {"worker": "STOPPED"}
    assert time.monotonic() - began < 5
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not alive(child))


def alive(pid):
    try:
        os.kill(pid, 0)
        return not re.search(r"^State:\s+Z", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return False


WATCHING = """
worker-config:
  file.managed: [{{name: {path}}}, {{contents: '{contents}'}}]
worker:
  supervisor.running:
    - section: {{command: /bin/sleep 600, startsecs: 0}}
    - watch: [{{file: worker-config}}]
"""


def test_a_watched_change_restarts_once_and_test_mode_foretells_it(host, tmp_path):
    def run(contents, test=False):
        return host.apply(WATCHING.format(path=tmp_path / "worker.ini", contents=contents), test)[1]

    assert run("one")["changes"]["started"] == ["worker"]
    pid = host.pid("worker")
    foretold = run("two", test=True)
    assert (foretold["result"], foretold["changes"]) == (None, {"restarted": ["worker"]})
    assert host.pid("worker") == pid
    assert run("two")["changes"] == {"restarted": ["worker"]}
    assert host.pid("worker") != pid
    assert run("two")["changes"] == {}


def test_a_watch_does_not_make_salt_load_every_module(host, tmp_path, monkeypatch):
    loads = []
    load_all = salt.loader.lazy.LazyLoader._load_all
    monkeypatch.setattr(salt.loader.lazy.LazyLoader, "_load_all", lambda self: loads.append(self.tag) or load_all(self))
    for contents in ("one", "two"):
        results = host.apply(WATCHING.format(path=tmp_path / "worker.ini", contents=contents))
        assert all(result["result"] for result in results)
    assert loads == []


def test_a_restart_by_watch_does_not_hide_a_refused_configuration(host, tmp_path):
    text = WATCHING.format(path=tmp_path / "worker.ini", contents="{contents}")
    host.apply(text.replace("{contents}", "one"))
    pid = host.pid("worker")
    broken = text.replace("{contents}", "two").replace("startsecs: 0", "startsecs: soon")
    result = host.apply(broken)[1]
    assert result["result"] is False and "soon" in result["comment"]
    assert host.pid("worker") == pid


def test_the_examples_of_the_manual_work_in_their_order(host):
    page = (TREE / "docs" / "supervisor.md").read_text()
    for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        text = block.replace("supervisor.stopped\n", "supervisor.stopped: []\n")
        text = text.replace("supervisor.absent\n", "supervisor.absent: []\n")
        results = host.apply(text)
        assert [result["result"] for result in results] == [True] * len(results), results
        assert all(result["changes"] for result in results)
        assert not any(result["changes"] for result in host.apply(text))
    assert host.states() == {"nightly": "STOPPED", "shop:mail": "STOPPED", "shop:web": "RUNNING", "worker": "RUNNING"}


def test_the_commands_of_the_manual_work_in_their_order(host):
    host.single("running", "worker", section=SLEEP)
    host.single("running", "shop", kind="group", section={"programs": {"web": SLEEP, "mail": SLEEP}})
    page = (TREE / "docs" / "supervisor.md").read_text()
    (block,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    for line in block.splitlines():
        _salt, _host, function, *typed = shlex.split(line)
        arguments, keywords = salt.minion.load_args_and_kwargs(
            host.caller.sminion.functions[function], salt.utils.args.parse_input(typed), ignore_invalid=True
        )
        keywords = {key: value for key, value in keywords.items() if not key.startswith("__")}
        if function.split(".")[1] in ("pending", "configure", "remove"):
            keywords["folder"] = host.where["folder"]
        host.call(function.split(".")[1], *arguments, **keywords)
    assert host.states() == {"shop:mail": "STOPPED", "shop:web": "RUNNING"}
