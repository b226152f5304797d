"""A table on a page, between two marks: written anew without touching what stands around it."""

from pathlib import Path


def put(page: Path, name: str, text: str) -> None:
    """Put a text in the place of the one between the marks of that name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = page.read_text().partition(begin)
    page.write_text(f"{before}{begin}\n{text}{end}{rest.partition(end)[2]}")
