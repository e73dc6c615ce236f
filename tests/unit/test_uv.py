"""uv is there in the version that was asked for, or as it was before."""

import os
import re
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

import command


@pytest.fixture
def pip(monkeypatch):
    """Processes that make a venv with uv in it, without the network."""
    monkeypatch.setattr(os, "sync", lambda: None)

    def run(argv, **_):
        if "venv" in argv:
            (argv[-1] / "bin").mkdir(parents=True)
            return
        version = argv[-1].removeprefix("uv==")
        (argv[0].parent / "uv").write_text(version)
        (argv[0].parents[1] / f"lib/python3.11/site-packages/uv-{version}.dist-info").mkdir(parents=True)

    monkeypatch.setattr(command, "run", run)


@pytest.fixture
def uv(load):
    return load("_modules/uv.py")


@pytest.fixture
def state(load, uv):
    return lambda test: load("_states/uv.py", salt={"uv.version": uv.version, "uv.install": uv.install}, test=test)


def test_a_missing_uv_is_foreseen_and_installed_once(state, tmp_path, pip):
    program = str(tmp_path / "opt/uv/bin/uv")
    foreseen = state(True).installed(program, "0.13.9")
    assert not (tmp_path / "opt").exists()
    made = state(False).installed(program, "0.13.9")
    assert (foreseen["result"], made["result"]) == (None, True)
    assert foreseen["changes"] == made["changes"] == {"uv": {"old": "", "new": "0.13.9"}}
    assert state(False).installed(program, "0.13.9")["changes"] == {}


def test_another_version_takes_the_place_of_the_one_before(uv, tmp_path, pip):
    uv.install("0.13.8", str(tmp_path / "uv"))
    uv.install("0.13.9", str(tmp_path / "uv"))
    assert uv.version(str(tmp_path / "uv")) == "0.13.9"
    assert [path.name for path in tmp_path.iterdir()] == ["uv"]


def test_a_failure_leaves_the_version_that_was_there(uv, state, tmp_path, pip, monkeypatch):
    uv.install("0.13.8", str(tmp_path / "uv"))

    def fail(*_, **__):
        raise CommandExecutionError("no network")

    monkeypatch.setattr(command, "run", fail)
    result = state(False).installed(str(tmp_path / "uv/bin/uv"), "0.13.9")
    assert (result["result"], result["changes"], result["comment"]) == (False, {}, "no network")
    assert uv.version(str(tmp_path / "uv")) == "0.13.8"
    assert [path.name for path in tmp_path.iterdir()] == ["uv"]


def test_a_folder_without_the_program_has_no_version(uv, tmp_path):
    (tmp_path / "lib/python3.11/site-packages/uv-0.13.9.dist-info").mkdir(parents=True)
    assert uv.version(str(tmp_path)) == ""


def test_salt_is_installed_with_the_uv_that_the_states_want():
    tree = Path(__file__).parents[2]
    wanted = re.search(r"- version: (\S+)", (tree / "salt/host/init.sls").read_text())[1]
    assert re.search(r"^uv=(\S+)$", (tree / "bin/salt").read_text(), re.MULTILINE)[1] == wanted
