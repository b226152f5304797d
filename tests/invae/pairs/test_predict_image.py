"""Spectra at places of an image: those of the patches there, refused where the image is not like that of the training."""

import numpy as np
import pytest
import xarray as xr

from flows.cli.main import execute
from invae import EncoderDecoder
from invae.errors import ConfigError, InputError, StoreError
from invae.estimators.predict_image import predict_image
from invae.storage import store
from tests.invae.conftest import Run


def test_spectra_at_the_places_of_the_pairs_are_those_of_their_patches(pair_run: Run):
    patches = store.open_store(pair_run.store("describe"))
    here = np.flatnonzero(patches["frame"].to_numpy() == 1)[:5]
    at = [(float(patches["y"][i]), float(patches["x"][i])) for i in here]
    found = predict_image(pair_run.store("ingest"), pair_run.store("train"), at=at, frame=1)
    model = EncoderDecoder.load(pair_run.store("train"), device="cpu")
    expected = model.predict(patches["patch"].to_numpy()[here])
    for name in ("mean", "sd_noise", "sd_model", "lower", "upper"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-7)
        assert found[name].dims == ("site", "energy")
    np.testing.assert_allclose(found["y_nm"], patches["y_nm"][here])


def test_a_grid_lies_in_the_middle_with_its_windows_inside(pair_run: Run):
    found = predict_image(pair_run.store("ingest"), pair_run.store("train"), spacing=10)
    assert found["mean"].dims == ("y", "x", "energy")
    rows = found["y"].to_numpy()
    assert (np.diff(rows) == 10).all()
    assert rows[0] >= 7.5
    assert rows[-1] <= 59 - 7.5
    assert rows[0] + rows[-1] == pytest.approx(59)
    place = (float(rows[2]), float(found["x"][1]))
    alone = predict_image(pair_run.store("ingest"), pair_run.store("train"), at=[place])
    np.testing.assert_allclose(found["mean"][2, 1], alone["mean"][0], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"at": [(2.0, 30.0)]}, ConfigError, "leaves"),
        ({"frame": 9}, ConfigError, "frame 9"),
        ({"channels": ["height"]}, InputError, "image"),
        ({"pixel_size": 7.0}, InputError, "pixels are 7 nm wide"),
    ],
)
def test_what_does_not_fit_the_training_is_refused_in_one_line(
    pair_run: Run, options, error, words
):
    with pytest.raises(error) as caught:
        predict_image(pair_run.store("ingest"), pair_run.store("train"), **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_image_smaller_than_the_window_is_refused(pair_run: Run, tmp_path):
    recording = store.open_store(pair_run.store("ingest"))
    small = recording[["image"]].isel(y=slice(0, 9)).load()
    store.write_dataset(tmp_path / "small.zarr", small.drop_encoding())
    with pytest.raises(InputError, match="9 × 60 px"):
        predict_image(tmp_path / "small.zarr", pair_run.store("train"))


def test_a_folder_without_a_model_is_refused(pair_run: Run, tmp_path):
    with pytest.raises(StoreError, match="no model of pairs"):
        predict_image(pair_run.store("ingest"), tmp_path)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_the_command_writes_a_file_with_intervals(pair_run: Run, tmp_path, capsys, suffix):
    target = tmp_path / f"spectra.{suffix}"
    words = ["predict", str(pair_run.store("ingest")), "--model", str(pair_run.folder)]
    words += ["--out", str(target), "--spacing", "15", "--device", "cpu"]
    assert execute(words) == 0
    assert capsys.readouterr().out.strip() == str(target)
    opened = (
        xr.open_dataset(target, engine="h5netcdf")
        if suffix == "nc"
        else xr.open_zarr(target, consolidated=False)
    )
    assert {"mean", "lower", "upper"} <= set(opened.data_vars)
    assert opened["energy"].attrs["units"] == "eV"
    assert execute(words) == 1
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--at", "12"], "--at 12 is no place"),
        (["--at", "30,30", "--spacing", "4"], "choose single places or a grid"),
        (["--out", "spectra.txt"], "ends in .nc or .zarr"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(pair_run: Run, capsys, more, words):
    command = ["predict", str(pair_run.store("ingest")), "--model", str(pair_run.folder), *more]
    assert execute(command) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line
