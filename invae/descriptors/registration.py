"""Shift between two frames: each channel and region registered by itself, then brought to agreement.

Sign: the shift from frame i to frame j is where the scan window of j lies relative to that of i, (y, x), so that
`frame_j[p] == frame_i[p + shift]`; it is what brings frame j onto frame i.
"""

from dataclasses import dataclass

import numpy as np
import scipy.fft as fft
import scipy.ndimage as ndi

LONGEST_SIDE = 400
"""Larger frames are averaged over whole pixels down to this before they are registered [px]."""
FLATTEN = 20
"""Features longer than this fraction of the frame are background: one divided by the share."""
CLIP = 4.0
"""Values beyond so many robust sd are clipped, or one dust particle decides [sd]."""
BLUR = 1.0
"""Sd of the smoothing before correlation [px]."""
LEAST_REGION = 32
"""Regions are half a frame, but not smaller than this [px]."""
AGREE = 4
"""Channels whose correlation is good within so many pixels of each other agree [px]."""
REFINE = 1.5
"""Width around the highest pixel over which the correlation is upsampled [px]."""


@dataclass(frozen=True)
class Shift:
    """The shift from one frame to another [px], (y, x)."""

    shift: np.ndarray
    """Mean over the regions, each region's being the median of the channels."""
    spread: np.ndarray
    """Sd among regions: how far the displacement is from one and the same everywhere."""
    quality: float
    """Mean correlation of the channels that agree, 0 to 1."""


@dataclass(frozen=True)
class Spectra:
    """Fourier transforms of a frame's windowed regions, complex64 (channel, region, y, x), each of unit energy or zero."""

    values: np.ndarray
    factor: int
    """Pixels of the frame per pixel of the regions."""


def spectra(channels: np.ndarray) -> Spectra:
    """What `shift_between` needs to know of a frame, from its non-switching channels (channel, y, x)."""
    factor = int(np.ceil(max(channels.shape[1:]) / LONGEST_SIDE))
    flat = np.stack([_flatten(_reduce(image, factor)) for image in channels])
    windows = [_windows(length) for length in flat.shape[1:]]
    taper = np.outer(
        *(np.hanning(stop + 2)[1:-1] for stop in (windows[0][0].stop, windows[1][0].stop))
    )
    regions = np.stack([flat[:, rows, columns] for rows in windows[0] for columns in windows[1]], 1)
    regions = (regions - regions.mean(axis=(2, 3), keepdims=True)) * taper.astype(np.float32)
    energy = np.sqrt((regions**2).sum(axis=(2, 3), keepdims=True))
    regions = np.divide(regions, energy, out=np.zeros_like(regions), where=energy > 0)
    return Spectra(fft.fft2(regions).astype(np.complex64, copy=False), factor)


