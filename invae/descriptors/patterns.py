"""Patches of a 4D-STEM scan: the pattern of every probe, centred on the optic axis, cropped, resampled and transformed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from invae import store
from invae.blocks import map_blocks
from invae.config import ComputeConfig, PatternsConfig
from invae.descriptors.layout import lay_out_patches, site_coordinates
from invae.descriptors.pattern_neighbours import Offsets, channels, combined, reach
from invae.descriptors.pattern_resampling import Resampling, resampling
from invae.dims import K_X, K_Y, PATCH_X, PATCH_Y, SCAN_X, SCAN_Y, X, Y, attrs
from invae.errors import ConfigError, InputError
from invae.progress import Progress, silent
from invae.provenance import Receipt

KIND = "pattern"
PATTERN = (SCAN_Y, SCAN_X, K_Y, K_X)
FOOTPRINT = "footprint"
"""Attribute of a patch store: side of the square of its frame that one patch tells of [pixel], where that is not its window."""
PIECE_BYTES = 32e6
"""Patterns read at once by one worker [byte]."""
FLOOR = 0.01
"""Unit of the logarithm of values that are no counts, as a share of their mean."""


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan, and how its patterns become patches."""

    recording: Path
    config: PatternsConfig
    shape: tuple[int, int]
    """Probes, (y, x)."""
    counts: bool
    """Whether patterns are whole numbers, and stay so."""
    resampling: Resampling
    groups: tuple[Offsets, ...]
    """Neighbours that are added up in each channel."""
    unit: float
    """Of the logarithm."""
    mean: np.ndarray
    """The mean pattern of the scan on the pixels of a patch (y, x)."""

    @property
    def margin(self) -> int:
        """Probes at the edge of the scan that lack a neighbour."""
        return reach(self.config.neighbours)

    @property
    def inner(self) -> tuple[int, int]:
        """Rows and columns of sites."""
        return self.shape[0] - 2 * self.margin, self.shape[1] - 2 * self.margin


