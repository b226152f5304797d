"""Tables of `docs/reliability.md`, each between marks of its own: writing one leaves the others as they are."""

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


def put(text: str, *, name: str, page: Path = PAGE) -> None:
    """Put a table in place of the one of the same name.

    Raises:
        ValueError: if the page has no place for it.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, there, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (there and closed):
        raise ValueError(
            f"{page} has no {begin.strip()} … {end}; put them where the table shall be"
        )
    page.write_text(f"{before}{begin}{text}{end}{after}")
