"""
What a deploy of changed code takes (same requirements) on two app hosts, phase by phase.

``python3 bench/deploy.py`` (root). The whole orchestration, v1 -> v2 -> v1 ..., on a lab of five hosts that share this
machine: real hosts do in parallel what here takes turns on its cores.
"""

import argparse
import json
import statistics
import time

from labs import ask, bench_lab, circumstances, demo, orchestrate, say, table


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
        # v2's migration and both releases' folders are there from now on: what follows is code only
        for revision in ("v1", "v2"):
            orchestrate(lab, "orch.deploy", app="shop", revision=revision)
        found = []
        for number in range(count):
            found.append(deploy(lab, ("v1", "v2")[number % 2]))
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
