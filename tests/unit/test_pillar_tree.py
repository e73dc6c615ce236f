"""The pillar as Salt makes it for each host: complete where it is needed, and no secret anywhere else."""

from pathlib import Path

import pytest
import salt.config
import salt.pillar
import yaml

import app_spec

TREE = Path(__file__).parents[2]
PILLAR = TREE / "pillar"
SECRET_KEY = "0123456789abcdefghijklmnopqrstuvwxyz"
PASSWORDS = {
    "database": {"shop": "fake-for-local-testing-only"},
    "cache": {"shop": "fake-for-local-testing-and-for-the-cache-only"},
}


@pytest.fixture(scope="module")
def pillar_of(tmp_path_factory):
    """``pillar_of("web1")``: what Salt compiles for a minion with that id."""
    root = tmp_path_factory.mktemp("salt")
    opts = salt.config.minion_config(None)
    opts.update(root_dir=str(root), cachedir=str(root / "cache"), extension_modules=str(root / "modules"))
    opts.update(file_client="local", file_roots={"base": [str(root)]}, module_dirs=[str(TREE)])

    def compile_pillar(id, folders=(str(PILLAR),)):
        minion = {**opts, "id": id, "pillar_roots": {"base": list(folders)}}
        return salt.pillar.get_pillar(minion, {"id": id}, id, "base").compile_pillar()

    return compile_pillar


@pytest.mark.parametrize("id", ["web1", "web2", "db1", "lb1"])
def test_the_pillar_of_a_host_has_no_mistake(pillar_of, id):
    pillar = pillar_of(id)
    assert "_errors" not in pillar
    assert [app.name for app in app_spec.load(pillar, {"id": id}).apps] == ["shop"]


@pytest.mark.parametrize("id", ["web1", "web2"])
def test_a_host_with_the_app_gets_its_secrets(pillar_of, id):
    pillar = pillar_of(id)
    assert SECRET_KEY in pillar["secrets"]["shop"]["SECRET_KEY"]
    assert pillar["passwords"] == PASSWORDS


def test_the_host_of_database_and_cache_gets_the_passwords_and_no_secret_of_the_app(pillar_of):
    pillar = pillar_of("db1")
    assert pillar["passwords"] == PASSWORDS
    assert "secrets" not in pillar
    assert SECRET_KEY not in repr(pillar)


# web10 and WEB1 look like web1, and a name with a * would be a pattern were it not matched as a list.
@pytest.mark.parametrize("id", ["lb1", "master", "web10", "WEB1", "xweb1", "web1.example.com", "*", "web*"])
def test_any_other_minion_gets_no_secret(pillar_of, id):
    pillar = pillar_of(id)
    assert set(pillar) == {"hosts", "apps"}
    assert "fake" not in repr(pillar)


def test_the_inventory_keeps_the_order_in_which_it_is_written(pillar_of):
    assert list(pillar_of("web1")["hosts"]) == ["lb1", "web1", "web2", "db1"]


def test_every_secrets_file_is_one_that_some_host_gets():
    fleet = app_spec.load(yaml.safe_load((TREE / "tests/render/inventories/lab.yaml").read_text()))
    given = {sls for files in app_spec.secret_files(fleet).values() for sls in files}
    assert {f"secrets.{path.stem}" for path in (PILLAR / "secrets").glob("*.sls")} <= given


def test_real_secrets_in_a_folder_that_stands_first_replace_the_fake_ones(pillar_of, tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "shop.sls").write_text("secrets: {shop: {SECRET_KEY: real}}\n")
    pillar = pillar_of("web1", folders=[str(tmp_path), str(PILLAR)])
    assert pillar["secrets"] == {"shop": {"SECRET_KEY": "real"}}
    assert pillar["passwords"] == PASSWORDS
