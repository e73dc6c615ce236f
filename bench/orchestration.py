"""
What an orchestration costs the master as hosts become more: ``.venv/bin/python bench/orchestration.py`` (no root).

One master and light minions on this machine run orch.deploy; what would need root on the hosts is done by the doubles
of tests/integration, which only wait as long as a real host takes to activate (2 s). With real hosts each has its own
cores; here all minions share this machine's, so that "whole" grows more than it would. The master's own part is the CPU
time of salt-run and of the master's processes.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from labs import circumstances, say, table

TREE = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PARTS = ("salt", "pillar", "_modules", "_states", "_utils", "_beacons", "_runners", "_pillar", "_output")
# Seconds that a host needs for its activation, and the ports of the master, far from Salt's own.
ACTIVATION = 2
PORTS = {"publish_port": 24505, "ret_port": 24506}
# Seconds in which minions have come up and been accepted.
UP = 300


def master_settings(folder):
    """The master's configuration: the tree's, behind the doubles of the integration tests."""
    tree = folder / "tree"
    return {
        "root_dir": str(folder / "master"), "interface": "127.0.0.1", **PORTS, "user": os.environ.get("USER", "root"),
        "module_dirs": [str(tree)], "pillar_dirs": [str(tree / "_pillar")], "ext_pillar": [{"ledger": {}}],
        "file_roots": {"base": [str(TREE / "tests/integration/doubles"), str(tree / "salt")]},
        "pillar_roots": {"base": [str(tree / "pillar")]}, "slipway_dir": str(folder / "ledgers"),
        # Everybody who knocks is one of ours: nobody else reaches this address.
        "auto_accept": True, "log_level": "error", "timeout": 30, "gather_job_timeout": 30,
    }  # fmt: skip


def minion_settings(folder, host):
    """The configuration of a minion that works without forking, as light as it gets."""
    return {
        "root_dir": str(folder / host), "id": host, "master": "127.0.0.1", "master_port": PORTS["ret_port"],
        "publish_port": PORTS["publish_port"], "user": os.environ.get("USER", "root"), "log_level": "error",
        "autoload_dynamic_modules": False, "multiprocessing": False, "grains_cache": True,
    }  # fmt: skip


def write(folder, name, settings):
    """Write a configuration (JSON is YAML) and return its folder."""
    place = folder / name / "conf"
    place.mkdir(parents=True)
    kind = "master" if name == "master" else "minion"
    (place / kind).write_text(json.dumps(settings))
    return place


def plant(folder, hosts):
    """The tree with an inventory of ``hosts``, all of them app hosts, and one database."""
    for part in PARTS:
        shutil.copytree(
            TREE / part, folder / "tree" / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    inventory = {host: {"address": f"10.9.{n // 250}.{n % 250 + 1}", "roles": ["app"]} for n, host in enumerate(hosts)}
    (folder / "tree/pillar/hosts.yaml").write_text(json.dumps(inventory))


def describe(folder, hosts, wave):
    """The app on ``hosts``: a canary, then waves."""
    rollout = {"canary": 1, "wave": wave, "confirm": 0}
    app = {"source": {"git": "https://git.example.com/shop.git"}, "revision": "one", "domains": ["shop.example.com"]}
    app |= {"hosts": hosts, "database": "none", "rollout": rollout}
    (folder / "tree/pillar/apps/shop.sls").write_text(json.dumps({"apps": {"shop": app}}))


@contextlib.contextmanager
def daemons(folder, hosts):
    """The master and its minions; ended by their own ids, whatever happens."""
    processes = []
    try:
        for name in ("master", *hosts):
            settings = master_settings(folder) if name == "master" else minion_settings(folder, name)
            kind = "master" if name == "master" else "minion"
            argv = [str(BIN / f"salt-{kind}"), "-c", str(write(folder, name, settings))]
            processes.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_for(folder, hosts)
        yield processes[0]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def run(folder, *argv):
    """The standard output of a command of the master."""
    command = [str(BIN / argv[0]), "-c", str(folder / "master/conf"), *argv[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=UP, check=False).stdout


def wait_for(folder, hosts):
    """Return when every minion answers and has the modules."""
    end = time.monotonic() + UP
    while time.monotonic() < end:
        answers = run(folder, "salt", "--out=json", "--static", "-t", "60", "*", "saltutil.sync_all")
        with contextlib.suppress(ValueError):
            if len([host for host, answer in json.loads(answers).items() if answer]) == len(hosts):
                return
        time.sleep(1)
    raise SystemExit(f"not all of {len(hosts)} minions came up in {UP} s")


def cpu(pid):
    """CPU seconds of a process and of its children (proc(5): utime, stime)."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    total = 0
    for one in (str(pid), *found):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def deploy(folder, master, hosts, wave, revision):
    """Deploy once; returns hosts, waves, seconds, and the CPU seconds of salt-run and of the master."""
    describe(folder, hosts, wave)
    for host in hosts:
        (folder / host / "script.json").write_text(json.dumps({"activate": {"sleep": ACTIVATION}}))
    own, theirs, began = resource.getrusage(resource.RUSAGE_CHILDREN), cpu(master.pid), time.monotonic()
    pillar = json.dumps({"app": "shop", "revision": revision})
    done = json.loads(run(folder, "salt-run", "--out=json", "state.orchestrate", "orch.deploy", f"pillar={pillar}"))
    whole = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done["retcode"]:
        raise SystemExit(json.dumps(done, indent=1)[-4000:])
    waves = 1 + -(-(len(hosts) - 1) // wave)
    spent = after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime
    return len(hosts), waves, whole, waves * ACTIVATION, spent, cpu(master.pid) - theirs


def main():
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minions", type=int, default=50, help="how many (about 70 MiB each; default: 50)")
    count = parser.parse_args().minions
    names = [f"web{number}" for number in range(1, count + 1)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plant(folder, names)
        describe(folder, names, count)
        with daemons(folder, names) as master:
            say(f"{count} minions are up")
            found = []
            for number, size in enumerate(sorted({2, 10, 25, count} - {n for n in (10, 25) if n > count})):
                for wave in (size, max(size // 5, 1)):
                    found.append(deploy(folder, master, names[:size], wave, f"r{number}-{wave}"))
                    say(f"{size} hosts in waves of {wave}: {found[-1][2]:.1f} s")
    circumstances()
    head = ("hosts", "waves", "whole s", "of it hosts' own s", "salt-run CPU s", "master CPU s")
    table(head, [(*map(str, row[:2]), *(f"{value:.1f}" for value in row[2:])) for row in found])


if __name__ == "__main__":
    main()
