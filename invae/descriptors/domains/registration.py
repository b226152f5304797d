"""Registration of a series: shifts of pairs of frames, block by block, then the drift that fits all pairs."""

from functools import lru_cache, partial

import numpy as np

from invae.config import ComputeConfig
from invae.descriptors import block_results
from invae.descriptors.domains import drift as drifts
from invae.descriptors.domains.frame_shift import Prepared, prepare, shift_between
from invae.descriptors.domains.series import Series, listed
from invae.descriptors.images import read_frames
from invae.progress import Progress
from invae.storage.blocks import map_blocks

STAGE = "register"
LARGEST_SPREAD = 1.5
"""Sd among regions above which the shift of two frames is not believed [px of the registered frames] …"""
CLEAR_MATCH = 0.45
"""… unless their mean correlation reaches this: scanners drift while they scan."""
KEPT = 16
"""Number of prepared frames that a worker caches for pairs with the next frames."""


def register(
    series: Series, *, compute: ComputeConfig, progress: Progress
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Drift of every frame and its sd (frame, axis) [px], and remarks; zero and NaN if there are no channels
    to register. The sd of a frame that fits none of the others is NaN.
    """
    n_frames = series.n_frames
    if n_frames == 1 or not series.register_on or not series.config.registration.enabled:
        sd = np.full((n_frames, 2), np.nan)
        sd[0] = 0.0
        return np.zeros((n_frames, 2)), sd, []
    blocks = series.blocks()
    map_blocks(partial(register_block, series=series), blocks, compute=compute, progress=progress)
    paths = [block_results.path_of(series.partial, STAGE, block.start) for block in blocks]
    pairs, shifts, spreads, weights = (
        block_results.gather(paths, name) for name in ("pair", "shift", "spread", "quality")
    )
    trusted = (spreads.max(axis=1, initial=0) <= LARGEST_SPREAD * series.binning) | (
        weights >= CLEAR_MATCH
    )
    pairs, shifts, spreads, weights = (
        values[trusted] for values in (pairs, shifts, spreads, weights)
    )
    drift = drifts.solve(pairs, shifts, weights, n_frames=n_frames)
    residuals = shifts - (drift[pairs[:, 1]] - drift[pairs[:, 0]])
    sd = drifts.uncertainty(pairs, spreads, residuals, weights, n_frames=n_frames)
    lonely = drifts.unconnected(pairs, n_frames=n_frames)
    sd[lonely & (np.arange(n_frames) > 0)] = np.nan
    return drift, sd, _remarks(lonely)


def _remarks(lonely: np.ndarray) -> list[str]:
    if not lonely.any():
        return []
    which = (
        "no two frames could be registered: drift is taken as zero"
        if lonely.all()
        else f"frame {listed(np.flatnonzero(lonely))} could not be registered with the other frames: the drift there is a guess"
    )
    return [
        f"{which}, since the shifts of regions disagree; check that all frames show the same area, unturned, or set "
        "describe.registration.channels"
    ]


def register_block(frames: slice, *, series: Series) -> None:
    """Register every frame of a block with its partners, and save the shifts as a piece."""
    piece = block_results.path_of(series.partial, STAGE, frames.start)
    if piece.exists():
        return
    recording = series.open()
    settings = series.config.registration

    @lru_cache(maxsize=KEPT)
    def prepared(frame: int) -> Prepared:
        one = slice(frame, frame + 1)
        return prepare(
            np.stack([read_frames(recording, name, one)[0] for name in series.register_on])
        )

    found = []
    for first in range(frames.start, frames.stop):
        for second in drifts.partners(first, series.n_frames):
            shift = shift_between(
                prepared(first),
                prepared(second),
                max_shift=settings.max_drift * min(series.shape),
                upsample=settings.upsample,
            )
            if shift is not None:
                found.append((first, second, *shift.shift, *shift.spread, shift.quality))
    table = np.array(found, np.float64).reshape(-1, 7)
    block_results.save(
        piece,
        pair=table[:, :2].astype(np.int64),
        shift=table[:, 2:4],
        spread=table[:, 4:6],
        quality=table[:, 6],
    )
