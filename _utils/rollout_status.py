"""What each host of an app serves, and where that is not as the ledger has it: the rows of ``rollout.status``."""

import asking
import ledger_file
import lock_file

# What a row says besides host and app.
COLUMNS = ("release", "slot", "server", "since", "answer", "drift", "lock")
CLOSED = "visitors get the maintenance page"


def rows(opts, app):
    """A dictionary for each host of an app."""
    folder = ledger_file.folder(opts)
    ledger, lock = ledger_file.read(folder, app.name), lock_file.show(folder, app.name).get("owner", "")
    found, silent = asking.ask(opts, app.hosts, "slots.status", app.name)
    answers = {host: {"answer": why.splitlines()[0]} for host, why in silent.items()}
    answers |= {host: _answered(**status) for host, status in found.items()}
    empty = {"host": "", "app": app.name, **dict.fromkeys(COLUMNS, ""), "lock": lock}
    drifts = {host: _drift(ledger, host, found.get(host)) for host in app.hosts}
    return [{**empty, "host": host, **answers[host], "drift": drifts[host]} for host in app.hosts]


def _answered(answer, maintenance=False, **status):
    return {**status, "answer": f"{answer}, {CLOSED}" if maintenance else answer}


def _drift(ledger, host, found):
    """Where a host is not as the ledger says: ``found`` is what it answered, None if it did not."""
    wanted, since = ledger["deployed"].get("id", ""), ledger["skipped"].get(host)
    other = [f"the ledger has {wanted or 'nothing'}"] if found and found["release"] != wanted else []
    return ", ".join([*other, *([f"skipped since {since}"] if since else [])])
