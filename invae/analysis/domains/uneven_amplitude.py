"""Where the response of the domains is uneven: defects and lamellae, at which a wall does not obey the law of a free one."""

import numpy as np
import scipy.ndimage as ndi
import xarray as xr

from invae import dims
from invae.analysis.domains.switching import onto
from invae.config import ComputeConfig
from invae.descriptors.domains.walls import WALL_180
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.blocks import map_blocks

CLEAR = 5.0
"""Distance from a wall beyond which the response is that of a domain [px]."""
SMOOTHING = 1.0
"""Sd of the Gaussian before sizes are compared [px]."""
AROUND = 4
"""A pixel takes the largest deviation within this distance: the reach of a wall and its blur [px]."""
LEAST_FRAMES = 3
FRAMES_PER_BLOCK = 32


def uneven_amplitude(
    maps: xr.Dataset, *, compute: ComputeConfig, progress: Progress = silent
) -> np.ndarray:
    """Largest relative deviation of the domains' response around each pixel of frame 0 (y, x); 0 where it was never seen.

    The response of a pixel is the mean over frames in which no wall is near, relative to the median of its domain state.

    Args:
        maps: `polarization`, `wall`, `valid` (frame, y, x) and `drift` (frame, axis).
        compute: number of blocks of frames in parallel.
        progress: called with the number of blocks.
    """

    def total(frames: slice) -> np.ndarray:
        return np.sum([_of_frame(maps, n) for n in range(frames.start, frames.stop)], axis=0)

    blocks = store.blocks(maps.sizes[dims.FRAME], FRAMES_PER_BLOCK)
    size, count = np.sum(map_blocks(total, blocks, compute=compute, progress=progress), axis=0)
    least = min(LEAST_FRAMES, maps.sizes[dims.FRAME])
    mean = np.divide(size, count, out=np.full(size.shape, np.nan), where=count >= least - 0.5)
    if not np.isfinite(mean).any():
        return np.zeros(size.shape)
    deviation = np.nan_to_num(np.abs(mean / np.nanmedian(mean) - 1))
    return ndi.maximum_filter(ndi.gaussian_filter(deviation, 0.7), 2 * AROUND + 1)


def _of_frame(maps: xr.Dataset, frame: int) -> np.ndarray:
    """Relative size of the polarization where it counts, and where it counts, in pixels of frame 0."""
    here = maps.isel({dims.FRAME: frame})
    p = ndi.gaussian_filter(np.nan_to_num(here["polarization"].to_numpy()), SMOOTHING)
    wall = here["wall"].to_numpy() == WALL_180
    far = np.ones(p.shape, bool)
    if wall.any():
        far = np.asarray(ndi.distance_transform_edt(~wall)) > CLEAR
    size = np.zeros(p.shape)
    clear = here["valid"].to_numpy() & far
    for domain in (p > 0, p < 0):
        inside = clear & domain
        if inside.any():
            size[inside] = np.abs(p[inside]) / np.median(np.abs(p[inside]))
    drift = here["drift"].to_numpy()
    return np.nan_to_num(np.stack([onto(size, drift), onto(clear.astype(float), drift)]))
