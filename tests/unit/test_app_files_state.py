"""The config files of an app on its host: real folders and checks, a file server of two lines."""

import logging
import os
import stat
from unittest.mock import create_autospec

import pytest
from salt.modules import cp

import app_files
import editions

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the files belong to root")

SECRET, PASSWORD = "wiring-of-the-secret", "dat@base/pässword"
ID = "1a2b3c4d5e6f"
INI = {"newrelic.ini": {"contents": "[newrelic]\nmonitor_mode = true\n"}}
LOCAL = {"local_settings.py": {"into": "release", "contents": "X = 1\n"}}
# Fails, and says on its standard error what is in the file, as most tools do.
REFUSES = "sh -c 'cat {file} >&2; exit 3'"


class Host:
    """A host with a staged release, the pillar's files and the two states."""

    def __init__(self, folder, load):
        self.load, self.roots = load, folder / "roots"
        self.etc, self.code = folder / "etc/shop", folder / "srv/shop/releases" / ID
        self.set, self.link = self.etc / "files/set", folder / "srv/shop/furnished" / ID
        for place in (
            self.set.parent,
            self.code / "shop",
            self.code.parent / "../venvs/1",
            self.link.parent,
            self.roots,
        ):
            place.mkdir(parents=True)
        (self.code / ".venv").symlink_to("../../venvs/1")
        (self.code / ".venv/bin").mkdir()
        (self.code / ".venv/bin/python").symlink_to("/bin/true")
        self.python = str(self.code / ".venv/bin/python")
        (self.code / ".release").write_text(f"{ID}\n")
        (self.code / "manage.py").write_text("code\n")
        (self.code / "shop/urls.py").write_text("of the code\n")
        self.asked = []

    def _module(self, files, test, secrets=None, user="daemon"):
        pillar = {
            "hosts": {"web1": {"address": "10.0.0.11", "roles": ["app", "database"]}},
            "apps": {"shop": {
                "source": {"path": "/src"}, "revision": "v1", "domains": ["shop.example.com"], "user": user,
                "config": {"CURRENCIES": ["EUR"]}, "files": files,
            }},
            "secrets": {"shop": secrets or {"SECRET_KEY": SECRET}},
            "passwords": {"database": {"shop": PASSWORD}},
        }  # fmt: skip
        salt = {
            "cp.cache_file": create_autospec(cp.cache_file, side_effect=self._fetch),
            "hooks.run": create_autospec(self.load("_modules/hooks.py").run, side_effect=self._run),
        }
        return self.load("_states/app_files.py", salt=salt, test=test, pillar=pillar, grains={"id": "web1"})

    def _fetch(self, path):
        file = self.roots / path.removeprefix("salt://")
        return str(file) if file.exists() else ""

    def _run(self, command, folder, python, user, variables, timeout):
        self.asked.append({"folder": folder, "python": python, "user": user, "variables": variables})
        return self.load("_modules/hooks.py").run(command, folder, python, "", variables, timeout)

    def write(self, files, test=False, **pillar):
        module = self._module(files, test, **pillar)
        return module.written(str(self.set), "shop", str(self.etc), str(self.code), self.python)

    def furnish(self, files, test=False):
        return self._module(files, test).furnished(str(self.link), "shop", str(self.code))

    def serve(self, address, text):
        path = self.roots / address.removeprefix("salt://")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@pytest.fixture
def host(tmp_path, load, monkeypatch):
    # Syncing every disk of the machine is for power failures, which no test has.
    monkeypatch.setattr(os, "sync", lambda: None)
    return Host(tmp_path, load)


def everything(folder):
    """What is in a folder, with sizes and times."""
    return {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in [folder, *folder.rglob("*")]}


def attributes(path):
    return path.owner(), path.group(), stat.S_IMODE(path.stat().st_mode)


