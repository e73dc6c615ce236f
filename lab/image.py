"""The image that all hosts share: a system, Salt in a virtual environment of its own, and the trust of this machine."""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

from lab import suites
from lab.system import CACHE, TREE, LabError, command, locked, tail, write

# A small server with systemd, and what Salt, the lab's git server and a person who looks around need.
PACKAGES = ["apt", "systemd", "systemd-sysv", "dbus", "iproute2", "procps", "sudo", "openssh-client", "openssl"]
PACKAGES += ["ca-certificates", "python3", "python3-venv", "git", "curl", "less"]

# What the states install: fetched with the image, so that no host fetches it again.
FETCHED = ["nginx", "supervisor", "postgresql", "rsyslog", "redis-server", "logrotate"]
FETCHED += ["apache2", "apache2-dev", "gcc", "python3-dev"]

# What of this tree the script is shown, as /slipway.
SHOWN = ["bin/salt", "requirements/salt.txt", "conf/salt-master.service", "conf/salt-minion.service"]

TRUSTED = Path("/usr/local/share/ca-certificates")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

# Packages are fetched while Salt is installed. `ldconfig` and the like need no network: one failure ends all (-e).
SCRIPT = """
set -e
update-ca-certificates
apt-get install --yes --download-only {fetched} & fetching=$!
export SSL_CERT_FILE={bundle} UV_NO_CACHE=1
/slipway/bin/salt
# a state of ours installs it
rm -rf /opt/uv
systemctl enable salt-master salt-minion git-daemon
# not logind: `systemctl reboot` needs it
systemctl mask console-getty.service getty.target apt-daily.timer apt-daily-upgrade.timer
wait $fetching
: > /etc/machine-id
"""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that decides what is in the image; equal recipes make equal images."""

    suite: str
    packages: tuple
    sources: str
    apt: str
    files: dict
    script: str
    tree: dict

    def digest(self):
        """12 characters that change whenever anything in the recipe does."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def recipe():
    """The recipe of the image on this machine."""
    suite = suites.chosen()
    return Recipe(
        suite=suite.name,
        packages=tuple(PACKAGES),
        sources=apt_sources(Path("/etc/apt"), suite.name) or suites.sources(suite),
        apt=apt_settings(command("apt-config", "dump", "Acquire")),
        files={**git_server(), **trust()},
        script=SCRIPT.format(fetched=" ".join(FETCHED), bundle=BUNDLE),
        tree={path: (TREE / path).read_text() for path in SHOWN},
    )


def apt_sources(folder, suite):
    """This machine's own sources when they have the suite, in the deb822 form or as lines; else ""."""
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]
    files += sorted((folder / "sources.list.d").glob("*.sources"))
    texts = [file.read_text() for file in files if file.exists()]
    return next((text for text in texts if re.search(rf"^[^#]*\b{suite}\b", text, re.MULTILINE)), "")


def apt_settings(dump):
    """From ``apt-config dump``: how this machine fetches (proxy, dates), without what apt's default is everywhere."""
    kept = r"Acquire::(http|https|Check-Valid-Until|Check-Date|Retries|ForceIPv4|Languages)\b.*"
    lines = [line for line in dump.splitlines() if re.match(kept, line)]
    return "\n".join([*lines, 'Acquire::Languages "none";']) + "\n"


def git_server():
    """The git server of the image: ``{path: text}``."""
    return {
        "etc/systemd/system/git-daemon.service": (TREE / "lab/git-daemon.service").read_text(),
        # git refuses a repository of another user; this server shows what root has put there
        "etc/gitconfig": "[safe]\n\tdirectory = *\n",
    }


def trust():
    """What this machine trusts and uses to fetch packages: ``{path: text}``. pip and uv then work inside too."""
    pip = Path("/etc/pip.conf")
    files = {
        "etc/pip.conf": pip.read_text() if pip.exists() else f"[global]\ncert = {BUNDLE}\n",
        "etc/uv/uv.toml": "native-tls = true\n",
    }
    for file in sorted(TRUSTED.glob("**/*.crt")):
        files[f"{TRUSTED.relative_to('/')}/{file.name}"] = file.read_text()
    return files


def resolv_conf():
    """
    This machine's name servers, asked again after 1 second where an answer is lost: a test waits less than the usual 5.
    Where the machine asks itself (systemd-resolved), the ones that are asked in turn.
    """
    text = Path("/etc/resolv.conf").read_text()
    behind = Path("/run/systemd/resolve/resolv.conf")
    if re.search(r"^nameserver\s+127\.", text, re.MULTILINE) and behind.exists():
        text = behind.read_text()
    return f"{text.rstrip()}\noptions timeout:1 attempts:4\n"


