"""Code from a git repository: what a revision means, and the files of a commit."""

import base64
import re
import shlex
import urllib.parse
from contextlib import suppress
from pathlib import Path

from salt.exceptions import CommandExecutionError

import command
import staging

COMMIT = re.compile(r"[0-9a-f]{40}")
# Git itself shortens to seven digits and more; fewer are more likely a name.
SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")
EVERYTHING = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")

QUESTION_TIMEOUT = 60
# A first fetch of a big repository over a slow line takes minutes; half an hour is a line that hangs.
FETCH_TIMEOUT = 1800


def resolve(source, revision, mirror):
    """
    The full commit that a revision of ``source`` means: a full commit as it is, else a tag, a branch, a short commit.

    A full commit needs neither network nor process. If the repository does not answer, ``mirror`` does, as far as it
    knows. Raises CommandExecutionError if neither knows the revision.
    """
    _refuse_options(source["url"], revision)
    if COMMIT.fullmatch(revision):
        return revision
    try:
        commit = _ask_repository(source, revision)
    except CommandExecutionError:
        commit = _ask_mirror(mirror, revision)
        if not commit:
            raise
    if not commit and SHORT_COMMIT.fullmatch(revision):
        commit = _ask_mirror(mirror, revision) or _ask_mirror(fetch(source, mirror), revision)
    if not commit:
        raise CommandExecutionError(f"{command.mask(source['url'])} has no tag, branch or commit {revision!r}")
    return commit


def reach(source):
    """Ask the repository something. Raises CommandExecutionError, with git's own words, if it does not let us in."""
    _refuse_options(source["url"])
    _ask_repository(source, "HEAD")


def export(source, commit, mirror, folder):
    """Put the files of a commit into the empty ``folder``, by way of the bare ``mirror``, fetched if it lacks it."""
    _refuse_options(source["url"], commit)
    if not _has(mirror, commit):
        fetch(source, mirror)
    if not _has(mirror, commit):
        _fetch(source, mirror, commit)
    index = folder.with_name(f"{folder.name}.index")
    # The plumbing, not `checkout`: no hook, no HEAD to move, and git's own guard against names that lead outside.
    git = ["git", "--git-dir", mirror, "--work-tree", folder]
    environment = {"GIT_INDEX_FILE": str(index)}
    try:
        command.run([*git, "read-tree", commit], env=environment, what=f"reading commit {commit}")
        command.run(
            [*git, "checkout-index", "--all"], cwd=folder, env=environment, timeout=FETCH_TIMEOUT, what="exporting it"
        )
    finally:
        index.unlink(missing_ok=True)


def borrow(mirror, place):
    """Make a bare repository at ``place`` that has what the ``mirror`` has, if that is there, without a copy of it."""
    command.run(["git", "init", "--quiet", "--bare", place])
    # Loose objects that arrive anew would be "freshened" where they are: in the mirror. A pack stays as it comes.
    _git(place, "config", "fetch.unpackLimit", "1")
    if Path(mirror).is_dir():
        staging.write(Path(place, "objects/info/alternates"), f"{Path(mirror, 'objects').resolve()}\n")


def fetch(source, mirror):
    """Bring the bare ``mirror`` up to date with every branch and tag; returns its path."""
    place = Path(mirror)
    with staging.locked(place.parent):
        if place.is_dir():
            _fetch(source, place, *EVERYTHING)
        else:
            new = staging.temporary(place)
            staging.remove(new)
            command.run(["git", "init", "--quiet", "--bare", new])
            _fetch(source, new, *EVERYTHING)
            new.rename(place)
    return place


def _fetch(source, mirror, *what):
    url, environment = _address(source)
    # The clean-up that git may start must not go on in the background: it would outlive us with our pipes in its hands.
    git = ["git", "-c", "gc.autoDetach=false", "-c", "maintenance.autoDetach=false", "--git-dir", mirror]
    command.run(
        [*git, "fetch", "--quiet", "--prune", "--no-write-fetch-head", "--", url, *what],
        env=environment,
        timeout=FETCH_TIMEOUT,
        what=f"fetching {' '.join(what)} from {command.mask(source['url'])}",
    )


def _ask_repository(source, revision):
    url, environment = _address(source)
    # A tag that has a message is an object of its own: the peeled name gives the commit behind it.
    names = [f"refs/tags/{revision}^{{}}", f"refs/tags/{revision}", f"refs/heads/{revision}", revision]
    answer = command.run(
        ["git", "ls-remote", "--quiet", "--", url, *names],
        env=environment,
        timeout=QUESTION_TIMEOUT,
        what=f"asking {command.mask(source['url'])} for revision {revision!r}",
    )
    found = {name: commit for commit, _, name in (line.partition("\t") for line in answer.splitlines())}
    return next((found[name] for name in names if name in found), "")


def _ask_mirror(mirror, revision):
    names = [f"refs/tags/{revision}", f"refs/heads/{revision}"]
    if SHORT_COMMIT.fullmatch(revision):
        names.append(revision)
    for name in names:
        with suppress(CommandExecutionError):
            return _git(mirror, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").strip()
    return ""


def _has(mirror, commit):
    with suppress(CommandExecutionError):
        _git(mirror, "cat-file", "-e", f"{commit}^{{commit}}")
        return True
    return False


def _git(mirror, *arguments):
    return command.run(["git", "--git-dir", mirror, *arguments])


def _address(source):
    """The URL that may be seen in a list of processes, and the environment with which git gets in."""
    url, authorization = without_credentials(source["url"])
    environment = command.network() | {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": _ssh(source)}
    if authorization:
        header = f"Authorization: {authorization}"
        environment |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.extraHeader", "GIT_CONFIG_VALUE_0": header}
    return url, environment


def without_credentials(url):
    """A web address without the user and password in it, and the header ``Authorization`` that does their work."""
    parts = urllib.parse.urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if parts.scheme not in ("http", "https") or not at:
        return url, ""
    name, _, password = user.partition(":")
    pair = f"{urllib.parse.unquote(name)}:{urllib.parse.unquote(password)}"
    return urllib.parse.urlunsplit(parts._replace(netloc=host)), f"Basic {base64.b64encode(pair.encode()).decode()}"


def _ssh(source):
    """The ssh that git shall use: one that never asks, with host keys that are given or, if none are, remembered."""
    key, known_hosts = source.get("deploy_key"), source.get("known_hosts")
    given = source.get("host_keys", known_hosts)
    options = ["BatchMode=yes", f"StrictHostKeyChecking={'yes' if given else 'accept-new'}"]
    if key and Path(key).exists():
        options += ["IdentitiesOnly=yes", f"IdentityFile={key}"]
    if known_hosts:
        options.append(f"UserKnownHostsFile={known_hosts}")
    return shlex.join(["ssh", *(part for option in options for part in ("-o", option))])


def _refuse_options(*values):
    """Git takes what begins with a dash for an option, and some of its options run programs."""
    for value in values:
        if not value or value.startswith("-"):
            raise CommandExecutionError(f"{value!r} is no revision and no address of a repository")
