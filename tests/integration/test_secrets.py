"""Secrets at rest with a real GnuPG and a real compilation of the pillar by Salt."""

import contextlib
import os
import pty
import select
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import salt.config
import salt.pillar

TREE = Path(__file__).parents[2]
VALUE = "hunter2 #{{ 'x' }} \"é\" %"
NOBODY = 65534
DEPLOY_KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\nBBBB\n-----END OPENSSH PRIVATE KEY-----\n"


class Site:
    """A master's configuration folder, and a pillar whose secrets are encrypted for it."""

    def __init__(self, folder):
        self.folder, self.keys, self.pillar = folder, folder / "salt/gpgkeys", folder / "pillar"
        self.keys.parent.mkdir(parents=True)
        shutil.copytree(TREE / "pillar", self.pillar)
        shutil.rmtree(self.pillar / "secrets")

    def run(self, *arguments, value=""):
        argv = [sys.executable, TREE / "bin/secrets", "--pillar", self.pillar, "--keys", self.keys, *arguments]
        return subprocess.run(argv, input=value, capture_output=True, text=True, timeout=60)

    def do(self, *arguments, value=""):
        done = self.run(*arguments, value=value)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments, value=""):
        done = self.run(*arguments, value=value)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        return done.stderr + done.stdout

    def text(self, name):
        return (self.pillar / "secrets" / name).read_text()

    def compiled(self, id="web1", **more):
        """The pillar of a minion as a master with this keyring makes it."""
        opts = salt.config.master_config(None)
        opts.update(root_dir=str(self.folder), cachedir=str(self.folder / "cache"), gpg_keydir=str(self.keys))
        opts.update(file_roots={"base": [str(self.folder)]}, pillar_roots={"base": [str(self.pillar)]}, id=id, **more)
        opts.update(__role="master", extension_modules=str(self.folder / "modules"), module_dirs=[str(TREE)])
        return salt.pillar.get_pillar(opts, {"id": id}, id, "base").compile_pillar()

    def keyring(self):
        listed = ["gpg", "--homedir", self.keys, "--with-colons", "--list-secret-keys"]
        return subprocess.run(listed, capture_output=True, text=True).stdout.count("sec:")


@contextlib.contextmanager
def new_site():
    # Not in pytest's own folder: GnuPG has its sockets there, whose paths must be short.
    with tempfile.TemporaryDirectory(prefix="sec-") as folder:
        yield (site := Site(Path(folder)))
        subprocess.run(["gpgconf", "--homedir", site.keys, "--kill", "gpg-agent"], check=True)


@pytest.fixture
def empty():
    """A master that has no key yet."""
    with new_site() as site:
        yield site


@pytest.fixture
def site():
    """A master with its key, and a pillar with no secret yet."""
    with new_site() as site:
        site.do("init")
        yield site


def test_the_key_of_the_master_is_for_the_master_alone(empty):
    said = empty.do("init")
    assert stat.S_IMODE(empty.keys.stat().st_mode) == 0o700
    assert "--export-secret-keys" in said
    assert "BEGIN PGP PUBLIC KEY BLOCK" in empty.text("public.asc")


def test_a_second_run_keeps_the_key(empty):
    empty.do("init")
    before = empty.text("public.asc")
    assert "already" in empty.do("init")
    assert (empty.text("public.asc"), empty.keyring()) == (before, 1)


def test_a_public_key_that_was_lost_is_written_again(site):
    before = site.text("public.asc")
    (site.pillar / "secrets/public.asc").unlink()
    site.do("init")
    assert site.text("public.asc") == before


def test_a_master_without_the_private_key_makes_no_second_one(site, empty):
    (empty.pillar / "secrets").mkdir()
    shutil.copy(site.pillar / "secrets/public.asc", empty.pillar / "secrets")
    said = empty.refused("init")
    assert "is not in" in said and "backup" in said
    assert empty.keyring() == 0


def test_the_keyring_belongs_to_the_user_of_the_master(empty):
    if os.getuid():
        pytest.skip("only root can become another user")
    pki = empty.keys.parent / "pki/master"
    pki.mkdir(parents=True)
    empty.folder.chmod(0o755)
    for path in (empty.keys.parent, pki):
        os.chown(path, NOBODY, NOBODY)
    empty.do("init")
    assert {path.lstat().st_uid for path in (empty.keys, *empty.keys.rglob("*"))} == {NOBODY}


def test_there_is_no_key_where_there_is_no_master(empty):
    shutil.rmtree(empty.keys.parent)
    assert "run this on the master" in empty.refused("init")


@pytest.mark.parametrize("value", [VALUE, "#", DEPLOY_KEY, "one\n\n  two\n", "x" * 5000])
def test_what_was_encrypted_reaches_the_host_as_it_was(site, value):
    site.do("set", "shop", "API_KEY", value=value)
    # The renderer cuts newlines at the end; who writes a key file puts one there.
    assert site.compiled()["secrets"]["shop"]["API_KEY"] == value.rstrip("\n")


