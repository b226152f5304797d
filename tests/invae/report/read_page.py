"""A report page as a browser reads it."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag and its attributes."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep the text, a space between pieces."""
        self.text += data + " "

    def of(self, name: str) -> list[str]:
        """Values of an attribute, in their order."""
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]
