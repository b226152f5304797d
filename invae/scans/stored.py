"""Virtual images of a scan that lies in a store, by other detectors than those of its ingest."""

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
"""Patterns that are decompressed at once: they are still in the cache when they are added up."""


def maps_of_store(
    recording: Path, detectors: Detectors, *, threads: int = 1
) -> dict[str, np.ndarray]:
    """Sum, bands and centre of mass of every pattern (scan_y, scan_x), float64, under the names in `virtual.MAPS`.

    Every pattern is decompressed once, some chunks at a time; memory holds those of each thread.

    Args:
        recording: A recording.zarr.
        detectors: Masks over its detector.
        threads: How many share the work; the values do not depend on it.

    Raises:
        StoreError: If it holds no patterns.
    """
    found = store.open_group(recording, mode="r").get(PATTERN)
    if not isinstance(found, zarr.Array) or found.ndim != 4:
        raise StoreError(
            f"{recording}: holds no patterns (scan_y, scan_x, k_y, k_x); ingest a scan"
        )
    array = found
    moments = np.empty((len(MAPS), *array.shape[:2]))

    def look(part: tuple[slice, slice]) -> None:
        patterns = np.asarray(array[part])
        flat = patterns.reshape(-1, *array.shape[2:])
        moments[(slice(None), *part)] = moments_of(flat, detectors).reshape(-1, *patterns.shape[:2])

    rows, columns = array.chunks[:2]
    chunk_bytes = math.prod(array.chunks) * array.dtype.itemsize
    across = columns * max(1, int(READ_BYTES // chunk_bytes))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(look, store.tiles(array.shape[:2], (rows, across))))
    return maps_from(moments, detectors)
