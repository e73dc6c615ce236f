"""The master serves the tree's salt/ and nothing beside it."""

import pytest


@pytest.mark.parametrize(
    "path",
    [
        "pillar/hosts.yaml",
        "pillar/secrets/shop.sls",
        "../pillar/secrets/shop.sls",
        "_modules/../../pillar/secrets/shop.sls",
        "tests/integration/conftest.py",
        "../tests/integration/conftest.py",
    ],
)
def test_a_host_does_not_get(fleet, path):
    assert fleet.call("web1", "cp.get_file_str", f"salt://{path}") is False


def test_a_host_gets_the_modules(fleet):
    assert "def specs" in fleet.call("web1", "cp.get_file_str", "salt://_modules/apps.py")
