"""Shift between two frames: channels and regions are registered separately and then combined.

Sign: the shift from frame i to frame j is the position of the scan window of j relative to that of
i, (y, x), so that `frame_j[p] == frame_i[p + shift]`; it maps frame j onto frame i.
"""

from dataclasses import dataclass

import numpy as np
import scipy.fft as fft
import scipy.ndimage as ndi
from scipy.signal.windows import tukey

LONGEST_SIDE = 400
"""Larger frames are binned down to this size before registration [px]."""
FLATTEN = 20
"""Features longer than the frame divided by this are background."""
CLIP = 4.0
"""Values beyond so many robust sd are clipped, so that a single dust particle does not dominate [sd]."""
BLUR = 1.0
"""Sd of the smoothing before correlation [px]."""
MOST_REGIONS = 3
"""Parts into which each axis is cut. They do not overlap, so every part of the frame counts the
same."""
LEAST_REGION = 32
"""Smallest side of a region that is registered separately [px]."""
FLAT_TOP = 0.5
"""Share of a region over which its window function decreases."""
REACH = 6
"""Largest difference between the shift of a region and of the whole frame: scanners drift while they
scan [px]."""
FAR, LEAST_FAR = 8.0, 0.5
"""Regions are left out whose shift is so many robust sd, and at least so many pixels, from the median."""
LEAST_SPREAD = 0.03
"""Sd among regions that is always assumed: the step of the upsampled correlation [px]."""
REFINE = 1.5
"""Width around the highest pixel over which the correlation is upsampled [px]."""


@dataclass(frozen=True)
class Shift:
    """The shift from one frame to another [px], by channel; NaN where a channel has none."""

    shift: np.ndarray
    """Mean over regions (channel, axis), (y, x)."""
    spread: np.ndarray
    """Sd among regions (channel, axis), a measure of the distortion."""
    error: np.ndarray
    """Standard error of the mean over regions (channel, axis)."""
    quality: np.ndarray
    """Mean correlation of the regions (channel), 0 to 1."""


@dataclass(frozen=True)
class Prepared:
    """A frame prepared for correlation."""

    flat: np.ndarray
    """Channels without background and line offsets, float32 (channel, y, x)."""
    spectrum: np.ndarray
    """Fourier transforms of the windowed whole frame, of unit energy or zero (channel, y, x)."""
    factor: int
    """Binning: pixels of the recording per pixel."""


def prepare(channels: np.ndarray) -> Prepared:
    """Prepare a frame for `shift_between`, from its non-switching channels (channel, y, x)."""
    factor = binning(channels.shape[1:])
    flat = np.stack([_flatten(_reduce(image, factor)) for image in channels])
    return Prepared(flat, _spectra(flat), factor)


def binning(shape: tuple[int, ...]) -> int:
    """Pixels of the recording per pixel of the registered frames, along each axis."""
    return int(np.ceil(max(shape) / LONGEST_SIDE))