def template(host, text, **keys):
    host.serve("salt://shop/newrelic.ini", text)
    return {"newrelic.ini": {"template": "salt://shop/newrelic.ini", **keys}}


def test_a_file_is_there_for_root_and_the_app(host):
    result = host.write(INI)
    assert (result["result"], result["changes"]) == (True, {"newrelic.ini": {"content": "added"}})
    file = host.etc / "newrelic.ini"
    assert file.read_text() == INI["newrelic.ini"]["contents"]
    assert attributes(file) == ("root", "daemon", 0o640)
    assert attributes(host.set.resolve()) == ("root", "daemon", 0o750)


def test_owner_and_mode_are_those_of_the_pillar(host):
    host.write({".pgpass": {"contents": "", "owner": "daemon", "mode": "0600"}})
    assert attributes(host.etc / ".pgpass") == ("daemon", "daemon", 0o600)


@pytest.mark.parametrize("test", [True, False])
def test_a_second_run_changes_nothing(host, test):
    host.write(INI)
    before = everything(host.etc)
    again = host.write(INI, test)
    assert (again["result"], again["changes"]) == (True, {})
    assert everything(host.etc) == before


CHANGES = {
    "added": {**INI, "conf.d/more.ini": {"contents": ""}},
    "changed": {"newrelic.ini": {"contents": "[newrelic]\nmonitor_mode = false\n"}},
    "mode": {"newrelic.ini": {**INI["newrelic.ini"], "mode": "0644"}},
    "removed": {},
    "replaced": {"other.ini": {"contents": ""}},
}


@pytest.mark.parametrize("files", CHANGES.values(), ids=CHANGES)
def test_test_mode_foretells_what_is_done_and_does_nothing(host, files):
    host.write(INI)
    before = everything(host.etc)
    foretold = host.write(files, test=True)
    assert everything(host.etc) == before
    done = host.write(files)
    assert (foretold["result"], done["result"]) == (None, True)
    assert foretold["changes"] == done["changes"] != {}
    assert host.write(files)["changes"] == {}


def test_a_first_run_in_test_mode_needs_neither_folder_nor_user(host, tmp_path):
    module = host._module({**INI, **LOCAL}, test=True)
    results = [
        module.written(str(tmp_path / "no/files/set"), "shop", str(tmp_path / "no"), "/no/release", "/no/python"),
        module.furnished(str(tmp_path / "no/furnished/1"), "shop", "/no/release"),
    ]
    assert [(result["result"], list(result["changes"])) for result in results] == [
        (None, ["newrelic.ini"]),
        (None, ["local_settings.py"]),
    ]
    assert not (tmp_path / "no").exists()


def test_a_diff_tells_how_a_file_changes_and_is_bounded(host):
    host.write(INI)
    diff = host.write(CHANGES["changed"])["changes"]["newrelic.ini"]["diff"]
    assert "-monitor_mode = true\n+monitor_mode = false" in diff
    long = host.write({"newrelic.ini": {"contents": "x\n" * 1000}})["changes"]["newrelic.ini"]["diff"]
    assert long.splitlines()[-1] == "... 945 more lines"
    assert len(long.splitlines()) == app_files.DIFF_LINES + 1


def test_a_file_that_is_no_text_has_no_diff(host):
    (host.roots / "key.p12").write_bytes(b"\xff\x00")
    files = {"key.p12": {"source": "salt://key.p12"}}
    host.write(files)
    assert (host.etc / "key.p12").read_bytes() == b"\xff\x00"
    (host.roots / "key.p12").write_bytes(b"\xfe\x00")
    assert host.write(files)["changes"] == {"key.p12": {"content": "changed"}}


def test_the_edition_before_stays_as_it_was_for_whoever_was_started_with_it(host):
    host.write(INI)
    before = editions.led_to(host.set)
    host.write(CHANGES["changed"])
    assert "true" in (before / "newrelic.ini").read_text()
    assert "false" in (host.etc / "newrelic.ini").read_text()


