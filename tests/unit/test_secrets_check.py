"""``make secrets-check`` finds what is in clear, missing or unused, names it, and shows no value."""

import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
sys.path.insert(0, str(TREE / "bin"))
from at_rest import check  # noqa: E402
from at_rest.pillar import Pillar  # noqa: E402

VALUE = "hunter2-hunter2"
APPS = """\
apps:
  shop:
    source: {git: https://git.example.com/shop.git}
    revision: v1
    domains: [shop.example.com]
"""
FETCHED = "{{ salt['sdb.get']('sdb://store/key', strict=True) | json }}"
SHOP, DATABASE = f"secrets:\n  shop:\n    SECRET_KEY: {FETCHED}\n", f"passwords:\n  database:\n    shop: {FETCHED}\n"
CLEAR = f"secrets:\n  shop:\n    SECRET_KEY: {VALUE}\n"
SAID = "secrets/shop.sls: secrets:shop:SECRET_KEY: "
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n" + "b3BlbnNzaC1rZXktdjEA" * 3 + "\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.fixture
def pillar(tmp_path):
    """A pillar of an operator's own, with no mistake, in a git repository."""
    files = {
        "hosts.yaml": "one: {address: 10.0.0.11, roles: [app, database]}\n",
        "apps/init.sls": "include: [apps.shop]\n",
        "apps/shop.sls": APPS,
        "secrets/shop.sls": SHOP,
        "secrets/shop_database.sls": DATABASE,
    }
    git(tmp_path, "init", "-q")
    for name, text in files.items():
        put(tmp_path, name, text)
    return Pillar(tmp_path / "pillar", tmp_path / "none/gpgkeys")


def put(folder, name, text):
    file = folder / "pillar" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def git(folder, *arguments):
    own = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *own, *arguments], check=True)


def commit(folder):
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "x")


def problems(pillar):
    found = check.findings(pillar)[0]
    assert VALUE not in "\n".join(found)
    return found


def test_a_pillar_without_a_mistake_has_none(pillar):
    assert check.findings(pillar) == ([], [])


def test_a_value_in_clear_is_found(pillar, tmp_path):
    put(tmp_path, "secrets/shop.sls", CLEAR)
    assert problems(pillar) == [f"{SAID}in clear: set it with make secret"]


def test_each_value_of_a_secret_that_is_rotated_is_looked_at(pillar, tmp_path):
    put(tmp_path, "secrets/shop.sls", f"secrets:\n  shop:\n    SECRET_KEY: [{FETCHED}, {VALUE}]\n")
    assert problems(pillar) == [f"{SAID}in clear: set it with make secret"]


def test_a_password_that_is_rotated_is_there(pillar, tmp_path):
    put(
        tmp_path, "secrets/shop_database.sls", f"passwords:\n  database:\n    shop:\n    - {FETCHED}\n    - {FETCHED}\n"
    )
    assert problems(pillar) == []


def test_a_value_of_ones_own_in_clear_is_found_too(pillar, tmp_path):
    put(tmp_path, "secrets/role_app.sls", f"monitoring: {{token: {VALUE}}}\n")
    (found,) = problems(pillar)
    assert found.startswith("secrets/role_app.sls: monitoring:token: in clear: encrypt it: gpg ")


@pytest.mark.parametrize("value", ["1", "true", f"[{VALUE}]", f"{{a: {VALUE}}}", f'"x {FETCHED}"'])
def test_whatever_is_not_encrypted_is_in_clear(pillar, tmp_path, value):
    put(tmp_path, "secrets/shop.sls", f"secrets:\n  shop:\n    SECRET_KEY: {value}\n")
    assert all("in clear" in problem for problem in problems(pillar)) and problems(pillar)


def test_a_value_is_found_in_what_is_staged_though_it_was_changed_since(pillar, tmp_path):
    put(tmp_path, "secrets/shop.sls", CLEAR)
    git(tmp_path, "add", "-A")
    put(tmp_path, "secrets/shop.sls", SHOP)
    said = f"{SAID}staged in clear: stage the encrypted one; once pushed, it needs a new value too"
    assert problems(pillar) == [said]


def test_a_value_is_found_in_the_last_commit_though_its_file_was_removed_since(pillar, tmp_path):
    put(tmp_path, "secrets/old.sls", CLEAR)
    commit(tmp_path)
    git(tmp_path, "rm", "-q", "pillar/secrets/old.sls")
    assert [problem.split(": ")[:3] for problem in problems(pillar)] == [
        ["secrets/old.sls", "secrets:shop:SECRET_KEY", "committed in clear"]
    ]


