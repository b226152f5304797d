"""The page of pairs: its figures, its headline and its table of scores."""

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
