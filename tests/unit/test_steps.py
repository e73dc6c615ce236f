"""What an orchestration says of its steps."""

import pytest

import steps


def step(name, number, result, ret=None, comment=""):
    changes = {} if ret is None else {"out": "highstate", "ret": ret}
    return {"__id__": name, "__run_num__": number, "result": result, "changes": changes, "comment": comment}


def state(name, result, comment, number=0):
    return {"__id__": name, "__run_num__": number, "result": result, "comment": comment, "changes": {}}


def test_the_first_failed_step_is_the_reason():
    running = {"b": step("migrate", 2, False, comment="later"), "a": step("stage", 1, False, comment="no space left")}
    assert steps.failed(running) == {"step": "stage", "hosts": {}, "reason": "no space left"}


def test_the_reason_of_a_host_is_the_comment_of_its_failed_state():
    returned = {"x": state("shop-user", True, "fine"), "y": state("shop-active", False, "no answer", 1)}
    failure = steps.failed({"a": step("activate-1", 1, False, {"web1": returned})})
    assert steps.sentence(failure) == "web1 failed at the step activate-1: shop-active: no answer"


@pytest.mark.parametrize(
    ("returned", "hosts"),
    [
        (False, {"web1": "it did not answer"}),
        ("Minion did not return", {"web1": "Minion did not return"}),
        (["Rendering SLS failed"], {"web1": "Rendering SLS failed"}),
        ({"modules": ["modules.apps"]}, {}),
        (True, {}),
    ],
)
def test_whatever_a_host_returns_can_be_told(returned, hosts):
    assert steps.failed({"a": step("modules", 1, False, {"web1": returned})})["hosts"] == hosts


def test_the_migrations_that_ran_are_known_also_of_a_step_that_failed():
    applied = state("shop-migrated", False, "boom") | {"changes": {"applied": ["shop.0002", "shop.0003"]}}
    other = state("shop-user", True, "fine") | {"changes": {"uid": 1}}
    running = {"a": step("migrate", 1, False, {"web1": {"x": other, "y": applied}, "web2": False})}
    assert steps.applied(running) == ["shop.0002", "shop.0003"]
    assert steps.applied({}) == []


@pytest.mark.parametrize(
    ("result", "changes", "unsafe"),
    [(True, {}, {}), (True, {"unsafe": {"shop.0002": ["a"]}}, {"shop.0002": ["a"]}), (False, {}, None)],
)
def test_what_is_unsafe_is_known_where_it_was_examined(result, changes, unsafe):
    assert steps.unsafe({"a": step("examine", 1, result) | {"changes": changes}}) == unsafe
    assert steps.unsafe({}) is None


def test_a_long_reason_keeps_its_first_line_and_its_last_ones():
    comment = "\n".join(f"line {number}" for number in range(100))
    reason = steps.failed({"a": step("stage", 1, False, comment=comment)})["reason"].splitlines()
    assert (reason[0], reason[1], reason[-1], len(reason)) == ("line 0", "...", "line 99", steps.LINES + 1)


def test_a_host_is_busy_if_all_that_it_says_is_what_else_it_is_at():
    refused = 'The function "state.highstate" is running as PID 17 and was started at 2026 with jid 2026'
    assert steps.is_busy([refused])
    assert not steps.is_busy(["Rendering SLS 'base:app' failed: The function"])
    assert not any(steps.is_busy(returned) for returned in ([], {}, False, None, refused))
