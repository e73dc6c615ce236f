"""`vagrant up` as docs/vagrant.md has it, with Docker; the settings for other providers are validated."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess

import pytest
from conftest import TREE, matrix
from lab.system import CACHE, STATE, command, wait_until
from test_docs import FILE, commands, missing

from lab import network

PAGE = "docs/vagrant.md"
PROVISION = 'vagrant ssh master -c "sudo salt-run state.orchestrate orch.provision"'
DEPLOY = "vagrant ssh master -c 'sudo salt-run rollout.deploy shop'"
LAB, NET = "vagrant", "10.213.17"
HERE = f"{LAB}-here"
# Unlike `ip netns exec` it leaves /sys as it is.
INSIDE = ["nsenter", f"--net=/run/netns/{HERE}"]
# Docker's containers with a systemd of their own want a cgroup of version 2.
DOCKER = """
umount --recursive /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
exec dockerd --host "unix://$1/docker.sock" --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid"
"""


class Laptop:
    """A copy of the tree, and a network of its own with Docker in it: what Docker sets up ends with that."""

    def __init__(self, folder, docker):
        self.tree = folder / "slipway"
        self.docker = docker
        self.environment = {
            **os.environ,
            "DOCKER_HOST": f"unix://{docker}/docker.sock",
            "VAGRANT_DEFAULT_PROVIDER": "docker",
            "VAGRANT_HOME": str(folder / "home"),
        }

    def argv(self, text):
        return [*INSIDE, "sh", "-c", text]

    def run(self, text):
        options = {"cwd": self.tree, "env": self.environment, "stdin": subprocess.DEVNULL}
        return subprocess.run(self.argv(text), capture_output=True, text=True, timeout=600, **options)

    @contextlib.contextmanager
    def running(self, text):
        """A command that ends with the block, by what ``^C`` sends: a function that tells what it has printed."""
        options = {"cwd": self.tree, "env": self.environment, "stdin": subprocess.DEVNULL, "start_new_session": True}
        printed = self.tree.parent / "running.log"
        with printed.open("w") as log:
            process = subprocess.Popen(self.argv(text), stdout=log, stderr=log, **options)
            try:
                yield printed.read_text
            finally:
                os.killpg(process.pid, signal.SIGINT)
                process.wait(30)

    def succeeds(self, text):
        """The CompletedProcess of a command that does, and that leaves no host without its master."""
        done = self.run(text)
        said = f"{text}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        assert done.returncode == 0, said
        assert "no connection to the master" not in done.stdout + done.stderr, said
        return done

    def write_pillar(self):
        """Write the files that the page has its reader write."""
        for name, text in FILE.findall((TREE / PAGE).read_text(encoding="utf-8")):
            (self.tree / name).write_text(text, encoding="utf-8")

    def follow(self, page):
        """Run commands of the page, and compare what they print with what it shows."""
        for one in page:
            done = self.succeeds(one.text)
            assert missing(one, done) == [], f"{one.text}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"

    def releases(self):
        """Those that answer: a deploy is over on one host before it is on the other."""
        answers = [self.get("healthz/") for _ in range(4)]
        return {json.loads(answer)["release"] for answer in answers}

    def get(self, path=""):
        """What the site answers."""
        port = self.environment.get("PORT", 8080)
        return self.succeeds(f"curl --silent --fail http://localhost:{port}/{path}").stdout


def tree_in(folder):
    """The committed tree."""
    folder.mkdir()
    tar = folder.with_suffix(".tar")
    subprocess.run(["git", "archive", f"--output={tar}", "HEAD"], check=True, cwd=TREE)
    subprocess.run(["tar", "--extract", f"--file={tar}", f"--directory={folder}"], check=True)
    return folder


@pytest.fixture(scope="module")
def docker():
    """The folder of a Docker daemon, in memory, in a network of its own."""
    folder = CACHE / "vagrant"
    network.up(LAB, NET)
    network.plug(LAB, HERE, f"{LAB}-2", f"{NET}.2")
    # It may be there from a run that was killed.
    folder.mkdir(parents=True, exist_ok=True)
    command("mount", "-t", "tmpfs", "-o", "mode=700,size=6g", "vagrant", folder)
    argv = [*INSIDE, "unshare", "--mount", "--propagation=private", "sh", "-ec", DOCKER, "sh"]
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen([*argv, folder], stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until(lambda: (folder / "docker.sock").exists() or daemon.poll() is not None, "dockerd", 60)
        assert daemon.poll() is None, (folder / "log").read_text()
        yield folder
    finally:
        end(daemon, folder)
        # All that Docker made of networks and rules ends with this one.
        network.unplug(HERE, f"{LAB}-2")
        network.down(LAB, last=not list(STATE.glob("*/lab.json")))
        command("umount", "--lazy", folder)
        folder.rmdir()


def end(daemon, folder):
    """End Docker, with the containers that are still there: it ends them in good order, or their systemd is killed."""
    environment = {**os.environ, "DOCKER_HOST": f"unix://{folder}/docker.sock"}
    script = "docker ps --all --quiet | xargs --no-run-if-empty docker rm --force"
    subprocess.run(["sh", "-c", script], env=environment, capture_output=True, timeout=120)
    daemon.terminate()
    daemon.wait(60)


@pytest.fixture(scope="module")
def laptop(tmp_path_factory, docker):
    laptop = Laptop(tmp_path_factory.mktemp("laptop"), docker)
    tree_in(laptop.tree)
    return laptop


def part(first, last):
    """The page's commands from the one that begins with ``first`` up to that with ``last``."""
    texts = [one.text for one in commands(PAGE)]
    begin = next(at for at, text in enumerate(texts) if text.startswith(first))
    end = next(at for at, text in enumerate(texts) if text.startswith(last) and at >= begin)
    return commands(PAGE)[begin : end + 1]


