"""From the lock-in phase to the sign of the polarization."""

import numpy as np
import scipy.ndimage as ndi

N_BINS = 720
MODE_SD = 10.0
"""Sd of the smoothing before the mode of the doubled angle is determined [degree]."""
REACH = np.deg2rad(60.0)
"""Range around the mode over which the doubled angle is averaged [rad]: lost stripes lie outside."""


def doubled_angle_histogram(response: np.ndarray) -> np.ndarray:
    """Summed amplitude at each doubled phase angle 2φ, in 720 bins of the circle.

    Histograms of several frames can be added.

    Args:
        response: complex response A·exp(iφ), any shape; values that are not finite are left out.
    """
    response = response[np.isfinite(response)]
    turns = np.angle(response.astype(np.complex128) ** 2) / (2 * np.pi) % 1.0
    bins = np.minimum((turns * N_BINS).astype(np.int64), N_BINS - 1)
    return np.bincount(bins, weights=np.abs(response), minlength=N_BINS)


def phase_offset(histogram: np.ndarray) -> float:
    """The instrumental phase φ₀ of the up and down domains, in (−π/2, π/2] [rad].

    Up and down lie at φ₀ and φ₀ + π, so the doubled angle has one mode; it is averaged around that
    mode. The phase does not determine which of the two is up: the branch within a quarter turn of
    zero is chosen.
    """
    if not histogram.any():
        return 0.0
    centres = (np.arange(N_BINS) + 0.5) * 2 * np.pi / N_BINS
    smooth = ndi.gaussian_filter1d(histogram, MODE_SD * N_BINS / 360, mode="wrap")
    mode = centres[int(np.argmax(smooth))]
    away = np.angle(np.exp(1j * (centres - mode)))
    weight = histogram * (np.abs(away) < REACH)
    doubled = mode + np.angle(np.sum(weight * np.exp(1j * away)))
    return float(-((-doubled / 2 + np.pi / 2) % np.pi - np.pi / 2))


def in_phase(response: np.ndarray, *, offset: float, flip: bool = False) -> np.ndarray:
    """The signed response A·cos(φ − φ₀), in the unit of the amplitude, float32."""
    turned = response * np.exp(-1j * np.complex64(offset))
    return -turned.real if flip else turned.real


def alignment(response: np.ndarray, *, offset: float) -> np.ndarray:
    """Alignment cos 2(φ − φ₀) of every pixel: 1 on the up-down axis, −1 across it, NaN if not
    measured.
    """
    size = np.abs(response)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (response * np.exp(-1j * np.complex64(offset))).real / size
    return 2 * cosine**2 - 1


def amplitude_scale(polarization: np.ndarray, valid: np.ndarray) -> float:
    """Typical amplitude of the signed response: median absolute value over valid pixels; NaN without
    any.
    """
    believed = np.abs(polarization[valid])
    return float(np.median(believed)) if believed.size else float("nan")
