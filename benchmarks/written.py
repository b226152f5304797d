"""Generated text on a page of the docs, between two marks; the text around the marks is kept."""

from pathlib import Path


def put(page: Path, name: str, text: str) -> None:
    """Replace the text between the marks of this name on a page.

    Raises:
        ValueError: If the page has no such marks.
    """
    page.write_text(replaced(page, name, text))


def replaced(page: Path, name: str, text: str, *, old: str | None = None) -> str:
    """The page with new text between the marks of this name.

    Args:
        page: The page.
        name: Name of the marks.
        text: New text between them.
        old: Content of the page, if it differs from the file.

    Raises:
        ValueError: If the page has no such marks.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    content = page.read_text("utf-8") if old is None else old
    before, opened, rest = content.partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise ValueError(
            f"{page} has no marks {begin.strip()} … {end}; add them where the text belongs"
        )
    return f"{before}{begin}{text}{end}{after}"
