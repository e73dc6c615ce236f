"""
What the runner ``rollout`` answers, for people: rows as a table, and below it why a rollout failed.

With ``--out=json`` programs get the same as data.
"""

import tables


def output(data, **kwargs):
    """The text of rows, or of ``{"hosts": rows, "reason": text}``."""
    if not isinstance(data, dict):
        return tables.table(data)
    parts = [tables.table(data["hosts"]) if data["hosts"] else "", data["reason"]]
    return "\n".join(part for part in parts if part)
