import fcntl
import os

import pytest
from salt.exceptions import CommandExecutionError

import app_spec
import command

SHOP = {
    "app": "shop",
    "name": "shop",
    "user": "shop",
    "logins": ["shop", "shop-2"],
    "address": "10.213.7.21",
    "port": 5432,
    "max_connections": 100,
    "clients": ["10.213.7.11", "fd00::12"],
    "version": "15",
}
ROLE = '{"roles": {"shop": {"login": true, "verifier": null, "acts_as": null}}, "owner": null}'


@pytest.fixture
def databases(load):
    both = [SHOP, SHOP | {"name": "blog", "logins": ["b", "b-2"]}]
    return load("_modules/databases.py", salt={"apps.databases": lambda: both})


@pytest.fixture
def runs(databases, monkeypatch):
    """What would have been run, instead of running it."""
    seen = []

    def run(argv, user="", cwd="/", env=None, stdin="", timeout=300, what=""):
        seen.append({"argv": argv, "user": user, "env": env, "stdin": stdin})
        return ROLE

    monkeypatch.setattr(command, "run", run)
    return seen


def test_a_host_without_databases_has_no_server_to_set_up(load):
    assert load("_modules/databases.py", salt={"apps.databases": lambda: []}).servers() == []


def test_the_server_listens_where_the_inventory_says(databases):
    [server] = databases.servers()
    assert (server["address"], server["port"]) == ("10.213.7.21", 5432)
    assert (server["service"], server["folder"]) == ("postgresql@15-main", "/etc/postgresql/15/main")


def test_each_client_may_come_to_its_own_database_only(databases):
    [server] = databases.servers()
    assert [tuple(rule.values()) for rule in server["rules"]] == [
        ("shop", ["shop", "shop-2"], "10.213.7.11/32"),
        ("shop", ["shop", "shop-2"], "fd00::12/128"),
        ("blog", ["b", "b-2"], "10.213.7.11/32"),
        ("blog", ["b", "b-2"], "fd00::12/128"),
    ]


def test_neither_password_nor_verifier_is_in_the_arguments(databases, runs):
    databases.create_role("shop", app_spec.Secret("pencil"))
    [run] = runs
    assert run["user"] == "postgres"
    assert "SCRAM-SHA-256$4096:" in run["stdin"]
    assert "SCRAM" not in repr(run["argv"]) + repr(run["env"])
    assert "pencil" not in repr(run)


def test_the_answer_about_a_role_holds_no_verifier(databases, runs):
    found = databases.inspect("shop", {"shop": app_spec.Secret("pencil")})
    assert found == {"owner": "", "roles": {"shop": {"login": True, "password": False, "acts_as": ""}}}


def test_the_login_of_a_role_that_acts_as_another_comes_last(databases, runs):
    databases.create_role("shop-2", app_spec.Secret("pencil"), acts_as="shop")
    made = [line for line in runs[0]["stdin"].splitlines() if line]
    assert made[1:3] == ['GRANT "shop" TO "shop-2";', "ALTER ROLE \"shop-2\" SET role = 'shop';"]
    assert made[3].startswith('ALTER ROLE "shop-2" LOGIN PASSWORD')


def test_a_role_without_a_password_is_shut_out(databases, runs):
    databases.create_role("shop")
    assert runs[0]["stdin"].strip().endswith('ALTER ROLE "shop" NOLOGIN PASSWORD NULL;')


@pytest.mark.parametrize(
    ("quote", "text", "quoted"),
    [("identifier", 'a"b', '"a""b"'), ("identifier", "a'b", '"a\'b"'), ("literal", "a'b\\", "'a''b\\'")],
)
def test_a_quote_inside_a_name_does_not_end_it(databases, quote, text, quoted):
    assert getattr(databases, quote)(text) == quoted


@pytest.mark.parametrize("label", ["", "../x", ".hidden", "a b", "x" * 64, "a/b"])
def test_a_label_that_is_no_word_is_refused(databases, tmp_path, label):
    with pytest.raises(CommandExecutionError, match="label: "):
        databases.dump("shop", label, folder=tmp_path)


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(databases, tmp_path, name):
    with pytest.raises(CommandExecutionError, match="name: "):
        databases.dumps(name, folder=tmp_path)


def test_keeping_no_dump_is_refused(databases, tmp_path):
    with pytest.raises(CommandExecutionError, match="keep: 0"):
        databases.dump("shop", folder=tmp_path, keep=0)


def test_two_dumps_of_a_database_at_once_are_refused(databases, tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(CommandExecutionError, match="Another dump: wait"), databases._alone(tmp_path, "Another dump"):
        pass
    os.close(descriptor)


def test_a_database_that_was_never_dumped_has_no_dumps(databases, tmp_path):
    assert databases.dumps("shop", folder=tmp_path) == []


def test_files_that_are_no_dumps_are_left_alone(databases, tmp_path):
    (tmp_path / "shop").mkdir()
    for name in (".partial", "manual.dump", "20260102T030405.678901Z-v2.dump"):
        (tmp_path / "shop" / name).touch()
    [found] = databases.dumps("shop", folder=tmp_path)
    assert (found["label"], found["made"], found["size"]) == ("v2", "2026-01-02T03:04:05Z", 0)


def test_a_host_without_postgresql_says_so(databases, tmp_path, monkeypatch):
    monkeypatch.setattr(databases, "SUPERUSER", "nosuchuser")
    with pytest.raises(CommandExecutionError, match="PostgreSQL is not installed on this host"):
        databases.dump("shop", folder=tmp_path)
