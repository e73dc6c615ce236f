"""
The configuration that we ship: a new host joins the master, each side by the fingerprint of the other, and the secrets
that it gets lie nowhere in clear but with itself.
"""

import hashlib
import json
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
        # As systemd does before it starts the minion (conf/salt-minion.service.d).
        self.cache = folder / "var/cache/salt/minion"
        self.cache.mkdir(parents=True)
        self.cache.chmod(0o700)

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
def host(shipped_master, tmp_path):
    new = Host(tmp_path, shipped_master)
    yield new
    new.stop()
    for status in ("minions", "minions_pre", "minions_denied"):
        (Path(shipped_master.config["pki_dir"]) / status / NEW).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def script(shipped_master):
    """What ``bin/join`` prints for the new host."""
    done = join(shipped_master, NEW, "--master", "127.0.0.1")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def waiting(script, host):
    """A host on which the script ran and whose minion asks for the master; ``finger`` is what it has shown."""
    host.make_key()
    done = host.run(script)
    assert done.returncode == 0, done.stderr
    host.finger = re.search(rf"bin/join {NEW} (\S+)", done.stdout)[1]
    host.start()
    return host


def test_a_host_joins_by_the_fingerprint_that_it_shows(shipped_master, waiting):
    done = join(shipped_master, NEW, waiting.finger)
    assert done.returncode == 0, done.stderr
    assert f"{NEW} has joined" in done.stdout
    assert keys(shipped_master) == {"minions": [NEW], "minions_pre": []}
    # Once more, as one does when the terminal was lost.
    assert join(shipped_master, NEW, waiting.finger.upper()).returncode == 0


def test_another_fingerprint_is_refused_and_the_key_goes_on_waiting(shipped_master, waiting):
    wrong = waiting.finger[:-1] + ("0" if waiting.finger[-1] != "0" else "1")
    done = join(shipped_master, NEW, wrong)
    assert done.returncode == 1
    assert "was not accepted: somebody else may use its name" in done.stderr
    assert keys(shipped_master) == {"minions": [], "minions_pre": [NEW]}


def test_a_host_that_the_inventory_does_not_know_is_refused(shipped_master):
    done = join(shipped_master, "web3", FINGER)
    assert (done.returncode, done.stdout) == (1, "")
    assert "web3: is not in pillar/hosts.yaml: add its line first, or did you mean web" in done.stderr


def test_the_host_knows_its_master_before_it_first_calls_it(shipped_master, script, host):
    host.make_key()
    host.run(script)
    options = salt.config.minion_config(str(host.config / "minion"))
    public = host.config / "pki/minion/minion_master.pub"
    assert options["id"] == NEW and options["master"] == "127.0.0.1"
    assert options["master_finger"] == pem_finger(str(public))
    assert public.read_text().strip() == Path(shipped_master.config["pki_dir"], "master.pub").read_text().strip()
    assert stat.S_IMODE(public.parent.stat().st_mode) == 0o700


def test_the_host_gets_the_configuration_that_we_ship(script, host):
    host.make_key()
    host.run(script)
    assert (host.config / "minion").read_text() == (TREE / "conf/minion.conf").read_text()
    unit = "salt-minion.service.d/slipway.conf"
    assert (host.folder / "etc/systemd/system" / unit).read_text() == (TREE / "conf" / unit).read_text()
    called = (host.folder / "systemctl").read_text().splitlines()
    assert called == ["daemon-reload", "enable --quiet salt-minion", "restart salt-minion"]


def test_a_host_that_trusts_another_master_is_left_as_it_is(script, host):
    known = host.config / "pki/minion/minion_master.pub"
    known.parent.mkdir(parents=True)
    known.write_text(PUBLIC)
    done = host.run(script)
    assert done.returncode == 1
    assert "it trusts another master" in done.stderr
    assert not (host.config / "minion").exists() and known.read_text() == PUBLIC


def test_the_address_of_the_master_is_the_one_from_which_it_reaches_the_host(shipped_master):
    done = join(shipped_master, NEW)
    assert "master: '127.0.0.1'" in done.stdout
    assert f"bin/join {NEW} | ssh root@{NEW} sh" in done.stderr


VALUE = "hunter2-of-the-shop"
FETCHED = "{{ salt['sdb.get']('sdb://store/shop', strict=True) | json }}"


