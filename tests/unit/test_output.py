"""What people read of the runner `rollout`."""

import pytest

ROW = {"host": "web1", "answer": "well"}


@pytest.fixture
def output(load):
    return load("_output/rollout.py").output


def test_columns_keep_the_order_of_the_keys_and_are_as_wide_as_their_longest_cell(output):
    rows = [{"host": "web1", "release": "1a2b"}, {"host": "balancer1", "release": ""}]
    assert output(rows) == "Host       Release\nweb1       1a2b\nbalancer1"


def test_no_row_is_a_sentence(output):
    assert output([]) == output({"hosts": [], "reason": ""}) == "there is nothing to show"


def test_the_outcome_of_a_rollout_is_the_table_and_then_the_reason(output):
    done = {"hosts": [ROW], "reason": "", "told": "", "result": "done", "retcode": 0}
    assert output(done) == "Host  Answer\nweb1  well"
    assert output({**done, "told": "no mail was sent"}) == "Host  Answer\nweb1  well\nno mail was sent"
    failed = {**done, "reason": "web1 failed:\nImportError", "result": "failed", "retcode": 1}
    assert output(failed) == "Host  Answer\nweb1  well\nweb1 failed:\nImportError"
    assert output({**failed, "hosts": []}) == "web1 failed:\nImportError"
