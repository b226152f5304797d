"""The page of sets of single images: classes, known answers, angles; nothing of frames."""

import numpy as np
import pytest

from invae import results
from invae.config import ReportConfig
from invae.report import gallery, style
from invae.report.contents import figures_of
from invae.report.latent_plane import Colouring, colourings
from invae.report.rgb import colours_of


@pytest.fixture(scope="module")
def groups(card_run):
    return {k: v.load() for k, v in results.open_result(card_run.store("analyse")).items()}


def test_a_set_of_images_has_a_page_with_its_own_figures_only(card_run, tmp_path):
    report = card_run.report(tmp_path / "report")
    made = {path.stem for path in (report / "figures").iterdir()}
    assert {
        *("manifold", "scatter", "posterior", "confusion", "known_angle", "known_numbers"),
        *("model_classes", "class_probability", "angles_over_training", "beside", "error"),
    } <= made
    assert not {"frames", "drift", "content", "classes", "association", "rgb"} & made
    text = (report / "index.html").read_text(encoding="utf-8")
    assert "120 images in 4 classes" in text
    assert "class accuracy (1 = perfect)" in text
    assert "Recording</h2>" not in text
    assert "Figures not shown" not in text


def test_a_model_that_is_told_has_neither_classes_nor_angles_but_colours(conditional_run, tmp_path):
    report = conditional_run.report(tmp_path / "report")
    made = {path.stem for path in (report / "figures").iterdir()}
    assert {"rgb", "manifold", "confusion", "beside"} <= made
    assert not {"model_classes", "class_probability", "posterior", "known_angle"} & made


def test_every_figure_has_words_that_say_how_to_read_it(groups):
    with style.applied(50):
        drawings = [
            draw(groups, ReportConfig()) for draws in figures_of(groups).values() for draw in draws
        ]
    for drawing in drawings:
        assert len(drawing.how_to_read) > 60, drawing.name
        assert drawing.how_to_read.endswith("."), drawing.name
    assert len({drawing.name for drawing in drawings}) == len(drawings)


def test_the_plane_is_coloured_by_all_that_is_known(groups):
    titles = [colouring.title for colouring in colourings(groups)]
    assert titles[:2] == ["model class", "true suit"]
    assert {"true angle", "true shear", "inferred angle"} <= set(titles)
    angle = next(c for c in colourings(groups) if c.title == "true angle")
    assert angle.cyclic
    assert np.abs(angle.values).max() <= np.pi + 1e-6


def test_colours_of_three_dimensions_span_them():
    content = np.random.default_rng(0).standard_normal((500, 3)) * [1.0, 5.0, 0.1]
    colours = colours_of(content)
    np.testing.assert_array_equal(colours.min(axis=0), 0)
    np.testing.assert_array_equal(colours.max(axis=0), 1)
    order = np.argsort(content[:, 1])
    assert (np.diff(colours[order, 1]) >= 0).all()


def test_a_gallery_has_a_row_for_each_set_and_a_column_for_each_family(groups):
    known = Colouring("suit", groups[""]["truth_suit"].to_numpy(), classes=("a", "b", "c", "d"))
    agreement = groups["confusion"].isel(labelling=0)
    content = groups[""]["content"].to_numpy()
    cells = [
        gallery.Cell(
            setting, family, content, known, groups["traversal"], agreement, family != "VAE"
        )
        for setting in ("turned", "sheared")
        for family in ("VAE", "jVAE", "jrVAE")
    ]
    with style.applied(50):
        assert len(gallery.latent_spaces(cells).axes) == 6
        assert len(gallery.manifolds(cells).axes) == 6
        assert len(gallery.confusions(cells).axes) == 4
    side = groups["traversal"].sizes["patch_y"] * 4
    assert gallery.sheet_of(groups["traversal"]).shape == (2 * side + 6, 2 * side + 6)
