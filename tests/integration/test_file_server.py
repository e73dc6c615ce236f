"""The master serves the tree's salt/ and nothing beside it, whatever a host asks for."""

from pathlib import Path

import pytest
from intruder import Intruder

# The first is there and given to everybody: it shows that the questions are right.
SERVED = "_modules/apps.py"
BESIDE = [
    "pillar/hosts.yaml",
    "pillar/secrets/shop.sls",
    "secrets/shop.sls",
    "../pillar/secrets/shop.sls",
    "_modules/../../pillar/secrets/shop.sls",
    "_modules/../../../pillar/secrets/shop.sls",
    "./../pillar/secrets/shop.sls",
    "|../pillar/secrets/shop.sls",
    "%2e%2e/pillar/secrets/shop.sls",
    "..\\pillar\\secrets\\shop.sls",
    "tests/integration/conftest.py",
    "../tests/integration/conftest.py",
    "/etc/hostname",
]
ENVIRONMENTS = ("base", "prod", "pillar", "__env__", "../pillar", "")


@pytest.fixture
def intruder(fleet):
    return Intruder(fleet.minions["web1"])


@pytest.mark.parametrize("path", BESIDE)
def test_a_host_does_not_get(fleet, intruder, path):
    folder = Path(fleet.master.config["pillar_roots"]["base"][-1]).parent
    for name in (path, str(folder / path.lstrip("/.|"))):
        for environment in ENVIRONMENTS:
            answer = intruder.ask("_serve_file", path=name, saltenv=environment, loc=0)
            assert not answer.get("data"), f"{name} of {environment!r}"


def test_a_host_gets_the_modules(intruder):
    assert "def specs" in intruder.ask("_serve_file", path=SERVED, saltenv="base", loc=0)["data"]


@pytest.mark.parametrize("path", BESIDE)
def test_a_host_is_not_told_whether_there_is(intruder, path):
    for command in ("_file_find", "_file_hash"):
        assert not any((intruder.ask(command, path=path, saltenv="base") or {"path": ""}).values()), command


def test_a_host_is_told_that_there_are_modules(intruder):
    assert intruder.ask("_file_hash", path=SERVED, saltenv="base")["hsum"]


@pytest.mark.parametrize("command", ["_file_list", "_file_list_emptydirs", "_dir_list", "_symlink_list"])
def test_no_list_of_files_names_the_pillar(intruder, command):
    for environment in ENVIRONMENTS:
        assert "secrets/" not in repr(intruder.ask(command, saltenv=environment)), environment