FAKE = "# FAKE values for local testing.\nsecrets:\n  shop:\n    SECRET_KEY: fake-value\n"


@pytest.fixture
def of_tree(pillar, monkeypatch):
    """The same pillar, as if it were the one of this repository."""
    monkeypatch.setattr(Pillar, "is_of_tree", True)
    return pillar


def test_a_fake_value_of_the_repository_is_told_and_no_problem(of_tree, tmp_path):
    put(tmp_path, "secrets/shop.sls", FAKE)
    assert check.findings(of_tree) == ([], [f"{SAID}fake, for local testing only"])


@pytest.mark.parametrize("text", [FAKE.replace("fake-value", VALUE), FAKE.replace("FAKE", "My")])
def test_a_value_is_fake_only_if_the_file_and_itself_say_so(of_tree, tmp_path, text):
    put(tmp_path, "secrets/shop.sls", text)
    assert problems(of_tree) == [f"{SAID}in clear: set it with make secret"]


def test_a_fake_value_in_a_pillar_of_ones_own_is_a_problem(pillar, tmp_path):
    put(tmp_path, "secrets/shop.sls", FAKE)
    assert problems(pillar) == [f"{SAID}in clear: set it with make secret"]


def test_it_needs_no_salt():
    argv = ["/usr/bin/python3", TREE / "bin/secrets", "--keys", "/nowhere/gpgkeys", "check"]
    if subprocess.run(["/usr/bin/python3", "-c", "import yaml"], capture_output=True).returncode:
        pytest.skip("the system's Python has no PyYAML: bin/setup installs it")
    done = subprocess.run(argv, capture_output=True, text=True)
    assert "as they should be" in done.stdout, done.stderr


def test_the_secrets_of_this_repository_are_fake_and_nothing_else_is_wrong_with_them():
    found, notes = check.findings(Pillar(TREE / "pillar", Path("/nowhere/gpgkeys")))
    assert found == []
    assert len(notes) >= 2


@pytest.mark.parametrize("state", ["untracked", "staged", "committed"])
@pytest.mark.parametrize("text", [KEY, KEY.replace("\n", "\\n"), "".join(f"  {line}\n" for line in KEY.splitlines())])
def test_a_private_key_anywhere_in_the_repository_is_found(pillar, tmp_path, state, text):
    file = tmp_path / "conf/server.pem"
    file.parent.mkdir()
    file.write_text(text)
    if state != "untracked":
        git(tmp_path, "add", "-A")
    if state == "committed":
        commit(tmp_path)
        git(tmp_path, "rm", "-q", "conf/server.pem")
    (found,) = problems(pillar)
    assert found.startswith("conf/server.pem: a private key, ")
    assert "b3BlbnNza" not in found


def test_a_private_key_is_found_in_a_pillar_without_git(pillar, tmp_path):
    subprocess.run(["rm", "-r", str(tmp_path / ".git")], check=True)
    put(tmp_path, "minion.pem", KEY)
    (found,) = problems(pillar)
    assert "minion.pem: a private key" in found


def test_a_repository_that_git_does_not_read_is_told(pillar, tmp_path):
    (tmp_path / ".git/HEAD").unlink()
    assert problems(pillar) == [f"what git has was not looked at: git -C {pillar.folder} status says why"]


def test_a_line_that_only_names_a_private_key_is_none(pillar, tmp_path):
    put(tmp_path, "notes.md", "It begins with -----BEGIN OPENSSH PRIVATE KEY-----\nand so on\n")
    assert problems(pillar) == []


def test_a_secret_of_no_app_is_unused(pillar, tmp_path):
    put(tmp_path, "secrets/shopp.sls", f"secrets:\n  shopp:\n    A: {FETCHED}\n")
    assert problems(pillar) == ["secrets/shopp.sls: secrets:shopp:A: there is no such app: did you mean 'shop'?"]


def test_an_app_that_no_list_includes_is_none(pillar, tmp_path):
    put(tmp_path, "apps/init.sls", "include: []\n")
    assert all("there is no such app" in problem for problem in problems(pillar))
    assert len(problems(pillar)) == 2


def test_the_password_of_an_app_without_a_database_is_unused(pillar, tmp_path):
    put(tmp_path, "apps/shop.sls", f"{APPS}    database: none\n")
    path = "passwords:database:shop"
    assert problems(pillar) == [f"secrets/shop_database.sls: {path}: apps:shop:database is none: remove it"]


CACHE = f"passwords:\n  cache:\n    shop: {FETCHED}\n"


