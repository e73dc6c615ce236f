"""The order in which hosts get a release."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import waves


def names(count):
    return [f"web{number}" for number in range(1, count + 1)]


def test_the_canary_goes_first_and_the_rest_in_waves():
    assert waves.waves(names(6), canary=["web1"], size=2) == [["web1"], ["web2", "web3"], ["web4", "web5"], ["web6"]]


def test_a_single_host_is_one_wave():
    assert waves.waves(names(1), canary=["web1"], size=1) == [["web1"]]


@pytest.mark.parametrize(
    ("canary", "there", "chosen"),
    [
        (["web1"], ["web2", "web3"], ["web2"]),
        (["web1", "web2"], ["web2", "web3"], ["web2", "web3"]),
        (["web3"], ["web1", "web3"], ["web3"]),
        (["web1", "web2"], ["web3"], ["web3"]),
    ],
)
def test_for_a_canary_that_is_off_another_host_goes_first(canary, there, chosen):
    assert waves.stand_ins(canary, there) == chosen


def test_without_a_canary_the_waves_begin_at_once():
    assert waves.waves(names(3), canary=[], size=2) == [["web1", "web2"], ["web3"]]


def test_a_canary_of_all_hosts_leaves_no_further_wave():
    assert waves.waves(names(2), waves.first(names(2), 5), size=1) == [["web1", "web2"]]


def test_a_canary_of_names_is_taken_from_among_the_others():
    canary = waves.first(names(5), ["web4", "web2"])
    assert waves.waves(names(5), canary, size=2) == [["web2", "web4"], ["web1", "web3"], ["web5"]]


@pytest.mark.parametrize(("wave", "size"), [(3, 3), ("25%", 3), ("1%", 1), ("100%", 10), ("99%", 10), ("21%", 3)])
def test_a_percentage_is_of_all_hosts_and_rounded_up(wave, size):
    assert waves.size(10, wave) == size


def test_a_long_group_is_counted_and_not_listed():
    assert waves.named(names(8)) == " + ".join(names(8))
    assert waves.named(names(1250)) == "web1 + web2 + ... (1250 hosts)"


def test_the_order_tells_the_seconds_between():
    assert waves.order([["web1"], ["web2", "web3"]]) == "web1, then web2 + web3"
    assert waves.order([["web1"], ["web2"]], between=60) == "web1, then after 60 s web2"


def test_many_waves_are_counted_and_not_listed():
    groups = waves.waves(names(5000), ["web1"], 5)
    assert waves.order(groups) == "web1, then web2 + web3 + web4 + web5 + web6, and so on in 1001 groups"
    steps = [{"id": f"activate-{number}", "hosts": hosts, "pauses": []} for number, hosts in enumerate(groups, 1)]
    told = waves.words(steps)
    assert len(told) == waves.LISTED + 1
    assert told["and so on to activate-1001"] == "4964 hosts"


@given(count=st.integers(1, 5000), data=st.data())
def test_every_host_is_in_exactly_one_wave_in_the_order_of_the_inventory(count, data):
    hosts = names(count)
    number, chosen = st.integers(1, 5001), st.lists(st.sampled_from(hosts), min_size=1, max_size=20, unique=True)
    wanted = data.draw(st.one_of(number, chosen))
    size = waves.size(count, data.draw(st.one_of(number, st.integers(1, 100).map("{}%".format))))
    groups = waves.waves(hosts, waves.first(hosts, wanted), size)
    assert sorted(host for group in groups for host in group) == sorted(hosts)
    places = {host: place for place, host in enumerate(hosts)}
    assert all(sorted(group, key=places.get) == group for group in groups)
    rest = [host for group in groups[1:] for host in group]
    assert sorted(rest, key=places.get) == rest
    assert groups[0] == (hosts[:wanted] if isinstance(wanted, int) else sorted(wanted, key=places.get))
    assert all(groups)
    assert all(len(group) == size for group in groups[1:-1])
    assert all(len(group) <= size for group in groups[1:])