def test_what_somebody_has_changed_by_hand_is_put_right(host):
    host.write(INI)
    (host.etc / "newrelic.ini").write_text("by hand")
    assert list(host.write(INI)["changes"]) == ["newrelic.ini"]
    assert (host.etc / "newrelic.ini").read_text() == INI["newrelic.ini"]["contents"]


def test_a_link_that_somebody_has_removed_comes_back(host):
    host.write(INI)
    (host.etc / "newrelic.ini").unlink()
    assert host.write(INI)["changes"] == {"newrelic.ini": {"link": "added"}}
    assert host.write(INI)["changes"] == {}


def test_a_file_that_left_the_pillar_leaves_the_folder_and_no_other_does(host):
    (host.etc / "notes").write_text("of an operator")
    (host.etc / "link").symlink_to("notes")
    host.write({**INI, "conf.d/a.ini": {"contents": ""}})
    assert host.write({})["changes"] == {
        "conf.d": {"link": "removed"},
        "newrelic.ini": {"content": "removed"},
        "conf.d/a.ini": {"content": "removed"},
    }
    assert sorted(path.name for path in host.etc.iterdir()) == ["files", "link", "notes"]
    assert not host.set.is_symlink()
    assert host.write({})["changes"] == {}


@pytest.mark.parametrize("test", [True, False])
def test_a_file_of_somebody_else_is_not_replaced(host, test):
    (host.etc / "newrelic.ini").write_text("of an operator")
    before = everything(host.etc)
    result = host.write(INI, test)
    assert result["result"] is False
    assert "newrelic.ini is not Slipway's: move it away, then run this again" in result["comment"]
    assert everything(host.etc) == before


# Templates


def test_a_template_knows_the_app_and_its_config(host):
    files = template(host, "{{ app.name }} {{ app.paths.logs }} {{ config.CURRENCIES | json }}\n")
    assert host.write(files)["result"] is True
    assert (host.etc / "newrelic.ini").read_text() == 'shop /var/log/shop ["EUR"]\n'


def test_the_template_of_a_secret_file_knows_what_is_in_the_secrets_file(host):
    host.write(template(host, "{{ secrets.SECRET_KEY }} {{ secrets.DATABASE_URL }}", secret=True))
    text = (host.etc / "newrelic.ini").read_text()
    assert text.startswith(f"{SECRET} postgresql://shop:dat%40base")


def test_a_template_that_is_not_secret_knows_no_secret(host):
    result = host.write(template(host, "\n{{ secrets.SECRET_KEY }}"))
    assert result["result"] is False
    problem = "line 2: only a file with `secret: true` knows the secrets"
    assert result["comment"].endswith(f"files:newrelic.ini: salt://shop/newrelic.ini cannot be rendered: {problem}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n{{ secrets.NEWRELIC }}", "line 2: 'dict object' has no attribute 'NEWRELIC'"),
        ("{% if %}", "line 1: Expected an expression"),
        ("{{ secrets[secrets.SECRET_KEY] }}", "line 1: UndefinedError"),
        ("{{ secrets.SECRET_KEY | int + '' }}", "line 1: unsupported operand"),
        ("{{ '%d' | format(secrets.SECRET_KEY) }}", "line 1: %d format"),
        ("{{ ''.__class__.__mro__ }}", "line 1: access to attribute '__class__'"),
    ],
)
def test_what_is_wrong_with_a_template_is_told_without_a_secret(host, text, words):
    result = host.write(template(host, text, secret=True))
    assert result["result"] is False
    assert words in result["comment"]
    assert SECRET not in repr(result)
    assert not host.set.is_symlink()


def test_a_file_that_the_file_server_has_not_is_named(host):
    result = host.write({"a": {"source": "salt://shop/a"}})
    assert result["comment"].startswith("apps:shop:files:a: salt://shop/a is not on the file server")


# Checks


