"""Tables of `docs/reliability.md`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    what: str
    found: str
    wanted: str = ""
    reached: bool = True


def table(rows: Sequence[Row], remark: str) -> str:
    """The table in Markdown, and what it was measured on."""
    lines = [remark, "", "| what | found | wanted |", "| --- | --- | --- |"]
    for row in rows:
        wanted = row.wanted if row.reached else f"{row.wanted} — **missed**"
        lines.append(f"| {row.what} | {row.found} | {wanted} |")
    return "\n".join(lines) + "\n"
