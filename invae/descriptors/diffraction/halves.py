"""Two halves of the electrons of some probes, each described like the whole scan: their latents differ by counting noise alone.

Every electron goes to one half by chance, so that both halves are independent draws of half the dose. All steps are repeated with
each half, the search for similar probes included, since noise also changes which probes are summed.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from invae.descriptors.diffraction import similarity
from invae.descriptors.diffraction.averaging import (
    features_of_numbers,
    sums_by_features,
    templates_of,
)
from invae.descriptors.diffraction.neighbours import combined
from invae.descriptors.diffraction.scale import on_scale
from invae.descriptors.diffraction.scan import Scan, onto_patches
from invae.dims import CHANNEL, PATCH_X, PATCH_Y, attrs
from invae.storage import store

GROUP = "halves"
"""Group of the patch store: `patch (half, part, channel, patch_y, patch_x)`, and `number (part)`, the site of each."""
HALF, PART = "half", "part"
LARGEST_SIDE = 64
"""Side of the area of the scan that is described twice more [scan step]."""
MOST_VALUES = 6e7
"""Largest number of detector values in that area."""
MOST_SITES = 1024
"""Sites of the area that are kept, evenly chosen."""
FEWEST = 4
"""Probes of the area, in units of the patterns in a sum."""


def write_halves(scan: Scan, partial_store: Path) -> None:
    """Write the patches of both halves into an unfinished store; nothing if values are no counts, or if the scan is too small."""
    pattern = store.open_store(scan.recording)["pattern"]
    area = _area(scan, pattern.shape[2:])
    n_probes = (area[0].stop - area[0].start) * (area[1].stop - area[1].start)
    if pattern.dtype.kind not in "iu" or n_probes < FEWEST * max(scan.n_added):
        return
    margin = scan.margin
    rows, columns = (np.arange(part.start + margin, part.stop - margin) for part in area)
    number = ((rows[:, None] - margin) * scan.inner[1] + columns - margin).ravel()
    chosen = np.unique(np.linspace(0, len(number) - 1, MOST_SITES).round().astype(int))
    patches = np.stack([half[chosen] for half in _patches(scan, pattern, area)])
    valid = scan.resampling.valid(counts=scan.counts) & np.isfinite(patches)
    dataset = xr.Dataset(
        {
            "patch": (
                (HALF, PART, CHANNEL, PATCH_Y, PATCH_X),
                np.where(valid, patches, 0).astype(np.float32),
                attrs("patches from half of the electrons, on the scale of all"),
            ),
            "number": (PART, number[chosen], attrs("number of the site")),
        }
    )
    store.write_dataset(partial_store, dataset, group=GROUP)


def _area(scan: Scan, detector: tuple[int, ...]) -> tuple[slice, slice]:
    """The middle of the scan, or all of it."""
    side = min(LARGEST_SIDE, int((MOST_VALUES / np.prod(detector)) ** 0.5))
    sizes = [min(n, max(side, 1)) for n in scan.shape]
    starts = [(n - size) // 2 for n, size in zip(scan.shape, sizes, strict=True)]
    rows, columns = (slice(a, a + size) for a, size in zip(starts, sizes, strict=True))
    return rows, columns


def _patches(scan: Scan, pattern: xr.DataArray, area: tuple[slice, slice]) -> list[np.ndarray]:
    """Patches of both halves for all sites of the area (site, channel, y, x)."""
    rows, columns = area
    weights = None
    if scan.config.alike is not None:
        weights = templates_of(scan, store.open_store(scan.recording, group="maps"))
    small: list[list[np.ndarray]] = [[], []]
    numbers: list[list[np.ndarray]] = [[], []]
    for row in range(rows.start, rows.stop):
        halves = _halves(pattern[row, columns].to_numpy(), row, scan.config.deal_seed)
        for half, counts in enumerate(halves):
            here = slice(row, row + 1)
            small[half].append(onto_patches(scan, counts[None], here, first_column=columns.start))
            if weights is not None:
                moved = scan.motion.undone(counts[None], here, first_column=columns.start)
                numbers[half].append(similarity.reduced(moved, weights))
    return [_summed(scan, *both) for both in zip(small, numbers, strict=True)]


def _summed(scan: Scan, small: list[np.ndarray], numbers: list[np.ndarray]) -> np.ndarray:
    """Patches of one half, from its patterns and their numbers, row by row; without numbers neighbours are summed."""
    patterns = np.concatenate(small)
    if not numbers:
        return on_scale(scan, combined(patterns, scan.groups, margin=scan.margin))
    features = features_of_numbers(scan, np.concatenate(numbers))
    return on_scale(scan, sums_by_features(scan, features, patterns, slice(0, len(patterns))))


def _halves(counts: np.ndarray, row: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Both halves of the electrons of a row (column, k_y, k_x), each counted twice, so that their mean is the whole."""
    counts = counts.astype(np.int64)
    first = np.random.default_rng([seed, row, 2]).binomial(counts, 0.5)
    return 2 * first, 2 * (counts - first)


def remarks_on_halves(scan: Scan) -> list[str]:
    """A line where standard deviations do not come from all probes, or not from two halves of the electrons."""
    pattern = store.open_store(scan.recording)["pattern"]
    if pattern.dtype.kind not in "iu":
        return [
            "patterns are no counts: standard deviations of latents are those of the posterior, without the noise of summed patterns"
        ]
    rows, columns = (part.stop - part.start for part in _area(scan, pattern.shape[2:]))
    if (rows, columns) == scan.shape:
        return []
    return [
        f"standard deviations of latents are measured on the {rows} × {columns} probes in the middle of the scan; those of structures "
        "that occur only elsewhere are not reliable"
    ]