class Joined:
    """A host that has joined, and what its master knows of secrets."""

    def __init__(self, host, master):
        self.host, self.master = host, master
        self.pillar = Path(master.config["pillar_roots"]["base"][0])
        self.keys = Path(master.config_dir, "gpgkeys")

    def secrets(self, *arguments, value=""):
        """``bin/secrets`` on the master."""
        argv = [sys.executable, TREE / "bin/secrets", "--pillar", self.pillar, "--keys", self.keys, *arguments]
        done = subprocess.run(argv, input=value, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def call(self, function, *arguments):
        return self.master.salt_cli(timeout=60).run(function, *arguments, minion_tgt="web1").data

    def digest(self):
        """Of the value that states and templates get on the host: the value itself would lie in the job cache."""
        self.call("saltutil.refresh_pillar", "wait=True")
        text = "{{ pillar.get('secrets', {}).get('shop', {}).get('SECRET_KEY', 'none') | sha256 }}"
        return self.call("slsutil.renderer", f"string={text}", "default_renderer=jinja")


@pytest.fixture(scope="module")
def joined(shipped_master, tmp_path_factory):
    host = Host(tmp_path_factory.mktemp("web1"), shipped_master)
    host.make_key()
    done = host.run(join(shipped_master, "web1", "--master", "127.0.0.1").stdout)
    host.start()
    assert join(shipped_master, "web1", re.search(r"bin/join web1 (\S+)", done.stdout)[1]).returncode == 0
    joined = Joined(host, shipped_master)
    joined.call("saltutil.sync_all")
    joined.secrets("init")
    yield joined
    host.stop()


@pytest.fixture
def encrypted(joined):
    """The host, with secrets that only the master's key reads."""
    for file in (joined.pillar / "secrets").glob("*.sls"):
        file.unlink()
    joined.secrets("set", "shop", "SECRET_KEY", value=VALUE)
    joined.secrets("set", "shop", "database_password", value=VALUE)
    return joined


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def files_with(text, folder):
    """The files below a folder that hold a text."""
    return [file for file in folder.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]


def test_an_encrypted_secret_reaches_the_host_in_clear(encrypted):
    assert encrypted.digest() == digest(VALUE)


def test_the_master_keeps_no_secret_in_clear_and_its_cache_to_itself(encrypted):
    encrypted.digest()
    cache = Path(encrypted.master.config["cachedir"])
    assert files_with("jid", cache)
    assert files_with(VALUE, cache) + files_with(VALUE, Path(encrypted.master.config["root_dir"])) == []
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_the_host_keeps_its_cache_to_itself(encrypted):
    encrypted.call("state.show_highstate")
    assert stat.S_IMODE(encrypted.host.cache.stat().st_mode) == 0o700


def test_a_host_whose_secrets_the_master_cannot_read_says_so_before_a_deploy(encrypted):
    moved = encrypted.keys.with_name("elsewhere")
    encrypted.keys.rename(moved)
    try:
        assert encrypted.digest() == digest("none")
        report = encrypted.call("preflight.report", "shop")
    finally:
        moved.rename(encrypted.keys)
    assert any("its pillar is not complete: Rendering SLS 'secrets.shop' failed" in line for line in report["problems"])
    assert encrypted.digest() == digest(VALUE)


def test_a_secret_from_a_store_reaches_the_host(encrypted):
    (store,) = encrypted.master.config["store"]["files"]
    odd = 'it\'s "odd": {{ x }} # %'
    Path(store).write_text(json.dumps({"shop": odd}))
    (encrypted.pillar / "secrets/shop.sls").write_text(f"secrets:\n  shop:\n    SECRET_KEY: {FETCHED}\n")
    assert encrypted.digest() == digest(odd)


@pytest.mark.parametrize(
    "value", ["{{ salt['sdb.get']('sdb://store/other', strict=True) | json }}", "sdb://store/shop"]
)
def test_a_secret_that_the_store_has_not_is_no_secret(encrypted, value):
    (encrypted.pillar / "secrets/shop.sls").write_text(f"secrets:\n  shop:\n    SECRET_KEY: {value}\n")
    encrypted.digest()
    assert "secrets:shop:SECRET_KEY: " in str(encrypted.call("apps.specs"))


def test_a_store_that_the_master_does_not_know_is_an_error_of_the_pillar(encrypted):
    unknown = FETCHED.replace("store", "stroe")
    (encrypted.pillar / "secrets/shop.sls").write_text(f"secrets:\n  shop:\n    SECRET_KEY: {unknown}\n")
    assert encrypted.digest() == digest("none")
    assert "not complete" in str(encrypted.call("preflight.report", "shop"))