def _reduce(image: np.ndarray, factor: int) -> np.ndarray:
    """Means over squares of `factor` pixels; the remainder at the end is dropped."""
    if factor == 1:
        return image
    height, width = (length // factor for length in image.shape)
    squares = image[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return squares.mean(axis=(1, 3))


def _flatten(image: np.ndarray) -> np.ndarray:
    """Background and line offsets removed, outliers clipped, in robust sd, float32; zeros for a
    constant image.
    """
    finite = np.isfinite(image)
    if not finite.any():
        return np.zeros(image.shape, np.float32)
    image = np.where(finite, image, np.median(image[finite])).astype(np.float64)
    image = image - np.median(image)  # heights of 1e-7 m would lose digits in float32
    image = image - ndi.gaussian_filter(image, min(image.shape) / FLATTEN, truncate=3)
    for axis in (0, 1):  # scan lines may be rows or columns
        image = image - np.median(image, axis=axis, keepdims=True)
    spread = 1.4826 * np.median(np.abs(image))
    if not spread > 0:
        spread = image.std()
    if not spread > 0:
        return np.zeros(image.shape, np.float32)
    clipped = np.clip(image / spread, -CLIP, CLIP).astype(np.float32)
    return ndi.gaussian_filter(clipped, BLUR)


def _spectra(images: np.ndarray) -> np.ndarray:
    """Fourier transforms of windowed images (…, y, x), each of unit energy, or zero for a constant
    one.
    """
    taper = np.outer(*(tukey(length + 2, FLAT_TOP)[1:-1] for length in images.shape[-2:]))
    windowed = (images - images.mean(axis=(-2, -1), keepdims=True)) * taper.astype(np.float32)
    energy = np.sqrt((windowed**2).sum(axis=(-2, -1), keepdims=True))
    unit = np.divide(windowed, energy, out=np.zeros_like(windowed), where=energy > 0)
    return np.asarray(fft.fft2(unit))


def shift_between(
    first: Prepared, second: Prepared, *, max_shift: float, upsample: int
) -> Shift | None:
    """Shift from the first frame to the second; None if no channel correlates.

    Every channel takes the peak of its own correlation; which channels are right follows from the whole
    series (`channel_weights`). Then the common part of the sample is divided into regions, at the same
    sample positions in both frames, and the shift is refined in every region. Without the second step
    the estimate is biased towards zero, because the windows contain different features.

    Args:
        first: the first frame.
        second: the second frame.
        max_shift: largest plausible shift [px].
        upsample: steps per pixel.
    """
    reach = np.minimum(int(max_shift / first.factor), np.array(first.flat.shape[1:]) // 2 - 1)
    surfaces = np.real(np.asarray(fft.ifft2(first.spectrum * second.spectrum.conj())))
    coarse, _ = _peaks(_centred(surfaces, reach), reach)
    n_channels = len(first.flat)
    mean, spread, error = (np.full((n_channels, 2), np.nan) for _ in range(3))
    quality = np.zeros(n_channels)
    for place in np.unique(coarse, axis=0):
        channels = np.flatnonzero((coarse == place).all(1))
        fine, heights = _regional(first, second, channels, place, upsample=upsample)
        for channel, shifts, height in zip(channels, fine * first.factor, heights, strict=True):
            if height.any():
                mean[channel], spread[channel], error[channel] = _over_regions(shifts, height)
                quality[channel] = height.mean()
    return Shift(mean, spread, error, quality) if quality.any() else None


def _regional(
    first: Prepared, second: Prepared, channels: np.ndarray, coarse: np.ndarray, *, upsample: int
) -> tuple[np.ndarray, np.ndarray]:
    """Shifts of regions (channel, region, axis) near a whole-pixel shift, and their correlations, at least 0."""
    here, there = first.flat[channels], second.flat[channels]
    product = _spectra(_regions(here, coarse)) * _spectra(_regions(there, -coarse)).conj()
    near = np.minimum(REACH, np.array(product.shape[2:]) // 2 - 1)
    surfaces = _centred(np.real(np.asarray(fft.ifft2(product))), near)
    peaks, heights = _peaks(surfaces, near)
    return coarse + _refine(product, peaks, upsample=upsample), np.clip(heights, 0, None)


def _centred(surfaces: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Correlations (…, y, x) with shift zero in the middle, from −reach to +reach."""
    rows, columns = (np.arange(-r, r + 1) for r in reach)
    return surfaces[..., rows[:, None], columns[None, :]]


def _regions(flat: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Regions of the common part of both frames, (channel, region, y, x), in the frame from which the
    other one has the given `shift`.
    """
    rows, columns = (
        _windows(length, offset) for length, offset in zip(flat.shape[1:], shift, strict=True)
    )
    return np.stack([flat[:, row, column] for row in rows for column in columns], axis=1)


def _windows(length: int, offset: int) -> list[slice]:
    """Equal parts of a side, distributed over its overlap with a frame at `offset`."""
    start, shared = max(0, int(offset)), length - abs(int(offset))
    n_parts = max(1, min(MOST_REGIONS, length // LEAST_REGION))
    size = min(length // n_parts, shared)
    places = np.linspace(0, shared - size, n_parts).astype(int)
    return [slice(start + place, start + place + size) for place in places]


def _peaks(surfaces: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole-pixel shift (…, 2) of the highest point of each centred surface (…, y, x), and its
    height (…).
    """
    flat = surfaces.reshape(*surfaces.shape[:-2], -1)
    place = flat.argmax(axis=-1)
    shifts = np.stack(np.unravel_index(place, surfaces.shape[-2:]), axis=-1) - reach
    return shifts, np.take_along_axis(flat, place[..., None], axis=-1)[..., 0]


def _refine(product: np.ndarray, peaks: np.ndarray, *, upsample: int) -> np.ndarray:
    """Sub-pixel position of the highest point near each whole-pixel peak (channel, region, 2) [px].

    Source: Guizar-Sicairos, Thurman & Fienup 2008, doi:10.1364/OL.33.000156, section 2
    (matrix-multiply Fourier transform).
    """
    half = int(np.ceil(REFINE * upsample / 2))
    offsets = np.arange(-half, half + 1) / upsample
    rows = peaks[..., 0, None] + offsets
    columns = peaks[..., 1, None] + offsets
    k_rows, k_columns = (fft.fftfreq(length).astype(np.float32) for length in product.shape[2:])
    left = np.exp(2j * np.pi * rows[..., :, None] * k_rows).astype(np.complex64)
    right = np.exp(2j * np.pi * columns[..., None, :] * k_columns[:, None]).astype(np.complex64)
    upsampled = (left @ product @ right).real
    place = upsampled.reshape(*upsampled.shape[:2], -1).argmax(axis=2)
    index = np.stack(np.unravel_index(place, upsampled.shape[2:]), axis=-1)
    return peaks + offsets[index]


def _over_regions(
    shifts: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted mean over regions, sd among them, and standard error of the mean (axis), from shifts (region, axis) [px].

    Regions far from the others have no weight: something moves there, or the correlation has found another peak.
    """
    middle = np.median(shifts[weights > 0], axis=0)
    distance = np.abs(shifts - middle)
    allowed = np.maximum(FAR * 1.4826 * np.median(distance[weights > 0], axis=0), LEAST_FAR)
    share = np.where((distance <= allowed).all(1), weights, 0.0)
    share = share / share.sum()
    mean = share @ shifts
    spread = np.sqrt(share @ (shifts - mean) ** 2)
    n = 1 / (share**2).sum()
    return mean, spread, np.maximum(spread, LEAST_SPREAD) / np.sqrt(max(n - 1, 1))
