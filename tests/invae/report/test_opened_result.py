"""`invae.open_result`: table, maps, images, verdict and figure of a finished result."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import invae
from invae.errors import InputError, StoreError
from invae.storage import store


@pytest.fixture(scope="module")
def result(small_run):
    return invae.open_result(small_run.store("analyse").parent)


def test_a_run_and_its_store_are_the_same_result(result, small_run):
    again = invae.open_result(small_run.store("analyse"))
    assert again.path == result.path
    assert again.kind == result.kind


def test_the_table_has_a_row_for_each_site_and_units(result):
    sites = result.groups[""]
    table = result.sites
    assert len(table) == sites.sizes["site"]
    np.testing.assert_array_equal(table["content_1"], sites["content"][:, 0])
    assert table.attrs["units"]["y"] == "pixel"
    assert table.attrs["units"]["angle"] == "rad"


def test_the_verdict_is_that_of_the_store(result):
    assert result.verdict.light == store.open_store(result.path).attrs["verdict"]


def test_images_or_maps_are_there(result):
    has_images = "images" in result.groups
    there, missing = ("images", "maps") if has_images else ("maps", "images")
    assert getattr(result, there).sizes
    if missing == "maps" and not {"maps", "scan", "map", "grid"} & set(result.groups):
        with pytest.raises(InputError, match="has no maps"):
            result.maps  # noqa: B018


def test_the_first_figure_is_drawn(result, tmp_path):
    figure = result.plot()
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.png")


def test_an_empty_folder_is_no_result(tmp_path):
    with pytest.raises(StoreError):
        invae.open_result(tmp_path)


def test_the_public_names_are_few_and_clear():
    assert set(dir(invae)) == {
        "__version__",
        "Clustering",
        "DualVAE",
        "EncoderDecoder",
        "Ensemble",
        "InvariantVAE",
        "cluster",
        "explore",
        "open_recording",
        "open_result",
    }
