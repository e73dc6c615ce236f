"""The states of Django's steps say in test mode what they do without it."""

from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
from salt.exceptions import CommandExecutionError


class Release:
    """A release on this host, its arguments, and the execution module that is asked about it."""

    def __init__(self, load, tmp_path):
        self.load, self.manage = load, create_autospec(load("_modules/manage.py"))
        self.folder, self.current = tmp_path / "releases/1", tmp_path / "current"
        self.python, self.shared = self.folder / "bin/python", tmp_path / "static"
        self.manage.is_collected.return_value = False

    def stage(self):
        self.python.parent.mkdir(parents=True)
        self.python.touch()

    def serve(self):
        self.stage()
        self.current.symlink_to(self.folder)

    def run(self, state, test, **more):
        names = ("check", "pending_migrations", "migrate", "static_root", "is_collected", "unshared", "collect_static")
        salt = {f"manage.{name}": getattr(self.manage, name) for name in names}
        more |= {"shared": str(self.shared)} if state == "static_collected" else {}
        arguments = str(self.python), str(self.folder), "settings", "shop", {}
        function = getattr(self.load("_states/manage.py", salt=salt, test=test), state)
        return function("shop", *arguments, current=str(self.current), **more)

    def started(self):
        quiet = {"is_collected", "unshared"}
        return {name for name, _, _ in self.manage.mock_calls} - quiet


@pytest.fixture
def release(load, tmp_path):
    return Release(load, tmp_path)


STATES = ("checked", "migrated", "static_collected")


@pytest.mark.parametrize("test", [True, False])
@pytest.mark.parametrize("state", STATES)
def test_a_release_that_is_served_is_asked_nothing(release, state, test):
    release.serve()
    result = release.run(state, test)
    assert (result["result"], result["changes"]) == (True, {})
    assert not release.started()


@pytest.mark.parametrize(("state", "foretold"), [("checked", True), ("migrated", None), ("static_collected", None)])
def test_before_the_release_exists_test_mode_asks_nobody_and_foretells_no_change_of_a_check(release, state, foretold):
    assert release.run(state, test=True)["result"] is foretold
    assert not release.started()


@pytest.mark.parametrize("test", [True, False])
def test_a_check_without_errors_passes_and_shows_its_warnings(release, test):
    release.stage()
    release.manage.check.return_value = ["(security.W004) no HSTS"]
    result = release.run("checked", test)
    assert (result["result"], result["changes"]) == (True, {})
    assert result["comment"] == "No errors, 1 warnings\n(security.W004) no HSTS"


@pytest.mark.parametrize("test", [True, False])
def test_a_check_with_errors_fails(release, test):
    release.stage()
    release.manage.check.side_effect = CommandExecutionError("fields.E300")
    result = release.run("checked", test)
    assert (result["result"], result["changes"], result["comment"]) == (False, {}, "fields.E300")


@pytest.mark.parametrize("test", [True, False])
def test_nothing_pending_is_no_change(release, test):
    release.stage()
    release.manage.pending_migrations.return_value = []
    assert release.run("migrated", test)["changes"] == {}
    release.manage.migrate.assert_not_called()


def test_pending_migrations_are_foreseen_and_applied(release):
    release.stage()
    release.manage.pending_migrations.return_value = release.manage.migrate.return_value = ["shop.0001_initial"]
    foreseen = release.run("migrated", test=True)
    release.manage.migrate.assert_not_called()
    made = release.run("migrated", test=False)
    assert (foreseen["result"], made["result"]) == (None, True)
    assert foreseen["changes"] == made["changes"] == {"applied": ["shop.0001_initial"]}


def test_how_long_a_migration_may_wait_for_a_lock_is_passed_on(release):
    release.stage()
    release.manage.pending_migrations.return_value = release.manage.migrate.return_value = ["shop.0001_initial"]
    release.run("migrated", test=False, lock_timeout=5)
    assert release.manage.migrate.call_args.args[-1] == 5


def test_migrations_that_another_host_applied_meanwhile_are_no_change(release):
    release.stage()
    release.manage.pending_migrations.return_value = ["shop.0001_initial"]
    release.manage.migrate.return_value = []
    assert release.run("migrated", test=False)["changes"] == {}


def test_a_failed_migration_shows_what_was_applied_before_it(release):
    release.stage()
    error = CommandExecutionError("ZeroDivisionError")
    error.changes = {"applied": ["shop.0001_initial"]}
    release.manage.pending_migrations.return_value = ["shop.0001_initial", "shop.0002_fails"]
    release.manage.migrate.side_effect = error
    result = release.run("migrated", test=False)
    assert (result["result"], result["changes"]) == (False, {"applied": ["shop.0001_initial"]})