def _reduce(image: np.ndarray, factor: int) -> np.ndarray:
    """Means over squares of `factor` pixels; the remainder at the end is left out."""
    if factor == 1:
        return image
    height, width = (length // factor for length in image.shape)
    squares = image[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return squares.mean(axis=(1, 3))


def _flatten(image: np.ndarray) -> np.ndarray:
    """Background and line offsets removed, outliers clipped, in robust sd, float32; zeros for a constant image."""
    finite = np.isfinite(image)
    if not finite.any():
        return np.zeros(image.shape, np.float32)
    image = np.where(finite, image, np.median(image[finite])).astype(np.float64)
    image = image - np.median(image)  # heights of 1e-7 m in float32 would lose their digits
    image = image - ndi.gaussian_filter(image, min(image.shape) / FLATTEN, truncate=3)
    for axis in (0, 1):  # scan lines may lie either way
        image = image - np.median(image, axis=axis, keepdims=True)
    spread = 1.4826 * np.median(np.abs(image))
    if not spread > 0:
        spread = image.std()
    if not spread > 0:
        return np.zeros(image.shape, np.float32)
    clipped = np.clip(image / spread, -CLIP, CLIP).astype(np.float32)
    return ndi.gaussian_filter(clipped, BLUR)


def _windows(length: int) -> list[slice]:
    """Three half-overlapping windows of half the length; one window if that would be too small."""
    size = length // 2
    if size < LEAST_REGION:
        return [slice(0, length)]
    return [slice(start, start + size) for start in (0, (length - size) // 2, length - size)]


def shift_between(
    first: Spectra, second: Spectra, *, max_shift: float, upsample: int
) -> Shift | None:
    """Shift from the first frame to the second; none if no channel correlates.

    Each channel proposes the highest point of its correlation; the proposal that all channels together support most is taken,
    and every channel and region is refined near it by the upsampled Fourier transform. An artefact that one channel locks onto
    is outvoted.

    Args:
        first: spectra of the first frame.
        second: spectra of the second frame.
        max_shift: largest believable shift [px].
        upsample: steps per pixel.
    """
    product = first.values * second.values.conj()
    surfaces = fft.ifft2(product).real
    shape = surfaces.shape[2:]
    reach = [min(int(max_shift / first.factor), length // 2 - 1) for length in shape]
    surfaces = _centred(surfaces, reach)
    coarse = _consensus(surfaces.mean(axis=1))
    if coarse is None:
        return None
    peaks, heights = _peaks_near(surfaces, coarse)
    fine = _refine(product, peaks - np.array(reach), upsample=upsample)
    return _agree(fine * first.factor, np.clip(heights, 0, None))


def _centred(surfaces: np.ndarray, reach: list[int]) -> np.ndarray:
    """Correlations with shift zero in the middle, from −reach to +reach."""
    rows, columns = (np.arange(-r, r + 1) for r in reach)
    return surfaces[:, :, rows[:, None], columns[None, :]]


def _consensus(surfaces: np.ndarray) -> np.ndarray | None:
    """Index (y, x) of the shift that the channels (channel, y, x) support together; none if nothing correlates."""
    nearby = ndi.maximum_filter(surfaces, size=(1, 2 * AGREE + 1, 2 * AGREE + 1))
    support = nearby.sum(axis=0)
    proposals = [np.unravel_index(int(np.argmax(s)), s.shape) for s in surfaces]
    best = max(proposals, key=lambda place: support[place])
    return np.array(best) if support[best] > 0 else None


def _peaks_near(surfaces: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Highest pixel of each surface within `AGREE` pixels of the centre: indices (…, 2) and heights (…)."""
    starts = np.maximum(centre - AGREE, 0)
    part = surfaces[:, :, starts[0] : centre[0] + AGREE + 1, starts[1] : centre[1] + AGREE + 1]
    flat = part.reshape(*part.shape[:2], -1)
    place = flat.argmax(axis=2)
    index = np.stack(np.unravel_index(place, part.shape[2:]), axis=-1) + starts
    return index, np.take_along_axis(flat, place[..., None], axis=2)[..., 0]


def _refine(product: np.ndarray, peaks: np.ndarray, *, upsample: int) -> np.ndarray:
    """Sub-pixel position of the highest point near each whole-pixel peak (channel, region, 2) [px].

    Source: Guizar-Sicairos, Thurman & Fienup 2008, doi:10.1364/OL.33.000156, section 2 (matrix-multiply Fourier transform).
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


def _agree(shifts: np.ndarray, weights: np.ndarray) -> Shift | None:
    """The regions' median over channels, then their weighted mean; from (channel, region, 2) and (channel, region)."""
    totals = weights.sum(axis=0)
    used = totals > 0
    if not used.any():
        return None
    regions = np.array(
        [
            [_weighted_median(shifts[:, r, axis], weights[:, r]) for axis in (0, 1)]
            for r in np.flatnonzero(used)
        ]
    )
    share = totals[used] / totals.sum()
    mean = share @ regions
    spread = np.sqrt(share @ (regions - mean) ** 2)
    return Shift(mean, spread, float(totals[used].mean() / len(weights)))


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value at half the total weight, interpolated, so that two equal values give their mean."""
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    middle = np.cumsum(weights) - weights / 2
    return float(np.interp(weights.sum() / 2, middle, values))
