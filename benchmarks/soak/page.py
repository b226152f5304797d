"""Tables of `docs/reliability.md`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    what: str
    result: str
    goal: str = ""
    reached: bool = True


def table(rows: Sequence[Row], remark: str) -> str:
    """The table in Markdown and the conditions of its measurement."""
    lines = [remark, "", "| what | result | goal |", "| --- | --- | --- |"]
    for row in rows:
        goal = row.goal if row.reached else f"{row.goal} — **missed**"
        lines.append(f"| {row.what} | {row.result} | {goal} |")
    return "\n".join(lines) + "\n"
