"""Words for the facts of a result."""

import numpy as np
import pytest
import xarray as xr

from invae.report.facts import pixel_words


@pytest.mark.parametrize(
    ("steps", "units", "words"),
    [
        ((7.874, 7.874), "nm", "7.874 nm along y, 7.874 nm along x"),
        ((3.922, 7.874), "nm", "3.922 nm along y, 7.874 nm along x"),
        ((1.0, 1.0), "pixel", "not calibrated"),
    ],
)
def test_the_size_of_a_pixel_is_told_along_both_axes(
    steps: tuple[float, float], units: str, words: str
) -> None:
    axes = {dim: (dim, np.arange(4) * step) for dim, step in zip("yx", steps, strict=True)}
    frames = xr.Dataset(coords=axes)
    for dim in "yx":
        frames[dim].attrs["units"] = units
    assert pixel_words(frames) == words
