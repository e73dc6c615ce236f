"""The config files of an app, with a real file server, pillar and minion."""

import json
import os
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the files belong to root")

SECRET = "fake-for-local-testing-only-0123456789abcdefghijklmnopqrstuvwxyz"
ADDRESS = "salt://shop-files/newrelic.ini"
FILES = {
    "newrelic.ini": {"template": ADDRESS, "secret": True},
    "names.txt": {"source": "salt://shop-files/names.txt"},
}


@pytest.fixture
def served(fleet):
    """The fleet with files on its file server that the pillar names."""
    folder = Path(fleet.master.config["file_roots"]["base"][-1], "shop-files")
    folder.mkdir()
    (folder / "newrelic.ini").write_text("key = {{ secrets.SECRET_KEY }}\napp = {{ app.name }}\n")
    (folder / "names.txt").write_text("ann\n")
    try:
        with fleet.pillar(user="daemon", files=FILES):
            yield fleet
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def apply(served, tmp_path):
    """``apply()``: the state of the app's files on web1, and its result as the master gets it."""
    etc, release = tmp_path / "etc/shop", tmp_path / "release"
    for place in (etc / "files", release / "bin"):
        place.mkdir(parents=True)
    (release / "bin/python").touch()
    where = {"name": etc / "files/set", "folder": etc, "release": release, "python": release / "bin/python"}

    def run(*options):
        arguments = [f"{key}={value}" for key, value in where.items()]
        (result,) = served.call("web1", "state.single", "app_files.written", "app=shop", *arguments, *options).values()
        return result

    run.etc = etc
    return run


def test_a_template_of_the_file_server_gets_the_secrets_of_the_pillar_and_nobody_sees_them(served, apply):
    foretold, done, again = apply("test=True"), apply(), apply()
    assert (foretold["result"], done["result"], again["changes"]) == (None, True, {})
    assert foretold["changes"] == done["changes"] == {name: {"content": "added"} for name in FILES}
    assert (apply.etc / "newrelic.ini").read_text() == f"key = {SECRET}\napp = shop\n"
    assert SECRET not in json.dumps([foretold, done, again])
    cached = Path(served.minions["web1"].config["cachedir"]).rglob("shop-files/*")
    assert [path.name for path in cached if SECRET in path.read_text()] == []


def test_a_changed_file_of_the_file_server_is_found_and_shown(served, apply):
    apply()
    (Path(served.master.config["file_roots"]["base"][-1]) / "shop-files/names.txt").write_text("ann\nbob\n")
    assert "+bob" in apply()["changes"]["names.txt"]["diff"]
    assert (apply.etc / "names.txt").read_text() == "ann\nbob\n"


def test_a_host_without_the_app_reads_the_name_of_a_secret_and_not_its_value(served):
    text = served.call("db1", "cp.get_file_str", ADDRESS)
    assert text.startswith("key = {{ secrets.SECRET_KEY }}")
    assert SECRET not in str(served.call("db1", "pillar.raw"))
