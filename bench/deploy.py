"""
What a deploy of changed code takes (same requirements) on two app hosts, phase by phase: each is of a commit that no
host has seen.

``python3 bench/deploy.py`` (root). The whole orchestration, v1 -> v2 -> v1 ..., on a lab of five hosts that share this
machine: real hosts do in parallel what here takes turns on its cores.
"""

import argparse
import json
import statistics
import time

from labs import ask, bench_lab, circumstances, demo, orchestrate, say, table

# A commit with the files of v1, as a branch.
COMMIT = """
cd /srv/git/shop.git
export GIT_AUTHOR_NAME=bench GIT_AUTHOR_EMAIL=bench GIT_COMMITTER_NAME=bench GIT_COMMITTER_EMAIL=bench
git branch "$1" "$(git commit-tree -p v1 -m "$1" 'v1^{tree}')"
"""


def commit(lab, name):
    """A new revision: the release before the last is warm still, and going back to it would start nothing."""
    lab.run("master", ["sh", "-ec", COMMIT, "sh", name])
    return name


def deploy(lab, revision):
    """Deploy ``revision`` and return ``{phase: seconds}`` of its steps, and of the whole as `salt-run` takes it."""
    pillar = json.dumps({"app": "shop", "revision": revision})
    begin = time.monotonic()
    done = lab.salt("salt-run", "--out=json", "state.orchestrate", "orch.deploy", f"pillar={pillar}")
    wall = time.monotonic() - begin
    return {**{step["__id__"]: step["duration"] / 1000 for step in demo.steps_of(done.stdout)}, "whole": wall}


def waits(spec):
    """The seconds for which a wave only watches: between the probes before the switch, and in the window after it."""
    health = spec["health"]
    return health["interval"] * (health["successes"] - 1), spec["rollout"]["watch"]["seconds"]


def main():
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deploys", type=int, default=8, help="how many deploys are measured (default: 8)")
    count = parser.parse_args().deploys
    with bench_lab() as lab:
        orchestrate(lab, "orch.provision")
        # The venv and the tables are there from now on: what follows is code only.
        orchestrate(lab, "orch.deploy", app="shop", revision="v1")
        found = []
        for number in range(count):
            found.append(deploy(lab, commit(lab, f"code-{number + 1}")))
            say(f"deploy {number + 1}: {found[-1]['whole']:.1f} s")
        probes, window = waits(ask(lab, "web1", "apps.spec", "shop"))
    circumstances()
    report(found, probes, window)


def report(found, probes, window):
    """Print the table of medians; ``probes`` and ``window`` are the seconds that each wave only watches."""
    rows = []
    for phase in found[0]:
        seconds = [deployed[phase] for deployed in found]
        waited = probes + window if phase.startswith("activate-") else 0
        middle, slowest = statistics.median(seconds), max(seconds)
        rows.append((phase, f"{middle:.2f}", f"{slowest:.2f}", f"{waited:.1f}" if waited else ""))
    table(("phase", "median s", "slowest s", "of it watching s"), rows)
    waves = sum(phase.startswith("activate-") for phase in found[0])
    rest = statistics.median(deployed["whole"] for deployed in found) - waves * (probes + window)
    say(f"without watching ({waves} waves, {probes:g} s of probes and {window:g} s of window each): {rest:.1f} s")


if __name__ == "__main__":
    main()
