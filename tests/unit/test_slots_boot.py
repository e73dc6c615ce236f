"""The scripts that start the active slots after a boot, with a supervisorctl and a systemctl that write down what they
are asked."""

import subprocess
from pathlib import Path

import pytest

SALT = Path(__file__).parents[2] / "salt"
SUPERVISOR, SYSTEMD = SALT / "supervisor/start-active.sh", SALT / "systemd/start-active.sh"


@pytest.fixture
def boot(tmp_path):
    """``boot(script, shop="blue.sock")``: what is called; ``silent`` is how often Supervisor does not answer."""
    programs = tmp_path / "programs"

    def run(script, silent=0, unknown=(), **doors):
        calls = tmp_path / "calls"
        (tmp_path / "bin").mkdir()
        programs.mkdir()
        for tool in ("supervisorctl", "systemctl"):
            control = tmp_path / "bin" / tool
            control.write_text(
                f"#!/bin/sh\necho $* >>{calls}\n[ $1 = start ] || [ $(grep -c pid {calls}) -gt {silent} ]\n",
                encoding="utf-8",
            )
            control.chmod(0o755)
        for app, door in doors.items():
            (tmp_path / "srv" / app / "run").mkdir(parents=True)
            (tmp_path / "srv" / app / "run/web").symlink_to(door)
            for suffix in () if app in unknown or door == "none" else (".conf", ".service"):
                (programs / f"{app}-{door.partition('.')[0]}{suffix}").touch()
        environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
        subprocess.run(["sh", script, tmp_path / "srv", programs], env=environment, check=True)
        return calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []

    return run


def test_the_slot_that_has_the_traffic_is_started(boot):
    assert boot(SUPERVISOR, shop="blue.sock") == ["pid", "start shop-blue"]


def test_the_unit_that_has_the_traffic_is_started(boot):
    assert boot(SYSTEMD, shop="green.map") == ["start --no-block shop-green.service"]


@pytest.mark.parametrize("script", [SUPERVISOR, SYSTEMD])
def test_each_app_is_started(boot, script):
    calls = [call for call in boot(script, shop="green.sock", blog="blue.sock") if call != "pid"]
    assert sorted(call.removesuffix(".service").split()[-1] for call in calls) == ["blog-blue", "shop-green"]


@pytest.mark.parametrize("script", [SUPERVISOR, SYSTEMD])
def test_an_app_without_a_release_is_left_alone(boot, script):
    assert "none" not in " ".join(boot(script, shop="none"))


@pytest.mark.parametrize("script", [SUPERVISOR, SYSTEMD])
def test_what_the_other_manager_runs_is_left_alone(boot, script):
    assert boot(script, unknown=("shop",), shop="blue.sock") in ([], ["pid"])


def test_supervisor_is_waited_for(boot):
    assert boot(SUPERVISOR, silent=2, shop="blue.sock") == ["pid", "pid", "pid", "start shop-blue"]
