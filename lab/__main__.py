"""
Many real Debian hosts on one Linux machine.

``python3 -m lab up`` boots a Salt master and the hosts of pillar/hosts.yaml; ``demo`` deploys the example on them.
"""

import argparse
import os
import sys
from pathlib import Path

from lab import Lab, LabError, demo, vagrant
from lab.inventory import MASTER
from lab.needs import check_machine
from lab.system import STATE, Steps


def parser():
    """The command line."""
    top = argparse.ArgumentParser(prog="python3 -m lab", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default="slipway", help="which lab (default: slipway)")
    actions = top.add_subparsers(dest="action", required=True)
    for action, text in (("up", "boot the lab"), ("demo", "boot it, and deploy the example project on it")):
        add = actions.add_parser(action, parents=[common], help=text)
        add.add_argument("--pillar", type=Path, help="folder with hosts.yaml (default: the one of this tree)")
        add.add_argument("--prefix", help="first three numbers of its network (default: those of the inventory)")
    actions.add_parser("down", parents=[common], help="end the lab and all that it made")
    actions.add_parser("vagrant-image", help="make the image of Vagrant's docker provider")
    actions.add_parser("ls", help="the labs and hosts there are")
    add = actions.add_parser("exec", parents=[common], help="run a command in a host")
    add.add_argument("host")
    add.add_argument("command", nargs="+", metavar="-- COMMAND", help="what to run")
    texts = {"cut": "pull a network cable", "join": "put it back", "kill": "cut the power", "boot": "boot again"}
    for action, text in texts.items():
        actions.add_parser(action, parents=[common], help=text).add_argument("host", help=f"for example {MASTER}")
    return top


def say(line):
    """Print ``line`` at once, into a pipe too."""
    print(line, flush=True)


def list_labs():
    """Print every host of every lab with its address and process id."""
    for file in sorted(STATE.glob("*/lab.json")):
        for host in Lab(file.parent.name).hosts().values():
            say(f"{host.lab:<10} {host.name:<10} {host.address:<15} {host.leader() or 'down'}")


def act(arguments):
    """Do what the command line says; returns the exit code."""
    action = arguments.action
    check_machine()
    if action == "ls":
        list_labs()
        return 0
    if action == "vagrant-image":
        vagrant.make(Steps(say))
        return 0
    lab = Lab(arguments.name, getattr(arguments, "pillar", None), getattr(arguments, "prefix", None), say)
    if action == "demo":
        return demo.run(lab)
    if action == "exec":
        argv = lab.host(arguments.host).argv(arguments.command)
        os.execvp(argv[0], argv)
    getattr(lab, action)(*([arguments.host] if "host" in arguments else []))
    return 0


def main():
    """The exit code of the command line; an expected failure is one sentence on stderr."""
    try:
        return act(parser().parse_args())
    except LabError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
