"""Remarks on patches that leave out the diffracted discs of a crystal, or most of them."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from invae.dims import K_X
from invae.scans import rings
from invae.storage import store

MOST_OUTSIDE = 0.5
"""Share of the scattered intensity outside of the patches, of a crystal with separate discs, above which there is a remark."""


def remarks_on_ring(recording: Path, radius: float) -> list[str]:
    """A line if discs are apart and patches that end at `radius` [units of k] hold none of them, or less than half of their intensity."""
    maps = store.open_store(recording, group="maps")
    pixel, ring = float(maps.attrs["disc_radius"]), first_ring(maps)
    if ring is None:
        return []
    positions = maps[K_X].to_numpy()
    step = abs(float(positions[-1] - positions[0])) / (len(positions) - 1)
    units = maps[K_X].attrs.get("units", "pixel")
    remedy = (
        "for crystals and grains use --config fourd-nbed, or set "
        f"describe.radius={ring / pixel + 1.5:.1f} in disc radii (or more), describe.window=32, describe.alike=null and model.rotation.zero=alike"
    )
    if radius <= (ring - pixel) * step:
        return [
            f"the first diffracted discs lie at {ring * step:.3g} {units}, but patches end at {radius:.3g} {units}, so that they show the "
            f"bright-field disc only; {remedy}"
        ]
    outside = rings.scattered_beyond(**_pattern(maps), disc=pixel, radius=radius / step)
    if outside <= MOST_OUTSIDE:
        return []
    return [
        f"{outside:.0%} of the scattered intensity of separate discs lies outside of the patches, which end at {radius:.3g} {units}; {remedy}"
    ]


def first_ring(maps: xr.Dataset) -> float | None:
    """Distance from the axis of the first ring of discs that lie apart from the bright-field disc [pixel]; none without one.

    Args:
        maps: The group `maps` of a recording.
    """
    disc, n_patterns = float(maps.attrs["disc_radius"]), int(np.prod(maps["sum"].shape))
    return rings.first_ring(**_pattern(maps), disc=disc, n_patterns=n_patterns)


def _pattern(maps: xr.Dataset) -> dict[str, Any]:
    centre = (float(maps.attrs["centre"][0]), float(maps.attrs["centre"][1]))
    valid = maps["detector_valid"].to_numpy().astype(bool)
    return {"mean": maps["mean_pattern"].to_numpy(), "valid": valid, "centre": centre}
