"""Whatever a recording says of itself, in names, units and notes: every kind of page shows it as text, and no more."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from matplotlib.text import Text

from invae.config import ReportConfig
from invae.errors import visible
from invae.report import style
from invae.report.contents import figures_of
from invae.report.explorer.payload import payload
from invae.report.figure import Drawing, LeftOut
from invae.report.page import Shown, page
from invae.results import open_result
from invae.storage.provenance import Source
from tests.invae.report.read_page import Page

KINDS = ("small_run", "scan_run", "atom_run", "dense_run", "card_run")
"""Runs of a PFM series, of a 4D-STEM scan, of atoms, of windows, and of a set of images."""

HOSTILE = (
    "</title><script>alert(1)</script><img src=http://a onerror=alert(1)>'\" & $\\frac$ | a | b |\n"
    "# [x](javascript:alert(1)) ../../x \0 \x1b[31m\x1b]0;t\x07 \u202e " + "long " * 1000
)

OURS = {
    "axis",
    "baseline",
    "cluster_name",
    "descan",
    "descriptor",
    "feature",
    "known",
    "labelling",
    "recording_kind",
    "space",
}
"""Words that this package writes itself, and names of variables; it decides by them."""

SOURCE = Source(HOSTILE, HOSTILE, 3)

LONGEST = 150
"""Letters in a line of a figure."""


def hostile(dataset: xr.Dataset) -> xr.Dataset:
    """The same values under hostile names, units and remarks."""
    texts = {
        name: variable.copy(data=np.array([f"{i} {HOSTILE}" for i in range(variable.size)], object))
        for name, variable in dataset.variables.items()
        if variable.dtype.kind in "OUT" and name not in OURS
    }
    changed = dataset.assign({n: v for n, v in texts.items() if n in dataset.data_vars})
    changed = changed.assign_coords({n: v for n, v in texts.items() if n in dataset.coords})
    for variable in changed.variables.values():
        variable.attrs = said(variable.attrs)
    return changed.assign_attrs(said(changed.attrs))


def said(attrs: Mapping[str, object]) -> dict[str, object]:
    """The attributes, with other words in them."""
    changed = dict(attrs)
    for name, value in attrs.items():
        if name not in OURS and isinstance(value, str):
            changed[name] = HOSTILE
        elif isinstance(value, list) and value and isinstance(value[0], str):
            changed[name] = [HOSTILE] * len(value)
    return changed


def drawn(result: Mapping[str, xr.Dataset]) -> dict[str, list[Drawing]]:
    """All figures of a kind of page, by section."""
    found: dict[str, list[Drawing]] = {}
    for section, draws in figures_of(result).items():
        for draw in draws:
            with suppress(LeftOut):
                found.setdefault(section, []).append(draw(result, ReportConfig()))
    return found


def shown(drawing: Drawing) -> Shown:
    """A figure as it goes into the page, its letters looked at."""
    assert re.fullmatch(r"[\w-]+", drawing.name), "it becomes the name of a file"
    texts = drawing.figure.findobj(Text)
    assert not any(text.get_parse_math() for text in texts), "no name is a formula"
    lines = [line for text in texts for line in text.get_text().splitlines()]
    assert all(len(line) < LONGEST and line == visible(line) for line in lines), drawing.name
    words = (drawing.name, drawing.title, drawing.how_to_read, drawing.numbers)
    return Shown(*words, b"PNG", 10, drawing.table)


@pytest.mark.parametrize("kind", KINDS)
def test_no_page_takes_words_of_a_recording_for_more_than_words(kind, request):
    run = request.getfixturevalue(kind)
    groups = open_result(run.store("analyse"))
    result = {name: hostile(group.load()) for name, group in groups.items()}
    receipt = replace(run.receipt("report"), recording=HOSTILE, sources=(SOURCE,))
    with style.applied(30):
        sections = {name: [*map(shown, those)] for name, those in drawn(result).items()}
    assert sum(map(len, sections.values())) > 8
    data = payload(result)
    text = page(result, sections, [HOSTILE], title=HOSTILE, receipts=[receipt], explorer=data)
    assert text == visible(text)
    found = Page(text)
    assert found.text.count("<script>alert(1)</script>") > 3
    assert not {tag for tag, _ in found.tags} & {"link", "iframe", "object", "base"}
    assert found.runs_only_its_own_script
    assert len(found.scripts) == 2
    assert not {name for _, attrs in found.tags for name in attrs if name.startswith("on")}
    assert all(source.startswith("data:image/png") for source in found.of("src"))
    assert all(link.startswith("#") for link in found.of("href"))
