"""The image of Vagrant's docker provider: that of the lab, and what Vagrant comes in by."""

import dataclasses
import json
import shutil
import subprocess

from lab import image
from lab.system import CACHE, TREE, LabError, command, write

NAME = "slipway-vagrant"

# The key that everybody knows: Vagrant puts one of its own in its place. Each container has its own host keys.
SCRIPT = """
set -e
apt-get install --yes --no-install-recommends openssh-server rsync
rm /etc/ssh/ssh_host_*
useradd --create-home --shell /bin/bash vagrant
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/vagrant
install -d -m 700 -o vagrant -g vagrant /home/vagrant/.ssh
install -m 600 -o vagrant -g vagrant /slipway/vagrant.pub /home/vagrant/.ssh/authorized_keys
mkdir -p /etc/systemd/system/ssh.service.d
printf '[Service]\\nExecStartPre=\\nExecStartPre=/usr/bin/ssh-keygen -A\\nExecStartPre=/usr/sbin/sshd -t\\n' \
    >/etc/systemd/system/ssh.service.d/keys.conf
"""

# Docker mounts the container's cgroups read-only, and systemd makes some.
START = ["/bin/sh", "-c", "mount -o remount,rw /sys/fs/cgroup; exec /lib/systemd/systemd"]
LABEL = "slipway.recipe"


def make(steps):
    """Give docker the image ``slipway-vagrant``, unless it has that of this recipe. Raises LabError."""
    if not shutil.which("docker"):
        raise LabError("docker is not here: apt-get install docker.io")
    base = image.image(steps)
    recipe = dataclasses.replace(image.recipe(), script=SCRIPT + base.stem + json.dumps(START)).digest()
    label = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    if command("docker", "image", "inspect", f"--format={label}", NAME, check=False).strip() == recipe:
        steps.say(f"docker has the image {NAME}")
        return
    log = CACHE / "vagrant.log"
    log.write_text("")
    with image.memory() as folder:
        tree = folder / "tree"
        with steps.step("image", "ssh and the user vagrant"):
            image.logged(log, "unsquashfs", "-quiet", "-no-progress", "-dest", tree, base)
            write(folder / "shown/vagrant.pub", (TREE / "lab/vagrant.pub").read_text())
            image.run_inside(log, tree, folder / "shown", SCRIPT)
        with steps.step("image", f"docker has it as {NAME}"):
            _import(log, tree, recipe)


def _import(log, tree, recipe):
    changes = [f"CMD {json.dumps(START)}", "ENV container docker", "EXPOSE 22", f"LABEL {LABEL}={recipe}"]
    options = [option for change in changes for option in ("--change", change)]
    with subprocess.Popen(["tar", "-C", str(tree), "-c", "."], stdout=subprocess.PIPE) as tar:
        image.logged(log, "docker", "import", *options, "-", NAME, stdin=tar.stdout)