def image(steps):
    """The path of the image file (squashfs); it is built first when no image of this recipe is there."""
    wanted = recipe()
    file = CACHE / f"{wanted.digest()}.squashfs"
    with locked(CACHE / "lock"):
        if not file.exists():
            _build(wanted, file, steps)
            _forget_old(file)
    return file


def _build(wanted, file, steps):
    """Make ``file``; complete or absent, because it is renamed into place at the end."""
    log = CACHE / "build.log"
    log.write_text("")
    with memory() as folder:
        tree = folder / "tree"
        with steps.step("image", suites.SUITES[wanted.suite].title):
            _bootstrap(wanted, tree, log)
        with steps.step("image", "Salt, and the packages that states will install"):
            _furnish(wanted, tree, log)
        with steps.step("image", "packed"):
            part = file.with_suffix(".part")
            part.unlink(missing_ok=True)
            # lz4 took 0.9 s and 373 MB, zstd 1.9 s and 291 MB
            logged(log, "mksquashfs", tree, part, "-quiet", "-no-progress", "-comp", "lz4")
            part.rename(file)


@contextlib.contextmanager
def memory():
    """A folder in memory for the build (0.8 GB): to delete that many files from a disk took 9 s of 35."""
    folder = CACHE / "build"
    folder.mkdir(exist_ok=True)
    # what a build that was killed has left
    while os.path.ismount(folder):
        command("umount", "--lazy", folder)
    try:
        command("mount", "-t", "tmpfs", "-o", "mode=755,size=3g", "slipway-image", folder)
        yield folder
    finally:
        command("umount", "--lazy", folder, check=False)
        folder.rmdir()


def logged(log, *argv, **options):
    """Run ``argv`` with its output in ``log``; raises LabError with the end of it."""
    with log.open("a") as out:
        done = subprocess.run([str(part) for part in argv], stdout=out, stderr=subprocess.STDOUT, **options)
    if done.returncode:
        raise LabError(f"{argv[0]}: exit code {done.returncode}; all of it is in {log}\n{tail(log.read_text())}")


def _bootstrap(wanted, tree, log):
    """A minimal system in ``tree``, with its package lists."""
    sources = Path(tree.parent, "machine.sources" if "URIs:" in wanted.sources else "machine.list")
    sources.write_text(wanted.sources)
    settings = tree.parent / "apt.conf"
    settings.write_text(wanted.apt)
    argv = ["mmdebstrap", "--variant=minbase", "--skip=cleanup/apt/lists", f"--aptopt={settings}"]
    if keyring := suites.keyring(suites.SUITES[wanted.suite]):
        argv += [f"--keyring={keyring}"]
    argv += [f"--include={','.join(wanted.packages)}", wanted.suite, tree]
    logged(log, *argv, *([sources] if wanted.sources else []), stdin=subprocess.DEVNULL)


def _furnish(wanted, tree, log):
    """Put our files into ``tree`` and run the recipe's script in it."""
    shown = tree.parent / "slipway"
    for path, text in wanted.tree.items():
        write(shown / path, text, 0o755)
    # not part of the recipe: a laptop that moves to another network keeps its image
    for path, text in {**wanted.files, "etc/resolv.conf": resolv_conf()}.items():
        (tree / path).unlink(missing_ok=True)
        write(tree / path, text)
    run_inside(log, tree, shown, wanted.script)


def run_inside(log, tree, shown, script):
    """Run a shell script in ``tree``, with the network of this machine and the folder ``shown`` as /slipway."""
    argv = ["systemd-nspawn", f"--directory={tree}", "--pipe", "--register=no", "--keep-unit", "--quiet"]
    argv += ["--resolv-conf=off", "--timezone=off", f"--bind-ro={shown}:/slipway"]
    argv += ["--setenv=DEBIAN_FRONTEND=noninteractive"]
    logged(log, *argv, "/bin/sh", "-c", script, stdin=subprocess.DEVNULL)


def _forget_old(newest, kept=6):
    """Remove all but the ``kept`` newest images; one that is mounted stays readable until it no longer is."""
    files = sorted(CACHE.glob("*.squashfs"), key=lambda file: file.stat().st_mtime)
    for file in files[:-kept]:
        if file != newest:
            file.unlink()
