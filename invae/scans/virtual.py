"""Virtual detectors: sums over every pattern of a scan in one pass while the pattern is in the cache.

Sums over masks are one matrix product per block of patterns: 6 masks cost little more than converting counts to float32, at 0.4 of
memcpy. Rings are sums over runs of pixels sorted by radius, which is as fast as `np.bincount` and lets other threads run.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

BLOCK_PIXELS = 1 << 17
"""Pixels converted to float32 at once: half a megabyte, which stays in a core's cache."""
STRIP_PIXELS = 1 << 15
"""Pixels of one pattern in a block; larger patterns are processed strip by strip."""
EXACT = 2.0**24
"""Whole numbers below it are exact in float32."""
BANDS = ("bf", "abf", "haadf")
MAPS = ("sum", *BANDS, "com_y", "com_x")
"""The maps of `maps_of`, each with a value per probe position."""


@dataclass(frozen=True, eq=False)
class Strip:
    """A run of a pattern's pixels, and their order by ring."""

    pixels: slice
    order: np.ndarray
    """Its valid pixels, sorted by ring."""
    starts: np.ndarray
    """Index of the first pixel of each ring in that order."""
    numbers: np.ndarray
    """Numbers of these rings."""


@dataclass(frozen=True, eq=False)
class Detectors:
    """Masks over the detector, and the origin of the centre of mass and of the radius."""

    valid: np.ndarray
    """Valid pixels (k_y, k_x)."""
    centre: tuple[float, float]
    """The optic axis [pixel]."""
    bands: Mapping[str, tuple[float, float]]
    """Inner and outer radius of each band [pixel]; the outer radius is excluded."""
    steps: tuple[float, float] = (1.0, 1.0)
    """Size of a pixel (k_y, k_x), in the units of the centre of mass."""

    @cached_property
    def weights(self) -> np.ndarray:
        """One mask per row (map, pixel): the sum, the bands, and the moments about the middle pixel.

        Masks and moments are whole numbers, so that sums of counts are exact.
        """
        y, x = np.indices(self.valid.shape)
        distance = self.distance
        rows = [np.ones_like(distance)]
        for name in BANDS:
            inner, outer = self.bands[name]
            rows.append((distance >= inner) & (distance < outer))
        rows += [y - self._middle[0], x - self._middle[1]]
        return (np.stack(rows) * self.valid).reshape(len(MAPS), -1).astype(np.float32)

    @property
    def distance(self) -> np.ndarray:
        """Distance of every pixel from the axis (k_y, k_x) [pixel]."""
        y, x = np.indices(self.valid.shape)
        return np.hypot(y - self.centre[0], x - self.centre[1])

    @cached_property
    def rings(self) -> list["Strip"]:
        """The valid pixels of every strip, sorted by ring."""
        ring = np.rint(self.distance).astype(np.intp).ravel()
        valid, strips = self.valid.ravel(), []
        for strip in _strips(ring.size):
            order = np.argsort(ring[strip], kind="stable")
            order = order[valid[strip][order]]
            numbers, starts = np.unique(ring[strip][order], return_index=True)
            strips.append(Strip(strip, order, starts, numbers))
        return strips

    @cached_property
    def ring_sizes(self) -> np.ndarray:
        """Number of valid pixels in every ring of one pixel's width, from the axis to the farthest corner."""
        ring = np.rint(self.distance).astype(np.intp)
        return np.bincount(ring[self.valid], minlength=int(ring.max()) + 1)

    @property
    def _middle(self) -> tuple[int, int]:
        return round(self.centre[0]), round(self.centre[1])

    def centre_of_mass(self, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centre of mass of every pattern (y, x) relative to the axis [units of the steps]; nan without counts."""
        total = np.where(moments[0] == 0, np.nan, moments[0])
        y, x = (
            (moments[row] / total + middle - position) * step
            for row, middle, position, step in zip(
                (-2, -1), self._middle, self.centre, self.steps, strict=True
            )
        )
        return y, x


def maps_of(
    patterns: np.ndarray, detectors: Detectors, *, threads: int = 1
) -> dict[str, np.ndarray]:
    """Sum, bands and centre of mass of every pattern (pattern,), float64, under the names in `MAPS`.

    Args:
        patterns: Numbers of any type (pattern, k_y, k_x); values that are not finite count as 0.
        detectors: Masks of that shape.
        threads: Number of threads; the values do not depend on it.
    """
    parts = _parts(len(patterns), patterns[0].size)
    with ThreadPoolExecutor(threads) as pool:
        moments = list(pool.map(lambda part: moments_of(patterns[part], detectors), parts))
    return maps_from(np.concatenate(moments, axis=1), detectors)


def maps_from(moments: np.ndarray, detectors: Detectors) -> dict[str, np.ndarray]:
    """The maps of `MAPS` from the sums under every mask (map, …)."""
    maps: dict[str, np.ndarray] = dict(zip(MAPS, moments, strict=True))
    maps["com_y"], maps["com_x"] = detectors.centre_of_mass(moments)
    return maps


def moments_of(patterns: np.ndarray, detectors: Detectors) -> np.ndarray:
    """Sums under every mask (map, pattern), float64.

    Products are in float32. Where a sum leaves the whole numbers that float32 has, its last digits would depend on the order of addition,
    and with it on the processor; such blocks are multiplied again in float64.
    """
    flat = patterns.reshape(len(patterns), -1)
    moments = np.zeros((len(MAPS), len(flat)))
    buffer = np.empty(BLOCK_PIXELS, np.float32)
    for part in _blocks(*flat.shape):
        block = finite(flat[part])
        for strip in _strips(block.shape[1]):
            counts = _as_float(block[:, strip], buffer)
            products = detectors.weights[:, strip] @ counts.T
            if products[0].max(initial=0.0) >= EXACT:
                products = detectors.weights[:, strip].astype(float) @ counts.T.astype(float)
            moments[:, part] += products
    return moments


def rings_of(patterns: np.ndarray, detectors: Detectors) -> np.ndarray:
    """Mean of the valid pixels of every ring (pattern, ring), float32; nan for rings without valid pixels."""
    flat = patterns.reshape(len(patterns), -1)
    sums = np.zeros((len(flat), len(detectors.ring_sizes)))
    buffer = np.empty(BLOCK_PIXELS, flat.dtype)
    for part in _blocks(*flat.shape):
        block = finite(flat[part])
        for strip in detectors.rings:
            if len(strip.order):
                shape = (len(block), len(strip.order))
                ordered = buffer[: shape[0] * shape[1]].reshape(shape)
                np.take(block[:, strip.pixels], strip.order, axis=1, out=ordered, mode="clip")
                sums[part, strip.numbers] += np.add.reduceat(
                    ordered, strip.starts, axis=1, dtype=_sum_type(flat.dtype)
                )
    sizes = np.where(detectors.ring_sizes, detectors.ring_sizes, np.nan)
    return (sums / sizes).astype(np.float32)


def total_and_maximum(patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum (float64) and maximum over all patterns, (k_y, k_x)."""
    flat = patterns.reshape(len(patterns), -1)
    total, highest = np.zeros(flat.shape[1]), finite(flat[:1])[0].copy()
    buffer = np.empty(BLOCK_PIXELS, np.float32)
    for part in _blocks(*flat.shape):
        block = finite(flat[part])
        np.maximum(highest, block.max(axis=0), out=highest)
        ones = np.ones(len(block), np.float32)
        for strip in _strips(block.shape[1]):
            counts = _as_float(block[:, strip], buffer)
            summed = ones @ counts
            if summed.max(initial=0.0) >= EXACT:
                summed = ones.astype(float) @ counts.astype(float)
            total[strip] += summed
    return total.reshape(patterns.shape[1:]), highest.reshape(patterns.shape[1:])


def finite(block: np.ndarray) -> np.ndarray:
    """The block with 0 for values that are not finite; the block itself if all are finite."""
    if block.dtype.kind != "f":
        return block
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(block.sum()):
            return block
    return np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)


