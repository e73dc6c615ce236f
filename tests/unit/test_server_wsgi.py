"""What mod_wsgi loads: the environment of the app is complete, and a slot has the paths of its own files."""

import json
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest
from test_app_spec import minimal

import app_spec

TEMPLATE = Path(__file__).parents[2] / "salt/app/servers/wsgi.py"
FILES = {"newrelic.ini": {"contents": "", "variable": "NEW_RELIC_CONFIG_FILE"}}
OWN = {"NEW_RELIC_CONFIG_FILE": "/etc/shop/files/blue/newrelic.ini"}


@pytest.fixture
def loaded(tmp_path):
    """``loaded(environment of Apache)``: the environment that the app finds."""
    app = app_spec.plain(app_spec.load(minimal(server="mod_wsgi", files=FILES)).apps[0])
    entry = jinja2.Environment(undefined=jinja2.StrictUndefined)
    entry.filters["json"] = json.dumps
    text = entry.from_string(TEMPLATE.read_text()).render(app=app, web=app["web"])
    (tmp_path / "entry.py").write_text(text)
    for package, module, code in (
        ("shop", "wsgi", "import os\napplication = dict(os.environ)\n"),
        ("django", "urls", "import types\nget_resolver = lambda: types.SimpleNamespace(url_patterns=[])\n"),
    ):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / f"{module}.py").write_text(code)

    def load(environment):
        argv = [sys.executable, "-c", "import entry, json; print(json.dumps(entry.application))"]
        done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    return load


def test_the_app_finds_its_variables_whether_apache_passes_them_on_or_not(loaded):
    found = loaded({"HOME": "/nonexistent"})
    assert (found["DJANGO_SETTINGS_MODULE"], found["HOME"]) == ("shop.settings", "/srv/shop")
    assert found["NEW_RELIC_CONFIG_FILE"] == "/etc/shop/newrelic.ini"


def test_a_slot_finds_the_files_that_it_was_started_with(loaded):
    assert loaded(OWN)["NEW_RELIC_CONFIG_FILE"] == OWN["NEW_RELIC_CONFIG_FILE"]
