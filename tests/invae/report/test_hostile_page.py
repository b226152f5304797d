"""Every part of the page that prints a name escapes it, and figures take no name for a formula."""

from html.parser import HTMLParser

import matplotlib
import pytest
from matplotlib.figure import Figure

from invae.report import as_bytes, style
from invae.report.page import Shown, _contents, _figure, _list, _section, _table

HOSTILE = "</style><script>alert('x')</script><img src=http://a onerror=alert(1)>\"'& $\\frac$"
SHOWN = Shown(HOSTILE, HOSTILE, HOSTILE, HOSTILE, b"\x89PNG", 10)

PARTS = {
    "list": lambda: _list(HOSTILE, [HOSTILE]),
    "contents": lambda: _contents({HOSTILE: [SHOWN]}),
    "section": lambda: _section(HOSTILE, [SHOWN], {}),
    "figure": lambda: _figure(SHOWN),
    "table": lambda: _table([HOSTILE], [[HOSTILE]]),
}
"""Every function of the page that makes HTML of text."""


class Tags(HTMLParser):
    """Names of the tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag, *(name for name, _ in attrs)}
        if tag == "img":
            assert str(dict(attrs)["src"]).startswith("data:")


@pytest.mark.parametrize("part", PARTS)
def test_no_part_of_the_page_takes_a_name_for_a_tag(part):
    assert not Tags(PARTS[part]()).found & {"script", "onerror", "onload"}


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_name_in_a_figure_is_no_formula(suffix):
    with style.applied(50):
        figure = Figure(figsize=(1, 1))
        axes = figure.subplots()
        axes.set_title(HOSTILE)
        axes.set_xlabel(HOSTILE)
        axes.plot([0, 1], label=HOSTILE)
        axes.legend()
        content = as_bytes(figure, suffix)
    assert b"<script" not in content
    assert not matplotlib.rcParams["text.usetex"]
