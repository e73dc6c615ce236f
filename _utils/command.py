"""
Run programs: the one place where this project starts a process.

Core's ``cmd.run`` is not used on purpose: its first call in a run makes the loader import every module (about half a
second), and it logs what it runs.
"""

import os
import pwd
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from salt.exceptions import CommandExecutionError

import launch

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Enough for the end of a Python traceback with its message.
ERROR_LINES = 20

# Tokens stand alone before the @ as often as user:password does; the user of an ssh address is no secret.
CREDENTIALS = re.compile(r"(?<!ssh)://[^/\s'\"]+@")

# What a process needs to know to reach the network from here, where Salt's own process has been told.
NETWORK = re.compile(r"(UV|PIP|SSL_CERT|GIT_SSL)_\w+|(https?|all|no)_proxy", re.IGNORECASE)


def run(argv, user="", cwd="/", env=None, stdin="", timeout=300, what=""):
    """
    The standard output of a program that succeeded, as text.

    argv
        The program and its arguments, a list; no shell is involved. Secrets go by ``stdin``, never here.
    user
        Who runs it, with all of that user's groups and HOME; empty for the user that Salt runs as.
    env
        Added to a clean environment (PATH, LANG, HOME), with what is in the file that it names as ENVIRONMENT_FILE.
    timeout
        Seconds, after which the program and its children are killed.
    what
        What was being done, for the error; the program's name if empty.

    Raises CommandExecutionError with the last lines that the program wrote to its standard error.
    """
    what = what or Path(argv[0]).name
    try:
        process = subprocess.Popen(
            [str(part) for part in argv],
            cwd=cwd,
            env=environment(user) | launch.environment(env or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            umask=0o022,
            start_new_session=True,
            **identity(user),
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise CommandExecutionError(f"{what}: {error}") from error
    stdout, stderr = finish(process, stdin, timeout, what)
    if process.returncode:
        reason = last_lines(stderr) or last_lines(stdout) or "it said nothing"
        raise CommandExecutionError(f"{what} failed ({ending(process.returncode)}): {reason}")
    return stdout


def finish(process, stdin, timeout, what):
    """Both outputs of a process when it has ended; nothing of it stays behind when we do not wait to the end."""
    try:
        return process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise CommandExecutionError(f"{what}: no end after {timeout} seconds, so it was stopped") from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def identity(user):
    """The arguments of Popen that make the process run as ``user``."""
    if not user:
        return {}
    account = find(user)
    if account.pw_uid == os.geteuid():
        return {}
    groups = os.getgrouplist(user, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}


def environment(user):
    """The clean environment that every process starts from."""
    account = find(user) if user else pwd.getpwuid(os.geteuid())
    return {"PATH": PATH, "LANG": "C.UTF-8", "HOME": account.pw_dir}


def network():
    """The proxies, certificates and package indexes that Salt's own process has in its environment."""
    return {name: value for name, value in os.environ.items() if NETWORK.fullmatch(name)}


def find(user):
    """The account of a user. Raises CommandExecutionError if this host does not know the user."""
    try:
        return pwd.getpwnam(user)
    except KeyError as error:
        raise CommandExecutionError(f"there is no user {user!r} on this host") from error


def last_lines(text, count=ERROR_LINES):
    """The last ``count`` lines of a program's output, without passwords in addresses."""
    return "\n".join(mask(text).strip().splitlines()[-count:])


def mask(text):
    """The text with ``user:password@`` in its addresses replaced by asterisks."""
    return CREDENTIALS.sub("://********@", text)


def ending(returncode):
    """How a process ended, in words."""
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
