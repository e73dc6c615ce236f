"""Where the hosts of a lab get their names and addresses from."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from lab import LabError, inventory  # noqa: E402

HOSTS = {"web1": "10.213.7.11", "db1": "10.213.7.21"}


@pytest.fixture
def pillar(tmp_path):
    lines = ["web1: {address: 10.213.7.11, roles: [app]}", "lb1: {address: 10.213.7.10, roles: [balancer, app]}"]
    (tmp_path / "hosts.yaml").write_text("\n".join(lines))
    return tmp_path


def test_the_addresses_come_from_the_inventory(pillar):
    assert inventory.read(pillar) == {"web1": "10.213.7.11", "lb1": "10.213.7.10"}


def test_hosts_are_found_by_their_role(pillar):
    assert inventory.with_role(pillar, "balancer") == ["lb1"]


def test_a_missing_inventory_is_one_sentence_that_names_the_file(tmp_path):
    with pytest.raises(LabError, match="hosts.yaml: there is no inventory"):
        inventory.read(tmp_path)


def test_the_master_is_added_as_number_two_of_the_network():
    assert inventory.place(HOSTS, "10.213.7") == {"master": "10.213.7.2", **HOSTS}


def test_another_prefix_keeps_the_last_number():
    assert inventory.place(HOSTS, "10.213.9")["db1"] == "10.213.9.21"


@pytest.mark.parametrize("hosts", [{"web1": "10.213.7.1"}, {"web1": "10.213.7.2"}, {"master": "10.213.7.5"}])
def test_what_belongs_to_the_lab_is_refused(hosts):
    with pytest.raises(LabError, match="belong to the lab"):
        inventory.place(hosts, "10.213.7")


def test_hosts_of_two_networks_are_refused():
    with pytest.raises(LabError, match="share their first three numbers"):
        inventory.network_of({"web1": "10.0.0.1", "web2": "10.0.1.1"})


def test_moving_a_pillar_changes_addresses_of_its_network_only():
    text = "url: git://10.213.7.2/shop.git, other: 110.213.7.2, 10.213.70.2, version 1.10.213.7.2"
    moved = "url: git://10.213.8.2/shop.git, other: 110.213.7.2, 10.213.70.2, version 1.10.213.7.2"
    assert inventory.moved(text, "10.213.7", "10.213.8") == moved


def test_minions_find_the_master_under_the_name_salt():
    assert "10.213.7.2 master.lab.test master salt\n" in inventory.hosts_file(inventory.place(HOSTS, "10.213.7"))


@pytest.mark.parametrize("name", ["Lab", "my-lab", "1lab", "elevenchars", ""])
def test_a_name_that_could_not_name_an_interface_is_refused(name):
    with pytest.raises(LabError, match="cannot name a lab"):
        inventory.check_name(name)


def test_the_longest_interface_name_still_fits_the_kernel():
    assert len(inventory.interface(inventory.check_name("tencharact"), "10.213.7.254")) <= 15
