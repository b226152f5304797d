"""Arrays as compressed text: columns of sites in 16 bit, stacks of pictures in 8 bit."""

import base64
import zlib
from collections.abc import Mapping

import numpy as np

UNKNOWN_COLUMN, UNKNOWN_PIXEL = 65535, 255
"""Codes of values that are not finite."""
NOISE_STEPS = 2.0
"""Steps of the grey scale per standard deviation of the noise."""
TAIL = 0.1
"""Percentage of the pixels of a stack beyond either end of its grey scale."""

Packed = Mapping[str, object]
"""A part of the page's data: text, numbers and names."""


def packed(raw: bytes) -> str:
    """Bytes as base64 of zlib, which every browser unpacks without a library."""
    return base64.b64encode(zlib.compress(raw, 9)).decode()


def column(values: np.ndarray) -> Packed:
    """One number per site (site,) in steps of 1/65534 of its range; `data`, `lo`, `hi`."""
    codes, low, high = _coded(values, (np.nan, np.nan), UNKNOWN_COLUMN - 1)
    return {"lo": low, "hi": high, "data": packed(codes.astype("<u2").tobytes())}


def stack(values: np.ndarray, *, bounds: tuple[float, float] | None = None) -> Packed:
    """Pictures (picture, y, x) in steps of half the noise; rows as differences to the pixel on the left.

    Args:
        values: any numbers; NaN stays unknown.
        bounds: values of the first and the last step; by default all values but the lowest and highest 0.1 %.
    """
    if bounds is None:
        known = values[np.isfinite(values)]
        low, high = np.percentile(known, (TAIL, 100 - TAIL)) if known.size else (0.0, 1.0)
        bounds = float(low), float(high)
    n_steps = _steps(values, bounds)
    codes, low, high = _coded(values, bounds, n_steps)
    codes[codes > n_steps] = UNKNOWN_PIXEL
    codes = codes.astype(np.uint8)
    differences = codes.copy()
    differences[..., 1:] = codes[..., 1:] - codes[..., :-1]
    count, height, width = values.shape
    return {
        "count": count,
        "h": height,
        "w": width,
        "lo": low,
        "step": (high - low) / n_steps,
        "data": packed(differences.tobytes()),
    }


def weights(values: np.ndarray) -> Packed:
    """Numbers (site, part) in 8 bit, every part with a range of its own."""
    low, high = values.min(axis=0), values.max(axis=0)
    step = np.where(high > low, (high - low) / 255, 1.0)
    codes = np.round((values - low) / step).astype(np.uint8)
    return {
        "parts": values.shape[1],
        "lo": low.astype(float).tolist(),
        "step": step.astype(float).tolist(),
        "data": packed(np.ascontiguousarray(codes.T).tobytes()),
    }


def numbers(values: np.ndarray) -> Packed:
    """Pictures (picture, y, x) as 32-bit numbers."""
    count, height, width = values.shape
    return {"count": count, "h": height, "w": width, "data": packed(values.astype("<f4").tobytes())}


def _coded(
    values: np.ndarray, bounds: tuple[float, float], n_steps: int
) -> tuple[np.ndarray, float, float]:
    """Codes from 0 to `n_steps`, one more where unknown; and the values of the first and the last."""
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values)
    low, high = bounds
    if np.isnan(low):
        low, high = (values[known].min(), values[known].max()) if known.any() else (0.0, 1.0)
    low, high = float(low), float(high if high > low else low + 1.0)
    codes = np.full(values.shape, n_steps + 1, dtype=np.int64)
    codes[known] = np.clip(np.round((values[known] - low) / (high - low) * n_steps), 0, n_steps)
    return codes, low, high


def _steps(values: np.ndarray, bounds: tuple[float, float]) -> int:
    """Number of steps: as many as the noise allows, 16 to 254."""
    middle = values[..., 1:-1] - (values[..., :-2] + values[..., 2:]) / 2
    known = middle[np.isfinite(middle)]
    if not known.size:
        return UNKNOWN_PIXEL - 1
    noise = 1.4826 * float(np.median(np.abs(known))) / np.sqrt(1.5)
    span = bounds[1] - bounds[0]
    most = NOISE_STEPS * span / noise if noise > 0 else np.inf
    return int(np.clip(most, 16, UNKNOWN_PIXEL - 1))
