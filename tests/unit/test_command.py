"""Programs are run without a shell, as whom we say, and fail with their own words."""

import os
import time

import pytest
from salt.exceptions import CommandExecutionError

import command

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def failure(*argv, **options):
    with pytest.raises(CommandExecutionError) as caught:
        command.run(list(argv), **options)
    return str(caught.value)


def test_the_standard_output_is_returned():
    assert command.run(["printf", "one\ntwo"]) == "one\ntwo"


def test_standard_input_is_passed_on():
    assert command.run(["cat"], stdin="secret") == "secret"


def test_the_environment_is_clean_but_for_what_was_given(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    names = {line.partition("=")[0] for line in command.run(["env"], env={"MINE": "1"}).splitlines()}
    assert names == {"PATH", "LANG", "HOME", "MINE"}


def test_no_shell_looks_at_the_arguments():
    assert command.run(["echo", "$HOME; ls"]) == "$HOME; ls\n"


def test_a_failure_carries_the_last_lines_of_the_tool():
    script = "for i in $(seq 100); do echo line $i >&2; done; exit 3"
    error = failure("sh", "-c", script, what="counting")
    assert error.startswith("counting failed (exit code 3): line 81")
    assert error.endswith("line 100")


def test_a_failure_that_wrote_to_standard_output_only_carries_that():
    assert failure("sh", "-c", "echo broken; exit 1").endswith("broken")


def test_passwords_in_addresses_do_not_reach_an_error():
    error = failure("sh", "-c", "echo fatal: https://me:p@ss@git.example.com/x.git ssh://git@host/y >&2; exit 128")
    assert "https://********@git.example.com/x.git ssh://git@host/y" in error


def test_what_was_given_in_the_environment_does_not_reach_an_error():
    assert "hunter2" not in failure("false", env={"PASSWORD": "hunter2"}, stdin="hunter2")


def test_a_missing_program_is_named():
    assert "no-such-program" in failure("no-such-program")


def test_an_unknown_user_is_named():
    assert failure("true", user="nobody-here") == "there is no user 'nobody-here' on this host"


def test_a_time_out_stops_the_children_too(tmp_path):
    mark = tmp_path / "mark"
    error = failure("sh", "-c", f"(sleep 0.5; touch {mark}) & sleep 30", timeout=0.2)
    assert "no end after 0.2 seconds" in error
    time.sleep(0.6)
    assert not mark.exists()


@root_only
def test_another_user_gets_his_own_identity_and_home():
    out = command.run(["sh", "-c", "id -un; id -G; echo $HOME; umask"], user="nobody").splitlines()
    assert out[0] == "nobody"
    assert "0" not in out[1].split()
    assert out[2] != "/root"
    assert out[3] == "0022"
