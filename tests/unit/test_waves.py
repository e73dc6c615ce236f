"""The order in which hosts get a release."""

from hypothesis import given
from hypothesis import strategies as st

import waves


def names(count):
    return [f"web{number}" for number in range(1, count + 1)]


def test_the_canary_goes_first_and_the_rest_in_waves():
    assert waves.waves(names(6), canary=1, size=2) == [["web1"], ["web2", "web3"], ["web4", "web5"], ["web6"]]


def test_a_single_host_is_one_wave():
    assert waves.waves(names(1), canary=1, size=1) == [["web1"]]


def test_without_a_canary_the_waves_begin_at_once():
    assert waves.waves(names(3), canary=0, size=2) == [["web1", "web2"], ["web3"]]


def test_a_canary_of_all_hosts_leaves_no_further_wave():
    assert waves.waves(names(2), canary=5, size=1) == [["web1", "web2"]]


@given(st.integers(1, 5000), st.integers(0, 5001), st.integers(1, 5001))
def test_every_host_is_in_exactly_one_wave_in_the_order_of_the_inventory(count, canary, size):
    groups = waves.waves(names(count), canary, size)
    assert [host for group in groups for host in group] == names(count)
    assert all(groups)
    assert all(len(group) <= size for group in groups[1:])