def describe_patterns(
    recording: Path,
    target: Path,
    *,
    config: PatternsConfig,
    receipt: Receipt,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> None:
    """The patterns of a scan as patches, one for each probe that has all its neighbours.

    Raises:
        InputError: the recording is no scan of patterns, or too small a one.
        ConfigError: the radius that is asked for cannot be told from the recording, or leaves no pixel.
    """
    dataset = store.open_store(recording)
    scan, radius = survey(dataset, recording, config=config)
    grown = store.begin(target, receipt.key)
    shard = lay_out_patches(grown, _where(dataset, scan, radius))
    n_sites = scan.inner[0] * scan.inner[1]
    map_blocks(
        partial(_write, scan=scan, grown=grown, shard=shard),
        store.blocks(n_sites, shard),
        compute=compute,
        progress=lambda done, total: progress(100 * done // total, 100),
    )
    store.publish(grown, target, receipt)


def survey(
    dataset: xr.Dataset, recording: Path, *, config: PatternsConfig
) -> tuple[Scan, tuple[float, float]]:
    """What holds for all patterns, and the patch's radius along both axes [units of k].

    Raises:
        InputError: the recording is no scan of patterns, or too small a one.
        ConfigError: the radius that is asked for cannot be told from the recording, or leaves no pixel.
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
            f"needs {needed}×{needed}; ask for fewer"
        )
    maps = store.open_store(recording, group="maps")
    steps = tuple(_step(dataset, axis) for axis in (K_Y, K_X))
    pixels = _radius(maps, steps, str(dataset[K_X].attrs.get("units")), config=config)
    found = resampling(
        maps["detector_valid"].to_numpy().astype(bool),
        centre=(float(maps.attrs["centre"][0]), float(maps.attrs["centre"][1])),
        radius=pixels,
        window=config.window,
    )
    counts = config.transform == "none" and pattern.dtype.kind in "iu"
    if not found.valid(counts=counts).any():
        raise ConfigError(
            f"describe.radius {config.radius:g} {config.radius_units} and describe.window "
            f"{config.window} leave no pixel of {name}; choose a smaller radius or window"
        )
    groups = tuple(channels(config.neighbours, config.combine).values())
    mean = found.of(maps["mean_pattern"].to_numpy())
    unit = 1.0 if pattern.dtype.kind in "iu" else max(FLOOR * float(mean.mean()), 1e-30)
    scan = Scan(recording, config, shape, counts, found, groups, unit, mean)
    return scan, (pixels[0] * steps[0], pixels[1] * steps[1])


def _step(dataset: xr.Dataset, axis: str) -> float:
    """Width of a detector pixel along an axis [units of k]."""
    places = dataset[axis].to_numpy()
    return abs(float(places[-1] - places[0])) / max(len(places) - 1, 1)


def _radius(
    maps: xr.Dataset, steps: Sequence[float], units: str, *, config: PatternsConfig
) -> tuple[float, float]:
    """Half the patch's side along both axes [detector pixel]."""
    if config.radius_units == "disc":
        pixels = config.radius * float(maps.attrs["disc_radius"])
        # the disc is round on the sample's side; pixels that are not square make it an ellipse along the axes
        mean = float(np.sqrt(steps[0] * steps[1]))
        return pixels * mean / steps[0], pixels * mean / steps[1]
    if units != "mrad":
        raise ConfigError(
            f"describe.radius_units is mrad, the recording's k has units {units!r}; "
            "use 'disc', or calibrate it with ingest.scan.convergence"
        )
    return config.radius / steps[0], config.radius / steps[1]


def _where(dataset: xr.Dataset, scan: Scan, radius: tuple[float, float]) -> xr.Dataset:
    """Coordinates of the sites and of the patch's pixels."""
    config, margin = scan.config, scan.margin
    rows, columns = np.indices(scan.inner).reshape(2, -1) + margin
    steps = [
        (np.arange(config.window) - (config.window - 1) / 2) * 2 * reach_k / config.window
        for reach_k in radius
    ]
    probes = xr.Dataset(
        coords={axis: (axis, *_axis(dataset[name])) for axis, name in ((Y, SCAN_Y), (X, SCAN_X))},
        attrs=dataset.attrs,
    )
    coords = site_coordinates(
        probes,
        np.stack((rows, columns), axis=1).astype(float),
        np.zeros(rows.size, np.int32),
        kind=KIND,
        channels=list(channels(config.neighbours, config.combine)),
        steps=(steps[0], steps[1]),
        notes=_remarks(dataset, scan),
    )
    units = str(dataset[K_X].attrs.get("units", "pixel"))
    coords[PATCH_Y] = (PATCH_Y, steps[0], attrs("scattering angle, down", units))
    coords[PATCH_X] = (PATCH_X, steps[1], attrs("scattering angle, right", units))
    coords.attrs.pop("pixel_size_nm", None)
    told = {FOOTPRINT: 2 * margin + 1, "scan_shape": list(scan.shape), "window": config.window}
    return coords.assign_attrs(told)


def _axis(places: xr.DataArray) -> tuple[np.ndarray, Mapping[str, object]]:
    return places.to_numpy(), places.attrs


def _remarks(dataset: xr.Dataset, scan: Scan) -> list[str]:
    config, remarks = scan.config, []
    if config.transform == "anscombe" and dataset["pattern"].dtype.kind not in "iu":
        remarks.append(
            "patterns are no counts: anscombe, made for counts, bends them in an arbitrary place; "
            "set describe.transform sqrt or log"
        )
    if config.combine == "apart" and config.neighbours > 1:
        remarks.append(
            "every neighbour is a channel of its own: neighbours do not turn with the pattern, so "
            "partners by symmetry get different contents; describe.combine sum or rings keeps them alike"
        )
    if scan.margin:
        remarks.append(
            f"{config.neighbours} probes are looked at together: those within {scan.margin} of the "
            "edge of the scan lack some and are no sites"
        )
    return remarks


def _write(block: slice, *, scan: Scan, grown: Path, shard: int) -> None:
    """Write one shard of patches, unless it is there."""
    if store.block_is_written(grown, ("patch", "valid"), start=block.start, shard=shard):
        return
    width = scan.inner[1]
    first, last = block.start // width, -(-block.stop // width)
    rows = np.concatenate([_rows(scan, piece) for piece in _pieces(scan, first, last)])
    patch = rows[block.start - first * width : block.stop - first * width]
    valid = np.broadcast_to(scan.resampling.valid(counts=scan.counts), patch.shape)
    known = valid & np.isfinite(patch)
    arrays = {"patch": np.where(known, patch, 0).astype(np.float32), "valid": known}
    store.write_block(grown, arrays, start=block.start, shard=shard)


def _pieces(scan: Scan, first: int, last: int) -> Iterator[slice]:
    """Rows of sites, few enough at once."""
    shape = store.open_store(scan.recording)["pattern"]
    row_bytes = shape.nbytes / scan.shape[0]
    n_rows = max(1, int(PIECE_BYTES / row_bytes) - 2 * scan.margin)
    for start in range(first, last, n_rows):
        yield slice(start, min(start + n_rows, last))


def _rows(scan: Scan, rows: slice) -> np.ndarray:
    """Patches of some rows of sites (site, channel, y, x)."""
    margin = scan.margin
    probes = slice(rows.start, rows.stop + 2 * margin)
    patterns = store.open_store(scan.recording)["pattern"][probes].to_numpy()
    if scan.counts:
        small = np.stack(
            [
                scan.resampling.dealt(line, np.random.default_rng([scan.config.deal_seed, row]))
                for row, line in zip(range(probes.start, probes.stop), patterns, strict=True)
            ]
        )
    else:
        small = scan.resampling.of(patterns)
    summed = combined(small, scan.groups, margin=margin)
    told = transformed(summed, scan.config.transform, unit=scan.unit) - common(scan)
    return told.reshape(-1, *summed.shape[2:])


def common(scan: Scan) -> np.ndarray:
    """What is taken off every patch (channel, y, x): the transform of the mean pattern, or nothing.

    A mean over quarter turns and mirror images, so that it prefers no direction: what is left of a pattern turns with it.
    """
    summed = np.stack([len(offsets) * scan.mean for offsets in scan.groups])
    if scan.config.common == "keep" or scan.config.transform == "none":
        return np.zeros_like(summed)
    shared = transformed(summed, scan.config.transform, unit=scan.unit)
    both = (shared, np.flip(shared, axis=-1))
    return np.mean([np.rot90(one, n, axes=(-2, -1)) for one in both for n in range(4)], axis=0)


def transformed(values: np.ndarray, transform: str, *, unit: float = 1.0) -> np.ndarray:
    """Values on the scale of a transform; what is below zero counts as zero, but for `none`.

    Source: Anscombe 1948, doi:10.1093/biomet/35.3-4.246, for `anscombe`, 2·√(n + ⅜).
    """
    if transform == "none":
        return values
    positive = np.maximum(values, 0)
    if transform == "sqrt":
        return np.sqrt(positive)
    return np.log1p(positive / unit) if transform == "log" else 2 * np.sqrt(positive + 0.375)
