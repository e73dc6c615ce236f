"""What a host of the lab is given before it boots, and that we ship what the lab runs on."""

import stat
import sys
from pathlib import Path

import pytest
import yaml

TREE = Path(__file__).parents[2]
sys.path.insert(0, str(TREE))
from lab import seed  # noqa: E402

SHIPPED = ("master", "minion", "masterless")
PLACED = {"master": "10.213.7.2", "web1": "10.213.7.11"}
# read by Salt, but missing in its list of options
UNLISTED = {"timeout", "pillar_dirs", "mine_get", "beacons"}


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seed")
    layers = {name: folder / name for name in PLACED}
    (folder / "keys").mkdir()
    seed.plant(layers, PLACED, folder / "keys", other_pillar=False)
    return layers


def test_every_minion_is_accepted_with_the_key_that_it_has(layers):
    for name, layer in layers.items():
        accepted = layers["master"] / "etc/salt/pki/master/minions" / name
        assert accepted.read_text() == (layer / "etc/salt/pki/minion/minion.pub").read_text()


def test_every_minion_knows_the_master_by_its_key(layers):
    master = (layers["master"] / "etc/salt/pki/master/master.pub").read_text()
    assert all((layer / "etc/salt/pki/minion/minion_master.pub").read_text() == master for layer in layers.values())


def test_private_keys_are_for_root_alone(layers):
    keys = [key for layer in layers.values() for key in layer.rglob("*.pem")]
    assert len(keys) == 3
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o400}


def test_no_host_but_the_master_is_given_a_master(layers):
    assert not (layers["web1"] / "etc/salt/master").exists()


@pytest.mark.parametrize("what", ["master", "minion"])
def test_the_lab_runs_on_exactly_the_configuration_that_we_ship(layers, what):
    assert (layers["master"] / "etc/salt" / what).read_text() == (TREE / f"conf/{what}.conf").read_text()


@pytest.mark.parametrize("what", SHIPPED)
def test_every_option_that_we_ship_is_one_of_salts(what):
    from salt.config import VALID_OPTS

    assert set(yaml.safe_load((TREE / f"conf/{what}.conf").read_text())) - UNLISTED <= set(VALID_OPTS)


@pytest.mark.parametrize("what", SHIPPED)
def test_every_option_that_we_ship_has_its_reason_above(what):
    paragraphs = (TREE / f"conf/{what}.conf").read_text().split("\n\n")
    options = [lines for lines in paragraphs if not all(line.startswith("#") for line in lines.splitlines())]
    assert len(options) > 5
    assert [lines for lines in options if not lines.startswith("# ")] == []


def test_a_secret_that_cannot_be_decrypted_never_passes_for_one():
    assert yaml.safe_load((TREE / "conf/master.conf").read_text())["gpg_decrypt_must_succeed"] is True


def test_no_minion_shares_a_key_with_another_and_what_the_master_says_is_signed():
    master, minion = (yaml.safe_load((TREE / f"conf/{what}.conf").read_text()) for what in ("master", "minion"))
    assert master["minimum_auth_version"] >= 3
    assert master["sign_pub_messages"] and minion["sign_pub_messages"]
    assert master["signing_algorithm"] == minion["signing_algorithm"] == master["publish_signing_algorithm"]


def test_no_job_of_salts_own_scheduler_is_left_on_a_minion():
    minion = yaml.safe_load((TREE / "conf/minion.conf").read_text())
    assert minion["mine_enabled"] is False
    assert "schedule" not in minion


def test_the_master_hands_what_a_host_tells_of_a_process_to_one_function_and_makes_no_template_of_it():
    master = yaml.safe_load((TREE / "conf/master.conf").read_text())
    ((event, files),) = [item for entry in master["reactor"] for item in entry.items()]
    assert event == "salt/beacon/*/processes/*"
    (file,) = files
    reaction = {"data": {"host": "{{ boom }}"}}
    exec((TREE / file.removeprefix("/srv/slipway/")).read_text().removeprefix("#!py\n"), reaction)
    assert reaction["run"]() == {"died": {"runner.rollout.died": [{"args": [{"told": {"host": "{{ boom }}"}}]}]}}


def test_a_minion_looks_for_processes_that_died_by_the_beacon_of_this_tree():
    minion = yaml.safe_load((TREE / "conf/minion.conf").read_text())
    assert [name for name in minion["beacons"] if not (TREE / f"salt/_beacons/{name}.py").exists()] == []
