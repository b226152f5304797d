"""A report page as a browser reads it."""

import base64
import hashlib
from html.parser import HTMLParser


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        """Texts of the script elements; they are no text of the page."""
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag and its attributes."""
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        """Keep the text, a space between pieces."""
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.text += data + " "

    def handle_endtag(self, tag: str) -> None:
        """The text goes on after a script."""
        self._in_script = False

    @property
    def runs_only_its_own_script(self) -> bool:
        """Whether the page has no script, or one that its policy allows by its digest, with data in an element that does not run."""
        types = [attrs.get("type") for tag, attrs in self.tags if tag == "script"]
        policy = next(c for c in self.of("content") if "default-src" in c)
        if not types:
            return "script-src" not in policy
        digest = base64.b64encode(hashlib.sha256(self.scripts[1].encode()).digest()).decode()
        allowed = f"script-src 'sha256-{digest}';" in policy
        return allowed and types == ["application/json", "module"] and "unsafe" not in policy

    def of(self, name: str) -> list[str]:
        """Values of an attribute, in their order."""
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]
