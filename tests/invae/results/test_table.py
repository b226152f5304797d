"""The table of sites."""

import csv

import numpy as np

from invae import results


def test_the_table_has_a_line_per_site_and_units_in_its_head(copied, tmp_path):
    file = results.export(copied, to="csv", target=tmp_path / "sites.csv")
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0])[:3] == ["frame", "y [pixel]", "x [pixel]"]
    sites = results.open_result(copied)[""].load()
    assert len(rows) == sites.sizes["site"]
    assert {
        "frame",
        "y [pixel]",
        "x_nm [nm]",
        "angle [rad]",
        "content_1",
        "content_2",
        "shift_y [pixel]",
    } <= set(rows[0])
    np.testing.assert_allclose(
        [float(row["angle [rad]"]) for row in rows], sites["angle"], rtol=1e-6
    )
    np.testing.assert_allclose(
        [float(row["content_2"]) for row in rows], sites["content"][:, 1], rtol=1e-6
    )
    names = sites["cluster_name"].to_numpy()
    assert [row["cluster"] for row in rows] == [names[k] for k in sites["cluster"].to_numpy()]
    assert {row["kind"] for row in rows} == {"wall"}


def test_descriptors_make_a_table_without_their_patches(small_run, tmp_path):
    file = results.export(small_run.store("describe"), to="csv", target=tmp_path / "sites.csv")
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {"frame", "y [pixel]", "x [pixel]"} <= set(rows[0])
    assert not any(name.startswith("patch") for name in rows[0])
