"""The scale of patches of a scan: transforms of counts, and the values subtracted from every patch."""

import numpy as np

from invae.config import PatternsConfig
from invae.descriptors.diffraction.scan import Scan

MIN_COUNT = 0.1
"""Minimum expected count of a pixel in `pearson`: below it the weight of one electron stays constant, in the unit of the values."""


def on_scale(scan: Scan, summed: np.ndarray) -> np.ndarray:
    """Sums of patterns (…, channel, y, x) on the scale of the transform (site, channel, y, x)."""
    if scan.config.transform == "pearson":
        expected = _isotropic(mean_sum(scan), scan.config)
        scaled = (summed - expected) / np.sqrt(np.maximum(expected, MIN_COUNT * scan.unit))
    else:
        scaled = transformed(summed, scan.config.transform, unit=scan.unit) - common(scan)
    return scaled.reshape(-1, *summed.shape[-3:])


def common(scan: Scan) -> np.ndarray:
    """The values subtracted from every patch (channel, y, x): the transform of the mean pattern, or 0."""
    summed = mean_sum(scan)
    if scan.config.common == "keep" or scan.config.transform == "none":
        return np.zeros_like(summed)
    return _isotropic(transformed(summed, scan.config.transform, unit=scan.unit), scan.config)


def mean_sum(scan: Scan) -> np.ndarray:
    """The mean over the scan of the summed patterns (channel, y, x)."""
    return np.stack([number * scan.mean for number in scan.n_added])


def _isotropic(images: np.ndarray, config: PatternsConfig) -> np.ndarray:
    """Means over rotations (quarter turns of a square patch) and mirror images: they have no direction, so the difference turns with
    the pattern.
    """
    if config.grid == "polar":
        return np.broadcast_to(images.mean(-1, keepdims=True), images.shape)
    both = (images, np.flip(images, axis=-1))
    return np.mean([np.rot90(one, n, axes=(-2, -1)) for one in both for n in range(4)], axis=0)


def transformed(values: np.ndarray, transform: str, *, unit: float = 1.0) -> np.ndarray:
    """Values on the scale of a transform; values below zero count as zero, except for `none`.

    Source: Anscombe 1948, doi:10.1093/biomet/35.3-4.246, for `anscombe`, 2·√(n + ⅜).
    """
    if transform == "none":
        return values
    positive = np.maximum(values, 0)
    if transform == "sqrt":
        return np.sqrt(positive)
    return np.log1p(positive / unit) if transform == "log" else 2 * np.sqrt(positive + 0.375)
