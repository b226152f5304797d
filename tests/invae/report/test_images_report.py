"""Reports of sites on images: pictures of what there is, and not a word of what there is not."""

import re

import pytest

from invae.config import ReportConfig
from invae.report import style
from invae.report.sites import outliers
from invae.results import open_result

WALLS = re.compile(r"wall|polari[sz]ation|switch|domain|walls stay|lost contact", re.IGNORECASE)


def text_of(page: str) -> str:
    body = page.split('<section id="provenance"')[0]
    return re.sub(r"<[^>]*>", " ", body.split("<body>")[1])


@pytest.fixture(scope="module")
def pages(atom_run, dense_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    return {
        name: run.report(folder / name) for name, run in (("atoms", atom_run), ("dense", dense_run))
    }


def test_a_report_of_atoms_speaks_of_atoms_only(pages):
    text = text_of((pages["atoms"] / "index.html").read_text())
    assert not WALLS.search(text), WALLS.search(text)
    assert re.search(r"\d+ atoms? in", text)
    drawn = {path.stem for path in (pages["atoms"] / "figures").iterdir()}
    assert {
        "images",
        "glance",
        "angle",
        "content",
        "classes",
        "error",
        "measured",
        "displacement",
    } <= drawn
    assert {"tracks", "drift"} <= drawn


def test_a_report_of_windows_shows_shifts_and_no_atoms(pages):
    text = text_of((pages["dense"] / "index.html").read_text())
    assert not WALLS.search(text), WALLS.search(text)
    drawn = {path.stem for path in (pages["dense"] / "figures").iterdir()}
    assert {"images", "glance", "content", "error"} <= drawn
    assert not {"measured", "tracks", "angle", "displacement"} & drawn


def test_unusual_atoms_are_named_with_their_place(atom_run):
    groups = dict(open_result(atom_run.store("analyse")))
    found = groups["outliers"].load()
    with style.applied(50):
        table = outliers(groups, ReportConfig()).table
    assert table is not None
    assert table.heads[2] == "y [nm]"
    rows = table.rows
    assert len(rows) == min(20, found.sizes["outlier"]) > 0
    assert float(rows[0][2]) == pytest.approx(float(found["y_nm"][0]), abs=0.006)