@pytest.mark.parametrize("service", ["database", "cache"])
def test_the_password_of_a_service_reaches_the_hosts_that_need_it(site, service):
    site.do("set", "shop", f"{service}_password", value=VALUE)
    site.do("set", "shop", "SECRET_KEY", "--generate", "50")
    for host in ("web1", "db1"):
        assert site.compiled(host)["passwords"] == {service: {"shop": VALUE}}
    assert "secrets" not in site.compiled("db1")


def test_a_random_value_is_long_different_each_time_and_never_shown(site):
    found = set()
    for _ in range(2):
        said = site.do("set", "shop", "SECRET_KEY", "--generate", "50")
        site.do("set", "shop", "database_password", "--generate", "50")
        value = site.compiled()["secrets"]["shop"]["SECRET_KEY"]
        assert len(value) == 50 and value.isalnum() and value not in said
        found.add(value)
    assert len(found) == 2


def test_a_value_is_asked_for_twice_and_not_shown(site):
    shown, code = typed(site, ["hunter2", "hunter2"])
    assert code == 0
    assert "SECRET_KEY again: " in shown and "hunter2" not in shown
    shown, code = typed(site, ["hunter2", "hunter3"])
    assert code == 1
    assert "the two are not the same" in shown


def typed(site, answers):
    """What a terminal shows while a value is set, and the exit code."""
    argv = [sys.executable, str(TREE / "bin/secrets"), "--pillar", str(site.pillar), "set", "shop", "SECRET_KEY"]
    pid, terminal = pty.fork()
    if not pid:
        os.execv(argv[0], argv)
    shown, end = "", time.monotonic() + 30
    while time.monotonic() < end:
        try:
            shown += os.read(terminal, 1024).decode() if select.select([terminal], [], [], 1)[0] else ""
        except OSError:
            break
        if answers and shown.endswith(": "):
            os.write(terminal, f"{answers.pop(0)}\n".encode())
    os.close(terminal)
    return shown, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_no_value_is_in_an_argument_or_the_environment_of_a_program(site, tmp_path, monkeypatch):
    seen = tmp_path / "seen"
    spy = tmp_path / "gpg"
    spy.write_text(f'#!/bin/sh\necho "$@" >>{seen}\nenv >>{seen}\nexec {shutil.which("gpg")} "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    site.do("set", "shop", "SECRET_KEY", value="hunter2")
    site.do("rekey")
    assert "--encrypt" in seen.read_text()
    assert "hunter2" not in seen.read_text()


WRONG = [
    (("shpo", "SECRET_KEY"), "x", "APP=shpo: there is no such app in pillar/apps: did you mean 'shop'?"),
    (("", "SECRET_KEY"), "x", "APP=: there is no such app"),
    (("shop", ""), "x", "KEY=: is no name of a variable"),
    (("shop", "DATABASE_URL"), "x", "KEY=DATABASE_URL: is made by Slipway"),
    (("shop", "SECRET_KEY"), "", "KEY=SECRET_KEY: the value is no text"),
    (("shop", "database_password"), "hunter2\nhunter3", "KEY=database_password: the value is no text: write one line"),
    (("shop", "SECRET_KEY", "--generate", "8"), "", "GENERATE=8: write a number from 20 to 255"),
    (("shop", "SECRET_KEY", "--generate", "0"), "", "GENERATE=0: write a number from 20 to 255"),
    (("shop", "SECRET_KEY"), "-----BEGIN PGP MESSAGE-----\n", "the value is encrypted already"),
]


@pytest.mark.parametrize(("arguments", "value", "said"), WRONG)
def test_what_cannot_be_right_is_refused_and_nothing_written(site, arguments, value, said):
    refused = site.refused("set", *arguments, value=value)
    assert said in refused and "hunter" not in refused
    assert [file.name for file in (site.pillar / "secrets").iterdir()] == ["public.asc"]


def test_what_is_no_text_is_refused(site):
    argv = [sys.executable, TREE / "bin/secrets", "--pillar", site.pillar, "set", "shop", "SECRET_KEY"]
    done = subprocess.run(argv, input=b"hunter\xff", capture_output=True)
    assert done.stderr.decode().endswith("the value is no text in UTF-8: encode it, in base64 say\n")


def test_without_the_public_key_nothing_is_written(site):
    (site.pillar / "secrets/public.asc").unlink()
    assert "make secrets-init" in site.refused("set", "shop", "A", value="x")


def test_a_secret_that_the_master_cannot_decrypt_is_an_error_of_the_pillar(site, empty):
    """Not the message itself, as in Salt before 3008: ``gpg_decrypt_must_succeed``."""
    empty.do("init")
    site.do("set", "shop", "SECRET_KEY", value="hunter2")
    site.do("set", "shop", "database_password", value="hunter2")
    stranger = {"gpg_keydir": str(empty.keys)}
    compiled = site.compiled(**stranger)
    assert compiled["_errors"]
    assert "secrets" not in compiled


def filled(site):
    """Every secret that the shop needs."""
    site.do("set", "shop", "SECRET_KEY", value="hunter2")
    site.do("set", "shop", "database_password", value="hunter3")
    site.do("set", "shop", "cache_password", value="hunter4")
    return site


def test_what_make_secret_has_written_is_as_it_should_be(site):
    assert "as they should be" in filled(site).do("check")


def test_a_value_for_another_key_is_found(site, empty):
    empty.do("init")
    shutil.copy(empty.pillar / "secrets/public.asc", site.pillar / "secrets")
    filled(site)
    assert "is no key of this master" in site.refused("check")
    (site.pillar / "secrets/public.asc").unlink()
    site.do("init")
    assert site.refused("check").count("damaged, or not encrypted for secrets/public.asc") == 3


def test_a_damaged_message_is_found(site):
    file = filled(site).pillar / "secrets/shop.sls"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:7], *lines[9:]]) + "\n")
    assert "secrets/shop.sls: secrets:shop:SECRET_KEY: damaged" in site.refused("check")


