"""The lab that the benchmarks measure, and how they print what they found."""

import contextlib
import json
import statistics
import sys
import time
from datetime import date
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TREE))
# All that a benchmark needs of the lab it takes from here: in this folder, `lab` would be the benchmark of that name.
from lab import Lab, LabError, cgroup, demo  # noqa: E402
from lab import image as lab_image  # noqa: E402

APP_HOSTS = ("web1", "web2")


def say(line=""):
    """Print ``line`` at once, into a pipe too."""
    print(line, flush=True)


@contextlib.contextmanager
def bench_lab():
    """A lab of five hosts beside every other one; it is ended, whatever happens."""
    lab = Lab(name="bench", prefix="10.213.11", say=say)
    try:
        lab.up()
        yield lab
    finally:
        lab.down()


def orchestrate(lab, name, **pillar):
    """Run an orchestration and return the seconds it took; raises LabError when it fails."""
    begin = time.monotonic()
    lab.salt("salt-run", "state.orchestrate", name, f"pillar={json.dumps(pillar)}", timeout=1800)
    return time.monotonic() - begin


def ask(lab, host, *call):
    """What ``salt-call ...`` returns on ``host``."""
    return json.loads(lab.run(host, ["salt-call", "--out=json", *call]).stdout)["local"]


def run_alternating(measures, rounds):
    """
    ``{name: [one result a round]}`` of the functions in ``measures``.

    All run once a round, one after the other, so that a machine that becomes slower does so for all of them. The
    round before the first is thrown away: it fills caches.
    """
    results = {name: [] for name in measures}
    for number in range(rounds + 1):
        for name, measure in measures.items():
            result = measure()
            if number:
                results[name].append(result)
    return results


def median_of(results, key):
    """The median of ``key`` in a list of dictionaries."""
    return statistics.median(result[key] for result in results)


def table(head, rows):
    """Print a table in Markdown, as docs/performance.md has it."""
    say(f"\n| {' | '.join(head)} |")
    say(f"|{'---|' * len(head)}")
    for row in rows:
        say(f"| {' | '.join(map(str, row))} |")


def circumstances():
    """Print when and on what it was measured."""
    cores = Path("/proc/cpuinfo").read_text().count("processor\t")
    load = Path("/proc/loadavg").read_text().split()[0]
    kernel = Path("/proc/version").read_text().split()[2]
    say(f"\n{date.today()}, {cores} cores, load of the last minute {load}, Linux {kernel}")


__all__ = ["APP_HOSTS", "TREE", "LabError", "ask", "bench_lab", "cgroup", "circumstances", "demo", "lab_image"]
__all__ += ["median_of", "orchestrate", "run_alternating", "say", "table"]
