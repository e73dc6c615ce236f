"""The recipe of the image: what is taken over from this machine, and when the image is built anew."""

import dataclasses
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from lab import image  # noqa: E402

SALT = "requirements/salt.txt"
RECIPE = image.Recipe("bookworm", ("systemd",), "", "", {"etc/a": "1"}, "true", {SALT: "salt==3008.3"})


def test_an_equal_recipe_has_an_equal_digest():
    assert dataclasses.replace(RECIPE, files={"etc/a": "1"}).digest() == RECIPE.digest()


@pytest.mark.parametrize(
    "change",
    [
        {"suite": "trixie"},
        {"packages": ("systemd", "git")},
        {"sources": "deb"},
        {"apt": "Acquire"},
        {"files": {"etc/a": "2"}},
        {"script": "false"},
        {"tree": {SALT: "salt==3008.4"}},
    ],
)
def test_any_change_of_the_recipe_changes_its_digest(change):
    assert dataclasses.replace(RECIPE, **change).digest() != RECIPE.digest()


def test_name_servers_are_no_part_of_the_recipe():
    assert not any(path.endswith("resolv.conf") for path in {**image.git_server(), **image.trust()})


def test_sources_of_this_suite_are_taken_over(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(f"Types: deb\nSuites: {'bookworm'}\n")
    assert image.apt_sources(tmp_path, "bookworm").startswith("Types: deb")


def test_sources_of_another_suite_are_left_alone(tmp_path):
    (tmp_path / "sources.list").write_text(f"deb mirror trixie main\n# {'bookworm'} was here\n")
    assert image.apt_sources(tmp_path, "bookworm") == ""


def test_a_proxy_is_taken_over_and_defaults_are_not():
    dump = 'Acquire::http::Proxy "proxy";\nAcquire::cdrom::mount "/media/cdrom/";\n'
    assert image.apt_settings(dump) == 'Acquire::http::Proxy "proxy";\nAcquire::Languages "none";\n'
