"""Non-local sums over similar probes of a stored scan: first the features of every probe, then the sums, a few rows at a time."""

from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from invae.config import ComputeConfig
from invae.config.patterns import AlikeConfig
from invae.descriptors.diffraction import similarity
from invae.descriptors.diffraction.scan import Scan, pieces, resampled
from invae.dims import SCAN_X, SCAN_Y, attrs
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.blocks import map_blocks

GROUP = "alike"
"""Group of the patch store with the features of the probes."""
NUMBERS, KNOWN_BY = "numbers", "known_by"
SHARD_BYTES = 4e6
"""Size of the reduced rows of one shard [byte]."""
TILE = 32
"""Columns of sites whose similar probes are searched together."""
SUMMED_AT_ONCE = 128


def write_features(
    scan: Scan, partial_store: Path, *, compute: ComputeConfig, progress: Progress = silent
) -> None:
    """Write the features of every probe into the group `alike` of an unfinished store, unless they exist."""
    height = scan.shape[0]
    maps = store.open_store(scan.recording, group="maps")
    weights = templates_of(scan, maps)
    layout = _layout(scan, NUMBERS, len(weights), "template", "rings and harmonics of the pattern")
    shard = store.shard_length(layout, shard_bytes=SHARD_BYTES)
    store.lay_out(partial_store, layout, shard=shard, group=GROUP)
    map_blocks(
        partial(_reduce, scan=scan, partial_store=partial_store, shard=shard, weights=weights),
        store.blocks(height, shard),
        compute=compute,
        progress=progress,
    )
    if _is_written(partial_store, KNOWN_BY, shard=height):
        return
    numbers = store.open_store(partial_store, group=GROUP)[NUMBERS].to_numpy()
    features = features_of_numbers(scan, numbers)
    words = "what the probe and its surroundings are known by: alike ones lie close together"
    layout = _layout(scan, KNOWN_BY, features.shape[-1], "direction", words)
    store.lay_out(partial_store, layout, shard=height, group=GROUP)
    store.write_block(partial_store, {KNOWN_BY: features}, start=0, shard=height, group=GROUP)


def _layout(
    scan: Scan, name: str, n_numbers: int, over: str, words: str
) -> dict[str, store.Variable]:
    shape = (*scan.shape, n_numbers)
    return {name: store.Variable((SCAN_Y, SCAN_X, over), shape, np.float32, attrs(words))}


def _is_written(partial_store: Path, name: str, *, shard: int) -> bool:
    """Whether a variable of one shard has been written."""
    laid_out = (partial_store / GROUP / name / "zarr.json").is_file()
    return laid_out and store.block_is_written(
        partial_store, (name,), start=0, shard=shard, group=GROUP
    )


def _noise(scan: Scan, maps: xr.Dataset, numbers: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Noise covariance of the numbers of a pattern; from counting statistics if values are counts."""
    if store.open_store(scan.recording)["pattern"].dtype.kind in "iu":
        return similarity.noise_of_counts(maps["mean_pattern"].to_numpy(), weights)
    return similarity.noise_between(numbers)


def sums_of_similar(scan: Scan, partial_store: Path, rows: slice) -> np.ndarray:
    """Sums of similar patterns for every probe of some rows (row, column, channel, y, x)."""
    settings, height = _settings(scan), scan.shape[0]
    around = slice(max(rows.start - settings.reach, 0), min(rows.stop + settings.reach, height))
    features = store.open_store(partial_store, group=GROUP)[KNOWN_BY][around].to_numpy()
    small = np.concatenate(
        [resampled(scan, piece) for piece in pieces(scan, around.start, around.stop)]
    )
    inner = slice(rows.start - around.start, rows.stop - around.start)
    return sums_by_features(scan, features, small, inner)


def sums_by_features(
    scan: Scan, features: np.ndarray, small: np.ndarray, rows: slice
) -> np.ndarray:
    """Sums of similar patterns for every probe of some rows (row, column, channel, y, x).

    Args:
        scan: Number of patterns in a sum, and their largest distance.
        features: Of every probe of an area of the scan (row, column, direction).
        small: Its patterns on the pixels of a patch (row, column, y, x).
        rows: Rows of the area.
    """
    width, flat = small.shape[1], small.reshape(-1, *small.shape[2:])
    sums = np.empty((rows.stop - rows.start, width, *small.shape[2:]), flat.dtype)
    for left in range(0, width, TILE):
        columns = np.arange(left, min(left + TILE, width))
        for row in range(rows.start, rows.stop):
            sites = np.stack((np.full(len(columns), row), columns), axis=1)
            chosen, equal = similarity.most_similar(
                features,
                sites,
                first_row=0,
                n_probes=scan.n_added[0],
                fewest=None if scan.counts else _settings(scan).fewest,
                reach=_settings(scan).reach,
            )
            sums[row - rows.start, columns] = _sums(flat, chosen, equal)
    return sums[:, :, None]


def features_of_numbers(scan: Scan, numbers: np.ndarray) -> np.ndarray:
    """Features of every probe of an area from the numbers of its patterns (row, column, template)."""
    maps = store.open_store(scan.recording, group="maps")
    with threadpool_limits(1):  # several threads sum in another order
        noise = _noise(scan, maps, numbers, templates_of(scan, maps))
        return similarity.features_of(numbers, noise, half=_settings(scan).surroundings)


def _sums(patterns: np.ndarray, chosen: np.ndarray, equal: np.ndarray) -> np.ndarray:
    """Sums of the chosen patterns (site, y, x); where some are not equal to the site, the others count more."""
    parts = range(0, len(chosen), SUMMED_AT_ONCE)
    sums = np.concatenate(
        [patterns[chosen[i : i + SUMMED_AT_ONCE]].sum(1, dtype=patterns.dtype) for i in parts]
    )
    for site in np.flatnonzero(~equal.all(1)):
        kept = patterns[chosen[site, equal[site]]]
        sums[site] = kept.sum(0, dtype=patterns.dtype) * (chosen.shape[1] / len(kept))
    return sums


def _settings(scan: Scan) -> AlikeConfig:
    assert scan.config.alike is not None
    return scan.config.alike


def templates_of(scan: Scan, maps: xr.Dataset) -> np.ndarray:
    """Rings and their harmonics on the detector of a scan (template, k_y, k_x)."""
    middle = (float(maps.attrs["centre"][0]), float(maps.attrs["centre"][1]))
    return similarity.templates(scan.resampling.working, centre=middle, radius=scan.disc)


def _reduce(
    block: slice, *, scan: Scan, partial_store: Path, shard: int, weights: np.ndarray
) -> None:
    """Write the numbers of some rows, unless they exist."""
    if store.block_is_written(
        partial_store, (NUMBERS,), start=block.start, shard=shard, group=GROUP
    ):
        return
    patterns = store.open_store(scan.recording)["pattern"]
    numbers = [
        similarity.reduced(scan.motion.undone(patterns[rows].to_numpy(), rows), weights)
        for rows in pieces(scan, block.start, block.stop)
    ]
    store.write_block(partial_store, {NUMBERS: np.concatenate(numbers)}, start=block.start, shard=shard, group=GROUP)  # fmt: skip