def test_static_files_are_foreseen_and_collected(release):
    release.stage()
    release.manage.static_root.return_value = str(release.folder / "staticfiles")
    release.manage.collect_static.return_value = 3
    foreseen = release.run("static_collected", test=True)
    release.manage.collect_static.assert_not_called()
    made = release.run("static_collected", test=False)
    assert (foreseen["result"], made["result"]) == (None, True)
    assert foreseen["changes"] == made["changes"] == {"collected": str(release.folder)}


@pytest.mark.parametrize("test", [True, False])
def test_collected_static_files_are_left_alone(release, test):
    release.stage()
    release.manage.is_collected.return_value, release.manage.unshared.return_value = True, []
    assert release.run("static_collected", test)["changes"] == {}
    assert not release.started()


def test_files_that_are_gone_are_linked_again_for_the_release_that_is_served_too(release):
    release.serve()
    release.manage.is_collected.return_value, release.manage.unshared.return_value = True, ["shop.css"]
    foreseen, made = release.run("static_collected", test=True), release.run("static_collected", test=False)
    assert (foreseen["result"], made["result"]) == (None, True)
    assert foreseen["changes"] == made["changes"] == {"linked": ["shop.css"]}


@pytest.mark.parametrize("test", [True, False])
def test_no_static_root_is_no_change(release, test):
    release.stage()
    release.manage.static_root.return_value = ""
    assert release.run("static_collected", test)["changes"] == {}
    release.manage.collect_static.assert_not_called()


class Shared:
    """`static_shared` for a release of which `outdated` files stand in the served folder with another content."""

    def __init__(self, load, tmp_path, outdated, collected=True):
        self.folder, self.shared = tmp_path / "releases/1a2b", tmp_path / "static"
        self.manage = SimpleNamespace(
            is_collected=lambda folder: collected,
            unshared=lambda folder, shared, replace: outdated,
            share=create_autospec(load("_modules/manage.py").share),
        )
        self.load = load

    def run(self, test):
        salt = {f"manage.{name}": function for name, function in vars(self.manage).items()}
        module = self.load("_states/manage.py", salt=salt, test=test)
        return module.static_shared("shop", str(self.folder), str(self.shared))


def test_static_files_of_another_release_are_replaced(load, tmp_path):
    shared = Shared(load, tmp_path, ["shop.css"])
    result = shared.run(test=False)
    assert (result["result"], result["changes"]) == (True, {"replaced": ["shop.css"]})
    shared.manage.share.assert_called_once_with(str(shared.folder), str(shared.shared), replace=True)


def test_in_test_mode_they_would_be(load, tmp_path):
    shared = Shared(load, tmp_path, ["shop.css"])
    result = shared.run(test=True)
    assert (result["result"], result["changes"]) == (None, {"replaced": ["shop.css"]})
    assert not shared.manage.share.called


@pytest.mark.parametrize("test", [True, False])
def test_static_files_that_are_the_releases_own_stay(load, tmp_path, test):
    result = Shared(load, tmp_path, []).run(test)
    assert (result["result"], result["changes"]) == (True, {})


@pytest.mark.parametrize(("served", "expected"), [([], True), (["shop.css"], None)])
def test_before_the_release_is_staged_test_mode_expects_it_to_differ_from_another(load, tmp_path, served, expected):
    shared = Shared(load, tmp_path, [], collected=False)
    shared.shared.mkdir()
    for name in served:
        (shared.shared / name).touch()
    assert shared.run(test=True)["result"] is expected


@pytest.mark.parametrize(("state", "what"), [("static_collected", "collected"), ("static_shared", "replaced")])
def test_in_test_mode_files_that_would_go_into_the_served_release_foretell_its_static_files(release, state, what):
    release.serve()
    release.manage.is_collected.return_value = True
    salt = {"manage.is_collected": release.manage.is_collected}
    module = release.load("_states/manage.py", salt=salt, test=True)
    result = module.mod_watch("shop", sfun=state, folder=str(release.folder), python="x")
    assert (result["result"], list(result["changes"])) == (None, [what])


@pytest.mark.parametrize(("test", "collected"), [(False, True), (True, False)])
def test_for_real_or_without_static_files_nothing_is_foretold(release, test, collected):
    salt = {"manage.is_collected": lambda folder: collected}
    module = release.load("_states/manage.py", salt=salt, test=test)
    assert module.mod_watch("shop", sfun="static_collected", folder="x")["changes"] == {}
