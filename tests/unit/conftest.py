"""The loader of the unit tests: a module of the tree with the dunders that Salt would give it."""

import importlib.util
import logging
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
sys.path.insert(0, str(TREE / "_utils"))

from orchestration import Hosts  # noqa: E402

import asking  # noqa: E402
import rollout_events  # noqa: E402


@pytest.fixture
def load():
    """``load("_states/manage.py", salt={...}, test=True)`` returns a fresh module; keywords fill Salt's dunders."""

    def load_module(path, salt=None, test=False, pillar=None, grains=None, **opts):
        spec = importlib.util.spec_from_file_location(Path(path).stem + "_under_test", TREE / path)
        module = importlib.util.module_from_spec(spec)
        module.__salt__ = salt if salt is not None else {}
        module.__opts__ = {"test": test, "id": "web1", **opts}
        module.__pillar__ = pillar or {}
        module.__grains__ = grains or {}
        module.__context__ = {}
        spec.loader.exec_module(module)
        return module

    return load_module


@pytest.fixture
def steps_of(load, tmp_path, monkeypatch):
    """``steps_of("_states/rollout.py", hosts, ...)``: the module for some hosts and some steps that ran before."""

    def make(path, hosts=None, running=None, test=False, jid="1"):
        (tmp_path / "root").mkdir(exist_ok=True)
        hosts, folder = hosts or Hosts(), str(tmp_path / "slipway")
        opts = {"conf_file": "/etc/salt/master", "file_roots": {"base": [str(tmp_path / "root")]}}
        monkeypatch.setattr(asking.salt.client, "get_local_client", lambda conf_file: hosts)
        module = load(path, test=test, slipway_dir=folder, **opts)
        module.__running__, module.__orchestration_jid__ = running or {}, jid
        module.told, module.folder = [], folder
        told = module.told.append
        monkeypatch.setattr(rollout_events, "fire", lambda opts, token, *event, **more: told(event))
        return module

    return make


def pytest_unconfigure():
    # At exit Salt's handlers write what they have kept to streams that pytest has closed by then.
    logging.raiseExceptions = False
