"""
What the runner ``rollout`` answers, for people: rows as a table in the order of their keys (Salt's own sorts them), and
below it why a rollout failed, or what its end has to tell. With ``--out=json`` programs get the same as data.
"""

GAP = "  "


def output(data, **kwargs):
    """The text of rows, or of ``{"hosts": rows, "reason": text, "told": text}``; what is told may be lacking."""
    parts = (_table(data["hosts"]), data["reason"], data.get("told")) if isinstance(data, dict) else (_table(data),)
    return "\n".join(part for part in parts if part) or "there is nothing to show"


def _table(rows):
    """The lines of a table of dictionaries that have the same keys; empty if there are none."""
    if not rows:
        return ""
    lines = [[key.capitalize() for key in rows[0]], *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    padded = (GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)
