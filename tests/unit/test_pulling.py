"""The program of slipway-pull.timer, as a real process, with a Salt that answers as the test wants."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pulling

PROGRAM = Path(pulling.__file__)
PULLED = 'pillar={"pulled": true}'
RUNNING = ['The function "state.highstate" is running as PID 77 and was started at 2026, Nov 26 with jid 2026']


def result(number, name, **more):
    return {"__id__": name, "__run_num__": number, "result": True, "changes": {}, "comment": "", **more}


CHANGED = {
    "b": result(1, "nginx-config", changes={"diff": "hunter2"}),
    "a": result(0, "host-packages"),
}
FAILED = {**CHANGED, "c": result(2, "shop-active", result=False, comment="its process ended")}


class Host:
    """A host with a salt-call that answers ``answer`` and writes down how it was called."""

    def __init__(self, folder):
        self.folder = folder
        self.answers({"local": CHANGED})
        self.salt_call = folder / "salt-call"
        self.salt_call.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" "" >>{folder}/called\ncat {folder}/answer\n')
        self.salt_call.chmod(0o755)

    def answers(self, answer):
        (self.folder / "answer").write_text(answer if isinstance(answer, str) else json.dumps(answer))

    def pull(self, *masters, alone="nginx,database.server"):
        argv = self.argv("-I", PROGRAM, *masters, alone=alone)
        return subprocess.run(argv, capture_output=True, text=True, timeout=30)

    def argv(self, option, program, *masters, alone="nginx,database.server"):
        options = [f"--salt-call={self.salt_call}", "--config-dir=/etc/salt", "--cache=/var/cache/salt/minion"]
        return [sys.executable, option, program, *options, f"--alone={alone}", *masters]

    def called(self):
        """The arguments of each call."""
        return [call.splitlines() for call in (self.folder / "called").read_text().split("\n\n") if call.strip()]


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.fixture
def master():
    """A port that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def gone():
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_the_whole_highstate_is_applied_where_the_master_is_reached(host, master):
    done = host.pull(master)
    options = ["--config-dir=/etc/salt", "--out=json", "--log-level=quiet"]
    assert host.called() == [[*options, "saltutil.sync_all"], [*options, "state.apply", PULLED]]
    assert done.returncode == 0, done.stderr


def test_one_of_several_masters_is_enough(host, gone, master):
    host.pull(gone, master)
    assert host.called()[-1][-2] == "state.apply"


def test_a_server_without_a_master_applies_its_highstate(host):
    host.pull()
    assert [call[-2] for call in host.called()] == ["state.apply"]


def test_without_its_master_a_host_applies_what_needs_no_release_and_no_secret_from_what_it_has_kept(host, gone):
    done = host.pull(gone)
    kept = ["--file-root=/var/cache/salt/minion/files/base", "--pillar-root=/var/cache/salt/minion/pillar"]
    (called,) = host.called()
    assert called[-5:] == ["--local", *kept, "state.sls", "nginx,database.server"]
    assert done.stdout.startswith(
        f"no master is reached ({gone}): nginx,database.server alone, the apps stay as they are\n"
    )


@pytest.mark.parametrize(
    ("function", "answer", "said"),
    [
        ("saltutil.sync_all", "", "ended with the exit code 1"),
        ("state.apply", '{"local": ["No matching sls found"]}', "No matching sls found"),
        ("state.apply", json.dumps({"local": FAILED}), "FAILED: shop-active: its process ended"),
    ],
)
def test_a_host_whose_master_goes_away_in_the_middle_goes_on_without_it(host, tmp_path, function, answer, said):
    code = f"""
import pathlib, socket, time
server = socket.create_server(("127.0.0.1", 0))
pathlib.Path({str(tmp_path)!r}, "port").write_text(str(server.getsockname()[1]))
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code]) as master:
        try:
            while not (tmp_path / "port").exists() or not (tmp_path / "port").read_text():
                assert master.poll() is None
            went = f"if [ $4 = {function} ]; then kill -9 {master.pid}; sleep 0.5; echo '{answer}'; exit 1; fi"
            first, calls, results = host.salt_call.read_text().splitlines()
            host.salt_call.write_text("\n".join([first, calls, went, results, ""]))
            done = host.pull(f"127.0.0.1:{(tmp_path / 'port').read_text()}")
        finally:
            master.kill()
    assert [call[3] for call in host.called()][-2:] == [function, "--local"]
    assert said in done.stdout[: done.stdout.index("the master went away meanwhile")]
    assert "no master is reached" in done.stdout
    assert "changed: nginx-config" in done.stdout
    assert done.returncode == 0


IMPATIENT = f"""
import sys
sys.path.insert(0, {str(PROGRAM.parent)!r})
import pulling
pulling.LOOK = 0.2
sys.exit(pulling.main(sys.argv[1:]))
"""


def test_salt_is_ended_where_it_waits_for_a_master_that_is_not_there(host, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        door = f"127.0.0.1:{server.getsockname()[1]}"
        first, calls, results = host.salt_call.read_text().splitlines()
        waits = f"if [ $4 = state.apply ]; then touch {tmp_path}/waits; exec sleep 60; fi"
        host.salt_call.write_text("\n".join([first, calls, waits, results, ""]))
        pull = subprocess.Popen(host.argv("-c", IMPATIENT, door), stdout=subprocess.PIPE, text=True)
        while not (tmp_path / "waits").exists():
            assert pull.poll() is None
        time.sleep(1)
        assert pull.poll() is None, "it is waited for as long as the master is there"
    told, _ = pull.communicate(timeout=20)
    assert "ended with the exit code -15\nthe master went away meanwhile\nno master is reached" in told
    assert "changed: nginx-config\ndone after" in told
    assert pull.returncode == 0


def test_what_has_changed_is_told_by_its_name_and_nothing_of_what_is_in_it(host):
    told = host.pull().stdout
    assert told.splitlines()[0] == "changed: nginx-config"
    assert told.splitlines()[1].startswith("done after ")
    assert "hunter2" not in told


def test_a_state_that_fails_is_told_with_its_reason_and_fails_the_pull(host):
    host.answers({"local": FAILED})
    done = host.pull()
    assert done.returncode == 1
    assert done.stdout.splitlines()[:2] == ["changed: nginx-config", "FAILED: shop-active: its process ended"]
    assert done.stdout.splitlines()[2].startswith("failed after ")


def test_a_host_at_another_state_run_is_left_to_it(host):
    host.answers({"local": RUNNING})
    done = host.pull()
    assert done.returncode == 0
    assert "the next pull sees to it" in done.stdout


@pytest.mark.parametrize("answer", [{"local": ["Pillar failed to render"]}, "Minion did not return", "", "[]", "{}"])
def test_an_answer_without_results_fails_the_pull_and_is_shown(host, answer):
    host.answers(answer)
    done = host.pull()
    assert done.returncode == 1
    assert done.stderr == ""
    words = "Pillar failed" if isinstance(answer, dict) else answer
    assert words in done.stdout
