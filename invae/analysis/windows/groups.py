"""The part of an analysis that belongs to windows on a grid: the values of the sites as images."""

import xarray as xr

from invae.analysis.frames import grid_maps
from invae.analysis.images import add_images
from invae.analysis.inputs import Inputs
from invae.analysis.kind import Analysis
from invae.analysis.summary import frame_scalars


def add_groups(inputs: Inputs, groups: dict[str, xr.Dataset]) -> None:
    """Add `images`, `frames`, `outliers` and `grid`."""
    frames = add_images(inputs, groups)
    groups["grid"] = grid_maps(groups[""], frames=frames)


ANALYSIS = Analysis(add_groups=add_groups, frames=("images", "image"), summarise=frame_scalars)
