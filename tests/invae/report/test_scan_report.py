"""The result of a scan, and its pages."""

import numpy as np
import pytest

from invae import dims
from invae.config import ReportConfig
from invae.report.diffraction.scan import _classes, comparison, panels
from invae.results import open_result, validate
from invae.storage import store


@pytest.fixture(scope="module")
def result(scan_run):
    return {name: group.load() for name, group in open_result(scan_run.store("analyse")).items()}


def test_a_scan_s_result_follows_the_schema(scan_run):
    validate(scan_run.store("analyse"))


def test_maps_of_latents_lie_over_those_of_the_detector(result):
    scan, sites = result["scan"], result[""]
    assert scan["content_map"].shape == (11, 13, 3)
    assert scan["haadf"].shape == (11, 13)
    y, x = (sites[name].to_numpy().astype(int) for name in ("y", "x"))
    np.testing.assert_array_equal(scan["content_map"].to_numpy()[y, x], sites["content"])
    np.testing.assert_array_equal(scan["surprise_map"].to_numpy()[y, x], sites["surprise"])


def test_probes_without_all_their_neighbours_are_empty_on_the_maps(result):
    known = np.isfinite(result["scan"]["error_map"].to_numpy())
    assert known[1:-1, 1:-1].all()
    assert known.sum() == 9 * 11


def test_the_maps_of_the_recording_are_taken_over_as_they_are(scan_run, result):
    maps = store.open_store(scan_run.store("ingest"), group="maps")
    for name in ("haadf", "com_r", "mean_pattern", "radial_profile"):
        np.testing.assert_array_equal(result["scan"][name], maps[name])


def test_the_linear_methods_have_maps_of_their_own(result):
    assert {"pca_map", "nmf_map"} <= set(result["scan"].data_vars)
    assert result["scan"]["nmf_map"].dims[:2] == (dims.SCAN_Y, dims.SCAN_X)


def test_errors_of_all_methods_stand_beside_each_other(result):
    sites = result[""]
    held_out = (dims.SITE, np.arange(sites.sizes[dims.SITE]) % 3 == 0)
    numbers = comparison(
        {**result, "": sites.assign_coords(held_out=held_out)}, ReportConfig(dpi=50)
    ).numbers
    for words in ("model", "NMF", "33 held-out sites"):
        assert words in numbers


def test_a_report_of_a_scan_shows_the_scan_and_no_walls(scan_run, tmp_path):
    target = scan_run.report(tmp_path / "report")
    text = (target / "index.html").read_text()
    assert {"scan", "surprises", "detector", "scan_rgb", "scan_beside"} <= {
        file.stem for file in (target / "figures").iterdir()
    }
    assert "the wall" not in text
    assert "domain" not in text
    assert "99 probes in" in text
    assert "scan of 0.22 × 0.26 nm" in text


def test_groups_of_latents_are_called_clusters_where_the_model_has_no_classes(result):
    maps = result["scan"]
    assert "class_map" not in maps
    assert _classes(maps).title == "cluster"
    named = maps.rename({"cluster_map": "class_map"})
    assert _classes(named).title == "class"


def test_a_latent_has_the_same_number_in_every_picture_of_the_scan(result):
    config = ReportConfig()
    shown = [
        {
            axis.get_title(): axis.images[0].get_array()
            for axis in make(result, config).figure.axes
            if axis.images
        }
        for make in (panels, comparison)
    ]
    both = [title for title in shown[0] if title.startswith("content")]
    assert len(both) == 2
    for title in both:
        np.testing.assert_array_equal(shown[0][title], shown[1][title])
