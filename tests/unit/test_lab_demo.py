"""What the demo reads from Salt's answer, and what it says about a machine that cannot hold a lab."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from lab import LabError, demo, needs  # noqa: E402


def step(number, name, result=True, hosts=()):
    returned = {"ret": dict.fromkeys(hosts, {})} if hosts else {}
    return {"__id__": name, "__run_num__": number, "result": result, "changes": returned, "duration": 1500}


def test_steps_are_in_the_order_in_which_they_ran():
    data = {"data": {"master_master": {"b": step(1, "second"), "a": step(0, "first")}}}
    assert [result["__id__"] for result in demo.steps_of(f"a warning\n{json.dumps(data)}")] == ["first", "second"]


@pytest.mark.parametrize("output", ["", "Traceback", '{"data": {"master_master": ["Rendering failed"]}}'])
def test_an_answer_without_steps_is_no_success(output):
    assert demo.steps_of(output) == []


def test_a_step_on_few_hosts_names_them():
    assert demo.line_of(step(0, "activate-1", hosts=["web1"])) == ("web1", "activate-1", 1.5)


def test_a_failed_step_says_so():
    assert demo.line_of(step(0, "migrate", result=False))[1] == "migrate FAILED"


def test_missing_programs_are_named_by_their_debian_package():
    assert needs.missing_packages(which=lambda program: program != "ip", find_module=bool) == ["iproute2"]


def test_a_missing_yaml_module_is_named_by_its_debian_package():
    assert needs.missing_packages(which=bool, find_module=lambda name: None) == ["python3-yaml"]


@pytest.mark.parametrize(("platform", "user", "reason"), [("darwin", 0, "needs Linux"), ("linux", 1000, "needs root")])
def test_a_machine_that_cannot_hold_a_lab_is_pointed_to_vagrant(monkeypatch, platform, user, reason):
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("os.geteuid", lambda: user)
    with pytest.raises(LabError, match=f"{reason}.*vagrant up"):
        needs.check_machine()
