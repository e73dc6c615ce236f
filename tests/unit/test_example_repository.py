"""examples/make_repository.py builds the repository of the example, and its releases are what the README says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
BROKEN_AT_RUN_TIME = ["hangs", "answers-500", "old-id", "dies", "leaks", "fails-some", "slow"]
TAGS = ["v1", "v2", "broken-import", "broken-health", "broken-migration", "unsafe-migration"]
TAGS += ["tweak", "patient", "live", "broken-asgi", *BROKEN_AT_RUN_TIME]


def make(destination, **environment):
    command = [sys.executable, EXAMPLES / "make_repository.py", destination]
    answer = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    return {tag: commit for commit, tag in map(str.split, answer.stdout.splitlines())}


def git(repository, *arguments):
    return subprocess.check_output(["git", f"--git-dir={repository}", *arguments], text=True)


def state(repository):
    return git(repository, "for-each-ref"), sorted(path.name for path in repository.rglob("objects/*/*"))


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    path = tmp_path_factory.mktemp("example") / "shop.git"
    make(path)
    return path


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    def extract(tag):
        folder = tmp_path_factory.mktemp(tag)
        archive = subprocess.Popen(["git", f"--git-dir={repository}", "archive", tag], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", folder], stdin=archive.stdout, check=True)
        assert archive.wait() == 0
        return folder

    return extract


def test_every_tag_is_there(repository):
    assert git(repository, "tag", "--list").split() == sorted(TAGS)


def test_commit_ids_depend_neither_on_the_machine_nor_on_the_user(tmp_path):
    config = tmp_path / ".gitconfig"
    config.write_text(
        "[user]\nname = Somebody\nemail = somebody@example.com\n[core]\nautocrlf = true\n"
        "[init]\ndefaultBranch = trunk\n[commit]\ngpgSign = true\n"
    )
    first = make(tmp_path / "first.git")
    elsewhere = {"HOME": str(tmp_path), "TZ": "Asia/Tokyo", "LANG": "C", "GIT_AUTHOR_NAME": "x", "GIT_DIR": "/nowhere"}
    assert make(tmp_path / "second.git", **elsewhere) == first


def test_a_second_run_changes_nothing(tmp_path):
    first = make(tmp_path / "shop.git")
    before = state(tmp_path / "shop.git")
    assert make(tmp_path / "shop.git") == first
    assert state(tmp_path / "shop.git") == before


def test_a_moved_tag_is_put_right(tmp_path):
    first = make(tmp_path / "shop.git")
    git(tmp_path / "shop.git", "tag", "--force", "v1", "v2")
    assert make(tmp_path / "shop.git") == first


def test_nothing_is_left_beside_the_repository(repository):
    assert [path.name for path in repository.parent.iterdir()] == ["shop.git"]


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        make(tmp_path)
    assert "is not a git repository: name a path that is free" in caught.value.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_every_other_release_is_a_child_of_v1(repository):
    assert {git(repository, "rev-parse", f"{tag}^") for tag in TAGS[1:]} == {git(repository, "rev-parse", "v1")}


def test_manage_py_is_the_one_executable_file(repository):
    lines = git(repository, "ls-tree", "-r", "v1").splitlines()
    assert [line.split("\t")[1] for line in lines if not line.startswith("100644")] == ["manage.py"]


# Not of `patient`, which differs from v1 in a limit that these tests look at.
@pytest.mark.parametrize("tag", ["v1", "v2", "tweak", "live"])
def test_the_own_tests_of_a_good_release_pass(checkout, tag):
    pytest.importorskip("django")
    # The tests of the tasks need Celery, which the project's requirements have and ours have not.
    (folder := checkout(tag)).joinpath("catalogue/tests/test_tasks.py").unlink()
    answer = subprocess.run([sys.executable, "manage.py", "test"], cwd=folder, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("tag", ["v1", "v2", "broken-migration", "unsafe-migration"])
def test_the_migrations_of_a_release_match_its_models(checkout, tag):
    pytest.importorskip("django")
    command = [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"]
    answer = subprocess.run(command, cwd=checkout(tag), capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_broken_migration_leaves_nothing_behind(checkout):
    pytest.importorskip("django")
    folder = checkout("broken-migration")
    answer = subprocess.run([sys.executable, "manage.py", "migrate"], cwd=folder, capture_output=True, text=True)
    assert "IntegrityError" in answer.stderr
    columns = "import django; django.setup(); from django.db import connection as c\n"
    columns += "print([f.name for f in c.introspection.get_table_description(c.cursor(), 'catalogue_product')])"
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "shop.settings.local"}
    answer = subprocess.run(
        [sys.executable, "-c", columns], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert "'price'" in answer.stdout
    assert "weight" not in answer.stdout


def test_the_broken_import_passes_check_and_fails_where_the_server_starts(checkout):
    pytest.importorskip("django")
    folder = checkout("broken-import")
    subprocess.run([sys.executable, "manage.py", "check"], cwd=folder, check=True, capture_output=True)
    answer = subprocess.run([sys.executable, "-c", "import shop.wsgi"], cwd=folder, capture_output=True, text=True)
    assert "ModuleNotFoundError: No module named 'tea_analytics'" in answer.stderr


@pytest.mark.parametrize("tag", BROKEN_AT_RUN_TIME)
def test_a_release_that_breaks_later_passes_every_check_of_the_staging(checkout, tag):
    pytest.importorskip("django")
    command = [sys.executable, "manage.py", "check"]
    subprocess.run(command, cwd=checkout(tag), check=True, capture_output=True, timeout=30)


def first_page(checkout, tag, before="", pages=("/",)):
    """(status, X-Release) of the first page of a release whose id is "this", without a server; or of the last page."""
    folder = checkout(tag)
    (folder / ".release").write_text("this")
    code = f"{before}\nimport django; django.setup()\nfrom django.test import Client\n"
    code += "from django.core.management import call_command\ncall_command('migrate', verbosity=0)\n"
    code += "client = Client(raise_request_exception=False)\n"
    code += f"*_, answer = (client.get(page, HTTP_HOST='localhost') for page in {pages})\n"
    code += "print(answer.status_code, answer['X-Release'])"
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "shop.settings.local", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


@pytest.mark.parametrize(
    ("tag", "status", "release"),
    [
        ("v1", "200", "this"),
        ("answers-500", "500", "this"),
        ("old-id", "200", "000000000000"),
        ("dies", "200", "this"),
        ("leaks", "200", "this"),
        ("fails-some", "200", "this"),
        ("slow", "200", "this"),
    ],
)
def test_a_release_answers_as_the_readme_says(checkout, tag, status, release):
    pytest.importorskip("django")
    assert first_page(checkout, tag) == [status, release]


@pytest.mark.parametrize(("page", "status"), [("/products/assam/", "500"), ("/healthz/", "200")])
def test_the_release_that_fails_some_does_so_with_every_tenth_page_but_not_the_health_page(checkout, page, status):
    pytest.importorskip("django")
    assert first_page(checkout, "fails-some", pages=("/",) * 9 + (page,)) == [status, "this"]


@pytest.mark.parametrize(("page", "is_slow"), [("/", True), ("/healthz/", False)])
def test_the_release_that_is_slow_is_so_on_its_first_page_but_not_on_the_health_page(checkout, page, is_slow):
    pytest.importorskip("django")
    slept = "import time, sys; time.sleep = lambda seconds: sys.exit(f'slept {seconds}')"
    if is_slow:
        with pytest.raises(AssertionError, match="slept 1.2"):
            first_page(checkout, "slow", slept, pages=(page,))
    else:
        assert first_page(checkout, "slow", slept, pages=(page,)) == ["200", "this"]


def test_the_release_that_leaks_never_answers_within_256_mb(checkout):
    pytest.importorskip("django")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_DATA, (256 << 20, 256 << 20))"
    with pytest.raises(AssertionError, match="MemoryError"):
        first_page(checkout, "leaks", limit)


def test_the_release_that_hangs_does_so_before_the_server_has_an_application(checkout):
    pytest.importorskip("django")
    with pytest.raises(subprocess.TimeoutExpired):
        command = [sys.executable, "-c", "import shop.wsgi; print('imported')"]
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "shop.settings.local"}
        subprocess.run(command, cwd=checkout("hangs"), env=environment, capture_output=True, timeout=3)


def test_the_release_that_dies_has_the_main_process_end_in_good_order(checkout):
    pytest.importorskip("django")
    code = (
        "import signal, sys, time, core.middleware\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit('told to end'))\n"
    )
    code += "core.middleware.LIFE = 0.1\nimport shop.wsgi\ntime.sleep(20)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=checkout("dies"),
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "shop.settings.local"},
        # As process managers start a program; without it the signal would go to whoever runs the tests.
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=15,
    )
    assert done.stderr.strip() == "told to end"
