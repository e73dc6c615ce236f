"""The script that starts the active slots after a boot, with a supervisorctl that writes down what it is asked."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "salt/supervisor/start-active.sh"


@pytest.fixture
def boot(tmp_path):
    """``boot(shop="blue.sock")``: the programs that are started; ``silent`` is how often Supervisor does not answer."""

    def run(silent=0, **fronts):
        control, calls = tmp_path / "bin/supervisorctl", tmp_path / "calls"
        control.parent.mkdir()
        control.write_text(
            f"#!/bin/sh\necho $* >>{calls}\n[ $1 = start ] || [ $(grep -c pid {calls}) -gt {silent} ]\n",
            encoding="utf-8",
        )
        control.chmod(0o755)
        for app, target in fronts.items():
            (tmp_path / "srv" / app / "run").mkdir(parents=True)
            (tmp_path / "srv" / app / "run/web.sock").symlink_to(target)
        subprocess.run(["sh", SCRIPT, tmp_path / "srv"], env={"PATH": f"{control.parent}:/usr/bin:/bin"}, check=True)
        return calls.read_text(encoding="utf-8").splitlines()

    return run


def test_the_slot_that_has_the_traffic_is_started(boot):
    assert boot(shop="blue.sock") == ["pid", "start shop-blue"]


def test_each_app_is_started(boot):
    assert sorted(boot(shop="green.sock", blog="blue.sock")) == ["pid", "start blog-blue", "start shop-green"]


def test_an_app_without_a_release_is_left_alone(boot, tmp_path):
    (tmp_path / "srv/new/run").mkdir(parents=True)
    assert boot() == ["pid"]


def test_supervisor_is_waited_for(boot):
    assert boot(silent=2, shop="blue.sock") == ["pid", "pid", "pid", "start shop-blue"]
