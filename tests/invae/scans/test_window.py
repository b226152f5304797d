"""What of the detector is kept: no count is lost, and the axis stays in the middle."""

import numpy as np
import pytest

from invae.errors import ConfigError
from invae.scans.window import Window


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f4", "?"])
@pytest.mark.parametrize("binning", [1, 2, 3, 5])
def test_no_count_is_lost(binning: int, dtype: str) -> None:
    largest = 1 if dtype == "?" else np.iinfo(dtype).max if dtype[0] != "f" else 1000
    patterns = np.full((2, 30, 45), largest, dtype)
    window = Window.around((14.5, 22), (30, 45), crop=None, binning=binning)
    kept = window.of(patterns)
    assert kept.shape == (2, 30 // binning, 45 // binning)
    assert kept.dtype == window.dtype(patterns.dtype)
    np.testing.assert_array_equal(kept, float(largest) * binning**2)


def test_counts_take_the_narrowest_type_that_holds_them() -> None:
    types = {("u1", 2): "u2", ("u2", 2): "u4", ("i2", 4): "i4", ("u4", 2): "u8", ("f4", 8): "f4", ("f2", 2): "f4", ("u2", 1): "u2"}  # fmt: skip
    for (stored, binning), wanted in types.items():
        window = Window((0, 0), (4, 4), binning)
        assert window.dtype(np.dtype(stored)) == np.dtype(wanted)


@pytest.mark.parametrize("crop", [None, 20, 31, 40])
@pytest.mark.parametrize("binning", [1, 2, 3])
@pytest.mark.parametrize("centre", [(31.5, 31.5), (28.2, 36.9), (25.0, 30.4)])
def test_a_place_keeps_its_distance_from_the_pixels(
    centre: tuple[float, float], binning: int, crop: int | None
) -> None:
    window = Window.around(centre, (64, 64), crop=crop, binning=binning)
    pixels = np.indices((64, 64)).astype(float)
    rows, columns = (window.of(axis) / binning**2 for axis in pixels)
    y, x = window.position(centre)
    inside = np.arange(window.shape[0]), np.arange(window.shape[1])
    np.testing.assert_allclose((rows[:, 0] - centre[0]) / binning, inside[0] - y, atol=1e-9)
    np.testing.assert_allclose((columns[0] - centre[1]) / binning, inside[1] - x, atol=1e-9)
    if crop is not None:
        assert all(n * binning <= crop < (n + 1) * binning for n in window.shape)
        assert abs(y - (window.shape[0] - 1) / 2) <= 0.5 / binning + 1e-9
        assert abs(x - (window.shape[1] - 1) / 2) <= 0.5 / binning + 1e-9


def test_a_crop_that_does_not_fit_stays_centred() -> None:
    window = Window.around((10.0, 31.5), (64, 64), crop=50, binning=1)
    assert window.start[0] == 0
    assert window.shape == (21, 50)
    assert window.position((10.0, 31.5))[0] == 10


def test_a_bin_with_a_faulty_pixel_is_faulty() -> None:
    valid = np.ones((8, 8), bool)
    valid[5, 2] = False
    bins = Window((0, 0), (4, 4), 2).valid(valid)
    assert np.argwhere(~bins).tolist() == [[2, 1]]


@pytest.mark.parametrize(("crop", "detector"), [(None, (16, 64)), (8, (64, 64))])
def test_a_bin_larger_than_what_is_kept_is_refused(
    crop: int | None, detector: tuple[int, int]
) -> None:
    message = r"ingest.scan.bin is 32, which exceeds the .* choose a smaller one"
    with pytest.raises(ConfigError, match=message):
        Window.around((8.0, 32.0), detector, crop=crop, binning=32)
