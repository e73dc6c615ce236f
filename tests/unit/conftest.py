"""The loader of the unit tests: a module of the tree with the dunders that Salt would give it."""

import importlib.util
import logging
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
sys.path.insert(0, str(TREE / "_utils"))


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


def pytest_unconfigure():
    # At exit Salt's handlers write what they have kept to streams that pytest has closed by then.
    logging.raiseExceptions = False