def test_the_password_of_a_cache_is_missed_or_unused_as_the_inventory_says(pillar, tmp_path):
    put(tmp_path, "secrets/shop_cache.sls", CACHE)
    unused = "secrets/shop_cache.sls: passwords:cache:shop: shop has no cache: remove it, or give a host the role cache"
    assert problems(pillar) == [unused]
    put(tmp_path, "hosts.yaml", "one: {address: 10.0.0.11, roles: [app, database, cache]}\n")
    assert problems(pillar) == []
    (tmp_path / "pillar/secrets/shop_cache.sls").unlink()
    missing = "secrets/shop_cache.sls: passwords:cache:shop: missing: set it, or have one made: make secret APP=shop"
    assert problems(pillar) == [f"{missing} KEY=cache_password GENERATE=50"]


def test_a_deploy_key_without_git_is_unused(pillar, tmp_path):
    put(tmp_path, "apps/shop.sls", APPS.replace("git: https://git.example.com/shop.git", "path: /srv/shop-source"))
    put(tmp_path, "secrets/shop.sls", f"{SHOP}    deploy_key: {FETCHED}\n")
    assert problems(pillar) == ["secrets/shop.sls: secrets:shop:deploy_key: apps:shop:source is no git: remove it"]


@pytest.mark.parametrize("name", ["shop", "shop_database"])
def test_what_an_app_needs_is_missed(pillar, tmp_path, name):
    (tmp_path / f"pillar/secrets/{name}.sls").unlink()
    key = {"shop": "SECRET_KEY", "shop_database": "database_password"}[name]
    (found,) = problems(pillar)
    assert found.startswith(f"secrets/{name}.sls: ")
    assert found.endswith(f"missing: set it, or have one made: make secret APP=shop KEY={key} GENERATE=50")


def test_a_key_of_another_name_is_a_secret_key_too(pillar, tmp_path):
    put(tmp_path, "secrets/shop.sls", SHOP.replace("SECRET_KEY", "DJANGO_SECRET_KEY"))
    assert problems(pillar) == []


def test_a_secret_in_a_file_that_other_hosts_get_is_found(pillar, tmp_path):
    put(tmp_path, "secrets/shop_database.sls", f"{DATABASE}secrets:\n  shop:\n    OTHER: {FETCHED}\n")
    where = "secrets/shop_database.sls: secrets:shop:OTHER"
    assert problems(pillar) == [f"{where}: hosts get secrets by the file: this belongs into secrets/shop.sls"]


def test_other_mistakes_of_the_pillar_are_told_too(pillar, tmp_path):
    put(tmp_path, "apps/shop.sls", f"{APPS}    server: gunicron\n")
    assert any(problem.startswith("apps:shop:server: 'gunicron' is not one of") for problem in problems(pillar))


def test_a_file_that_is_no_yaml_hides_no_other_mistake(pillar, tmp_path):
    put(tmp_path, "secrets/shop.sls", f"a:\n  b: *{VALUE}\n")
    put(tmp_path, "secrets/shop_database.sls", DATABASE.replace(FETCHED, VALUE))
    assert problems(pillar)[:2] == [
        "secrets/shop.sls: cannot be read as YAML: see line 2",
        "secrets/shop_database.sls: passwords:database:shop: in clear: set it with make secret",
    ]


def test_a_value_in_clear_behind_another_of_the_same_key_is_no_secret(pillar, tmp_path):
    put(tmp_path, "secrets/shop.sls", SHOP.replace("    SECRET", f"    SECRET_KEY: {VALUE}\n    SECRET"))
    assert problems(pillar)[0] == "secrets/shop.sls: cannot be read as YAML: see line 3"


def test_a_message_without_a_key_in_the_tree_cannot_be_checked(pillar, tmp_path):
    message = "\n      ".join(["-----BEGIN PGP MESSAGE-----", "", "hF4D", "-----END PGP MESSAGE-----"])
    put(tmp_path, "secrets/shop.sls", f"secrets:\n  shop:\n    SECRET_KEY: |\n      {message}\n")
    assert problems(pillar) == [
        "secrets/shop.sls: Salt would not decrypt it: make its first line #!yaml|gpg",
        "secrets/public.asc: missing: bring it back, or make secrets-init on the master writes it",
    ]


def test_apps_and_hosts_come_from_this_tree_where_the_folder_has_only_secrets(tmp_path):
    put(tmp_path, "secrets/shop.sls", SHOP)
    database, cache = problems(Pillar(tmp_path / "pillar", tmp_path / "none/gpgkeys"))
    assert database.startswith("secrets/shop_database.sls: passwords:database:shop: missing")
    assert cache.startswith("secrets/shop_cache.sls: passwords:cache:shop: missing")
