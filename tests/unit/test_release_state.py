"""The states of releases say in test mode what they do without it."""

from unittest.mock import create_autospec

import pytest
from salt.exceptions import CommandExecutionError

STAGED = (
    "/srv/shop/releases/1a2b3c",
    {"kind": "git"},
    "1a2b3c",
    "mirror",
    "downloads",
    "venvs",
    "",
    "python3",
    "x",
    ["g"],
)
PRUNED = (
    "/srv/shop/releases", 5, "/srv/shop/slots", "/srv/shop/releases/1a2b3c", "/srv/shop/venvs", "/srv/shop/furnished",
)  # fmt: skip


@pytest.fixture
def releases(load):
    releases = create_autospec(load("_modules/releases.py"))
    releases.lacks.return_value, releases.missing_packages.return_value = "", []
    return releases


@pytest.fixture
def state(load, releases):
    names = ("lacks", "missing_packages", "stage", "prunable", "prune")

    def make(test):
        return load(
            "_states/release.py", salt={f"releases.{name}": getattr(releases, name) for name in names}, test=test
        )

    return make


@pytest.mark.parametrize("test", [True, False])
def test_a_release_that_is_ready_is_left_alone(state, releases, test):
    result = state(test).staged(*STAGED)
    assert (result["result"], result["changes"]) == (True, {})
    releases.stage.assert_not_called()


@pytest.mark.parametrize("lacking", ["release", "venv"])
def test_the_changes_foreseen_are_the_changes_made(state, releases, lacking):
    releases.lacks.return_value = lacking
    foreseen = state(True).staged(*STAGED)
    releases.stage.assert_not_called()
    made = state(False).staged(*STAGED)
    releases.stage.assert_called_once_with(*STAGED)
    assert (foreseen["result"], made["result"]) == (None, True)
    assert foreseen["changes"] == made["changes"] == {"staged": lacking}


def test_a_server_that_is_lacking_is_foreseen_and_added(state, releases):
    releases.missing_packages.return_value = ["g"]
    foreseen = state(True).staged(*STAGED)
    releases.stage.assert_not_called()
    made = state(False).staged(*STAGED)
    releases.stage.assert_called_once_with(*STAGED)
    assert (foreseen["result"], made["result"]) == (None, True)
    assert foreseen["changes"] == made["changes"] == {"packages": ["g"]}


def test_the_packages_of_a_venv_that_is_not_there_are_not_asked_about(state, releases):
    releases.lacks.return_value = "venv"
    releases.missing_packages.side_effect = CommandExecutionError("no venv")
    assert state(True).staged(*STAGED)["result"] is None


def test_a_release_that_cannot_be_staged_fails_without_changes(state, releases):
    releases.lacks.return_value = "release"
    releases.stage.side_effect = CommandExecutionError("no space left")
    result = state(False).staged(*STAGED)
    assert (result["result"], result["changes"], result["comment"]) == (False, {}, "no space left")


@pytest.mark.parametrize("test", [True, False])
def test_nothing_left_over_is_no_change(state, releases, test):
    releases.prunable.return_value = []
    assert state(test).pruned(*PRUNED)["changes"] == {}
    releases.prune.assert_not_called()


def test_what_is_left_over_is_removed_and_foreseen(state, releases):
    releases.prunable.return_value = releases.prune.return_value = ["/srv/shop/releases/0"]
    foreseen = state(True).pruned(*PRUNED, protect=("2",))
    releases.prune.assert_not_called()
    made = state(False).pruned(*PRUNED, protect=("2",))
    assert (foreseen["result"], made["result"]) == (None, True)
    assert foreseen["changes"] == made["changes"] == {"removed": ["/srv/shop/releases/0"]}
    releases.prune.assert_called_once_with(*PRUNED[:4], ["2"], *PRUNED[4:])
