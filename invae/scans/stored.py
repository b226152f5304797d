"""Virtual images of a stored scan, with other detectors than at its ingest."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import zarr

from invae.errors import StoreError
from invae.scans.virtual import MAPS, Detectors, maps_from, moments_of
from invae.storage import store

PATTERN = "pattern"
READ_BYTES = 8e6
"""Size of the patterns decompressed at once, which are still in the cache when they are summed [bytes]."""


def maps_of_store(
    recording: Path, detectors: Detectors, *, threads: int = 1
) -> dict[str, np.ndarray]:
    """Sum, bands and centre of mass of every pattern (scan_y, scan_x), float64, under the names in `virtual.MAPS`.

    Every pattern is decompressed once, some chunks at a time; memory holds those of each thread.

    Args:
        recording: A recording.zarr.
        detectors: Masks over its detector.
        threads: Number of threads; the values do not depend on it.

    Raises:
        StoreError: If it holds no patterns.
    """
    array = store.open_group(recording, mode="r").get(PATTERN)
    if not isinstance(array, zarr.Array) or array.ndim != 4:
        raise StoreError(
            f"{recording}: holds no patterns (scan_y, scan_x, k_y, k_x); ingest a scan"
        )
    moments = _moments(array, detectors, threads=threads)
    return maps_from(moments, detectors)


def _moments(array: zarr.Array, detectors: Detectors, *, threads: int) -> np.ndarray:
    """Sums under every mask (map, scan_y, scan_x)."""
    moments = np.empty((len(MAPS), *array.shape[:2]))

    def sum_part(part: tuple[slice, slice]) -> None:
        patterns = np.asarray(array[part])
        flat = patterns.reshape(-1, *array.shape[2:])
        moments[(slice(None), *part)] = moments_of(flat, detectors).reshape(-1, *patterns.shape[:2])

    rows, columns = array.chunks[:2]
    chunk_bytes = math.prod(array.chunks) * array.dtype.itemsize
    width = columns * max(1, int(READ_BYTES // chunk_bytes))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(sum_part, store.tiles(array.shape[:2], (rows, width))))
    return moments
