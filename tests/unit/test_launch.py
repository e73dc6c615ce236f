"""A program that is started with an app's secrets in its environment, by a real process."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

import command
import launch

LAUNCHER = Path(launch.__file__)
SECRET = "hunter2 'ä' $HOME %s\nnext"
# What a process knows of itself: its number, its environment, its arguments.
TELL = "import json, os; print(json.dumps([os.getpid(), dict(os.environ), open('/proc/self/cmdline').read()]))"


@pytest.fixture
def variables(tmp_path):
    """The environment of an app's processes, with a file of exported values."""
    file = tmp_path / "environment.json"
    file.write_text(json.dumps({"SECRET_KEY": SECRET, "HOME": "/root"}))
    return {"HOME": "/srv/shop", "LANG": "C.UTF-8", "ENVIRONMENT_FILE": str(file)}


def start(variables, *program, **options):
    argv = [sys.executable, "-I", LAUNCHER, *program]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(argv, env=variables, text=True, **pipes, **options)


def told(process):
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    return json.loads(output)


def test_the_program_has_the_values_in_its_environment_and_nobody_has_them_in_arguments(variables):
    _, environment, arguments = told(start(variables, sys.executable, "-c", TELL))
    assert environment["SECRET_KEY"] == SECRET
    assert "hunter2" not in arguments


def test_what_the_deployment_sets_stays_as_it_is(variables):
    assert told(start(variables, sys.executable, "-c", TELL))[1]["HOME"] == "/srv/shop"


def test_the_program_takes_the_place_of_the_launcher(variables):
    process = start(variables, sys.executable, "-c", TELL)
    assert told(process)[0] == process.pid


def test_the_program_gets_arguments_and_input_as_they_are(variables):
    process = start(variables, sys.executable, "-", "a b", "--x=$HOME", "")
    output, _ = process.communicate("import sys; print(sys.argv[1:])", timeout=30)
    assert output == "['a b', '--x=$HOME', '']\n"


@pytest.fixture
def elsewhere(tmp_path, variables):
    """The launcher and its file where every user finds them, and Debian's Python, which every user may run."""
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    return ["/usr/bin/python3", "-I", shutil.copy(LAUNCHER, tmp_path)]


def run_as(user, *argv):
    return subprocess.run(argv, **command.identity(user), capture_output=True, text=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")
def test_the_environment_is_read_by_root_and_its_own_user_alone(variables, elsewhere):
    argv = [*elsewhere, "/bin/sh", "-c", "echo ready; read -r line"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(argv, env=variables, **command.identity("daemon"), **pipes)
    assert process.stdout.readline() == "ready\n"
    own, foreign = (run_as(user, "cat", f"/proc/{process.pid}/environ") for user in ("daemon", "nobody"))
    titles = run_as("nobody", "ps", "axww", "-o", "args").stdout
    process.communicate("\n", timeout=30)
    assert "hunter2" in own.stdout
    assert (foreign.stdout, foreign.returncode) == ("", 1)
    assert "read -r line" in titles
    assert "hunter2" not in titles


@pytest.mark.parametrize("text", ["", '{"SECRET_KEY": hunter2}'])
def test_a_file_that_is_broken_is_named_and_not_shown(variables, text):
    Path(variables["ENVIRONMENT_FILE"]).write_text(text)
    process = start(variables, sys.executable, "-c", TELL)
    _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert f"{variables['ENVIRONMENT_FILE']} cannot be read: " in errors
    assert "hunter2" not in errors


def test_a_file_that_is_missing_is_named(variables):
    Path(variables["ENVIRONMENT_FILE"]).unlink()
    _, errors = start(variables, sys.executable, "-c", TELL).communicate(timeout=30)
    assert errors == f"{variables['ENVIRONMENT_FILE']} cannot be read: No such file or directory\n"


def test_a_program_that_is_missing_is_named(variables):
    _, errors = start(variables, "/no/gunicorn").communicate(timeout=30)
    assert errors == "/no/gunicorn does not start: No such file or directory\n"


def test_any_python_from_3_8_on_can_run_it():
    ast.parse(LAUNCHER.read_text(), feature_version=(3, 8))


def test_a_command_of_a_deploy_has_the_values_in_its_environment_too(variables):
    output = command.run([sys.executable, "-c", TELL], env=variables)
    _, environment, arguments = json.loads(output)
    assert environment["SECRET_KEY"] == SECRET
    assert "hunter2" not in arguments


@pytest.mark.parametrize("text", [None, "hunter2"])
def test_a_command_of_a_deploy_whose_file_cannot_be_read_fails_and_shows_nothing(variables, text):
    file = Path(variables["ENVIRONMENT_FILE"])
    file.write_text(text) if text else file.unlink()
    with pytest.raises(CommandExecutionError, match="the check: ") as caught:
        command.run([sys.executable, "-c", TELL], env=variables, what="the check")
    assert "hunter2" not in str(caught.value)