def test_a_check_sees_the_new_file_and_the_app_of_which_it_is(host):
    files = {"conf.d/a.json": {"contents": "{}", "check": "grep -q {} {file}", "variable": "A_JSON"}}
    assert host.write(files)["result"] is True
    [asked] = host.asked
    assert (asked["folder"], asked["python"], asked["user"]) == (str(host.code), host.python, "daemon")
    assert asked["variables"]["A_JSON"].endswith("conf.d/a.json")
    assert asked["variables"]["DJANGO_SETTINGS_MODULE"] == "shop.settings"


@pytest.mark.parametrize("test", [True, False])
def test_a_file_that_its_check_refuses_changes_nothing_and_the_command_says_why(host, test):
    host.write({**INI, "b": {"contents": "old"}})
    before = everything(host.etc)
    refused = {"newrelic.ini": {"contents": "line 7 is wrong", "check": REFUSES}, "b": {"contents": "new"}}
    result = host.write(refused, test)
    assert (result["result"], result["changes"]) == (False, {})
    assert result["comment"].startswith("apps:shop:files:newrelic.ini:check: nothing was changed: sh -c")
    assert result["comment"].endswith("failed (exit code 3): line 7 is wrong")
    assert set(everything(host.etc)) == set(before)


def test_what_the_check_of_a_secret_file_said_is_not_shown(host):
    result = host.write(template(host, "{{ secrets.SECRET_KEY }}", secret=True, check=REFUSES))
    assert result["comment"].endswith("what it said is not shown, because the file is secret")
    assert SECRET not in repr(result)


def test_only_what_changed_is_checked(host):
    files = {"a": {"contents": "1", "check": "true {file}"}, "b": {"contents": "1", "check": "true {file}"}}
    host.write(files)
    host.write({**files, "b": {**files["b"], "contents": "2"}})
    assert len(host.asked) == 3


def test_in_test_mode_what_cannot_be_checked_yet_is_foretold_all_the_same(host):
    (host.code / ".venv/bin/python").unlink()
    assert host.write({"a": {"contents": "", "check": "false {file}"}}, test=True)["result"] is None
    assert host.asked == []


# Secrets


def test_no_secret_is_seen_in_results_or_logs(host, caplog):
    caplog.set_level(1, logger="")
    logging.getLogger().setLevel(1)
    secret = template(host, "{{ secrets.SECRET_KEY }} {{ secrets.DATABASE_URL }}", secret=True)
    inline = {"key.pem": {"contents": "hunter2", "secret": True}}
    results = [host.write({**secret, **inline}, test) for test in (True, False, False)]
    changed = {**secret, "key.pem": {"contents": "hunter2 and more", "secret": True}}
    results += [host.write(changed, test, secrets={"SECRET_KEY": "another"}) for test in (True, False)]
    assert results[-1]["changes"] == {name: {"content": "changed"} for name in ("newrelic.ini", "key.pem")}
    results += [host.furnish({"key.pem": {**inline["key.pem"], "into": "release"}}, test) for test in (True, False)]
    for value in (SECRET, "another", "hunter2", "p%C3%A4ssword"):
        assert value not in repr(results) + caplog.text


def test_a_file_that_is_not_secret_any_more_does_not_show_what_it_was(host):
    host.write({"a": {"contents": "hunter2", "secret": True}})
    assert host.write({"a": {"contents": "new"}})["changes"]["a"]["content"] == "changed"
    assert "diff" in host.write({"a": {"contents": "newer"}})["changes"]["a"]


# In the release


