"""
Build the git repository of the example: python3 make_repository.py DESTINATION

DESTINATION becomes a bare repository with a tag for each release that README.md lists, good and bad.
The commits have the same ids on every machine. A second run changes nothing, or brings the repository up to date.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent

# tag: subject of its commit. Each is the shop with the files of changes/<tag> laid over it, and a child of v1.
TAGS = {
    "v1": "Sell tea",
    "v2": "Say where a tea comes from, and pack gifts",
    "broken-import": "Count visitors (does not start)",
    "broken-health": "Name the release differently (health check answers 500)",
    "broken-migration": "Demand a minimum price (the migration fails)",
    "unsafe-migration": "Let the names speak (drops a column that is in use)",
    "tweak": "Praise our teas",
    "patient": "Take time for slow visitors",
    "live": "Talk to visitors over websockets",
    "broken-asgi": "Count visitors, asynchronously (does not start)",
    "hangs": "Wait for a stock list (hangs while it starts)",
    "answers-500": "Close for the holidays (every page answers 500)",
    "old-id": "Keep a release's name (it is that of another)",
    "dies": "Close at five (it ends itself)",
    "leaks": "Remember everything (takes memory without end)",
    "fails-some": "Draw lots (every tenth request is an error)",
    "slow": "Brew with patience (the first page is slow)",
}

# Neither the user's configuration of git nor the time may change a commit id.
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Slipway example",
    "GIT_AUTHOR_EMAIL": "example@example.com",
    "GIT_AUTHOR_DATE": "2026-01-01T12:00:00+00:00",
    "GIT_COMMITTER_NAME": "Slipway example",
    "GIT_COMMITTER_EMAIL": "example@example.com",
    "GIT_COMMITTER_DATE": "2026-01-01T12:00:00+00:00",
}


def git(repository, *arguments, **environment):
    """Return what git prints. Raises CalledProcessError; git itself has said why on stderr."""
    command = ["git", f"--git-dir={repository}", *arguments]
    answer = subprocess.run(command, env=ENVIRONMENT | environment, check=True, stdout=subprocess.PIPE, text=True)
    return answer.stdout.strip()


def commit(repository, tag, tree, parents):
    """Add a commit of the shop with the changes of ``tag`` to ``repository``, using the new folder ``tree``."""
    shutil.copytree(EXAMPLES / "shop", tree, ignore=shutil.ignore_patterns(".venv"))
    if (EXAMPLES / "changes" / tag).is_dir():
        shutil.copytree(EXAMPLES / "changes" / tag, tree, dirs_exist_ok=True)
    index = {"GIT_WORK_TREE": str(tree), "GIT_INDEX_FILE": f"{tree}.index"}
    # Some file systems show every file as executable: the modes are set here instead of being read.
    git(repository, "-c", "core.fileMode=false", "add", "--all", str(tree), **index)
    git(repository, "-c", "core.fileMode=false", "update-index", "--chmod=+x", str(tree / "manage.py"), **index)
    options = [word for parent in parents for word in ("-p", parent)]
    commit_id = git(repository, "commit-tree", *options, "-m", TAGS[tag], git(repository, "write-tree", **index))
    git(repository, "tag", tag, commit_id)
    return commit_id


def build(folder):
    """Return the path of a complete new repository in the existing, empty ``folder``."""
    repository = folder / "repository.git"
    git(repository, "init", "--quiet", "--bare", "--template=", "--object-format=sha1", "--initial-branch=main")
    parents = []
    for tag in TAGS:
        commit_id = commit(repository, tag, folder / tag, parents)
        parents = parents or [commit_id]
    git(repository, "branch", "main", "v2")
    return repository


def make_repository(destination):
    """
    Return {tag: commit id} of the repository at ``destination``, which is created or brought up to date.

    It appears complete or not at all. Raises FileExistsError when something else is there already.
    """
    destination = Path(destination).absolute()
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".make_repository-") as folder:
        repository = build(Path(folder))
        if (destination / "HEAD").is_file():
            git(destination, "fetch", "--quiet", "--force", "--atomic", str(repository), "+refs/*:refs/*")
        elif destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
            raise FileExistsError(f"{destination} is not a git repository: name a path that is free")
        else:
            repository.rename(destination)
    return {tag: git(destination, "rev-parse", tag) for tag in TAGS}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    try:
        commits = make_repository(sys.argv[1])
    except FileExistsError as error:
        sys.exit(str(error))
    for tag, commit_id in commits.items():
        print(commit_id, tag)
