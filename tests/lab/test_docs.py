"""
Every command on the pages is run, and prints what the page shows below it.

A command stands in a block ```console, behind a prompt: `$` is this machine, `web1#` a root shell on that host. A block
```console fails holds commands that must fail. Without a prompt it is output, where `...` stands for lines left out.
"""

import dataclasses
import re
import shlex
import subprocess
import time

import pytest
from conftest import HOSTS, TEST_NET, TREE

from lab import Lab

# environments.md, one-server.md, pull.md, rotate.md, secrets.md and vagrant.md are run by tests of their own.
PAGES = ("README.md", "docs/deploy.md", "docs/hosts.md", "docs/lab.md", "docs/servers.md", "docs/tls.md")
BLOCK = re.compile(r"^```console( fails)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A file of the pillar that a page has its reader write.
FILE = re.compile(r"^```yaml\n# (pillar/\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"(\$|[a-z][a-z0-9]*#) (.+)")

# What is not run here, and why.
NOT_RUN = {
    r"make demo": "minutes in a lab of its own: conftest.py does the same steps, test_lab_demo.py has the printing",
    r"make demo-down": "it would end the lab of whoever is at this machine: `lab down` is run below",
    r"apt-get install salt-\w+": "run by nobody: the lab's image has Salt already, from the Python package index",
    r"systemctl restart salt-\w+": "the lab boots with these files in place (lab/seed.py, test_lab_seed.py)",
    r"(/srv/slipway/bin/join|sh) web1.*": "the lab makes keys beforehand; tests/integration/test_shipped.py runs it",
    r"apt-get install certbot|certbot certonly .*": "run by nobody: no authority can reach the lab. Its tests make"
    " certificates with openssl, and call what certbot would call",
    r"salt-key -d \w+": "run by nobody: the lab's hosts stay",
}

# Lines that depend on what was there before: another test may have deployed the same.
VARIES = re.compile(r"\s*Comment:")

SECOND, SECOND_NET = "docslab", "10.213.13"


@dataclasses.dataclass(frozen=True)
class Command:
    where: str
    text: str
    fails: bool
    shown: tuple


def commands(page):
    """The commands of a page, in order."""
    found = []
    for fails, block in BLOCK.findall((TREE / page).read_text(encoding="utf-8")):
        for line in block.splitlines():
            if prompt := PROMPT.fullmatch(line):
                found.append(Command(prompt[1].rstrip("#"), prompt[2], bool(fails), ()))
            elif found:
                found[-1] = dataclasses.replace(found[-1], shown=(*found[-1].shown, line))
    return found


def reason_not_to_run(command):
    return next((reason for words, reason in NOT_RUN.items() if re.fullmatch(words, command.text)), "")


def run(site, command):
    """The CompletedProcess of a command, in the lab of the tests."""
    text = command.text.replace("10.213.7.", f"{TEST_NET}.")
    if command.where != "$":
        return site.lab.run(command.where, ["sh", "-c", text], check=False)
    argv = lab_argv(text, site.lab.name)
    return subprocess.run(argv, cwd=TREE, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)


def lab_argv(text, name):
    """The words of a command on this machine, for the lab ``name``; what boots or ends a lab gets the second."""
    words = shlex.split(text)
    if words[0] == "curl":
        return words
    assert words[:3] == ["python3", "-m", "lab"], f"{text}: no test knows how to run this: see NOT_RUN"
    action, rest = words[3], words[4:]
    if action in ("up", "down") or "--name" in rest:
        name, rest = SECOND, without_options(rest)
    options = [] if action == "ls" else ["--name", name]
    return [*words[:4], *options, *(["--prefix", SECOND_NET] if action == "up" else []), *rest]


def without_options(words):
    """``words`` without --name and --prefix and their values."""
    places = [at for at, word in enumerate(words) if word in ("--name", "--prefix")]
    return [word for at, word in enumerate(words) if at not in places and at - 1 not in places]


def masked(line):
    """``line`` without what differs from run to run: ids, numbers, which slot, blanks."""
    line = re.sub(r"\b(blue|green)\b", "slot", line)
    line = re.sub(r"\b(?=[a-fA-F]*[0-9])[0-9a-fA-F]{6,}\b", "id", line)
    return " ".join(re.sub(r"\d+", "n", line).split())


def missing(command, done):
    """The lines shown below a command that it did not print."""
    printed = {masked(line) for line in [*done.stdout.splitlines(), *done.stderr.splitlines()]}
    lines = [line for line in command.shown if line.strip() not in ("", "...") and not VARIES.match(line)]
    return [line for line in lines if masked(line) not in printed]


def wait_for_minions(site):
    """A host that has just booted again needs a moment: what comes after would find it silent."""
    end = time.monotonic() + 60
    while not all(site.salt(HOSTS, "test.ping", timeout=5).get(host) is True for host in HOSTS):
        assert time.monotonic() < end, "not all minions came back"


@pytest.fixture
def second_lab():
    """The lab that the pages boot beside the first; gone afterwards, whatever happens."""
    yield
    Lab(SECOND).down()


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_does_what_the_page_says(serving_v1, second_lab, page):
    for command in commands(page):
        if reason_not_to_run(command):
            continue
        done = run(serving_v1, command)
        said = f"{command.where} {command.text}\n{done.stdout[-4000:]}{done.stderr[-2000:]}"
        assert bool(done.returncode) == command.fails, said
        assert missing(command, done) == [], said
    wait_for_minions(serving_v1)


def test_no_reason_is_given_for_a_command_that_is_on_no_page():
    texts = [command.text for page in PAGES for command in commands(page)]
    assert [words for words in NOT_RUN if not any(re.fullmatch(words, text) for text in texts)] == []
