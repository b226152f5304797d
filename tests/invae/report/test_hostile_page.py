"""Every part of the page that prints a name escapes it, and figures take no name for a formula."""

from collections.abc import Callable
from html.parser import HTMLParser

import matplotlib
import pytest
from matplotlib.figure import Figure

from invae.report import as_bytes, style
from invae.report.figure import Table
from invae.report.page import Section, Shown, code, environment
from invae.verdict.findings import CONCLUSIONS, Finding, Verdict
from tests.invae.report.read_page import Page

HOSTILE = "</style><script>alert('x')</script><img src=http://a onerror=alert(1)>\"'& $\\frac$"
TABLE = Table([HOSTILE], [[HOSTILE]], HOSTILE)
SHOWN = Shown(HOSTILE, HOSTILE, HOSTILE, HOSTILE, b"\x89PNG", 10, TABLE)

JUDGED = Verdict(tuple(Finding(HOSTILE, light, HOSTILE, HOSTILE, HOSTILE) for light in CONCLUSIONS))


def part(name: str, *values: object) -> str:
    """What a macro of the page's template makes of some values."""
    macro = getattr(environment().get_template("parts.jinja").module, name)
    return str(macro(*values))


def whole() -> str:
    """The whole page, every value of which is hostile."""
    return (
        environment()
        .get_template("page.jinja")
        .render(
            code=code(),
            title=HOSTILE,
            sentences=[HOSTILE, HOSTILE, HOSTILE],
            method=[(HOSTILE, HOSTILE)],
            verdict=JUDGED,
            facts=[(HOSTILE, HOSTILE)],
            notes=[HOSTILE],
            sections=[Section(HOSTILE, [SHOWN])],
            left_out=[HOSTILE],
            tables=[TABLE],
            configuration=HOSTILE,
        )
    )


PARTS: dict[str, Callable[[], str]] = {
    "lines": lambda: part("lines", HOSTILE, [HOSTILE]),
    "figure": lambda: part("figure", SHOWN),
    "judgement": lambda: part("judgement", JUDGED, [HOSTILE, HOSTILE]),
    "table": lambda: part("table", TABLE),
    "page": whole,
}
"""Everything that makes HTML of text."""


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


@pytest.mark.parametrize("name", PARTS)
def test_a_reader_sees_every_text_as_it_is(name):
    assert HOSTILE in Page(PARTS[name]()).text


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
