"""Units of the changes of domains over time."""

import numpy as np
import pytest
import xarray as xr

from invae import dims
from invae.report.domains.changes import speed_scale


def result(times, *, nm: bool = True) -> dict[str, xr.Dataset]:
    step = {"units": "nm"} if nm else {"units": "pixel"}
    axes = {axis: (axis, 5.0 * np.arange(4), step) for axis in (dims.Y, dims.X)}
    frames = xr.Dataset(coords={"time": (dims.FRAME, np.asarray(times, float), {"units": "s"})})
    maps = xr.Dataset({"valid": ((dims.Y, dims.X), np.ones((4, 4), bool))}, axes)
    return {"maps": maps, "frames": frames}


@pytest.mark.parametrize(
    ("given", "scale"),
    [
        (result([0, 2, 4]), (2.5, "nm/s")),
        (result([0, 2, 4], nm=False), (0.5, "px/s")),
        (result([0, 2, 7]), (5.0, "nm per frame")),
        (result([3, 3, 3]), (5.0, "nm per frame")),
    ],
)
def test_velocities_have_the_best_unit_that_is_known(given, scale):
    assert speed_scale(given) == scale
