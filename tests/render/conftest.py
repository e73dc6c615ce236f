"""Salt itself, in the test process: what a host of an inventory would do, without doing it."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import salt.client
import salt.config
import yaml

TREE = Path(__file__).parents[2]
sys.path.insert(0, str(TREE))
from tests.certificates import self_signed  # noqa: E402

INVENTORIES = sorted((Path(__file__).parent / "inventories").glob("*.yaml"))


def inventory(path):
    """The pillar of an inventory file, with a release of each app where the file has none."""
    pillar = yaml.safe_load(path.read_text(encoding="utf-8"))
    release = {"id": "1a2b3c4d5e6f", "commit": "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d", "revision": "v1"}
    pillar.setdefault("releases", dict.fromkeys(pillar["apps"], release))
    return pillar


HOSTS = [(path, host) for path in INVENTORIES for host in inventory(path)["hosts"]]


@pytest.fixture
def call(tmp_path):
    """``call(pillar, host, "state.apply", mock=True)``: a function of Salt as that host would run it."""
    return caller(tmp_path)


def caller(folder):
    """``call`` with its files in ``folder``."""

    def call_salt(pillar, host, function, *args, **kwargs):
        (folder / "pillar").mkdir(exist_ok=True)
        (folder / "pillar/top.sls").write_text("base: {'*': [all]}", encoding="utf-8")
        (folder / "pillar/all.sls").write_text(yaml.safe_dump(pillar), encoding="utf-8")
        return salt.client.Caller(mopts=_options(folder, host)).cmd(function, *args, **kwargs)

    return call_salt


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A folder with the certificate and key of shop.example.com, as certbot has one for each."""
    folder = tmp_path_factory.mktemp("shop.example.com")
    subprocess.run(self_signed(folder, "shop.example.com"), check=True, capture_output=True)
    return folder


def _options(folder, host):
    return salt.config.apply_minion_config(
        {
            "id": host,
            "root_dir": str(folder),
            "conf_file": str(folder / "minion"),
            "config_dir": str(folder),
            "cachedir": str(folder / "cache"),
            "pki_dir": str(folder / "pki"),
            "sock_dir": str(folder / "sock"),
            "extension_modules": str(folder / "extmods"),
            "log_file": str(folder / "log"),
            "file_client": "local",
            "file_roots": {"base": [str(TREE / "salt")]},
            "pillar_roots": {"base": [str(folder / "pillar")]},
            "module_dirs": [str(TREE)],
            "autoload_dynamic_modules": False,
            # What a host is does not depend on the machine of the tests.
            "grains": {"os": "Debian", "osrelease": "12", "num_cpus": 2, "id": host},
        }
    )


def pytest_unconfigure():
    # At exit Salt's handlers write what they have kept to streams that pytest has closed by then.
    logging.raiseExceptions = False
