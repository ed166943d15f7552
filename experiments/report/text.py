"""Tables as columns for a CSV file, and as plain text that can be copied from a terminal."""

from collections.abc import Sequence


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Columns by name."""
    return {name: [row[i] for row in rows] for i, name in enumerate(head)}


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as plain text."""
    table = [tuple(head), *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )
