"""The effect of a thin sample on a convergent beam: a phase proportional to its projected potential."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

REST_ENERGY = 510.999
"""Rest energy of the electron [keV]."""
FINEST_ANGLE = 2.5
"""Largest angle between samples of a pattern [mrad]; it determines the width of the window around the probe."""
WIDEST_ANGLE = 220.0
"""Largest angle of represented waves [mrad]: the narrowest term of carbon's static potential has decayed to 13 % there."""
VOLT_AREA = 47.878
"""Projected potential over scattering amplitude, h²/(2π m e) = 2π · 14.3996 V Å · Bohr radius [V Å²/Å], for the electron at rest."""
SPECIES = ("carbon", "silicon")
"""Names of the species by their index."""
AMPLITUDE = np.array(
    [[0.0893, 0.2563, 0.7570, 1.0487, 0.3575], [0.2519, 0.6372, 1.3795, 2.5082, 1.0500]]
)
"""Terms of the scattering amplitude Σ a exp(-b s²), s = sin(θ)/λ: a [Å] of every species.

Source: Peng et al. 1996, doi:10.1107/S0108767395014371, the fit to neutral atoms for s up to 2/Å.
"""
WIDTH = np.array(
    [[0.2465, 1.7100, 6.4094, 18.6113, 50.2523], [0.3075, 2.0174, 9.6746, 29.3744, 80.4732]]
)
"""b [Å²] of the same terms."""


@dataclass(frozen=True)
class Potential:
    """A sum of Gaussian projected potentials."""

    positions: np.ndarray
    """(term, axis) [nm]."""
    peak: np.ndarray
    """(term,) [V Å]."""
    sd: np.ndarray
    """(term,) [nm]."""

    @classmethod
    def of_atoms(cls, positions: np.ndarray, species: np.ndarray, *, vibration: float) -> Self:
        """The potential of atoms at positions (atom, axis) [nm], blurred by their vibration along an axis [nm].

        Source: the transform of Σ a exp(-b s²), with the Debye-Waller factor B = 8π²u² added to b (Kirkland 2010, ch. 5).
        """
        width = WIDTH[species] + 8 * np.pi**2 * (10 * vibration) ** 2
        peak = VOLT_AREA * AMPLITUDE[species] * 4 * np.pi / width
        sd = np.sqrt(width / 8) / np.pi / 10
        return cls(np.repeat(positions, width.shape[1], axis=0), peak.ravel(), sd.ravel())

    def on_grid(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Values (y, x) [V Å] at positions along both axes [nm]."""
        rows, columns = (
            np.exp(-(((axis - centre[:, None]) / self.sd[:, None]) ** 2) / 2).astype(np.float32)
            for axis, centre in zip((y, x), self.positions.T, strict=True)
        )
        return (rows * self.peak[:, None].astype(np.float32)).T @ columns


@dataclass(frozen=True)
class Optics:
    """A probe without aberrations, and a square detector around the optic axis."""

    beam_energy: float
    """[keV]"""
    convergence: float
    """[mrad]"""
    n_k: int
    k_max: float
    """[mrad]"""

    @property
    def wavelength(self) -> float:
        """Wavelength of the electrons [nm]. Source: Kirkland 2010, doi:10.1007/978-1-4419-6533-2, eq. 2.5."""
        return 1.239842 / math.sqrt(self.beam_energy * (2 * REST_ENERGY + self.beam_energy))

    @property
    def interaction(self) -> float:
        """Phase per projected potential [rad/(V Å)]. Source: Kirkland 2010, eq. 5.6."""
        relativistic = (REST_ENERGY + self.beam_energy) / (2 * REST_ENERGY + self.beam_energy)
        return 2 * math.pi * relativistic / (10 * self.wavelength * 1e3 * self.beam_energy)

    @property
    def k(self) -> np.ndarray:
        """Centres of the detector's pixels along a side [mrad]."""
        return _centres(self.n_k, self.k_max)

    @property
    def oversampling(self) -> int:
        """Number of samples along the side of a detector pixel."""
        return math.ceil(2 * self.k_max / self.n_k / FINEST_ANGLE)

    @property
    def sampling(self) -> float:
        """Angle between samples of a pattern [mrad]."""
        return 2 * self.k_max / (self.n_k * self.oversampling)

    @property
    def window(self) -> float:
        """Side of the window around the probe [nm]."""
        return self.wavelength / (1e-3 * self.sampling)

    @property
    def n_pixels(self) -> int:
        """Number of pixels along the side of the window."""
        return 2 * math.ceil(WIDEST_ANGLE / self.sampling)

    @property
    def pixel(self) -> float:
        """Side of a pixel of the window [nm]."""
        return self.window / self.n_pixels

    @cached_property
    def aperture(self) -> np.ndarray:
        """Amplitudes in the aperture (k_y, k_x) with a sum of squares of 1; the edge of its disc is one sample wide."""
        beyond = (
            np.hypot(self.aperture_angles[:, None], self.aperture_angles) - self.convergence
        ) / self.sampling
        amplitude = np.sqrt(np.clip(0.5 - beyond, 0, 1))
        return (amplitude / np.linalg.norm(amplitude)).astype(np.float32)

    @property
    def aperture_angles(self) -> np.ndarray:
        """Angles of the aperture's samples along a side [mrad]."""
        reach = math.ceil(self.convergence / self.sampling) + 1
        return _centres(2 * reach, reach * self.sampling)

    def waves(self, angles: np.ndarray, x: np.ndarray) -> np.ndarray:
        """exp(-2πi angle x/λ) (..., angle, x) for angles [mrad] and positions (..., x) [nm]."""
        turns = 1e-3 * angles[:, None] * x[..., None, :] / self.wavelength
        return np.exp(-2j * np.pi * turns).astype(np.complex64)

    def detected(self, exit_waves: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Fraction of the electrons in every detector pixel (probe, k_y, k_x).

        Args:
            exit_waves: Waves behind the sample (probe, y, x) with a sum of squares of 1.
            y: Positions of the rows [nm], in equal steps.
            x: Positions of the columns [nm], in equal steps.
        """
        angles = _centres(self.n_k * self.oversampling, self.k_max)
        samples = self.waves(angles, y) @ exit_waves @ self.waves(angles, x).T
        # the independent samples of a wave of n pixels, a step apart, are λ/(n step) apart
        density = (1e-3 * self.sampling / self.wavelength) ** 2 * (y[1] - y[0]) * (x[1] - x[0])
        split = (len(samples), self.n_k, self.oversampling, self.n_k, self.oversampling)
        return density * (np.abs(samples) ** 2).reshape(split).sum((2, 4))


def patterns(probes: np.ndarray, potential: Potential, optics: Optics) -> np.ndarray:
    """Expected fraction of the electrons in every detector pixel (probe, k_y, k_x), for probes [nm] (probe, axis).

    Source: Kirkland 2010, eqs. 5.25-5.27: |FT(probe · exp(i σ V))|².
    """
    n, pixel = optics.n_pixels, optics.pixel
    corners = np.round(probes / pixel).astype(int) - n // 2
    low, size = corners.min(0), np.ptp(corners, axis=0) + n
    y, x = (pixel * (start + np.arange(length)) for start, length in zip(low, size, strict=True))
    phase = np.exp(1j * optics.interaction * potential.on_grid(y, x))
    transmitted = np.stack([phase[top : top + n, left : left + n] for top, left in corners - low])
    window = pixel * np.arange(n)
    rows, columns = (
        optics.waves(optics.aperture_angles, window - offset[:, None]).conj()
        for offset in (probes - pixel * corners).T
    )
    probe = np.swapaxes(rows, 1, 2) @ optics.aperture @ columns / n
    return optics.detected(probe * transmitted, window, window)


def centre_of_mass(shares: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Centres of mass (axis, ...) of patterns (..., k_y, k_x), in the units of k."""
    total = shares.sum((-2, -1), dtype=float)
    return np.stack((shares.sum(-1, dtype=float) @ k, shares.sum(-2, dtype=float) @ k)) / total


def _centres(n: int, reach: float) -> np.ndarray:
    """Centres of n pixels between -reach and reach."""
    return (np.arange(n) - (n - 1) / 2) * (2 * reach / n)
