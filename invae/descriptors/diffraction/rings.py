"""The first ring of diffracted discs around the bright-field disc, and a remark if patches end before it."""

from pathlib import Path

import numpy as np
import xarray as xr

from invae.dims import K_X
from invae.storage import store

GAP = 1.2
"""Distance at which the gap between the bright-field disc and diffracted ones begins [disc radius]."""
APART = 1.5
"""Smallest distance of a ring of discs [disc radius]; discs that overlap have no ring."""
RISE = 1.3
"""Smallest ratio of the intensity of a ring to that of the gap before it."""
FAINTEST = 1e-3
"""Smallest intensity of a ring relative to that of the bright-field disc."""
SIGMAS = 5.0
"""Smallest rise of a ring above the gap, in units of its counting noise."""
COVERED = 0.5
"""Smallest part of a ring that is on the detector."""


def remarks_on_ring(recording: Path, radius: float) -> list[str]:
    """A line if the first diffracted discs lie outside of patches that end at `radius` [units of k]."""
    maps = store.open_store(recording, group="maps")
    pixel, ring = float(maps.attrs["disc_radius"]), first_ring(maps)
    if ring is None:
        return []
    positions = maps[K_X].to_numpy()
    step = abs(float(positions[-1] - positions[0])) / (len(positions) - 1)
    if radius > (ring - pixel) * step:
        return []
    units = maps[K_X].attrs.get("units", "pixel")
    return [
        f"the first diffracted discs lie at {ring * step:.3g} {units}, but patches end at {radius:.3g} {units}, so that they show the "
        f"bright-field disc only; for crystals and grains set describe.radius={ring / pixel + 1.5:.1f} in disc radii (or more), "
        "describe.window=32, describe.alike=null and model.rotation.zero=alike"
    ]


def first_ring(maps: xr.Dataset) -> float | None:
    """Distance from the axis of the first ring of discs that lie apart from the bright-field disc [pixel]; none without one.

    Args:
        maps: The group `maps` of a recording.
    """
    disc = float(maps.attrs["disc_radius"])
    mean, valid = maps["mean_pattern"].to_numpy(), maps["detector_valid"].to_numpy().astype(bool)
    profile, sizes = _profile(mean, valid, (maps.attrs["centre"][0], maps.attrs["centre"][1]))
    if disc <= 0 or len(profile) <= GAP * disc:
        return None
    bright = float(np.nanmean(profile[: max(1, round(0.8 * disc))]))
    scatter = np.sqrt(np.maximum(profile, 0) / (maps["sum"].size * np.maximum(sizes, 1)))
    lowest = np.inf
    for number in range(int(np.ceil(GAP * disc)), len(profile)):
        here = profile[number]
        lowest = min(lowest, here)
        rises = here > RISE * lowest and here - lowest > SIGMAS * scatter[number]
        if rises and here > FAINTEST * bright and number >= APART * disc:
            top = profile[number : number + 2 * int(np.ceil(disc)) + 1]
            return float(number + np.argmax(top))
    return None


def _profile(
    mean: np.ndarray, valid: np.ndarray, centre: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean over rings one pixel wide, and their numbers of pixels, up to the first ring that is half outside."""
    y, x = np.indices(mean.shape)
    ring = np.rint(np.hypot(y - centre[0], x - centre[1])).astype(int)[valid]
    sizes = np.bincount(ring)
    profile = np.bincount(ring, mean[valid]) / np.maximum(sizes, 1)
    whole = sizes >= COVERED * 2 * np.pi * (np.arange(len(sizes)) - 1)  # few pixels at the centre
    end = len(sizes) if whole.all() else int(np.argmin(whole))
    return profile[:end], sizes[:end]
