"""Figures of wall detectors and of layers: with and without a network, with and without lamellae."""

import numpy as np
import pytest
import xarray as xr

from invae import dims
from invae.config import ReportConfig
from invae.report import style
from invae.report.domains import walls
from invae.report.figure import LeftOut, Result

SIDE = 96


def result(*, network: bool = False, lamella: bool = True) -> Result:
    y, x = np.indices((SIDE, SIDE))
    maps = {
        "polarization": np.tanh((x - 48.0) / 3),
        "wall": (x == 48).astype(np.uint8),
        "canny": (x == 49) | (y == 10),
        "valid": y > 3,
        "lamella": (np.abs(y - 50) < 5) & lamella,
    }
    if network:
        maps |= {
            name: np.exp(-(((x - 48.0) / 2) ** 2)) for name in ("wall_probability", "wall_spread")
        }
    frames = xr.Dataset({name: (dims.IMAGE, values[None]) for name, values in maps.items()})
    points = np.arange(4.0, SIDE)
    line = xr.Dataset(
        {
            "y": ("point", points),
            "x": ("point", np.full(len(points), 48.0)),
            "contour": ("point", np.zeros(len(points), int)),
            "frame": ("point", np.zeros(len(points), int)),
        }
    )
    sites = xr.Dataset(
        {"y": ("site", points[::6]), "x": ("site", np.full(len(points[::6]), 48.0))},
        coords={"frame": ("site", np.zeros(len(points[::6]), int))},
    )
    return {"": sites, "maps": frames.assign_coords(frame=[0]), "walls": line}


@pytest.mark.parametrize("network", [False, True])
def test_detectors_stand_beside_each_other(network: bool) -> None:
    with style.applied(45):
        drawing = walls.detectors(result(network=network), ReportConfig())
    titles = [axis.get_title() for axis in drawing.figure.axes if axis.get_title()]
    assert titles[:2] == ["Canny", "walls of this run"]
    assert ("probability of a wall" in titles) == network
    assert len(drawing.figure.axes) == (4 if network else 2)  # colour bars are insets
    assert "lamellae cover" in drawing.numbers


def test_layers_have_stacks_of_the_same_sub_images() -> None:
    with style.applied(45):
        drawing = walls.layers(result(), ReportConfig())
    titles = [axis.get_title() for axis in drawing.figure.axes]
    assert titles[:3] == list(walls.LAYER_TITLES.values())
    stacks = [axis.get_images()[0].get_array() for axis in drawing.figure.axes[3:6]]
    both, alone, edges = (
        np.nan_to_num(np.asarray(one)) for one in (stacks[1], stacks[0], stacks[2])
    )
    np.testing.assert_allclose(both, np.maximum(alone, edges), atol=1e-6)
    assert both.max() == 1


def test_without_lamellae_there_are_no_layers() -> None:
    with pytest.raises(LeftOut):
        walls.layers(result(lamella=False), ReportConfig())
