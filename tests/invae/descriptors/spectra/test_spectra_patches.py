"""Every valid spectrum is a patch of one row; the others keep their place and reason."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from invae.config.spectra import SpectraConfig
from invae.descriptors.spectra import gate
from invae.dims import attrs, meanings
from invae.errors import InputError
from invae.storage import store
from invae.training.signal_sources import open_signals
from tests.invae.descriptors.conftest import Describe
from tests.invae.descriptors.pairs.conftest import ENERGY, PIXEL, Write, grid, noisy, peak, points
from tests.invae.descriptors.pairs.conftest import write as write  # a fixture


def group(path: Path, name: str = "") -> xr.Dataset:
    return store.open_store(path, group=name).load()


def test_the_spectra_of_a_grid_are_rows_in_its_order(write: Write, described: Describe) -> None:
    variables, places = grid((6, 7))
    path = described(write(variables, places), SpectraConfig())
    sites = group(path)
    assert sites["patch"].shape == (42, 1, 1, 33)
    np.testing.assert_array_equal(sites["patch"][:, 0, 0], variables["eels"][1].reshape(42, 33))
    np.testing.assert_array_equal(sites["y"] * 7 + sites["x"], np.arange(42))
    np.testing.assert_allclose(sites["x_nm"], PIXEL * sites["grid_column"])
    np.testing.assert_allclose(sites["patch_x"], ENERGY)
    assert sites["patch_x"].attrs["units"] == "eV"
    assert sites.attrs["grid_shape"] == [6, 7]
    assert meanings(sites["kind"].attrs)[int(sites["kind"][0])] == "spectrum"
    np.testing.assert_allclose(group(path, "axis")["energy"], ENERGY)
    assert open_signals(path).geometries["image"].height == 1


def test_a_sweep_keeps_what_changes_along_it(write: Write, described: Describe) -> None:
    variables, places = grid((4, 4))
    places["cycle"] = ("energy", np.repeat([0, 1, 2], 11), attrs("cycle"))
    path = described(write(variables, places), SpectraConfig(axis_range=(1.4, 2.0)))
    axis = group(path, "axis")
    np.testing.assert_array_equal(axis["cycle"], np.repeat([0, 1, 2], 11)[ENERGY >= 1.4])


def test_excluded_spectra_keep_place_reason_and_some_examples(write: Write, described: Describe) -> None:  # fmt: skip
    variables, places = grid((6, 7))
    spectra = variables["eels"][1]
    spectra[0, :5] = 1.0
    spectra[3, 4, 2] = np.inf
    path = described(write(variables, places), SpectraConfig())
    sites, left = group(path), group(path, "excluded")
    assert sites.sizes["site"] == 36
    assert sites.attrs["n_excluded"] == {"not finite": 1, "constant": 5}
    at = list(zip(left["grid_row"].to_numpy(), left["grid_column"].to_numpy(), strict=True))
    assert at == [*((0, n) for n in range(5)), (3, 4)]
    words = [gate.ALL_REASONS[code] for code in left["example_reason"].to_numpy()]
    assert words == ["not finite", "constant", "constant", "constant"]
    np.testing.assert_array_equal(left["example"][1], np.ones(33))


def test_the_lowest_patch_lies_below_all_others(write: Write, described: Describe) -> None:
    spectra = noisy(peak(np.full((5, 5), 1.5)) - 0.4)
    path = described(write(*grid((5, 5), spectra=spectra)), SpectraConfig())
    lowest = group(path, "empty")["empty_patch"]
    assert lowest.shape == (1, 1, 33)
    assert float(lowest.max()) == pytest.approx(float(group(path)["patch"].min()))


def test_points_without_images_have_places_in_nanometres(write: Write, described: Describe) -> None:
    places = np.random.default_rng(0).uniform(5, 35, (20, 2))
    variables, coords = points(places)
    del variables["haadf"]
    for name in ("y", "x", "frame"):
        del coords[name]
    sites = group(described(write(variables, coords), SpectraConfig()))
    np.testing.assert_allclose(np.stack((sites["y_nm"], sites["x_nm"]), 1), PIXEL * places)
    np.testing.assert_array_equal(sites["specimen"], 7)


def test_the_truth_is_scaled_as_the_spectra_are(write: Write, described: Describe) -> None:
    variables, places = grid((5, 5))
    clean = 3 * peak(1.4 + 0.01 * np.indices((5, 5))[1])
    axes = variables["eels"][0]
    variables["eels"] = (axes, noisy(clean).astype(np.float32), attrs("eels", "count"))
    variables["truth_eels"] = (axes, clean.astype(np.float32), attrs("eels", "count"))
    sites = group(described(write(variables, places), SpectraConfig(normalise="max")))
    np.testing.assert_allclose(sites["truth_patch"], sites["patch"], atol=0.02)


def test_large_recordings_are_judged_block_by_block(
    write: Write, described: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(*grid((9, 11)))
    whole = group(described(path, SpectraConfig(), name="whole"))
    monkeypatch.setattr(gate, "BLOCK_VALUES", 33 * 25)
    monkeypatch.setattr("invae.descriptors.layout.PATCH_BYTES", 4 * 33 * 10)
    blocks = group(described(path, SpectraConfig(), name="blocks"))
    xr.testing.assert_identical(whole["patch"].drop_attrs(), blocks["patch"].drop_attrs())


def test_the_measured_spectra_are_chosen_before_the_measured_axis(write: Write, described: Describe) -> None:  # fmt: skip
    variables, places = grid((4, 4))
    axes, spectra, _ = variables["eels"]
    variables["a_energy"] = (axes, spectra, attrs("measured energy", "eV"))
    variables["zero_loss"] = (axes, spectra, attrs("zero loss", "count"))
    sites = group(described(write(variables, places), SpectraConfig()))
    assert sites.attrs["spectrum"] == "eels"
    (note,) = (n for n in sites.attrs["notes"] if "describe.spectrum" in n)
    assert note == "spectra are those of channel eels; the recording also has zero_loss, a_energy (describe.spectrum)"  # fmt: skip


def test_constant_spectra_alone_are_refused(write: Write, described: Describe) -> None:
    with pytest.raises(InputError, match=r"0 of 16 spectra of eels can be used \(16 constant\); at least 2"):  # fmt: skip
        described(write(*grid((4, 4), spectra=np.ones((4, 4, 33)))), SpectraConfig())
