"""Whether a host is able to take a release."""

import socket

import pytest
from salt.exceptions import CommandExecutionError

import module_digest

SERVING = {"slot": "blue", "release": "old", "since": ""}


@pytest.fixture
def door():
    """A database, or a cache, that listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def report(load, tmp_path, door):
    def make(
        app="shop",
        port=0,
        cache_port=0,
        holder="nginx",
        installed=True,
        programs=lambda name: {},
        space=0,
        manager="supervisor",
        others=(),
        pillar=None,
    ):
        database = {"host": "db1", "address": "127.0.0.1", "port": port or door}
        cache = {"host": "cache1", "address": "127.0.0.1", "port": cache_port or door}
        spec = {"name": "shop", "paths": {"home": str(tmp_path / "missing/shop")}, "databases": [database],
                "caches": [cache],
                "process_manager": manager, "slots": [{"program": "shop-blue"}], "web": {"front": "nginx"}}  # fmt: skip
        salt = {
            "apps.specs": lambda: [spec],
            "apps.hosted": lambda: ["shop", *others],
            "slots.serving": lambda app: SERVING,
            f"{manager}.programs": programs,
            "fronts.holder": lambda: holder,
            "fronts.is_installed": lambda front: installed,
        }
        module = load("_modules/preflight.py", salt=salt, pillar=pillar)
        module.DISK_SPACE = space
        return module.report(app)

    return make


def test_a_host_that_is_well_has_no_problem_and_says_what_it_serves(report):
    answer = report()
    assert answer["problems"] == []
    assert answer["serving"] == SERVING


def test_a_host_without_the_app_is_asked_for_its_clock_only(report):
    assert report(app="blog", holder="")["problems"] == []


def test_a_pillar_of_which_a_part_is_missing_is_a_problem_before_anything_is_built(report):
    failed = "Rendering SLS 'secrets.shop' failed. Please see master log for details."
    (problem,) = report(pillar={"_errors": [failed]})["problems"]
    assert problem == f"its pillar is not complete: {failed} If it holds secrets: make secrets-check on the master"


def test_a_pillar_that_is_complete_and_right_gives_the_roles_and_another_one_says_what_is_wrong(load):
    def asked(**pillar):
        return load("_modules/preflight.py", salt={"apps.roles": lambda: ["app"]}, pillar=pillar).pillar()

    assert asked() == ["app"]
    with pytest.raises(CommandExecutionError, match="secrets.shop' failed.*\nits pillar is not complete: Specified"):
        asked(_errors=["Rendering SLS 'secrets.shop' failed.", "Specified SLS 'x' is not available."])


def test_every_problem_is_reported(report):
    def broken(name):
        raise CommandExecutionError("Supervisor does not run")

    problems = "\n".join(report(port=1, cache_port=1, holder="", programs=broken, space=2**80)["problems"])
    services = ("is PostgreSQL up on db1?", "the cache at 127.0.0.1:1 is not reached", "is Redis up on cache1?")
    for words in ("MiB are free in", *services, "Supervisor does not run", "nginx does not run"):
        assert words in problems


def test_a_web_server_that_is_not_installed_is_a_problem_before_anything_is_built(report):
    assert "nginx is not installed: apply the host's highstate" in report(installed=False)["problems"][0]


def test_a_web_server_that_other_apps_need_is_changed_by_a_highstate_only(report):
    assert report(holder="apache")["problems"] == []
    [problem] = report(holder="apache", others=["blog"])["problems"]
    assert problem == "apache has port 80, also for blog: apply the host's highstate, which changes them all"


def test_the_apps_own_process_manager_is_asked_and_what_starts_it_after_a_boot(report):
    [problem] = report(manager="systemd")["problems"]
    assert problem.startswith("slipway-start-active.service is not enabled")


def test_a_host_with_the_masters_modules_has_its_digest_and_the_first_root_wins(load, tmp_path):
    for path, text in {"a/_modules/x.py": "1", "b/_modules/x.py": "2", "b/_utils/y.py": "3"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    for path, text in {"ext/modules/x.py": "1", "ext/utils/y.py": "3"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    host = load("_modules/preflight.py", extension_modules=str(tmp_path / "ext"))
    assert host.modules() == module_digest.of_tree([tmp_path / "a", tmp_path / "b"])
    assert host.modules() != module_digest.of_tree([tmp_path / "b"])
