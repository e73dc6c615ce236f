"""
What the lab takes: seconds until five hosts answer, MiB for each of them, and seconds until the demo serves its site.

``python3 bench/lab.py`` (root) starts from a built image; with ``--cold`` first from nothing: the image is built too,
in a cache folder of its own, as on a machine that never had a lab.
"""

import argparse
import contextlib
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from labs import bench_lab, cgroup, circumstances, demo, lab_image, table


def boot_and_demo():
    """``{"up": seconds, "demo": seconds, "idle" and "serving": {host: MiB}}``: what `make demo` does, in a new lab."""
    begin = time.monotonic()
    with bench_lab() as lab:
        up = time.monotonic() - begin
        idle = memory(lab)
        again = time.monotonic()
        demo.run(lab)
        return {"up": up, "demo": up + time.monotonic() - again, "idle": idle, "serving": memory(lab)}


def memory(lab):
    """``{host: (MiB of its processes, MiB of its files)}`` of a lab that runs; what hosts share is divided by them."""
    return {name: (processes_mib(host), files_mib(host)) for name, host in lab.hosts().items()}


def processes_mib(host):
    """The proportional set size of every process of a host, in MiB."""
    total = 0
    for pid in cgroup.members(host.unique):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def files_mib(host):
    """What a host has written over the image, in MiB; in memory where the machine's disk is itself an overlay."""
    done = subprocess.run(["du", "--summarize", "--block-size=1K", host.layer], stdout=subprocess.PIPE, text=True)
    return int(done.stdout.split()[0]) / 1024


@contextlib.contextmanager
def empty_cache():
    """No image is there in this block, and none of those that are there is touched."""
    kept = lab_image.CACHE
    with tempfile.TemporaryDirectory(dir=kept, prefix="bench-") as folder:
        lab_image.CACHE = Path(folder)
        try:
            yield
        finally:
            lab_image.CACHE = kept


def report(found, cold):
    """Print the tables of the warm runs ``found`` and of the ``cold`` ones, which may be none."""
    rows = []
    for key, what, goal_cold, goal_warm in (
        ("up", "five hosts answer", "60", "8"),
        ("demo", "`make demo` serves the shop", "240", "40"),
    ):
        for kind, runs, goal in (("from nothing", cold, goal_cold), ("image is there", found, goal_warm)):
            if runs:
                seconds = [run[key] for run in runs]
                rows.append((what, kind, f"{statistics.median(seconds):.1f}", f"{max(seconds):.1f}", goal))
    table(("until", "start", "median s", "slowest s", "at most"), rows)
    last = found[-1]
    rows = [(host, *mib(last["idle"][host]), *mib(last["serving"][host])) for host in last["idle"]]
    table(("host, MiB", "processes, empty", "files, empty", "processes, serving", "files, serving"), rows)


def mib(pair):
    """Two numbers as text."""
    return [f"{number:.0f}" for number in pair]


def main():
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how many labs are booted (default: 3)")
    parser.add_argument("--cold", action="store_true", help="build the image too, first")
    arguments = parser.parse_args()
    cold = []
    if arguments.cold:
        with empty_cache():
            cold = [boot_and_demo()]
    found = [boot_and_demo() for _ in range(arguments.rounds)]
    circumstances()
    report(found, cold)


if __name__ == "__main__":
    main()
