"""Rows as an aligned table of text, in the order of their keys: Salt's own outputter sorts the columns by name."""

GAP = "  "


def table(rows):
    """The lines of a table of dictionaries that have the same keys; a sentence if there are none."""
    if not rows:
        return "there is nothing to show"
    lines = [[key.capitalize() for key in rows[0]], *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    padded = (GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)