def named(text):
    """The page's command that is ``text``, in a list."""
    return [next(one for one in commands(PAGE) if one.text == text)]


def test_every_command_of_the_page_does_what_it_says(laptop):
    laptop.follow(part("make vagrant-image", "curl"))
    laptop.write_pillar()
    laptop.follow(named(PROVISION))
    follows_the_working_copy(laptop)
    laptop.follow(part("vagrant halt", "vagrant up web2"))
    # A host that `vagrant up` has brought back hears the master at once.
    laptop.succeeds("vagrant ssh master -c 'sudo salt web2 test.ping'")
    assert len(laptop.releases()) == 1
    laptop.follow(named("vagrant destroy --force"))


@matrix
def test_other_folders_ports_and_hosts_are_made_as_the_page_says(laptop):
    """As it says there, all that follows has the folder and the port in its environment."""
    shutil.copytree(TREE / "examples/shop", laptop.tree.parent / "shop")
    base = laptop.tree.parent / "shop/core/templates/base.html"
    base.write_text(base.read_text().replace("Tea shop", "Coffee shop"))
    laptop.write_pillar()
    laptop.environment |= {"SOURCE": "../shop", "PORT": "8081"}
    laptop.follow([*named("make vagrant-image"), *part("SOURCE=", "SOURCE=")])
    laptop.follow(named(PROVISION))
    laptop.succeeds(DEPLOY)
    assert "Coffee shop" in laptop.get()
    hosts = laptop.tree / "pillar/hosts.yaml"
    (line,) = re.findall(r"^```yaml\n(web3: .*\n)```$", (TREE / PAGE).read_text(encoding="utf-8"), re.MULTILINE)
    hosts.write_text(hosts.read_text() + line)
    laptop.follow([*part("vagrant provision master", "vagrant ssh"), *named("vagrant provision"), *named(PROVISION)])
    assert "web3" in laptop.succeeds(DEPLOY).stdout
    assert "shop" in laptop.succeeds("vagrant ssh web3 -c 'curl --silent http://localhost/'").stdout


def follows_the_working_copy(laptop):
    base = laptop.tree / "examples/shop/core/templates/base.html"
    (watch,) = named("make watch APP=shop")
    with laptop.running(watch.text) as printed:
        wait_until(lambda: printed().count("finish: done") == 1, watch.text, 180, pause=1)
        assert "Tea shop" in laptop.get()
        base.write_text(base.read_text().replace("Tea shop", "Tea house"))
        wait_until(lambda: printed().count("finish: done") == 2, "a change of the working copy", 180, pause=1)
        assert "Tea house" in laptop.get()


@pytest.mark.parametrize("provider", ["virtualbox", "libvirt"])
def test_the_settings_for_another_provider_are_those_that_it_has(provider, tmp_path):
    """VirtualBox itself is not needed for that: only its version is asked for."""
    tree = tree_in(tmp_path / "slipway")
    stub = tmp_path / "bin/VBoxManage"
    stub.parent.mkdir()
    stub.write_text("#!/bin/sh\necho 7.0.14r161095\n")
    stub.chmod(0o755)
    path = f"{stub.parent}:{os.environ['PATH']}"
    own = {"PATH": path, "VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_DEFAULT_PROVIDER": provider}

    def validate():
        argv = ["vagrant", "validate"]
        return subprocess.run(argv, cwd=tree, env={**os.environ, **own}, capture_output=True, text=True, timeout=60)

    done = validate()
    assert done.returncode == 0, done.stdout + done.stderr
    file = tree / "Vagrantfile"
    file.write_text(file.read_text().replace("machine.memory", "machine.memroy"))
    assert "memroy" in validate().stderr
