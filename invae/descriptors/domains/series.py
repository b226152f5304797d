"""Settings and calibration of a series, before its frames are processed one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from invae.config.describe import WallsConfig
from invae.descriptors.domains.channels import Channel, check, plan
from invae.descriptors.domains.frame_shift import binning
from invae.descriptors.domains.masks import line_coherence
from invae.descriptors.domains.phase import doubled_angle_histogram, phase_offset
from invae.descriptors.domains.signals import Signals, find_signals, read_complex
from invae.descriptors.images import images_of, read_frames
from invae.dims import FRAME, X, Y
from invae.errors import InputError
from invae.storage import store

MOST_FRAMES = 256
"""Largest number of frames, evenly chosen, from which the phase offset and the direction of the scan
lines are estimated."""
SLOPE = "deflection"
"""The deflection (error of the height feedback) is the slope along the scan line: its columns jump
although they are not scan lines."""
CLEARLY = 1.5
"""Scan lines are columns only if columns jump so many times more than rows."""
MAP_BYTES = 16e6
"""Size of a shard of one map, the unit of work: a worker has about ten of them in memory [byte]."""
LISTED = 8
"""Largest number of frames that a remark lists."""
MOST_BLOCKS = 8
"""Short series are divided into so many blocks, so that every worker has one."""


@dataclass(frozen=True)
class Series:
    """A recording with its settings and calibration."""

    recording: Path
    partial: Path
    """The unfinished store."""
    config: WallsConfig
    signals: Signals
    register_on: tuple[str, ...]
    """Channels that do not switch."""
    channels: tuple[Channel, ...]
    n_frames: int
    shape: tuple[int, int]
    """Of a frame, (y, x) [px]."""
    shard: int
    """Frames per block."""
    phase_offset: float
    """[rad]"""
    scan_lines: str
    """"rows" or "columns"."""
    notes: tuple[str, ...]
    phase_offsets: tuple[float, ...] = ()
    """Of every frame [rad]; empty if all have `phase_offset`."""

    def offset_of(self, frame: int) -> float:
        """Phase offset of one frame [rad]."""
        return self.phase_offsets[frame] if self.phase_offsets else self.phase_offset

    @property
    def binning(self) -> int:
        """Pixels of the recording per pixel of the registered frames."""
        return binning(self.shape)

    def open(self) -> xr.Dataset:
        """The recording, lazily."""
        return store.open_store(self.recording)

    def maps(self) -> xr.Dataset:
        """The maps written so far, lazily."""
        return store.open_store(self.partial, group="maps")

    def blocks(self) -> list[slice]:
        """Frames in blocks of whole shards."""
        return store.blocks(self.n_frames, self.shard)


def survey(recording: Path, partial: Path, *, config: WallsConfig) -> Series:
    """Settings and calibration of a recording.

    Raises:
        InputError: no frames, frames smaller than the patches, or channels that are missing.
        ConfigError: the configuration asks for channels or delays that the recording does not have.
    """
    dataset = store.open_store(recording)
    signals = find_signals(dataset, config=config)
    some = dataset[signals.polarization or signals.phase]
    n_frames, shape = some.shape[0], (some.shape[1], some.shape[2])
    window = config.patches.window
    if n_frames == 0:
        raise InputError(f"{recording.name} has no frames; take the recording in again")
    if min(shape) < window:
        raise InputError(
            f"frames of {recording.name} are {shape[0]}×{shape[1]} px, smaller than a patch "
            f"of {window} px; set a smaller describe.patches.window"
        )
    channels, remark = plan(config.patches.channels, n_frames=n_frames)
    check(channels, dataset, signals)
    register_on = still_channels(dataset, config.registration.channels)
    offset, scan_lines = _calibrate(dataset, signals, register_on, config=config)
    if n_frames == 1:
        remark = "one frame: no drift and no time delay"
    notes = [remark] if remark else []
    return Series(
        recording, partial, config, signals, register_on, tuple(channels), n_frames, shape,
        shard=_shard(n_frames, shape), phase_offset=offset, scan_lines=scan_lines,
        notes=(*notes, *_remarks(signals, register_on, n_frames, offset, config=config)),
    )  # fmt: skip


def still_channels(recording: xr.Dataset, wanted: Sequence[str]) -> tuple[str, ...]:
    """The channels to register: those with these names, or numbered ones, such as `amplitude_1` for
    `amplitude`.
    """
    images = images_of(recording)
    found = []
    for name in wanted:
        numbered = [image for image in images if image.rpartition("_")[0] == name]
        labelled = [image for image in images if name in image.split("_")]
        found += [name] if name in images else (numbered or labelled)[:1]
    return tuple(found)


def _shard(n_frames: int, shape: tuple[int, int]) -> int:
    by_size = int(MAP_BYTES // (4 * shape[0] * shape[1]))
    return max(1, min(by_size, -(-n_frames // MOST_BLOCKS)))


def _calibrate(
    dataset: xr.Dataset, signals: Signals, register_on: tuple[str, ...], *, config: WallsConfig
) -> tuple[float, str]:
    """Phase offset [rad] and direction of the scan lines, from some frames of the series."""
    n_frames = dataset.sizes[FRAME]
    some = np.unique(np.linspace(0, n_frames - 1, min(n_frames, MOST_FRAMES)).astype(int))
    histogram, jumps = np.zeros(1), np.zeros(2)
    listened = {name for name in (*register_on, *signals.names) if not name.startswith(SLOPE)}
    ask_phase = config.phase_offset.offset is None and signals.has_phase
    ask_lines = config.masks.scan_lines == "auto"
    for frame in some:
        one = slice(int(frame), int(frame) + 1)
        if ask_phase:
            histogram = histogram + doubled_angle_histogram(read_complex(dataset, signals, one))
        if ask_lines:
            for name in sorted(listened):
                jumps += line_coherence(read_frames(dataset, name, one)[0])
    offset = phase_offset(histogram) if ask_phase else float(config.phase_offset.offset or 0.0)
    if not ask_lines:
        return offset, config.masks.scan_lines
    return offset, "columns" if jumps[1] > CLEARLY * jumps[0] else "rows"


def _remarks(
    signals: Signals,
    register_on: tuple[str, ...],
    n_frames: int,
    offset: float,
    *,
    config: WallsConfig,
) -> list[str]:
    remarks = [*signals.remarks]
    if signals.has_phase and config.phase_offset.offset is None:
        remarks.append(
            f"phase offset {np.rad2deg(offset):.1f} degree, estimated; which polarization is up "
            "cannot be told from the phase: describe.phase_offset.flip swaps them"
        )
    if n_frames > 1 and not register_on:
        wanted = ", ".join(config.registration.channels)
        remarks.append(f"no channel to register on (wanted one of {wanted}): drift taken as zero")
    elif n_frames > 1 and not config.registration.enabled:
        remarks.append("registration switched off: drift taken as zero")
    return remarks


def coordinates(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """Coordinates of the recording that the maps share."""
    return {
        name: dataset[name].reset_coords(drop=True)
        for name in (FRAME, "time", "source", Y, X)
        if name in dataset.variables
    }


def listed(frames: np.ndarray) -> str:
    """Numbers of frames for a remark."""
    more = ", …" if len(frames) > LISTED else ""
    return ", ".join(str(frame) for frame in frames[:LISTED]) + more
