"""Arrays of patches in any order of axes, and shapes that have several readings."""

import numpy as np
import pytest
import xarray as xr

from invae.errors import InputError
from invae.estimators.inputs import in_order, refuse_ambiguous, source_of

PATCHES = np.random.default_rng(0).normal(size=(6, 3, 9, 10)).astype("f4")


@pytest.mark.parametrize(
    ("shape", "readings"),
    [
        ((32, 32), r"one image \(dims=\['y', 'x'\]\) or 32 spectra \(dims=\['site', 'energy'\]\)"),
        ((128, 128, 3), r"one image with its channels last .* or narrow patches"),
        ((50, 16, 16, 3), r"patches with their channels last .* or with many channels"),
        ((50, 16, 16, 1), r"patches with their channels last"),
    ],
)
def test_a_shape_with_several_readings_is_asked_for(shape: tuple[int, ...], readings: str) -> None:
    with pytest.raises(InputError, match=readings):
        refuse_ambiguous(np.zeros(shape, "f4"))


@pytest.mark.parametrize("shape", [(300, 64), (50, 16, 16), (50, 3, 16, 16), (20, 5, 4)])
def test_a_shape_with_one_reading_is_taken(shape: tuple[int, ...]) -> None:
    refuse_ambiguous(np.zeros(shape, "f4"))


def test_named_axes_are_put_in_order() -> None:
    last = np.moveaxis(PATCHES, 1, -1)
    names = ("site", "y", "x", "channel")
    np.testing.assert_array_equal(np.asarray(in_order(last, names)), PATCHES)
    labelled = xr.DataArray(last, dims=names)
    xr.testing.assert_equal(
        xr.DataArray(np.asarray(in_order(labelled, None))), xr.DataArray(PATCHES)
    )
    source, dataset = source_of(labelled, last > 0, limits={})
    assert len(source) == 6
    assert dataset is not None
    np.testing.assert_array_equal(dataset["patch"], PATCHES)
    one = in_order(PATCHES[0, 0], ["y", "x"])
    assert isinstance(one, np.ndarray)
    assert one.shape == (1, 9, 10)


def test_names_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"dims are y, x for patches of shape \(6, 3, 9, 10\)"):
        in_order(PATCHES, ["y", "x"])
