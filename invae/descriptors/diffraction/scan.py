"""A scan of patterns for the descriptor: its probes, the geometry of their patches, and how they are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from invae.config import PatternsConfig
from invae.descriptors.diffraction.descan import Motion, motion_of
from invae.descriptors.diffraction.neighbours import Offsets, channels, reach
from invae.descriptors.diffraction.resampling import Resampling, resampling
from invae.descriptors.diffraction.warping import Warping, polar, rounded, warping
from invae.descriptors.offset import offset_of, without_offset
from invae.dims import K_X, K_Y, SCAN_X, SCAN_Y
from invae.errors import ConfigError, InputError
from invae.storage import store

PATTERN = (SCAN_Y, SCAN_X, K_Y, K_X)
PIECE_BYTES = 32e6
"""Patterns read at once by one worker [byte]."""
FLOOR = 0.01
"""Unit of the logarithm for values that are no counts, as a share of their mean."""


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan, and how its patterns become patches."""

    recording: Path
    config: PatternsConfig
    shape: tuple[int, int]
    """Probes, (y, x)."""
    counts: bool
    """Whether patterns are whole numbers and stay whole in patches."""
    disc: tuple[float, float]
    """Radius of the bright-field disc, (k_y, k_x) [detector pixel]."""
    resampling: Resampling | Warping
    groups: tuple[Offsets, ...]
    """Neighbours summed in each channel."""
    n_added: tuple[int, ...]
    """Number of patterns summed in each channel."""
    unit: float
    """Unit of the logarithm."""
    mean: np.ndarray
    """The mean pattern of the scan on the pixels of a patch (y, x)."""
    motion: Motion
    """Of the direct beam over the scan."""
    offset: float
    """Taken off every value of a pattern; 0 for counts, and for transforms, which are made for counts."""

    @property
    def margin(self) -> int:
        """Width of the edge of the scan where probes lack a neighbour [scan step]."""
        return reach(self.config.neighbours)

    @property
    def inner(self) -> tuple[int, int]:
        """Rows and columns of sites."""
        return self.shape[0] - 2 * self.margin, self.shape[1] - 2 * self.margin


