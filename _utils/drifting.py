"""Where hosts are not as their states say: what a highstate would change there, asked in test mode."""

import json

import asking
import command
import steps


def found(opts, hosts):
    """
    Return a row for each state that would change something, and the changes whole, as lines.

    A row is ``{"host", "state", "change"}``; a host that does not answer, or whose states cannot be computed, has one
    row without a state. Nothing is changed. A host that is at a state run is waited for.

    :param hosts: the hosts to ask, all at once
    """
    answers = dict(asking.apply(opts, hosts, "", {}, test=True))
    rows, lines = [], []
    for host in hosts:
        results = answers.get(host, False)
        if not isinstance(results, dict):
            rows.append({"host": host, "state": "", "change": _line(steps.reason(results))})
            continue
        for result in sorted(results.values(), key=lambda result: result["__run_num__"]):
            if result["changes"] or result["result"] is not True:
                row = {"host": host, "state": result["__id__"], "change": _line(result["comment"])}
                rows.append(row)
                lines += ["", f"{host} {row['state']}:", *_whole(result["changes"])]
    return rows, [command.mask(line) for line in lines[1:]]


def _whole(changes):
    """The lines of a diff, or of the changes as JSON. What is secret, states have masked themselves."""
    if isinstance(changes, dict) and isinstance(changes.get("diff"), str):
        return changes["diff"].rstrip("\n").splitlines()
    return json.dumps(changes, indent=1, default=str).splitlines() if changes else []


def _line(comment):
    return command.mask(str(comment).strip().partition("\n")[0])
