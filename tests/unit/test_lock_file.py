"""The lock of an app."""

import json
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from salt.exceptions import CommandExecutionError

import ledger_file
import lock_file


def acquire(folder, token="1", owner="ann", seconds=60):
    return lock_file.acquire(folder, "shop", token, owner, "deploy v1", seconds)


def test_a_free_lock_is_taken_and_shown(tmp_path):
    assert lock_file.show(tmp_path, "shop") == {}
    assert acquire(tmp_path) == {}
    lock = lock_file.show(tmp_path, "shop")
    assert (lock["owner"], lock["token"], lock["reason"], lock["expired"]) == ("ann", "1", "deploy v1", False)


def test_a_held_lock_is_refused_with_its_owner_and_the_way_out(tmp_path):
    acquire(tmp_path)
    with pytest.raises(CommandExecutionError) as refused:
        acquire(tmp_path, token="2", owner="bob")
    for words in ("ann", "deploy v1", "since 2", "expires at 2", "salt-run rollout.unlock shop"):
        assert words in str(refused.value)
    assert lock_file.is_held(tmp_path, "shop", "1")


def test_an_expired_lock_is_taken_over_and_its_owner_named(tmp_path):
    acquire(tmp_path, seconds=0)
    assert acquire(tmp_path, token="2", owner="bob")["owner"] == "ann"
    assert lock_file.is_held(tmp_path, "shop", "2")


def test_who_lost_the_lock_cannot_release_it(tmp_path):
    acquire(tmp_path, seconds=0)
    acquire(tmp_path, token="2")
    assert lock_file.release(tmp_path, "shop", "1") == {}
    assert lock_file.is_held(tmp_path, "shop", "2")


def test_the_owner_releases_it(tmp_path):
    acquire(tmp_path)
    assert lock_file.release(tmp_path, "shop", "1")["owner"] == "ann"
    assert lock_file.show(tmp_path, "shop") == {}


def test_of_many_who_ask_at_once_one_gets_it(tmp_path):
    acquire(tmp_path, token="stale", seconds=0)

    def try_it(number):
        try:
            acquire(tmp_path, token=str(number))
        except CommandExecutionError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(try_it, range(64))) == 1


def test_the_locks_of_two_apps_are_two(tmp_path):
    acquire(tmp_path)
    assert lock_file.acquire(tmp_path, "blog", "2", "bob", "deploy v1", 60) == {}


def test_a_damaged_lock_is_an_error_that_says_what_to_do(tmp_path):
    (tmp_path / "shop.lock").write_text("{")
    with pytest.raises(CommandExecutionError, match="remove it if nothing of shop is being deployed"):
        acquire(tmp_path)


def begin(folder, token="1"):
    release = {"id": "1a2b3c4d5e6f", "commit": "1a2b3c4d5e6f" + "0" * 28, "revision": "v1"}
    attempt = {"token": token, "who": "ann", "started": "2026-11-25T12:00:00+00:00", "release": release, "before": {}}
    ledger_file.begin(folder, "shop", attempt)


def test_a_rollout_is_at_work_while_its_process_lives_and_holds_the_lock(tmp_path):
    assert lock_file.rollouts(tmp_path) == {}
    begin(tmp_path)
    assert lock_file.rollouts(tmp_path) == {}
    acquire(tmp_path)
    assert lock_file.rollouts(tmp_path) == {"shop": "1a2b3c4d5e6f"}


def test_a_lock_by_hand_or_of_another_job_is_no_rollout(tmp_path):
    begin(tmp_path, token="0")
    acquire(tmp_path, token="1")
    assert lock_file.rollouts(tmp_path) == {}


def test_a_lock_whose_time_is_over_is_no_rollout(tmp_path):
    begin(tmp_path)
    acquire(tmp_path, seconds=-1)
    assert lock_file.rollouts(tmp_path) == {}


def test_a_rollout_whose_process_was_killed_is_over_at_once_and_the_next_is_told(tmp_path):
    begin(tmp_path)
    with ProcessPoolExecutor(1) as pool:
        pool.submit(acquire, tmp_path).result()
    assert lock_file.rollouts(tmp_path) == {}
    with pytest.raises(CommandExecutionError, match="its process has ended: salt-run rollout.unlock shop"):
        acquire(tmp_path, token="2")


def test_a_process_of_the_boot_before_is_none_of_now(tmp_path):
    acquire(tmp_path)
    file = tmp_path / "shop.lock"
    boot, rest = json.loads(file.read_text())["process"].split(" ", 1)
    file.write_text(file.read_text().replace(boot, "0" * len(boot)))
    assert lock_file.show(tmp_path, "shop")["dead"] is True