def _as_float(block: np.ndarray, buffer: np.ndarray) -> np.ndarray:
    """The block as float32, in memory that is already in the cache."""
    counts = buffer[: block.size].reshape(block.shape)
    np.copyto(counts, block, casting="same_kind" if block.dtype.kind == "f" else "unsafe")
    return counts


def _sum_type(dtype: np.dtype) -> type:
    """The type in which the pixels of a strip are summed without overflow; 32 bit is faster where it suffices."""
    if dtype.kind in "ub":
        return np.uint32 if dtype.itemsize <= 2 else np.uint64
    return np.int64 if dtype.kind == "i" else np.float64


def _parts(n: int, n_pixels: int) -> list[slice]:
    """Parts of the patterns for threads, each of whole blocks."""
    length = 8 * _block_length(n_pixels)
    return [slice(start, min(start + length, n)) for start in range(0, n, length)]


def _blocks(n: int, n_pixels: int) -> Iterator[slice]:
    length = _block_length(n_pixels)
    return (slice(start, min(start + length, n)) for start in range(0, n, length))


def _strips(n_pixels: int) -> list[slice]:
    return [slice(start, start + STRIP_PIXELS) for start in range(0, n_pixels, STRIP_PIXELS)]


def _block_length(n_pixels: int) -> int:
    return max(1, BLOCK_PIXELS // min(n_pixels, STRIP_PIXELS))
