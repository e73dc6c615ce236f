"""What a host finds when it boots for the first time: its name, its Salt configuration, and keys made beforehand."""

import subprocess
from pathlib import Path

from lab.image import resolv_conf
from lab.inventory import MASTER, hosts_file
from lab.system import TREE, LabError, write

PKI = "etc/salt/pki"

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


def keys(names, folder):
    """A new pair of RSA keys for every name, ``{name: (private, public)}`` in PEM, all made at the same time."""
    jobs = {name: _openssl("genrsa", "-out", folder / name, "2048") for name in names}
    _succeed(jobs)
    jobs = {name: _openssl("rsa", "-in", folder / name, "-pubout", "-out", folder / f"{name}.pub") for name in names}
    _succeed(jobs)
    return {name: ((folder / name).read_text(), (folder / f"{name}.pub").read_text()) for name in names}


def _openssl(*argv):
    argv = ["openssl", *map(str, argv)]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, umask=0o077, text=True)


def _succeed(jobs):
    for name, job in jobs.items():
        _, errors = job.communicate()
        if job.returncode:
            raise LabError(f"openssl made no key for {name}: {errors.strip()}")


def everywhere(name, placed):
    """Files of every host: ``{path: (text, mode)}``."""
    return {
        "etc/hostname": (f"{name}\n", 0o644),
        "etc/hosts": (hosts_file(placed), 0o644),
        "etc/resolv.conf": (resolv_conf(), 0o644),
    }


def minion(name, own, master_public):
    """Files of a minion whose key pair is ``own``: nothing is left to accept, nothing to trust at first sight."""
    private, public = own
    return {
        **_shipped("minion"),
        "etc/salt/minion_id": (f"{name}\n", 0o644),
        "etc/salt/minion.d/lab.conf": (MINION_EXTRA, 0o644),
        f"{PKI}/minion/minion.pem": (private, 0o400),
        f"{PKI}/minion/minion.pub": (public, 0o644),
        f"{PKI}/minion/minion_master.pub": (master_public, 0o644),
    }


def master(own, public_of, other_pillar):
    """Files of the master: its key pair ``own``, and the accepted minions ``{name: public key}``."""
    private, public = own
    accepted = {f"{PKI}/master/minions/{name}": (text, 0o644) for name, text in public_of.items()}
    return {
        **_shipped("master"),
        "etc/salt/master.d/lab.conf": (MASTER_EXTRA + (OTHER_PILLAR if other_pillar else ""), 0o644),
        f"{PKI}/master/master.pem": (private, 0o400),
        f"{PKI}/master/master.pub": (public, 0o644),
        **accepted,
    }


def _shipped(what):
    """The configuration that we ship for the ``what`` (master or minion), unchanged."""
    unit = f"salt-{what}.service.d/private.conf"
    return {
        f"etc/salt/{what}": ((TREE / f"conf/{what}.conf").read_text(), 0o640),
        f"etc/systemd/system/{unit}": ((TREE / "conf" / unit).read_text(), 0o644),
    }


def plant(layers, placed, folder, other_pillar):
    """Write everything into ``layers`` (``{name: folder}``); ``folder`` holds the keys meanwhile."""
    pairs = keys([*placed, "salt-master"], Path(folder))
    own = pairs.pop("salt-master")
    for name, layer in layers.items():
        files = {**everywhere(name, placed), **minion(name, pairs[name], own[1])}
        if name == MASTER:
            files.update(master(own, {host: pair[1] for host, pair in pairs.items()}, other_pillar))
        for path, (text, mode) in files.items():
            write(layer / path, text, mode)
        for pki in layer.glob(f"{PKI}/*"):
            pki.chmod(0o700)
