"""Figures of the report compared with reference pictures, pixel by pixel.

After an intended change `python -m tests.invae.report.test_pictures` draws the references again; look at them before the commit.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.testing.compare import compare_images

from invae.config import ReportConfig
from invae.report import CSS_PIXELS, fit_quality, latent_plane, latents, sites, style
from invae.report.diffraction import scan
from invae.report.domains import frames
from invae.report.figure import Draw, Result
from tests.invae.report import formula_results

REFERENCES = Path(__file__).with_name("reference_pictures")
DPI = 45
LARGEST_DIFFERENCE = 2.0
"""Root mean square of the differences of pixels, of 255; another colour map gives 24."""

FIGURES: dict[str, tuple[Callable[[], Result], Draw]] = {
    "atoms_images": (formula_results.atoms, sites.overview),
    "atoms_glance": (formula_results.atoms, sites.glance),
    "atoms_content": (formula_results.atoms, latents.content),
    "latent_plane": (formula_results.atoms, latent_plane.scatter),
    "manifold": (formula_results.atoms, latents.manifold),
    "training": (formula_results.atoms, fit_quality.training),
    "examples": (formula_results.atoms, fit_quality.examples),
    "error": (formula_results.atoms, fit_quality.error),
    "domain_frames": (formula_results.domains, frames.overview),
    "domain_signals": (formula_results.domains, frames.signals),
    "scan": (formula_results.scan, scan.panels),
}


def draw(name: str, folder: Path, *, colormap: str | None = None) -> Path:
    """Draw a figure into a folder."""
    make_result, figure = FIGURES[name]
    config = ReportConfig() if colormap is None else ReportConfig(colormap=colormap)
    path = folder / f"{name}.png"
    with style.applied(DPI):
        figure(make_result(), config).figure.savefig(path)
    return path


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_looks_like_its_reference(name, tmp_path):
    reference = REFERENCES / f"{name}.png"
    difference = compare_images(
        str(reference), str(draw(name, tmp_path)), LARGEST_DIFFERENCE, in_decorator=True
    )
    assert difference is None, f"{name} differs from {reference}: {difference}"


@pytest.mark.parametrize("name", ["atoms_images", "atoms_glance", "domain_frames", "scan"])
def test_maps_are_at_least_300_pixels_wide_on_the_page(name):
    make_result, draws = FIGURES[name]
    with style.applied(DPI):
        figure = draws(make_result(), ReportConfig()).figure
        figure.draw_without_rendering()
    maps = [axis for axis in figure.axes if axis.images]
    assert maps
    for axis in maps:
        assert axis.get_window_extent().width / figure.dpi * CSS_PIXELS >= 300, axis.get_title()


def test_another_colour_map_is_noticed(tmp_path):
    drawn = draw("atoms_content", tmp_path, colormap="plasma")
    reference = str(REFERENCES / "atoms_content.png")
    assert compare_images(reference, str(drawn), LARGEST_DIFFERENCE, in_decorator=True)


def test_there_is_no_reference_without_its_figure():
    assert {file.stem for file in REFERENCES.glob("*.png")} == set(FIGURES)


if __name__ == "__main__":
    REFERENCES.mkdir(exist_ok=True)
    for figure_name in FIGURES:
        draw(figure_name, REFERENCES)
