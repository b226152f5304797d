"""Registration of a series: shifts of pairs of frames, block by block, then the drift that fits all pairs."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial

import numpy as np

from invae.config import ComputeConfig
from invae.config.describe import RegistrationConfig
from invae.descriptors import block_results
from invae.descriptors.domains import drift as drifts
from invae.descriptors.domains.channel_weights import ChannelShifts, combined
from invae.descriptors.domains.frame_shift import binning, prepare, shift_between
from invae.descriptors.domains.series import Series, listed
from invae.descriptors.images import read_frames
from invae.progress import Progress
from invae.storage.blocks import map_blocks

STAGE = "register"
SHIFTS = ("pair", "shift", "spread", "error", "quality")
"""Arrays of `ChannelShifts`."""
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
    found = ChannelShifts(*(block_results.gather(paths, name) for name in SHIFTS))
    return fitted(found, series.register_on, n_frames=n_frames, binning=series.binning)


def drift_of(
    frames: Mapping[str, np.ndarray], config: RegistrationConfig
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Drift of every frame and its sd (frame, axis) [px], and remarks, of a series in memory.

    Args:
        frames: channel → images (frame, y, x), in which nothing moves but the sample.
        config: settings of the registration; its names of channels do not count here.
    """
    names, images = tuple(frames), np.stack(list(frames.values()), axis=1)
    n_frames, shape = len(images), images.shape[2:]
    found = shifts_of(
        range(n_frames), lambda frame: images[frame], config, n_frames=n_frames, shape=shape
    )
    return fitted(found, names, n_frames=n_frames, binning=binning(shape))


def fitted(
    by_channel: ChannelShifts, names: Sequence[str], *, n_frames: int, binning: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Drift of every frame and its sd (frame, axis) [px], and remarks, from the shifts of pairs of frames."""
    found, remarks = combined(by_channel, names, n_frames=n_frames)
    found = found.where(
        (found.spread.max(axis=1, initial=0) <= LARGEST_SPREAD * binning)
        | (found.quality >= CLEAR_MATCH)
    )
    drift, weights = drifts.solve(found.pair, found.shift, found.quality, n_frames=n_frames)
    residuals = found.shift - (drift[found.pair[:, 1]] - drift[found.pair[:, 0]])
    sd = drifts.uncertainty(found.pair, found.error, residuals, weights, n_frames=n_frames)
    lonely = drifts.unconnected(found.pair, n_frames=n_frames)
    sd[lonely & (np.arange(n_frames) > 0)] = np.nan
    return drift, sd, [*remarks, *_remarks(lonely)]


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

    def channels(frame: int) -> np.ndarray:
        one = slice(frame, frame + 1)
        return np.stack([read_frames(recording, name, one)[0] for name in series.register_on])

    found = shifts_of(
        range(frames.start, frames.stop),
        channels,
        series.config.registration,
        n_frames=series.n_frames,
        shape=series.shape,
    )
    block_results.save(piece, **{name: getattr(found, name) for name in SHIFTS})


def shifts_of(
    frames: range,
    read: Callable[[int], np.ndarray],
    config: RegistrationConfig,
    *,
    n_frames: int,
    shape: tuple[int, ...],
) -> ChannelShifts:
    """Shifts of some frames with their partners, by channel.

    Args:
        frames: first frames of the pairs.
        read: the channels of a frame (channel, y, x).
        config: settings.
        n_frames: length of the series.
        shape: of a frame.
    """
    prepared = lru_cache(maxsize=KEPT)(lambda frame: prepare(read(frame)))
    pairs = [(i, j) for i in frames for j in drifts.partners(i, n_frames)]
    largest = config.max_drift * min(shape)
    shifts = [
        shift_between(prepared(i), prepared(j), max_shift=largest, upsample=config.upsample)
        for i, j in pairs
    ]
    found = [(pair, shift) for pair, shift in zip(pairs, shifts, strict=True) if shift is not None]
    n_channels = len(read(frames.start)) if len(frames) else 0

    def gathered(name: str) -> np.ndarray:
        return np.array([getattr(shift, name) for _, shift in found]).reshape(-1, n_channels, 2)

    return ChannelShifts(
        pair=np.array([pair for pair, _ in found], np.int64).reshape(-1, 2),
        shift=gathered("shift"),
        spread=gathered("spread"),
        error=gathered("error"),
        quality=np.array([shift.quality for _, shift in found]).reshape(-1, n_channels),
    )
