"""Features of the patterns of a scan in bounded memory: principal components of coarse patterns."""

from collections.abc import Callable, Iterator

import numpy as np

from invae.analysis.grains.regions import Features

COARSE = 24
"""Side of a coarse pattern [px]: about one disc per pixel, so that a pixel has electrons enough for a square root."""
N_COMPONENTS = 32

Blocks = Callable[[], Iterator[tuple[slice, np.ndarray]]]
"""Rows of the scan, and their patterns (row, column, y, x); every call starts again."""


def features_of(blocks: Blocks, shape: tuple[int, int], *, valid: np.ndarray) -> Features:
    """Principal components of the square roots of coarse patterns (row, column, component).

    Args:
        blocks: patterns of the scan.
        shape: of the scan (row, column).
        valid: bool (y, x).
    """
    total, products, number = 0.0, 0.0, 0
    for _, patterns in blocks():
        values = _coarse(patterns, valid)
        total, products, number = total + values.sum(0), products + values.T @ values, number + len(values)  # fmt: skip
    mean = np.asarray(total) / number
    _, vectors = np.linalg.eigh(np.asarray(products) / number - np.outer(mean, mean))
    directions = vectors[:, ::-1][:, : min(N_COMPONENTS, number - 1)]
    features = np.empty((*shape, directions.shape[1]))
    for rows, patterns in blocks():
        features[rows] = ((_coarse(patterns, valid) - mean) @ directions).reshape(-1, shape[1], directions.shape[1])  # fmt: skip
    return features


def _coarse(patterns: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Square roots of sums over coarse pixels (probe, pixel).

    Source: Anscombe 1948, doi:10.1093/biomet/35.3-4.246.
    """
    side = min(COARSE, patterns.shape[-1])
    edges = [np.arange(side) * n // side for n in patterns.shape[-2:]]
    used = np.where(valid, patterns, 0).astype(np.float64)
    sums = np.add.reduceat(np.add.reduceat(used, edges[0], axis=-2), edges[1], axis=-1)
    return 2 * np.sqrt(np.maximum(sums, 0) + 0.375).reshape(-1, side * side)