def test_a_release_gets_a_copy_with_the_files_and_stays_as_it_is(host):
    before = everything(host.code)
    files = {**LOCAL, "shop/urls.py": {"into": "release", "contents": "of the pillar\n"}}
    assert set(host.furnish(files)["changes"]) == set(files)
    assert everything(host.code).keys() == before.keys()
    assert (host.link / "manage.py").samefile(host.code / "manage.py")
    assert (host.link / "shop/urls.py").read_text() == "of the pillar\n"
    assert (host.code / "shop/urls.py").read_text() == "of the code\n"
    assert attributes(host.link / "local_settings.py") == ("root", "daemon", 0o640)
    assert (host.link / ".venv").samefile(host.code / ".venv")


def test_a_copy_follows_its_release_to_another_venv(host):
    host.furnish(LOCAL)
    (host.code / ".venv").unlink()
    (host.code / "../../venvs/2").mkdir()
    (host.code / ".venv").symlink_to("../../venvs/2")
    assert (host.link / ".venv").samefile(host.code / "../../venvs/2")


def test_a_file_of_the_code_is_back_when_that_of_the_pillar_is_gone(host):
    urls = {"shop/urls.py": {"into": "release", "contents": "of the pillar\n"}}
    host.furnish({**LOCAL, **urls})
    foretold, done = (host.furnish(LOCAL, test) for test in (True, False))
    assert foretold["changes"] == done["changes"] == {"shop/urls.py": {"content": "removed"}}
    assert (host.link / "shop/urls.py").read_text() == "of the code\n"


def test_without_files_for_releases_there_is_no_copy(host):
    assert host.furnish(INI)["changes"] == {}
    host.furnish(LOCAL)
    assert host.furnish({}, test=True)["changes"] == host.furnish({})["changes"]
    assert not host.link.is_symlink()
    assert host.furnish({})["changes"] == {}


def test_static_files_are_collected_anew_in_a_copy(host):
    (host.code / "static_root").mkdir()
    (host.code / "static_root/shop.css").touch()
    (host.code / ".static").write_text("static_root\n")
    host.furnish(LOCAL)
    assert not (host.link / ".static").exists()
    assert not (host.link / "static_root").exists()


def test_a_check_of_a_file_in_the_release_runs_in_the_copy_with_its_python(host):
    check = "sh -c 'test -L $PWD/.venv && test -f manage.py && test {file} -ef local_settings.py'"
    assert host.furnish({"local_settings.py": {**LOCAL["local_settings.py"], "check": check}})["result"] is True
    assert host.asked[0]["python"].endswith(".venv/bin/python")


def test_a_file_of_the_release_that_its_check_refuses_leaves_the_copy_before(host):
    host.furnish(LOCAL)
    before = everything(host.link.parent)
    refused = {"local_settings.py": {"into": "release", "contents": "X =", "check": REFUSES}}
    assert host.furnish(refused, test=True)["result"] is False
    assert host.furnish(refused)["result"] is False
    assert set(everything(host.link.parent)) == set(before)
    assert (host.link / "local_settings.py").read_text() == "X = 1\n"


def test_a_link_in_the_code_does_not_lead_a_file_out_of_the_release(host, tmp_path):
    (tmp_path / "outside").mkdir()
    (host.code / "conf").symlink_to(tmp_path / "outside")
    result = host.furnish({"conf/a.ini": {"into": "release", "contents": ""}})
    assert "is a link that leads out of the release" in result["comment"]
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_full_disk_is_an_error_that_leaves_what_was_there(host, monkeypatch):
    host.write(INI)
    before = everything(host.etc)
    full = create_autospec(app_files.staging.publish, side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr(app_files.staging, "publish", full)
    result = host.write(CHANGES["changed"])
    assert (result["result"], result["changes"]) == (False, {})
    assert "No space left on device" in result["comment"]
    assert set(everything(host.etc)) == set(before)


def test_a_user_that_is_not_there_is_an_error_that_leaves_nothing(host):
    before = everything(host.etc)
    result = host.write(INI, user="nobody-of-this-name")
    assert (result["result"], result["changes"]) == (False, {})
    assert "nobody-of-this-name" in result["comment"]
    assert set(everything(host.etc)) == set(before)
