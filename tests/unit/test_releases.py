"""Releases and venvs on a host, with real git, real uv and no network."""

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

import app_files
import command
import editions
import repository
import staging
import venvs

UV = Path(sys.executable).parent / "uv"
NO_ONE = "0" * 40


@pytest.fixture
def releases(load, tmp_path, monkeypatch):
    monkeypatch.setattr(venvs, "UV", str(UV))
    monkeypatch.setattr(venvs, "CACHE", str(tmp_path / "uv-cache"))
    monkeypatch.setattr(venvs, "PYTHONS", str(tmp_path / "pythons"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    # Syncing every disk of the machine is for power failures, which no test has.
    monkeypatch.setattr(os, "sync", lambda: None)
    return load("_modules/releases.py")


@pytest.fixture
def processes(monkeypatch):
    """The argument lists of the processes that are started from now on."""
    started = []
    run = command.run
    monkeypatch.setattr(command, "run", lambda argv, **options: (started.append(argv), run(argv, **options))[1])
    return started


@pytest.fixture
def work(tmp_path):
    """A git repository with one commit."""
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "--quiet", "--initial-branch=main")
    (work / "requirements.txt").write_text("# nothing\n")
    commit(work, "shop.py", "VERSION = 1\n")
    return work


@pytest.fixture
def shop(releases, tmp_path, work):
    return Shop(releases, tmp_path / "srv/shop", {"kind": "git", "url": str(work)})


class Shop:
    """An app on this host: the same arguments, again and again."""

    def __init__(self, releases, home, source):
        self.module, self.home, self.source = releases, home, source
        self.mirror, self.slots = str(home / "source.git"), home / "slots"
        self.venvs, self.requirements, self.python = home / "venvs", "", sys.executable
        self.packages = []

    def resolve(self, revision):
        return self.module.resolve(self.source, revision, self.mirror)

    def path(self, id):
        return self.home / "releases" / id

    def stage(self, revision="main"):
        found = self.resolve(revision)
        self.stage_commit(found["commit"])
        return self.path(found["id"])

    def stage_commit(self, commit):
        places = self.mirror, str(self.home / "downloads"), str(self.venvs)
        venv = self.requirements, self.python, "production", self.packages
        return self.module.stage(str(self.path(commit[:12])), self.source, commit, *places, *venv)

    def lacks(self, path):
        return self.module.lacks(str(path), self.requirements, self.python, "production")

    def missing(self, release):
        return self.module.missing_packages(str(release), self.packages)

    def preview(self, revision="main", files_of="", **django):
        found = self.resolve(revision)
        places = {"home": str(self.home), "current": str(self.home / "current"), "mirror": self.mirror}
        venv = {"requirements": self.requirements, "python": self.python, "environment": "production"}
        asked = {"settings": "shop.settings", "user": "", "variables": {}, **django}
        return self.module.preview(
            path=str(self.path(found["id"])), source=self.source, commit=found["commit"], venvs=str(self.venvs),
            packages=self.packages, django=asked, files_of=files_of, **places, **venv,
        )  # fmt: skip

    def prune(self, keep, wanted, protect=(), really=True):
        function = self.module.prune if really else self.module.prunable
        folder, slots, venvs = str(self.home / "releases"), str(self.slots), str(self.venvs)
        what = (folder, keep, slots, str(wanted), list(protect), venvs, str(self.home / "furnished"))
        return [Path(path).name for path in function(*what)]

    def furnish(self, release):
        """A copy of a release with a file in it; returns where it is."""
        link = self.home / "furnished" / release.name
        with editions.next_of(link) as new:
            app_files.fill(new, {}, "root", release)
            editions.publish(new, link)
        return link.resolve()


def git(work, *arguments):
    person = ("-c", "user.name=Me", "-c", "user.email=me@example.com")
    return subprocess.run(
        ["git", "-C", work, *person, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(work, name, text):
    (work / name).parent.mkdir(parents=True, exist_ok=True)
    (work / name).write_text(text)
    git(work, "add", "--all", "--force")
    git(work, "commit", "--quiet", "--message", name)
    return git(work, "rev-parse", "HEAD")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# What a revision means


def test_a_full_commit_is_understood_without_a_process(shop, processes):
    assert shop.resolve("1a2b3c4d5e6f" + "0" * 28) == {"id": "1a2b3c4d5e6f", "commit": "1a2b3c4d5e6f" + "0" * 28}
    assert not processes


def test_a_branch_means_its_last_commit(shop, work):
    assert shop.resolve("main")["commit"] == git(work, "rev-parse", "main")


def test_a_tag_with_a_message_means_the_commit_behind_it(shop, work):
    git(work, "tag", "--annotate", "v1", "--message", "One")
    assert shop.resolve("v1")["commit"] == git(work, "rev-parse", "main")


def test_a_tag_comes_before_a_branch_of_the_same_name(shop, work):
    git(work, "tag", "v1")
    git(work, "branch", "other")
    later = commit(work, "shop.py", "VERSION = 2\n")
    git(work, "branch", "v1", "main")
    assert shop.resolve("v1")["commit"] != later


def test_a_short_commit_is_found_in_the_mirror(shop, work):
    full = commit(work, "shop.py", "VERSION = 2\n")
    assert shop.resolve(full[:9])["commit"] == full


def test_an_unknown_revision_is_named_with_the_repository(shop, work):
    with pytest.raises(CommandExecutionError, match=f"{work} has no tag, branch or commit 'v9'"):
        shop.resolve("v9")


def test_the_mirror_answers_when_the_repository_does_not(shop, work):
    expected = shop.stage("main").name
    work.rename(work.with_name("gone"))
    assert shop.resolve("main")["id"] == expected


def test_a_repository_that_does_not_answer_is_named_with_the_revision(shop, work):
    work.rename(work.with_name("gone"))
    with pytest.raises(CommandExecutionError, match=f"asking {work} for revision 'main' failed"):
        shop.resolve("main")


@pytest.mark.parametrize("revision", ["--upload-pack=touch /tmp/owned", "-x", ""])
def test_a_revision_is_never_an_option_of_git(shop, processes, revision):
    with pytest.raises(CommandExecutionError, match="is no revision"):
        shop.resolve(revision)
    assert not processes


def test_an_address_is_never_an_option_of_git(releases):
    with pytest.raises(CommandExecutionError, match="no address"):
        releases.resolve({"kind": "git", "url": "--upload-pack=x"}, "main", "/nowhere")


def test_a_password_in_an_address_is_in_no_argument_and_no_error(releases, processes, tmp_path):
    source = {"kind": "git", "url": "http://me:s3cret@127.0.0.1:9/shop.git"}
    with pytest.raises(CommandExecutionError) as caught:
        releases.resolve(source, "main", str(tmp_path / "none"))
    assert "s3cret" not in str(caught.value) + str(processes)


def test_a_password_in_an_address_becomes_a_header():
    header = "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert repository.without_credentials("https://me:p%40ss@host/x.git") == ("https://host/x.git", header)


def test_ssh_never_asks_and_remembers_whom_it_met_first():
    assert repository._ssh({}) == "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new"


def test_ssh_trusts_given_host_keys_only_and_shows_the_deploy_key_only(tmp_path):
    key = tmp_path / "deploy_key"
    key.touch()
    source = {"deploy_key": str(key), "known_hosts": "/etc/shop/known_hosts", "host_keys": ["host ssh-x"]}
    assert repository._ssh(source) == (
        "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes "
        f"-o IdentityFile={key} -o UserKnownHostsFile=/etc/shop/known_hosts"
    )


def test_ssh_goes_with_roots_own_keys_where_there_is_no_deploy_key(tmp_path):
    assert "IdentityFile" not in repository._ssh({"deploy_key": str(tmp_path / "deploy_key")})


# Staging


def test_a_release_has_code_venv_id_and_bytecode(shop):
    release = shop.stage()
    assert (release / "shop.py").read_text() == "VERSION = 1\n"
    assert (release / ".release").read_text() == f"{release.name}\n"
    assert (release / ".venv/bin/python").exists()
    assert str((release / ".venv").readlink()).startswith("../../venvs/")
    assert list((release / "__pycache__").glob("shop.*.pyc"))
    assert not (release / ".git").exists()


def test_a_staged_release_lacks_nothing_and_asks_no_process(shop, processes):
    release = shop.stage()
    processes.clear()
    assert shop.lacks(release) == ""
    assert shop.stage_commit(git(Path(shop.source["url"]), "rev-parse", "main")) == ""
    assert not processes


def test_nothing_temporary_is_left(shop):
    release = shop.stage()
    assert names(shop.home / "releases") == [release.name]
    assert len(names(shop.venvs)) == 1
    assert names(shop.home) == ["releases", "source.git", "venvs"]


def test_releases_with_the_same_requirements_share_a_venv(shop, work):
    first = shop.stage()
    commit(work, "shop.py", "VERSION = 2\n")
    second = shop.stage()
    assert first != second
    assert (first / ".venv").resolve() == (second / ".venv").resolve()


def test_a_fetched_mirror_is_not_fetched_for_a_commit_that_it_has(shop, work, processes):
    shop.stage()
    first = git(work, "rev-parse", "main")
    work.rename(work.with_name("gone"))
    staging.remove(shop.path(first[:12]))
    assert shop.stage_commit(first) == "release"
    assert not [argv for argv in processes if "fetch" in argv][1:]


def test_a_commit_that_no_branch_has_any_more_is_still_released(shop, work):
    shop.stage()
    git(work, "config", "uploadpack.allowAnySHA1InWant", "true")
    lost = commit(work, "shop.py", "VERSION = 2\n")
    git(work, "reset", "--quiet", "--hard", "HEAD~1")
    shop.stage_commit(lost)
    assert (shop.path(lost[:12]) / "shop.py").read_text() == "VERSION = 2\n"


def test_a_commit_that_is_nowhere_leaves_nothing(shop):
    with pytest.raises(CommandExecutionError, match=NO_ONE):
        shop.stage_commit(NO_ONE)
    assert names(shop.home / "releases") == []


def test_a_broken_requirement_leaves_no_release_and_heals(shop, work):
    commit(work, "requirements.txt", "no-such-package==1.0\n")
    with pytest.raises(CommandExecutionError, match="requirements.txt asks for failed.*\n.*no-such-package"):
        shop.stage()
    assert names(shop.home / "releases") == names(shop.venvs) == []
    commit(work, "requirements.txt", "# nothing\n")
    assert shop.lacks(shop.stage()) == ""


def test_what_a_killed_run_left_is_removed_and_done_again(shop):
    for place in (shop.home / "releases/.tmp-0123456789ab/half", shop.venvs / ".tmp-x/bin"):
        place.mkdir(parents=True)
    release = shop.stage()
    assert names(shop.home / "releases") == [release.name]
    assert [name for name in names(shop.venvs) if name.startswith(".")] == []


@pytest.mark.parametrize("moment", range(4))
def test_a_kill_at_any_rename_leaves_a_release_complete_or_absent(shop, monkeypatch, moment):
    rename, left = Path.rename, [moment]

    def dying(path, target):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return rename(path, target)

    release = shop.path(shop.resolve("main")["id"])
    monkeypatch.setattr(Path, "rename", dying)
    with pytest.raises(KeyboardInterrupt):
        shop.stage()
    monkeypatch.setattr(Path, "rename", rename)
    assert not release.exists()
    shop.stage()
    assert shop.lacks(release) == ""


def test_a_full_disk_is_an_error_that_leaves_nothing(shop, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(staging, "publish", full)
    with pytest.raises(CommandExecutionError, match="was not staged: .*No space left"):
        shop.stage()
    assert names(shop.home / "releases") == names(shop.venvs) == []


def test_a_venv_that_is_gone_is_built_again_for_the_same_release(shop):
    release = shop.stage()
    staging.remove((release / ".venv").resolve())
    assert shop.lacks(release) == "venv"
    assert shop.stage() == release
    assert shop.lacks(release) == ""


def test_a_venv_whose_python_is_gone_is_built_again(shop):
    release = shop.stage()
    python = (release / ".venv").resolve() / "bin/python"
    python.unlink()
    python.symlink_to("/usr/bin/python3.0")
    assert shop.lacks(release) == "venv"
    shop.stage()
    assert shop.lacks(release) == ""


def test_other_requirements_give_a_release_another_venv_and_keep_the_one_in_use(shop, work):
    commit(work, "other.txt", "# other\n")
    release = shop.stage()
    before = (release / ".venv").resolve()
    shop.requirements = "other.txt"
    assert shop.lacks(release) == "venv"
    shop.stage()
    assert shop.lacks(release) == ""
    assert (release / ".venv").resolve() != before
    assert shop.prune(5, release) == []
    assert before.exists()


def test_what_the_repository_brings_along_under_our_names_is_replaced(shop, work):
    (work / ".venv").mkdir()
    (work / ".venv/x").write_text("mine")
    (work / ".release").symlink_to("/etc/hostname")
    hostname = Path("/etc/hostname").read_text()
    commit(work, "x", "x")
    release = shop.stage()
    assert (release / ".venv").is_symlink()
    assert not (release / ".release").is_symlink()
    assert Path("/etc/hostname").read_text() == hostname


def test_code_that_is_no_python_does_not_stop_a_release(shop, work):
    commit(work, "template/manage.py", "{{ project }} = ?\n")
    assert shop.lacks(shop.stage()) == ""


def test_two_runs_at_once_make_one_release(shop):
    errors = []

    def stage():
        try:
            shop.stage()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=stage) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not errors
    assert len(names(shop.home / "releases")) == 1


# Archives and folders


def tar(path, files, top="shop-1.0/"):
    with tarfile.open(path, "w:gz") as file:
        for name, text in files.items():
            member = tarfile.TarInfo(top + name)
            member.size, member.mode = len(text), 0o600
            file.addfile(member, io.BytesIO(text.encode()))
    return {"kind": "archive", "url": str(path), "hash": hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.fixture
def archive(tmp_path):
    return tar(tmp_path / "shop.tar.gz", {"shop.py": "VERSION = 3\n", "requirements.txt": ""})


def test_the_commit_of_an_archive_is_its_hash(shop, archive, processes):
    shop.source = archive
    assert shop.resolve("")["commit"] == archive["hash"]
    assert not processes


def test_an_archive_is_unpacked_without_its_top_folder_and_readable_by_the_app(shop, archive):
    shop.source = archive
    release = shop.stage()
    assert (release / "shop.py").read_text() == "VERSION = 3\n"
    assert (release / "shop.py").stat().st_mode & 0o777 == 0o644
    assert names(shop.home / "downloads") == []


def test_an_archive_comes_over_http_with_the_password_as_a_header(shop, archive):
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(Path(archive["url"]).read_bytes())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        shop.source = {**archive, "url": f"http://me:pw@127.0.0.1:{server.server_port}/shop.tar.gz"}
        assert (shop.stage() / "shop.py").exists()
        thread.join()
    assert asked == ["Basic " + base64.b64encode(b"me:pw").decode()]


def test_an_archive_with_another_hash_is_not_unpacked(shop, archive):
    shop.source = {**archive, "hash": "0" * 64}
    with pytest.raises(CommandExecutionError, match=f"its SHA-256 is {archive['hash']}, not 0000"):
        shop.stage()
    assert names(shop.home / "releases") == names(shop.home / "downloads") == []


@pytest.mark.parametrize("name", ["../escaped", "/tmp/slipway-escaped"])
def test_an_archive_whose_names_lead_outside_is_refused(shop, tmp_path, name):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
        file.writestr(name, "x")
    evil_zip = {"kind": "archive", "url": str(tmp_path / "evil.zip")}
    evil_zip["hash"] = hashlib.sha256(Path(evil_zip["url"]).read_bytes()).hexdigest()
    for shop.source in (tar(tmp_path / "evil.tar.gz", {name: "x"}, top="../x/"), evil_zip):
        with pytest.raises(CommandExecutionError, match="outside"):
            shop.stage()
    assert names(shop.home / "releases") == []
    assert not (shop.home / "releases/escaped").exists()


def test_a_zip_keeps_what_may_be_executed(shop, tmp_path):
    path = tmp_path / "shop.zip"
    with zipfile.ZipFile(path, "w") as file:
        program = zipfile.ZipInfo("shop/run")
        program.external_attr = 0o755 << 16
        file.writestr(program, "#!/bin/sh\n")
        file.writestr("shop/requirements.txt", "")
    shop.source = {"kind": "archive", "url": path.as_uri(), "hash": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert os.access(shop.stage() / "run", os.X_OK)


def test_something_that_is_no_archive_is_an_error(shop, tmp_path):
    path = tmp_path / "x"
    path.write_text("hello")
    shop.source = {"kind": "archive", "url": str(path), "hash": hashlib.sha256(b"hello").hexdigest()}
    with pytest.raises(CommandExecutionError, match="cannot be unpacked"):
        shop.stage()


def test_a_folder_is_copied_without_what_belongs_to_its_place(shop, work):
    shop.source = {"kind": "path", "url": str(work)}
    (work / "__pycache__").mkdir()
    (work / "node_modules").mkdir()
    release = shop.stage()
    assert (release / "shop.py").exists()
    assert not (release / ".git").exists()
    assert not (release / "node_modules").exists()


def test_a_folder_has_another_id_when_a_file_or_a_mode_changes(shop, work):
    shop.source = {"kind": "path", "url": str(work)}
    ids = [shop.resolve("")["id"]]
    (work / "__pycache__").mkdir()
    assert shop.resolve("")["id"] == ids[0]
    (work / "shop.py").chmod(0o755)
    ids.append(shop.resolve("")["id"])
    (work / "shop.py").write_text("VERSION = 5\n")
    ids.append(shop.resolve("")["id"])
    assert len(set(ids)) == 3


def test_a_folder_that_changed_since_it_was_asked_is_not_released(shop, work):
    shop.source = {"kind": "path", "url": str(work)}
    commit = shop.resolve("")["commit"]
    (work / "shop.py").write_text("VERSION = 5\n")
    with pytest.raises(CommandExecutionError, match="has changed since"):
        shop.stage_commit(commit)
    assert names(shop.home / "releases") == []


def test_a_missing_folder_is_named(shop):
    shop.source = {"kind": "path", "url": "/no/such/folder"}
    with pytest.raises(CommandExecutionError, match="no folder /no/such/folder on this host"):
        shop.resolve("")


# What a venv is made of


@pytest.fixture
def tree(tmp_path):
    tree = tmp_path / "tree"
    (tree / "requirements").mkdir(parents=True)
    return tree


def put(tree, **texts):
    for name, text in texts.items():
        (tree / name.replace("__", "/").replace("_", ".")).write_text(text)


def test_the_lock_file_comes_before_the_environment_and_that_before_the_rest(tree):
    put(tree, uv_lock="", requirements__production_txt="", requirements_txt="")
    found = []
    while names(tree) != ["requirements"] or names(tree / "requirements"):
        found.append(venvs.find(tree, "", "production"))
        found[-1].unlink()
    assert [str(path.relative_to(tree)) for path in found] == [
        "uv.lock",
        "requirements/production.txt",
        "requirements.txt",
    ]


def test_the_file_that_the_pillar_names_is_taken(tree):
    put(tree, uv_lock="", other_txt="")
    assert venvs.find(tree, "other.txt", "production") == tree / "other.txt"


@pytest.mark.parametrize("name", ["missing.txt", "../outside.txt"])
def test_a_named_file_must_be_in_the_release(tree, name):
    (tree.parent / "outside.txt").write_text("")
    with pytest.raises(CommandExecutionError, match="it has no"):
        venvs.find(tree, name, "production")


def test_a_release_without_requirements_names_what_was_looked_for(tree):
    with pytest.raises(CommandExecutionError, match="uv.lock, requirements/production.txt, requirements.txt"):
        venvs.find(tree, "", "production")


def test_a_change_in_an_included_file_gives_another_name(tree):
    put(tree, requirements_txt="-r requirements/base.txt\n", requirements__base_txt="-c limits.txt\nx==1\n")
    put(tree, requirements__limits_txt="y==1\n")
    file = tree / "requirements.txt"
    before = venvs.name(venvs.read(tree, file), "CPython 3.11.2")
    assert sorted(venvs.read(tree, file)) == ["requirements.txt", "requirements/base.txt", "requirements/limits.txt"]
    put(tree, requirements__limits_txt="y==2\n")
    assert venvs.name(venvs.read(tree, file), "CPython 3.11.2") != before


def test_another_python_gives_another_name():
    assert venvs.name({"requirements.txt": ""}, "CPython 3.11.2") != venvs.name({"requirements.txt": ""}, "PyPy 3.11.2")


def test_files_that_include_each_other_are_read_once(tree):
    put(tree, a_txt="-r b.txt\n", b_txt="-r a.txt\n")
    assert sorted(venvs.read(tree, tree / "a.txt")) == ["a.txt", "b.txt"]


def test_an_included_file_must_be_in_the_release(tree):
    put(tree, requirements_txt="-r ../../etc/shadow\n")
    with pytest.raises(CommandExecutionError, match="not in the release"):
        venvs.read(tree, tree / "requirements.txt")


@pytest.mark.parametrize("line", ["-e .", ".", "./libs/x", "libs/x", "/srv/x", "x @ file:///srv/x", "--editable=lib"])
def test_code_of_the_release_is_never_built_as_root(tree, line):
    put(tree, requirements_txt=f"django\n{line}\n")
    with pytest.raises(CommandExecutionError, match="requirements.txt:2: .* built as root"):
        venvs.read(tree, tree / "requirements.txt")


@pytest.mark.parametrize(
    "line", ["./wheels/x-1-py3-none-any.whl", "x @ git+https://h/x.git", "https://h/x.zip", "-r a.txt", "a[b]>=1 # ./c"]
)
def test_wheels_and_foreign_packages_are_no_code_of_the_release(tree, line):
    put(tree, requirements_txt=f"{line}\n", a_txt="")
    venvs.read(tree, tree / "requirements.txt")


def test_a_folder_of_the_release_in_a_lock_file_is_refused_but_the_project_is_not(tree):
    put(tree, pyproject_toml="", uv_lock='source = { editable = "." }\n')
    venvs.read(tree, tree / "uv.lock")
    put(tree, uv_lock='source = { editable = "libs/x" }\n')
    with pytest.raises(CommandExecutionError, match="uv.lock:1"):
        venvs.read(tree, tree / "uv.lock")


def test_a_project_file_is_no_list_of_requirements(tree):
    put(tree, pyproject_toml="")
    with pytest.raises(CommandExecutionError, match="name a lock file"):
        venvs.find(tree, "pyproject.toml", "production")


def wheel(folder, name="greeter", version="1.0", requires=()):
    """A wheel with one module and one program, made by hand."""
    folder.mkdir(exist_ok=True)
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
    files = {
        f"{name}.py": f"import sys\nVERSION = '{version}'\ndef main():\n    print('hello from', sys.prefix)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name.removesuffix('er')} = {name}:main\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as file:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            file.writestr(name, text)
    return path


def greet(shop, release):
    slot = shop.home / "slot"
    staging.point(slot, release)
    return command.run([slot / ".venv/bin/greet"]).split()[-1]


def test_programs_of_a_venv_run_through_a_slots_link_and_have_bytecode(shop, work):
    wheel(work / "wheels")
    commit(work, "requirements.txt", "./wheels/greeter-1.0-py3-none-any.whl\n")
    release = shop.stage()
    assert greet(shop, release) == str((release / ".venv").resolve())
    assert list((release / ".venv").glob("lib/*/site-packages/__pycache__/greeter.*.pyc"))
    record = json.loads((release / ".venv/.slipway.json").read_text())
    assert record["requirements"] == ["requirements.txt"]


def test_a_lock_file_is_installed_without_the_project_itself(shop, work, tmp_path):
    wheel(work / "wheels")
    project = "[project]\nname = 'shop'\nversion = '1'\nrequires-python = '>=3.10'\ndependencies = ['greeter']\n"
    sources = "[tool.uv.sources]\ngreeter = {path = 'wheels/greeter-1.0-py3-none-any.whl'}\n"
    build = "[build-system]\nrequires = []\nbuild-backend = 'nothing'\nbackend-path = ['.']\n"
    (work / "pyproject.toml").write_text(project + sources + build)
    subprocess.run([UV, "lock", "--quiet", "--offline", "--cache-dir", tmp_path / "c"], cwd=work, check=True)
    commit(work, "x", "x")
    release = shop.stage()
    assert greet(shop, release) == str((release / ".venv").resolve())
    assert not list((release / ".venv").glob("lib/*/site-packages/shop*"))


# The server's packages


@pytest.fixture
def served(shop, work):
    """An app whose requirements say where to find packages; of the server it has a dependency, in an old version."""
    for name, version, requires in (
        ("server", "1.0", ["h11", "loop; extra == 'fast'"]),
        ("server", "2.0", ["h11"]),
        ("h11", "1.0", []),
        ("h11", "2.0", []),
        ("loop", "1.0", []),
    ):
        wheel(work / "wheels", name, version, requires)
    commit(work, "requirements.txt", "--no-index\n--find-links wheels\nh11==1.0\n")
    shop.packages = ["server==1.0"]
    return shop


def versions(release):
    folders = (release / ".venv").glob("lib/*/site-packages/*.dist-info")
    return sorted(folder.name.removesuffix(".dist-info") for folder in folders)


def test_a_release_is_staged_with_its_server_and_the_servers_bytecode(served):
    release = served.stage()
    assert versions(release) == ["h11-1.0", "server-1.0"]
    assert list((release / ".venv").glob("lib/*/site-packages/__pycache__/server.*.pyc"))
    assert served.missing(release) == []
    assert (release / ".venv/bin/serv").exists()


def test_a_staged_release_gets_another_server_without_being_made_anew(served, processes):
    served.packages = []
    release = served.stage()
    before = (release / ".release").stat().st_mtime_ns
    served.packages = ["server==1.0"]
    processes.clear()
    assert served.missing(release) == ["server==1.0"]
    assert not processes
    assert served.lacks(release) == ""
    assert served.stage() == release
    assert versions(release) == ["h11-1.0", "server-1.0"]
    assert (release / ".release").stat().st_mtime_ns == before


def test_a_server_that_is_there_costs_no_process(served, processes):
    served.stage()
    processes.clear()
    served.stage_commit(git(Path(served.source["url"]), "rev-parse", "main"))
    assert not processes


def test_the_server_that_the_app_itself_requires_stays(served, work):
    commit(work, "requirements.txt", "--no-index\n--find-links wheels\nserver==2.0\n")
    assert versions(served.stage()) == ["h11-2.0", "server-2.0"]


def test_extras_are_added_to_what_the_app_itself_requires(served, work):
    commit(work, "requirements.txt", "--no-index\n--find-links wheels\nserver==1.0\nh11==1.0\n")
    served.packages = ["Server[fast]==2.0"]
    release = served.stage()
    assert versions(release) == ["h11-1.0", "loop-1.0", "server-1.0"]
    assert served.missing(release) == []


def test_what_came_from_a_file_stays_as_it_is(served, work):
    commit(work, "requirements.txt", "--no-index\n--find-links wheels\n./wheels/h11-1.0-py3-none-any.whl\n")
    served.packages = []
    release = served.stage()
    origin = next((release / ".venv").glob("lib/*/site-packages/h11-*/direct_url.json"))
    before = origin.stat()
    served.packages = ["server==1.0"]
    served.stage()
    assert versions(release) == ["h11-1.0", "server-1.0"]
    # Not the whole of it: to read a file changes its time of access.
    assert (origin.stat().st_ino, origin.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_server_that_needs_another_version_of_what_is_installed_is_refused_in_uvs_words(served, work):
    served.packages = []
    release = served.stage()
    wheel(work / "wheels", "demanding", "1.0", ["h11>=2"])
    commit(work, "x", "x")
    served.packages = ["demanding==1.0"]
    with pytest.raises(CommandExecutionError, match=r"(?s)adding demanding==1.0 .* failed .*h11==1.0.*unsatisfiable"):
        served.stage()
    assert versions(release) == ["h11-1.0"]
    assert served.missing(release) == ["demanding==1.0"]
    assert names(served.home / "releases") == [release.name]


def test_a_kill_while_a_server_is_added_leaves_it_lacking_and_the_next_run_mends_it(served, monkeypatch):
    uv = venvs.uv

    def dying(*arguments, **options):
        uv(*arguments, **options)
        if "--constraint" in arguments:
            server.unlink()
            raise KeyboardInterrupt

    served.packages = []
    release = served.stage()
    server = next((release / ".venv").resolve().glob("lib/*/site-packages")) / "server.py"
    served.packages = ["server==1.0"]
    monkeypatch.setattr(venvs, "uv", dying)
    with pytest.raises(KeyboardInterrupt):
        served.stage()
    monkeypatch.setattr(venvs, "uv", uv)
    assert served.missing(release) == ["server==1.0"]
    served.stage()
    assert served.missing(release) == []
    assert server.exists()
    assert versions(release) == ["h11-1.0", "server-1.0"]


def test_a_server_that_somebody_removed_is_lacking(served):
    release = served.stage()
    staging.remove(next((release / ".venv").glob("lib/*/site-packages/server-*")))
    assert served.missing(release) == ["server==1.0"]
    served.stage()
    assert served.missing(release) == []


def test_a_venv_with_a_server_is_pruned_as_any_other(served, work):
    release = served.stage()
    commit(work, "requirements.txt", "--no-index\n")
    served.packages = []
    venv = (release / ".venv").resolve().name
    later = served.stage()
    assert served.prune(1, later) == [release.name, venv]
    assert len(names(served.venvs)) == 1


BACKEND = """
import pathlib, shutil
def build_wheel(folder, *_):
    log = pathlib.Path("LOG")
    log.write_text(log.read_text() + "built\\n")
    HOW
    return shutil.copy("WHEEL", folder) and pathlib.Path("WHEEL").name
"""


def source(work, how="pass"):
    """The only server that is to be found has to be built; returns what its builds write to."""
    log, built = work.parent / "built.txt", wheel(work.parent / "built", "server", "3.0")
    log.write_text("")
    backend = BACKEND.replace("LOG", str(log)).replace("WHEEL", str(built)).replace("HOW", how)
    project = "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    static = "[project]\nname = 'server'\nversion = '3.0'\n"
    about = "Metadata-Version: 2.2\nName: server\nVersion: 3.0\n"
    texts = {"pyproject.toml": project + static, "backend.py": backend, "PKG-INFO": about}
    tar(work / "wheels/server-3.0.tar.gz", texts, "server-3.0/")
    return log


def test_a_server_is_built_once_for_all_venvs_of_a_python(served, work):
    log = source(work)
    served.packages = ["server==3.0"]
    for number in range(2):
        commit(work, "requirements.txt", f"--no-index\n--find-links {work}/wheels\n# {number}\n")
        assert versions(served.stage()) == ["server-3.0"]
    assert len(names(served.venvs)) == 2
    assert log.read_text() == "built\n"


def test_a_server_that_cannot_be_built_says_why(served, work):
    source(work, "raise SystemExit('apxs is not there')")
    commit(work, "x", "x")
    served.packages = ["server==3.0"]
    with pytest.raises(CommandExecutionError, match=r"(?s)adding server==3.0 .* failed .*apxs is not there"):
        served.stage()
    assert names(served.home / "releases") == []


def test_pythons_in_different_folders_do_not_share_what_was_built_for_them(tmp_path):
    caches = []
    for home in ("/usr/bin", "/opt/pythons/3.11/bin"):
        (tmp_path / "pyvenv.cfg").write_text(f"home = {home}\nversion_info = 3.11.2\n")
        caches.append(venvs.cache(tmp_path)["UV_CACHE_DIR"])
    assert caches == ["/var/cache/slipway/uv/usr-bin", "/var/cache/slipway/uv/opt-pythons-3.11-bin"]


# Pruning


@pytest.fixture
def old(shop, work):
    """Six releases, the first one first."""
    made = []
    for number in range(6):
        commit(work, "requirements.txt", f"# {number}\n")
        made.append(shop.stage())
    shop.slots.mkdir()
    return made


def test_so_many_releases_stay_as_shall_be_kept(shop, old):
    removed = shop.prune(2, old[-1])
    assert sorted(removed[:4]) == sorted(path.name for path in old[:4])
    assert names(shop.home / "releases") == sorted(path.name for path in old[4:])
    assert len(names(shop.venvs)) == 2
    assert shop.prune(2, old[-1]) == []


def test_the_release_to_come_is_counted_before_it_is_there(shop, old, work):
    commit(work, "requirements.txt", "# 7\n")
    wanted = shop.path(shop.resolve("main")["id"])
    foreseen = shop.prune(3, wanted, really=False)
    shop.stage()
    removed = shop.prune(3, wanted)
    assert foreseen == [name for name in removed if name in {path.name for path in old}]
    assert len(foreseen) == 4


def test_what_a_slot_runs_or_is_protected_or_wanted_stays(shop, old):
    (shop.slots / "blue").symlink_to(f"../releases/{old[1].name}")
    (shop.slots / "blue.json").write_text("{}")
    shop.prune(1, old[0], protect=[old[2].name])
    assert names(shop.home / "releases") == sorted(path.name for path in old[:3])


def test_a_release_of_which_a_slot_runs_a_copy_stays_with_its_venv(shop, old):
    tree = shop.furnish(old[0])
    (shop.slots / "blue").symlink_to(f"../furnished/{tree.name}")
    shop.prune(1, old[-1])
    assert names(shop.home / "releases") == sorted([old[0].name, old[-1].name])
    assert (tree / ".venv/bin/python").exists()


def test_a_copy_goes_with_its_release(shop, old):
    shop.furnish(old[0])
    kept = shop.furnish(old[-1])
    shop.prune(1, old[-1])
    assert names(shop.home / "furnished") == [old[-1].name, kept.name]


def test_what_a_killed_run_left_is_pruned(shop, old):
    (shop.venvs / ".tmp-x").mkdir()
    (shop.home / "releases/.tmp-y").mkdir()
    assert shop.prune(9, old[-1]) == [".tmp-y", ".tmp-x"]


def test_what_is_no_release_is_left_alone(shop, old):
    (shop.home / "releases/notes").mkdir()
    shop.prune(1, old[-1])
    assert (shop.home / "releases/notes").exists()


# A preview


class Django:
    """Doubles of ``manage``'s functions that run the Python they get, in the release they get."""

    def __init__(self, module):
        self.asked, self.pending, self.wrong = [], ["shop.0002_price"], None
        self.examined = {"unsafe": {"shop.0002_price": ["drops a column"]}, "unknown": {"shop.0003_size": "no linter"}}
        module.__salt__ |= {
            "manage.pending_migrations": self.ask,
            "manage.examine": lambda *question: self.examined,
            "manage.check": self.check,
        }

    def ask(self, python, folder, settings, user, variables):
        said = command.run([python, "-B", "-c", "import shop; print(shop.VERSION)"], user=user, cwd=folder)
        self.asked.append((Path(folder), Path(python).resolve(), said.strip()))
        return self.pending

    def check(self, *question):
        if self.wrong:
            raise CommandExecutionError(self.wrong)


@pytest.fixture
def django(served):
    return Django(served.module)


def everything(folder):
    """What is in a folder, with sizes and times."""
    paths = [Path(folder), *sorted(Path(folder).rglob("*"))]
    return {path: (path.lstat().st_ino, path.lstat().st_size, path.lstat().st_mtime_ns) for path in paths}


def serve(shop, release):
    (shop.home / "current").symlink_to(release)


def test_a_preview_tells_what_changes_and_touches_nothing_of_the_app(served, work, django):
    serve(served, served.stage())
    commit(work, "requirements.txt", "--no-index\n--find-links wheels\nh11==2.0\nloop\n")
    commit(work, "shop.py", "VERSION = 2\n")
    before = everything(served.home)
    found = served.preview()
    assert everything(served.home) == before
    assert names(served.home.parent) == ["shop"]
    assert found == {
        "requirements": {"h11": ["1.0", "2.0"], "loop": ["", "1.0"]},
        "migrations": ["shop.0002_price"],
        "unsafe": {"shop.0002_price": ["drops a column"]},
        "unexamined": {"shop.0003_size": "no linter"},
        "unknown": "",
        "problem": "",
    }
    [(folder, _, said)] = django.asked
    assert said == "2"
    assert folder.parent.parent == served.home.parent


def test_a_preview_of_a_first_release_makes_no_home(served, django):
    found = served.preview()
    assert found["requirements"] == {"h11": ["", "1.0"], "server": ["", "1.0"]}
    assert found["migrations"] == ["shop.0002_price"]
    assert names(served.home.parent) == []


def test_a_preview_takes_a_venv_that_is_there_as_it_is(served, work, django, processes):
    serve(served, served.stage())
    commit(work, "shop.py", "VERSION = 2\n")
    before = everything(served.home)
    processes.clear()
    assert served.preview()["requirements"] == {}
    assert not [argv for argv in processes if "install" in argv]
    assert everything(served.home) == before


def test_a_preview_with_another_server_leaves_the_venv_that_is_there_alone(served, work, django):
    served.packages = []
    serve(served, served.stage())
    commit(work, "shop.py", "VERSION = 2\n")
    served.packages = ["server==1.0"]
    before = everything(served.home)
    assert served.preview()["requirements"] == {"server": ["", "1.0"]}
    assert everything(served.home) == before


def test_a_preview_asks_a_release_that_is_staged_itself(served, django, processes):
    release = served.stage()
    serve(served, release)
    before = everything(served.home)
    assert served.preview()["migrations"] == ["shop.0002_price"]
    assert [asked[0] for asked in django.asked] == [release]
    assert everything(served.home) == before


FILES = {
    "shop.py": {"into": "release", "contents": "VERSION = 'of the pillar'\n"},
    "app.ini": {"source": "salt://app.ini", "variable": "APP_INI"},
}


@pytest.mark.skipif(os.geteuid() != 0, reason="the files belong to root")
def test_a_preview_asks_a_staged_release_with_the_files_of_the_pillar_and_leaves_none(served, django, tmp_path):
    served.stage()
    app = {"source": {"path": "/src"}, "revision": "v1", "domains": ["shop.test"], "user": "daemon", "files": FILES}
    hosts = {"web1": {"address": "10.0.0.11", "roles": ["app"]}}
    served.module.__pillar__ = {"hosts": hosts, "apps": {"shop": {**app, "database": "none"}}}
    (tmp_path / "app.ini").write_text("of the file server")
    served.module.__salt__["cp.cache_file"] = lambda address: str(tmp_path / address.removeprefix("salt://"))
    before = everything(served.home)
    read = []
    django.check = lambda *question: read.append(Path(question[-1]["APP_INI"]).read_text())
    served.module.__salt__["manage.check"] = django.check
    assert served.preview(files_of="shop")["problem"] == ""
    assert [said for _, _, said in django.asked] == ["of the pillar"]
    assert read == ["of the file server"]
    assert everything(served.home) == before
    assert names(served.home.parent) == ["shop"]


@pytest.mark.parametrize("pack", [False, True])
def test_a_preview_borrows_from_the_mirror_and_leaves_it_alone(served, work, django, pack):
    serve(served, served.stage())
    if pack:
        command.run(["git", "-C", served.mirror, "repack", "-a", "-d", "-q"])
    for number in range(3):
        commit(work, "shop.py", f"VERSION = {number}\n")
    before = everything(served.mirror)
    assert served.preview()["migrations"]
    assert everything(served.mirror) == before


def test_a_preview_of_a_requirement_that_does_not_exist_says_so_and_leaves_nothing(served, work, django):
    serve(served, served.stage())
    commit(work, "requirements.txt", "--no-index\n--find-links wheels\ndjangoo\n")
    before = everything(served.home)
    with pytest.raises(CommandExecutionError, match="djangoo"):
        served.preview()
    assert everything(served.home) == before
    assert names(served.home.parent) == ["shop"]


def test_what_django_has_against_a_release_is_a_problem_of_its_preview(served, django):
    django.wrong = "check --deploy found errors:\nno such middleware"
    found = served.preview()
    assert found["migrations"] == ["shop.0002_price"]
    assert "no such middleware" in found["problem"]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"user": "nobody-of-this-name"}, "there is no user 'nobody-of-this-name' on this host"),
        ({"variables": {"SECRETS_FILE": "/no/secrets.json"}}, "there is no /no/secrets.json yet"),
    ],
)
def test_without_what_a_highstate_makes_only_the_requirements_are_known(served, django, asked, reason):
    found = served.preview(**asked)
    assert (found["migrations"], found["unknown"]) == (None, reason)
    assert found["requirements"]
    assert not django.asked


def test_without_uv_nothing_is_known(served, django, monkeypatch):
    monkeypatch.setattr(venvs, "UV", "/no/uv")
    assert served.preview() == {"unknown": "there is no /no/uv yet: orch.provision"}


def test_what_a_killed_preview_has_left_is_removed_by_the_next(served, django):
    left = served.home.with_name(".tmp-shop")
    (left / "half").mkdir(parents=True)
    served.preview()
    assert not left.exists()


def test_a_preview_of_a_folder_needs_no_git(served, work, django):
    served.source = {"kind": "path", "url": str(work)}
    assert served.preview()["migrations"] == ["shop.0002_price"]
    assert names(served.home.parent) == []


def test_a_preview_of_an_archive_leaves_no_download(served, work, django):
    archive = work.parent / "shop.tar"
    git(work, "archive", f"--output={archive}", "HEAD")
    sha = hashlib.sha256(archive.read_bytes()).hexdigest()
    served.source = {"kind": "archive", "url": str(archive), "hash": sha}
    assert served.preview()["migrations"] == ["shop.0002_price"]
    assert names(served.home.parent) == []
