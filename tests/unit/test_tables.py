"""Tables for people."""

import tables


def test_columns_keep_the_order_of_the_keys_and_are_as_wide_as_their_longest_cell():
    rows = [{"host": "web1", "release": "1a2b"}, {"host": "balancer1", "release": ""}]
    assert tables.table(rows) == "Host       Release\nweb1       1a2b\nbalancer1"


def test_no_row_is_a_sentence():
    assert tables.table([]) == "there is nothing to show"


ROW = {"host": "web1", "answer": "well"}


def test_people_get_rows_as_a_table(load):
    assert load("_output/rollout.py").output([ROW]) == "Host  Answer\nweb1  well"


def test_the_outcome_of_a_rollout_is_the_table_and_then_the_reason(load):
    output = load("_output/rollout.py").output
    assert output({"hosts": [ROW], "reason": "", "result": "done", "retcode": 0}) == "Host  Answer\nweb1  well"
    failed = {"hosts": [ROW], "reason": "web1 failed:\nImportError", "result": "failed", "retcode": 1}
    assert output(failed) == "Host  Answer\nweb1  well\nweb1 failed:\nImportError"