def test_a_new_key_reads_everything_and_the_old_one_nothing(site):
    before, old = filled(site).compiled(), site.text("public.asc")
    messages = {name: site.text(name) for name in ("shop.sls", "shop_database.sls", "shop_cache.sls")}
    said = site.do("rekey")
    assert "3 values" in said and "--delete-secret-and-public-key" in said
    assert site.compiled() == before
    assert site.text("public.asc") != old
    assert all(site.text(name) != text for name, text in messages.items())
    assert "as they should be" in site.do("check")
    word = said.split("--delete-secret-and-public-key ")[1].split()[0]
    subprocess.run(
        ["gpg", "--homedir", site.keys, "--batch", "--yes", "--delete-secret-and-public-key", word], check=True
    )
    assert site.compiled() == before


def test_a_rekey_that_was_interrupted_goes_on_with_the_key_it_made(site):
    old = filled(site).text("shop.sls")
    site.do("rekey")
    (site.pillar / "secrets/shop.sls").write_text(old)
    keys, public = site.keyring(), site.text("public.asc")
    assert "1 values" in site.do("rekey")
    assert (site.keyring(), site.text("public.asc")) == (keys, public)
    assert "as they should be" in site.do("check")


def test_a_rekey_that_cannot_read_everything_changes_nothing(site):
    file = filled(site).pillar / "secrets/shop.sls"
    file.write_text(file.read_text().replace("hF4D", "hF4E"))
    before = {path: path.read_text() for path in (site.pillar / "secrets").iterdir()}
    site.refused("rekey")
    assert {path: path.read_text() for path in (site.pillar / "secrets").iterdir()} == before


def test_a_value_is_put_in_front_of_the_old_one_and_the_old_one_taken_out_later(site):
    site.do("set", "shop", "SECRET_KEY", value="hunter2")
    assert "in front of the old one" in site.do("set", "shop", "SECRET_KEY", "--rotate", value="hunter3")
    assert site.compiled()["secrets"]["shop"]["SECRET_KEY"] == ["hunter3", "hunter2"]
    site.do("rekey")
    assert site.compiled()["secrets"]["shop"]["SECRET_KEY"] == ["hunter3", "hunter2"]
    site.do("drop", "shop", "SECRET_KEY")
    assert site.compiled()["secrets"]["shop"]["SECRET_KEY"] == "hunter3"
    assert "has no old value" in site.refused("drop", "shop", "SECRET_KEY")


def test_there_is_nothing_to_rotate_before_a_first_value(site):
    assert "leave ROTATE out" in site.refused("set", "shop", "SECRET_KEY", "--rotate", value="hunter3")


def test_make_has_a_target_for_each(site):
    def make(*words, value=""):
        argv = ["make", "-s", *words, f"PILLAR={site.pillar}"]
        return subprocess.run(argv, cwd=TREE, input=value, capture_output=True, text=True)

    assert make("secret", "APP=shop", "KEY=SECRET_KEY", value="hunter2").returncode == 0
    for key in ("KEY=database_password", "KEY=cache_password"):
        assert make("secret", "APP=shop", key, "GENERATE=50").returncode == 0
    assert make("secret", "APP=shop", "KEY=database_password", "GENERATE=50", "ROTATE=1").returncode == 0
    assert make("secret-drop", "APP=shop", "KEY=database_password").returncode == 0
    done = make("secrets-check")
    assert "as they should be" in done.stdout, done.stdout + done.stderr
    assert site.compiled()["secrets"]["shop"]["SECRET_KEY"] == "hunter2"
