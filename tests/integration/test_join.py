"""A new host joins a master with the configuration that we ship: each side by the fingerprint of the other."""

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import salt.config
import salt.crypt
from salt.utils.crypt import pem_finger

TREE = Path(__file__).parents[2]
NEW = "web2"
PUBLIC = """\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA2P46mi2xlOHRwur3M7zP
XzFkYqABO0OzuNqv9Jz81Gcz+GlU/vaG+q5RapCt91WMOgEecgkm0tjCLqL148Rz
koYSAGNIL9pFMYxvON7l51rPL2wmrdhzHpTwuesujSguOk0NXdMclj/gJ2rNOtJu
+aGI1WJJyPehFITVZitM7Jbpz3sF+LK7zaxFWDyyk6GkmaEsw9bpO2/K48E3BNSl
QLKgJv1YjAJLjEEx6oppGIeQ3Mr3fvfqLWOrleLPCOwUV3+AYOadEbveo8vPe0AK
c6b04SGwD6uOH76tmheSuSt8Vswsr2FJcZqCbJA6ZiNfy6VUFS58fe8CLceGw+uS
wwIDAQAB
-----END PUBLIC KEY-----
"""
FINGER = ":".join(["0f"] * 32)


class Host:
    """A new machine, as far as Salt needs one: its files are below ``folder``."""

    def __init__(self, folder, master):
        self.folder, self.master = folder, master
        self.config = folder / "etc/salt"
        self.programs = folder / "programs"
        self.process = None
        self.programs.mkdir(parents=True)
        # Everything but root's own rights and systemd is real.
        (self.programs / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>{folder}/systemctl\n')
        (self.programs / "systemctl").chmod(0o755)
        extra = {key: master.config[key] for key in ("publish_port", "user", "transport")}
        extra |= {"root_dir": str(folder), "master_port": master.config["ret_port"], "acceptance_wait_time": 1}
        lines = "".join(f"{key}: {value}\n" for key, value in extra.items())
        (self.config / "minion.d").mkdir(parents=True)
        (self.config / "minion.d/test.conf").write_text(lines)

    def make_key(self):
        """As the minion does when it first starts."""
        folder = self.config / "pki/minion"
        folder.mkdir(parents=True)
        private, public = salt.crypt.gen_keys(2048)
        (folder / "minion.pem").write_text(private)
        (folder / "minion.pub").write_text(public)

    def run(self, script):
        path = f"{self.programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "SLIPWAY_ETC": str(self.folder / "etc")}
        return subprocess.run(["sh"], input=script, env=environment, capture_output=True, text=True, timeout=60)

    def start(self):
        argv = [Path(sys.executable).parent / "salt-minion", "--config-dir", self.config, "--log-level=quiet"]
        self.process = subprocess.Popen(argv, start_new_session=True)

    def stop(self):
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def join(master, *arguments):
    """``bin/join`` on the master."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "SALT_CONFIG_DIR": str(master.config_dir)}
    argv = [sys.executable, TREE / "bin/join", *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=180)


def keys(master):
    """``{status: names}`` of the keys that the master has."""
    folder = Path(master.config["pki_dir"])
    return {status: sorted(file.name for file in (folder / status).glob("*")) for status in ("minions", "minions_pre")}


@pytest.fixture
def host(shipped, tmp_path):
    new = Host(tmp_path, shipped)
    yield new
    new.stop()
    for status in ("minions", "minions_pre", "minions_denied"):
        (Path(shipped.config["pki_dir"]) / status / NEW).unlink(missing_ok=True)


@pytest.fixture
def waiting(shipped, host):
    """A host on which the script ran and whose minion asks for the master; ``finger`` is what it has shown."""
    host.make_key()
    done = host.run(join(shipped, NEW, "--master", "127.0.0.1").stdout)
    assert done.returncode == 0, done.stderr
    host.finger = re.search(rf"bin/join {NEW} (\S+)", done.stdout)[1]
    host.start()
    return host


def test_a_host_joins_by_the_fingerprint_that_it_shows(shipped, waiting):
    done = join(shipped, NEW, waiting.finger)
    assert done.returncode == 0, done.stderr
    assert f"{NEW} has joined" in done.stdout
    assert keys(shipped) == {"minions": [NEW], "minions_pre": []}
    # Once more, as one does when the terminal was lost.
    assert join(shipped, NEW, waiting.finger.upper()).returncode == 0


def test_another_fingerprint_is_refused_and_the_key_goes_on_waiting(shipped, waiting):
    wrong = waiting.finger[:-1] + ("0" if waiting.finger[-1] != "0" else "1")
    done = join(shipped, NEW, wrong)
    assert done.returncode == 1
    assert "was not accepted: somebody else may use its name" in done.stderr
    assert keys(shipped) == {"minions": [], "minions_pre": [NEW]}


def test_a_host_that_the_inventory_does_not_know_is_refused(shipped):
    done = join(shipped, "web3", FINGER)
    assert (done.returncode, done.stdout) == (1, "")
    assert "web3: is not in pillar/hosts.yaml: add its line first, or did you mean web" in done.stderr


def test_the_host_knows_its_master_before_it_first_calls_it(shipped, host):
    host.make_key()
    host.run(join(shipped, NEW, "--master", "127.0.0.1").stdout)
    options = salt.config.minion_config(str(host.config / "minion"))
    public = host.config / "pki/minion/minion_master.pub"
    assert options["id"] == NEW and options["master"] == "127.0.0.1"
    assert options["master_finger"] == pem_finger(str(public))
    assert public.read_text().strip() == Path(shipped.config["pki_dir"], "master.pub").read_text().strip()
    assert stat.S_IMODE(public.parent.stat().st_mode) == 0o700


def test_the_host_gets_the_configuration_that_we_ship(shipped, host):
    host.make_key()
    host.run(join(shipped, NEW, "--master", "127.0.0.1").stdout)
    assert (host.config / "minion").read_text() == (TREE / "conf/minion.conf").read_text()
    unit = "salt-minion.service.d/private.conf"
    assert (host.folder / "etc/systemd/system" / unit).read_text() == (TREE / "conf" / unit).read_text()
    assert (host.folder / "systemctl").read_text().splitlines() == ["daemon-reload", "restart salt-minion"]


def test_a_host_that_trusts_another_master_is_left_as_it_is(shipped, host):
    known = host.config / "pki/minion/minion_master.pub"
    known.parent.mkdir(parents=True)
    known.write_text(PUBLIC)
    done = host.run(join(shipped, NEW, "--master", "127.0.0.1").stdout)
    assert done.returncode == 1
    assert "it trusts another master" in done.stderr
    assert not (host.config / "minion").exists() and known.read_text() == PUBLIC


def test_the_address_of_the_master_is_the_one_from_which_it_reaches_the_host(shipped):
    done = join(shipped, NEW)
    assert "master: '127.0.0.1'" in done.stdout
    assert f"bin/join {NEW} | ssh root@{NEW} sh" in done.stderr
