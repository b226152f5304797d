"""What a result holds, and what other people's tools get of it."""

import csv
import shutil

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

from invae import results
from invae.errors import InputError, StoreError


@pytest.fixture
def copied(small_run, tmp_path):
    """A result that may be damaged."""
    return shutil.copytree(small_run.store("analyse"), tmp_path / "result.zarr")


def test_a_missing_variable_is_named(copied):
    shutil.rmtree(copied / "maps" / "valid")
    with pytest.raises(StoreError, match=r"maps/valid is missing; make it again"):
        results.validate(copied)


def test_wrong_units_are_named(copied):
    zarr.open_group(copied, mode="r+")["angle"].attrs["units"] = "degree"
    with pytest.raises(StoreError, match=r"/angle has units 'degree', not 'rad'"):
        results.validate(copied)


def test_wrong_dims_are_named(copied):
    shutil.rmtree(copied / "angle")
    xr.Dataset({"angle": ("other", np.zeros(3))}).to_zarr(copied, mode="a", consolidated=False)
    with pytest.raises(StoreError, match=r"/angle has dims \('other',\), not \('site',\)"):
        results.validate(copied)


def test_another_store_is_no_result(small_run, tmp_path):
    with pytest.raises(StoreError, match=r"is no result: it lacks .*traversal"):
        results.open_result(small_run.store("describe"))
    with pytest.raises(StoreError, match="not a Zarr store"):
        results.open_result(tmp_path)


def test_netcdf_has_the_same_values_in_the_same_groups(copied):
    file = results.export(copied, to="netcdf")
    assert file == copied.with_suffix(".nc")
    for group, dataset in results.open_result(copied).items():
        with xr.open_dataset(file, group=group or None, engine="h5netcdf") as found:
            assert set(found.variables) == set(dataset.variables)
            for name in dataset.data_vars:
                expected = dataset[name].to_numpy()
                if expected.dtype.kind == "T":
                    expected = expected.astype(object)
                np.testing.assert_array_equal(found[name].to_numpy(), expected)
                assert found[name].attrs.get("units") == dataset[name].attrs.get("units")


def test_netcdf_opens_without_this_project(copied):
    with xr.open_dataset(results.export(copied, to="netcdf")) as sites:
        assert sites["angle"].attrs["units"] == "rad"
        assert "sha256" in sites.attrs["receipt"]


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


def test_hyperspy_finds_its_layout(copied):
    file = results.export(copied, to="hyperspy")
    assert file.suffix == ".hspy"
    maps = results.open_result(copied)["maps"]
    with h5py.File(file) as root:
        assert root.attrs["file_format"] == "HyperSpy"
        assert root.attrs["file_format_version"] == "3.3"
        signal = root["Experiments/polarization"]
        np.testing.assert_array_equal(signal["data"][()], maps["polarization"])
        axes = [dict(signal[f"axis-{k}"].attrs) for k in range(3)]
        assert [axis["name"] for axis in axes] == ["frame", "y", "x"]
        assert [bool(axis["navigate"]) for axis in axes] == [True, False, False]
        assert [axis["size"] for axis in axes] == list(maps["polarization"].shape)
        assert axes[2]["units"] == "nm"
        assert axes[2]["scale"] == pytest.approx(float(maps["x"][1] - maps["x"][0]))
        assert signal["metadata/General"].attrs["title"] == "polarization"
        assert {"package", "package_version"} <= set(signal.attrs)
        assert "signal_type" in signal["metadata/Signal"].attrs
        assert root["Experiments/manifold/data"].ndim == 6
        for experiment in root["Experiments"].values():
            assert {"data", "metadata", "original_metadata"} <= set(experiment)


def test_an_export_that_cannot_be_written_leaves_nothing(copied, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        results.export(copied, to="csv", target=tmp_path / "missing" / "sites.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.zarr"]


def test_info_tells_dims_units_and_provenance_of_every_kind_of_thing(small_run):
    told = results.info(small_run.store("analyse"))
    assert "[maps]" in told
    assert "angle (site) float32 [rad]" in told
    assert "made by: analyse of run" in told
    assert "sha256" in told
    assert "seed: 0" in told
    assert "y (y) float64 [nm]" in results.info(small_run.store("ingest"))
    told = results.info(small_run.store("train"))
    assert "model.safetensors" in told
    assert "made by: train" in told


def test_info_reads_files_of_the_instrument(tmp_path):
    np.save(tmp_path / "image.npy", np.zeros((4, 5)))
    assert "y 4, x 5" in results.info(tmp_path / "image.npy")


def test_info_of_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist; check the path"):
        results.info(tmp_path / "nothing")
