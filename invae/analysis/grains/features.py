"""Features of the patterns of a scan in bounded memory: principal components of coarse patterns."""

from collections.abc import Callable, Iterator

import numpy as np

from invae.analysis.grains.regions import Features

COARSE = 24
"""Side of a coarse pattern [px]: about one disc per pixel, so that a pixel has electrons enough for a square root."""
N_COMPONENTS = 32

Blocks = Callable[[], Iterator[tuple[slice, np.ndarray]]]
"""Rows of the scan, and their patterns (row, column, y, x); every call starts again."""


def features_of(
    blocks: Blocks, shape: tuple[int, int], *, valid: np.ndarray, displaced: np.ndarray | None
) -> Features:
    """Principal components of the square roots of coarse patterns (row, column, component).

    Args:
        blocks: patterns of the scan.
        shape: of the scan (row, column).
        valid: bool (y, x).
        displaced: displacement of every pattern (row, column, axis) [px]; None if all are centred.
    """
    displaced = np.zeros((*shape, 2)) if displaced is None else displaced
    total, products, number = 0.0, 0.0, 0
    for rows, patterns in blocks():
        values = _coarse(patterns, valid, displaced[rows])
        total, products, number = total + values.sum(0), products + values.T @ values, number + len(values)  # fmt: skip
    mean = np.asarray(total) / number
    _, vectors = np.linalg.eigh(np.asarray(products) / number - np.outer(mean, mean))
    directions = vectors[:, ::-1][:, : min(N_COMPONENTS, number - 1)]
    features = np.empty((*shape, directions.shape[1]))
    for rows, patterns in blocks():
        features[rows] = ((_coarse(patterns, valid, displaced[rows]) - mean) @ directions).reshape(-1, shape[1], directions.shape[1])  # fmt: skip
    return features


def _coarse(patterns: np.ndarray, valid: np.ndarray, displaced: np.ndarray) -> np.ndarray:
    """Square roots of sums over coarse pixels that move with the pattern (probe, pixel).

    Source: Anscombe 1948, doi:10.1093/biomet/35.3-4.246.
    """
    side = min(COARSE, patterns.shape[-1])
    used = np.where(valid, patterns, 0).astype(np.float64).reshape(-1, *patterns.shape[-2:])
    shift = displaced.reshape(-1, 2)
    sums = _sums(used, side, shift[:, 1])
    sums = _sums(sums.swapaxes(1, 2), side, shift[:, 0]).swapaxes(1, 2)
    return 2 * np.sqrt(np.maximum(sums, 0) + 0.375).reshape(-1, side * side)


def _sums(values: np.ndarray, side: int, shift: np.ndarray) -> np.ndarray:
    """Sums along the last axis between edges that are shifted (probe, …, side); a pixel on an edge is divided."""
    n = values.shape[-1]
    edges = np.append(np.arange(side) * n // side, n) + shift[:, None]
    edges = np.clip(edges, 0, n)
    low = np.minimum(edges.astype(int), n - 1)
    part = (edges - low)[:, None]
    up_to = np.pad(np.cumsum(values, axis=-1), ((0, 0), (0, 0), (1, 0)))
    at = np.broadcast_to(low[:, None], (*values.shape[:-1], side + 1))
    total = np.take_along_axis(up_to, at, -1) + part * np.take_along_axis(values, at, -1)
    return np.diff(total, axis=-1)
