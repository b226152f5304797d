"""The page of pairs: its figures, its headline and its table of scores."""

import numpy as np
import pytest

from invae.report.pairs.axes import short_ticks, short_unit, sweeps
from invae.report.style import new_figure
from tests.invae.conftest import Run


def test_the_page_has_every_figure_and_says_the_verdict(pair_run: Run, tmp_path):
    pair_run.report(tmp_path / "report")
    names = {path.stem for path in (tmp_path / "report" / "figures").iterdir()}
    assert names == {"pairs", "examples", "r2", "scores", "band", "plane", "training"}
    page = (tmp_path / "report" / "index.html").read_text()
    assert "60 pairs; " in page
    assert "held-out R² is" in page or "no better than" in page
    assert "ridge regression on |FFT| of rings" in page
    assert "Figures not shown" not in page


def test_a_loop_has_a_part_for_every_sweep():
    loop = np.array([0.0, 1, 2, 1, 0, -1, -2, -1])
    assert sweeps(loop) == [slice(0, 3), slice(2, 7), slice(6, 8)]
    assert sweeps(np.linspace(2, 0, 9)) == [slice(0, 9)]


def test_units_of_integrals_have_prefixes():
    factor, unit = short_unit(np.array([np.nan, -3e-11]), "A*V")
    assert unit == "pA·V"
    assert factor == pytest.approx(1e-12)
    assert short_unit(np.array([3e-5]), "1") == (1.0, "1")


def test_ticks_of_small_values_are_short_and_without_markup():
    figure = new_figure(2.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 2e-4])
    short_ticks(axes)
    figure.draw_without_rendering()
    assert axes.yaxis.get_offset_text().get_text().replace("\N{MINUS SIGN}", "-") == "1e-4"
    assert all(len(tick.get_text()) < 6 for tick in axes.get_yticklabels())
