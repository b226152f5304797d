"""Patches of all selected sites, shard by shard."""

from functools import lru_cache

import numpy as np

from invae.config.describe import DifferenceChannels
from invae.descriptors.domains.channels import (
    Sources,
    differences,
    frame_of,
    limited,
    softened,
)
from invae.descriptors.domains.series import Series
from invae.descriptors.patches import cut
from invae.storage import store

KEPT = 8
"""Number of frames of one signal that a worker caches."""


def cut_block(
    block: slice,
    *,
    series: Series,
    drift: np.ndarray,
    sites: np.ndarray,
    site_frames: np.ndarray,
    shard: int,
) -> None:
    """Write one shard of patches, each from the frame of its site and, after drift correction, from the
    other frames of its channels.
    """
    if store.block_is_written(series.partial, ("patch", "valid"), start=block.start, shard=shard):
        return
    window, clip = series.config.patches.window, series.config.patches.clip
    motion = _motion(series)
    sources = Sources(
        series.open(),
        series.maps(),
        series.signals,
        series.offset_of,
        series.config.phase_offset.flip,
    )

    @lru_cache(maxsize=KEPT)
    def frame(signal: str, number: int) -> tuple[np.ndarray, np.ndarray]:
        values, valid = frame_of(signal, number, sources=sources)
        if motion is not None:
            return softened(values, valid, config=motion)
        return limited(values, signal=signal, clip=clip), valid

    here, numbers = sites[block], site_frames[block]
    patch = np.zeros((len(here), len(series.channels), window, window), np.float32)
    valid = np.zeros(patch.shape, bool)
    for number in np.unique(numbers):
        rows = np.flatnonzero(numbers == number)
        for place, channel in enumerate(series.channels):
            other = int(number) + channel.delay
            centres = here[rows] + drift[number] - drift[other]
            patch[rows, place], valid[rows, place] = _cut_signal(
                *frame(channel.signal, other), centres, window=window
            )
    if motion is not None:
        patch, valid = differences(patch, valid, config=motion)
    store.write_block(
        series.partial, {"patch": patch, "valid": valid}, start=block.start, shard=shard
    )


def _motion(series: Series) -> DifferenceChannels | None:
    """The settings of differences in time, if the patches have them."""
    channels = series.config.patches.channels
    several = len(series.channels) > 1
    return channels if isinstance(channels, DifferenceChannels) and several else None


def _cut_signal(
    values: np.ndarray, valid: np.ndarray, centres: np.ndarray, *, window: int
) -> tuple[np.ndarray, np.ndarray]:
    """Patches of one signal; of a complex signal, real and imaginary part are interpolated, and the angle [rad] is returned."""
    if not np.iscomplexobj(values):
        return cut(values, valid, centres, window=window)
    real, believed = cut(np.real(values), valid, centres, window=window)
    imaginary, _ = cut(np.imag(values), valid, centres, window=window)
    return np.where(believed, np.arctan2(imaginary, real), 0), believed
