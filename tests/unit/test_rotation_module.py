"""What a rotation asks an app's host."""

from unittest.mock import create_autospec

import pytest
from salt.exceptions import CommandExecutionError

import command

PILLAR = {
    "hosts": {"web1": {"address": "10.0.0.11", "roles": ["app"]}},
    "apps": {
        "shop": {
            "source": {"git": "ssh://git@git.example.com/shop.git"},
            "revision": "v1",
            "domains": ["shop.example.com"],
            "database": "none",
        }
    },
    "secrets": {"shop": {"deploy_key": ["the-new-one", "the-old-one"]}},
}
SERVED = {"slot": "blue", "release": "1a2b3c4d5e6f", "since": "now"}


@pytest.fixture
def rotation(load, tmp_path):
    module = load("_modules/rotation.py", pillar=PILLAR, grains={"id": "web1"})
    module.FOLDER = str(tmp_path)
    return module


@pytest.fixture
def git(monkeypatch, tmp_path):
    """``git(error)``: what git was started with, and what its key was then; with an error it is refused."""

    def stand_in(error=None):
        def run(argv, env=None, **how):
            [key] = tmp_path.iterdir()
            runs.append({"argv": argv, "env": env, "key": key.read_text(), "mode": oct(key.stat().st_mode)})
            if error:
                raise error
            return ""

        runs = []
        monkeypatch.setattr(command, "run", run)
        return runs

    return stand_in


def test_the_newest_deploy_key_is_tried_and_nothing_of_it_is_left(rotation, git, tmp_path):
    runs = git()
    assert rotation.try_deploy_key("shop") is True
    [run] = runs
    assert run["argv"][:3] == ["git", "ls-remote", "--quiet"]
    assert f"IdentityFile={tmp_path}/slipway-key-" in run["env"]["GIT_SSH_COMMAND"]
    assert (run["key"], run["mode"]) == ("the-new-one\n", "0o100600")
    assert "the-new-one" not in repr(run["argv"]) + repr(run["env"])
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_is_refused_is_told_in_the_words_of_git_and_nothing_of_it_is_left(rotation, git, tmp_path):
    git(CommandExecutionError("Permission denied (publickey)."))
    with pytest.raises(CommandExecutionError, match="Permission denied"):
        rotation.try_deploy_key("shop")
    assert list(tmp_path.iterdir()) == []


def test_a_host_says_what_serves_and_whether_it_has_read_the_files_as_they_are(load, rotation):
    slots, apps = load("_modules/slots.py"), load("_modules/apps.py")
    release = {"id": "1a2b3c4d5e6f", "path": "/srv/shop/releases/1a2b3c4d5e6f"}
    spec = {"slots": ["blue", "green"], "releases": [release], "paths": {"current": "/srv/shop/current"}}
    pending = create_autospec(slots.pending, return_value={"configuration": {}})
    rotation.__salt__ = {
        "apps.spec": create_autospec(apps.spec, return_value=spec | {"config_files": ["/etc/shop/secrets.json"]}),
        "slots.serving": create_autospec(slots.serving, return_value=SERVED),
        "slots.pending": pending,
    }
    assert rotation.serving("shop") == {**SERVED, "pending": {"configuration": {}}}
    files = ["/etc/shop/secrets.json"]
    pending.assert_called_once_with(["blue", "green"], "/srv/shop/current", *release.values(), files)
