"""The commands that a deploy runs around itself on a host: real processes, in a folder that stands for a release."""

import getpass
import sys

import pytest
from salt.exceptions import CommandExecutionError

SAY = "import os, sys; open(sys.argv[1], 'w').write(os.getcwd() + ' ' + os.environ['SLIPWAY_PHASE'])"


@pytest.fixture
def run(load, tmp_path):
    release = tmp_path / "release"
    programs = release / ".venv/bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    (tmp_path / "current").symlink_to(release)
    module = load("_modules/hooks.py")

    def run_command(*command, variables=None, **options):
        python = str(tmp_path / "current/.venv/bin/python")
        environment = {"SLIPWAY_PHASE": "after_deploy", **(variables or {})}
        return module.run(list(command), tmp_path / "current", python, getpass.getuser(), environment, **options)

    return run_command


def test_python_is_the_release_s_own_and_the_folder_the_release_itself(run, tmp_path):
    assert run("python", "-c", SAY, str(tmp_path / "said")).startswith("python -c 'import os")
    assert (tmp_path / "said").read_text() == f"{tmp_path}/release after_deploy"


def test_programs_of_the_venv_are_found_without_their_path(run, tmp_path):
    program = tmp_path / "release/.venv/bin/tea"
    program.write_text('#!/bin/sh\ntouch "$1"\n')
    program.chmod(0o755)
    run("tea", str(tmp_path / "made"))
    assert (tmp_path / "made").exists()


def test_no_shell_looks_at_the_arguments(run, tmp_path):
    run("touch", f"{tmp_path}/$HOME; id")
    assert (tmp_path / "$HOME; id").exists()


def test_a_command_that_fails_is_named_with_its_own_words_and_without_the_password_of_an_address(run):
    with pytest.raises(CommandExecutionError) as caught:
        run("sh", "-c", "echo 'no https://ann:tea4two@cache' >&2; exit 3")
    assert str(caught.value).startswith("sh -c ")
    assert "failed (exit code 3): no https://********@cache" in str(caught.value).splitlines()[-1]


def test_a_program_that_is_not_there_is_named(run):
    with pytest.raises(CommandExecutionError, match="No such file or directory: 'tae'"):
        run("tae")


def test_a_command_that_does_not_end_is_stopped(run):
    with pytest.raises(CommandExecutionError, match="sleep 60: no end after 0.2 seconds, so it was stopped"):
        run("sleep", "60", timeout=0.2)