def survey(
    dataset: xr.Dataset, recording: Path, *, config: PatternsConfig
) -> tuple[Scan, tuple[float, float]]:
    """The scan for all patterns, and the patch's radius along both axes [units of k].

    Raises:
        InputError: the recording is no scan of patterns, or it is too small.
        ConfigError: the recording lacks the calibration for the radius, or the radius leaves no pixel.
    """
    name = recording.parent.name
    if "pattern" not in dataset or dataset["pattern"].dims != PATTERN:
        raise InputError(
            f"{name}: holds no patterns {PATTERN}; choose another kind of describe for it"
        )
    pattern = dataset["pattern"]
    shape = (pattern.sizes[SCAN_Y], pattern.sizes[SCAN_X])
    needed = 2 * reach(config.neighbours) + 1
    if min(shape) < needed:
        raise InputError(
            f"{name}: {shape[0]}×{shape[1]} probes, describe.neighbours {config.neighbours} "
            f"needs {needed}×{needed}; choose fewer"
        )
    maps = store.open_store(recording, group="maps")
    if maps.attrs["disc_radius"] == 0 and (config.radius_units == "disc" or config.alike):
        raise ConfigError(
            f"{name}: the mean pattern has no bright-field disc as the unit of the radius; "
            "set describe.radius_units=mrad, describe.radius and describe.alike=null"
        )
    steps = tuple(_step(dataset, axis) for axis in (K_Y, K_X))
    pixels = _radius(maps, steps, str(dataset[K_X].attrs.get("units")), config=config)
    motion = motion_of(pattern, maps, config.descan)
    mapping = _onto_patches(maps, pixels, motion, config=config)
    counts = config.transform == "none" and pattern.dtype.kind in "iu"
    if not mapping.valid(counts=counts).any():
        raise ConfigError(
            f"describe.radius {config.radius:g} {config.radius_units} and describe.window "
            f"{config.window} leave no pixel of {name}; choose a smaller radius or window, or, if a beam stop or bad pixels cover "
            "the middle of the detector, a larger radius"
        )
    groups = tuple(channels(config.neighbours, config.combine).values())
    mean = mapping.of(maps["mean_pattern"].to_numpy())
    unit = 1.0 if pattern.dtype.kind in "iu" else max(FLOOR * float(mean.mean()), 1e-30)
    n_added = tuple(len(group) for group in groups)
    if config.alike is not None:
        n_added = (min(config.alike.n_probes, _within_reach(shape, config.alike.reach) // 2),)
    offset = 0.0 if counts or config.transform != "none" else offset_of(pattern)
    scan = Scan(
        recording,
        config,
        shape,
        counts,
        _disc(maps, steps),
        mapping,
        groups,
        n_added,
        unit,
        mean,
        motion,
        offset,
    )
    return scan, (pixels[0] * steps[0], pixels[1] * steps[1])


def _onto_patches(
    maps: xr.Dataset, radius: tuple[float, float], motion: Motion, *, config: PatternsConfig
) -> Resampling | Warping:
    """The map from detector pixels to patch pixels; pixels that are moved off the detector anywhere do not count."""
    working = motion.always(maps["detector_valid"].to_numpy().astype(bool))
    centre = (float(maps.attrs["centre"][0]), float(maps.attrs["centre"][1]))
    if config.grid == "cartesian" and config.ellipse == "keep":
        return resampling(working, centre=centre, radius=radius, window=config.window)
    ratio, angle = 1.0, 0.0
    if config.ellipse == "correct":
        ratio, angle = float(maps.attrs["ellipse_ratio"]), float(maps.attrs["ellipse_angle"])
    onto = (polar if config.grid == "polar" else rounded)(
        config.window, radius, ratio=ratio, angle=angle
    )
    return warping(working, centre=centre, window=config.window, onto=onto)


def _within_reach(shape: tuple[int, int], reach: int) -> int:
    """Number of probes within reach of a corner; at least 2, so that half of it is at least 1."""
    return max(2, min(shape[0], reach + 1) * min(shape[1], reach + 1))


def _step(dataset: xr.Dataset, axis: str) -> float:
    """Width of a detector pixel along an axis [units of k]."""
    places = dataset[axis].to_numpy()
    return abs(float(places[-1] - places[0])) / max(len(places) - 1, 1)


def _radius(
    maps: xr.Dataset, steps: Sequence[float], units: str, *, config: PatternsConfig
) -> tuple[float, float]:
    """Half the patch's side along both axes [detector pixel]."""
    if config.radius_units == "detector":
        return config.radius * farthest_edge(maps), config.radius * farthest_edge(maps)
    if config.radius_units == "disc":
        disc = _disc(maps, steps)
        return config.radius * disc[0], config.radius * disc[1]
    if units != "mrad":
        raise ConfigError(
            f"describe.radius_units is mrad, the recording's k has units {units!r}; "
            "use 'disc', or calibrate it with ingest.scan.convergence"
        )
    return config.radius / steps[0], config.radius / steps[1]


def farthest_edge(maps: xr.Dataset) -> float:
    """Distance from the optic axis to the farthest edge of the detector [detector pixel]."""
    sizes = maps["mean_pattern"].shape
    return max(
        max(float(centre) + 0.5, n - 0.5 - float(centre))
        for centre, n in zip(maps.attrs["centre"], sizes, strict=True)
    )


def _disc(maps: xr.Dataset, steps: Sequence[float]) -> tuple[float, float]:
    """Radius of the bright-field disc along both axes [detector pixel].

    The disc is round in units of k; on pixels that are not square it is an ellipse along the axes.
    """
    radius, mean = float(maps.attrs["disc_radius"]), float(np.sqrt(steps[0] * steps[1]))
    return radius * mean / steps[0], radius * mean / steps[1]


def pieces(scan: Scan, first: int, last: int) -> Iterator[slice]:
    """Blocks of rows of sites that are small enough to read at once."""
    shape = store.open_store(scan.recording)["pattern"]
    row_bytes = shape.nbytes / scan.shape[0]
    n_rows = max(1, int(PIECE_BYTES / row_bytes) - 2 * scan.margin)
    for start in range(first, last, n_rows):
        yield slice(start, min(start + n_rows, last))


def resampled(scan: Scan, rows: slice) -> np.ndarray:
    """Patterns of some rows of the scan on the pixels of a patch (row, column, y, x)."""
    return onto_patches(scan, store.open_store(scan.recording)["pattern"][rows].to_numpy(), rows)


def onto_patches(
    scan: Scan, patterns: np.ndarray, rows: slice, *, first_column: int = 0
) -> np.ndarray:
    """Patterns (row, column, k_y, k_x) of some rows of the scan on the pixels of a patch (row, column, y, x)."""
    patterns = scan.motion.undone(patterns, rows, first_column=first_column)
    if not scan.counts:
        return scan.resampling.of(without_offset(patterns, scan.offset))
    return np.stack(
        [
            scan.resampling.dealt(line, np.random.default_rng([scan.config.deal_seed, row]))
            for row, line in zip(range(rows.start, rows.stop), patterns, strict=True)
        ]
    )
