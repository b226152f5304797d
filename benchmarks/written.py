"""A table on a page, between two marks: written anew without touching what stands around it."""

from pathlib import Path


def put(page: Path, name: str, text: str) -> None:
    """Put a text in the place of the one between the marks of that name.

    Raises:
        ValueError: if the page has no place for it.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, there, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (there and closed):
        raise ValueError(f"{page} has no {begin.strip()} … {end}; put them where it shall be")
    page.write_text(f"{before}{begin}{text}{end}{after}")
