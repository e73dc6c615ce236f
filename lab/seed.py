"""What a host finds when it boots for the first time: its name and addresses, and what bin/seed gives it."""

import subprocess
from pathlib import Path

from lab.image import resolv_conf
from lab.inventory import MASTER, hosts_file
from lab.system import TREE, LabError, command, write

# Only what a lab of a few hosts on one machine needs otherwise than production: quick to find each other again.
MINION_EXTRA = """\
recon_default: 100
recon_max: 1000
random_reauth_delay: 1
return_retry_timer: 1
return_retry_timer_max: 2
"""
MASTER_EXTRA = """\
worker_threads: 2
"""
OTHER_PILLAR = """\
pillar_roots: {base: [/srv/slipway-pillar]}
"""


def make_keys(names, folder):
    """A pair of RSA keys for every name in ``folder``, ``<name>.pem`` and ``<name>.pub``, all made at the same time."""
    _succeed({name: _openssl("genrsa", "-out", folder / f"{name}.pem", "2048") for name in names})
    pairs = {name: ("-in", folder / f"{name}.pem", "-pubout", "-out", folder / f"{name}.pub") for name in names}
    _succeed({name: _openssl("rsa", *pair) for name, pair in pairs.items()})


def _openssl(*argv):
    argv = ["openssl", *map(str, argv)]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, umask=0o077, text=True)


def _succeed(jobs):
    for name, job in jobs.items():
        _, errors = job.communicate()
        if job.returncode:
            raise LabError(f"openssl made no key for {name}: {errors.strip()}")


def files(name, placed, other_pillar):
    """What of a host only a lab has, ``{path: text}``."""
    found = {
        "etc/hostname": f"{name}\n",
        "etc/hosts": hosts_file(placed),
        "etc/resolv.conf": resolv_conf(),
        "etc/salt/minion.d/lab.conf": MINION_EXTRA,
    }
    if name == MASTER:
        found["etc/salt/master.d/lab.conf"] = MASTER_EXTRA + (OTHER_PILLAR if other_pillar else "")
    return found


def plant(layers, placed, folder, other_pillar):
    """Write everything into ``layers`` (``{name: folder}``); ``folder`` holds the keys meanwhile."""
    make_keys([*placed, "salt-master"], Path(folder))
    for name, layer in layers.items():
        for path, text in files(name, placed, other_pillar).items():
            write(layer / path, text)
        command(TREE / "bin/seed", name, folder, layer)
