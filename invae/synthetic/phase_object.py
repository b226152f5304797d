"""What a thin sample does to a convergent beam: a phase proportional to its projected potential."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

REST_ENERGY = 510.999
"""Of the electron [keV]."""
FINEST_ANGLE = 2.5
"""Largest angle between samples of a pattern [mrad]; the window around the probe is as wide as it demands."""
WIDEST_ANGLE = 110.0
"""Angle up to which waves are represented [mrad]; beyond it carbon scatters less than 1e-4."""


@dataclass(frozen=True)
class Atoms:
    """Gaussian projected potentials."""

    places: np.ndarray
    """(atom, axis) [nm]."""
    peak: np.ndarray
    """(atom,) [V Å]."""
    sd: np.ndarray
    """(atom,) [nm]."""


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
        """Of the electrons [nm]. Source: Kirkland 2010, doi:10.1007/978-1-4419-6533-2, eq. 2.5."""
        return 1.239842 / math.sqrt(self.beam_energy * (2 * REST_ENERGY + self.beam_energy))

    @property
    def interaction(self) -> float:
        """Phase of a projected potential [rad/(V Å)]. Source: Kirkland 2010, eq. 5.6."""
        relativistic = (REST_ENERGY + self.beam_energy) / (2 * REST_ENERGY + self.beam_energy)
        return 2 * math.pi * relativistic / (10 * self.wavelength * 1e3 * self.beam_energy)

    @property
    def k(self) -> np.ndarray:
        """Middles of the detector's pixels along a side [mrad]."""
        return _middles(self.n_k, self.k_max)

    @property
    def finer(self) -> int:
        """Samples along the side of a detector pixel."""
        return math.ceil(2 * self.k_max / self.n_k / FINEST_ANGLE)

    @property
    def sampling(self) -> float:
        """Angle between samples of a pattern [mrad]."""
        return 2 * self.k_max / (self.n_k * self.finer)

    @property
    def window(self) -> float:
        """Side of the window around the probe [nm]."""
        return self.wavelength / (1e-3 * self.sampling)

    @cached_property
    def x(self) -> np.ndarray:
        """Places of the window's pixels from the probe [nm]."""
        n_pixels = 2 * math.ceil(WIDEST_ANGLE / self.sampling)
        return _middles(n_pixels, self.window / 2)

    @cached_property
    def transform(self) -> np.ndarray:
        """From the window's pixels to samples of the pattern (sample, pixel), unitary."""
        angles = 1e-3 * _middles(self.n_k * self.finer, self.k_max)
        return self._waves(angles)

    @cached_property
    def probe(self) -> np.ndarray:
        """The probe in the window (pixel, pixel), sum of squares 1; the edge of its disc is one sample wide."""
        reach = math.ceil(self.convergence / self.sampling) + 1
        angles = _middles(2 * reach, reach * self.sampling)
        beyond = (np.hypot(angles[:, None], angles) - self.convergence) / self.sampling
        aperture = np.sqrt(np.clip(0.5 - beyond, 0, 1))
        waves = self._waves(1e-3 * angles)
        probe = waves.conj().T @ aperture @ waves.conj()
        return (probe / np.linalg.norm(probe)).astype(np.complex64)

    def _waves(self, angles: np.ndarray) -> np.ndarray:
        waves = np.exp(-2j * np.pi * np.outer(angles, self.x) / self.wavelength)
        return (waves / math.sqrt(len(self.x))).astype(np.complex64)


def patterns(probes: np.ndarray, atoms: Atoms, optics: Optics) -> np.ndarray:
    """Share of the electrons expected in every detector pixel (probe, k_y, k_x), for probes [nm] (probe, axis).

    Source: Kirkland 2010, eqs. 5.25-5.27: |FT(probe · exp(i σ V))|².
    """
    transmitted = optics.probe * np.exp(1j * optics.interaction * _potential(probes, atoms, optics))
    samples = optics.transform @ transmitted @ optics.transform.T
    shares = np.abs(samples) ** 2
    split = (len(probes), optics.n_k, optics.finer, optics.n_k, optics.finer)
    return shares.reshape(split).sum((2, 4))


def centre_of_mass(shares: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Centres of mass (axis, ...) of patterns (..., k_y, k_x), in the units of k."""
    total = shares.sum((-2, -1), dtype=float)
    return np.stack((shares.sum(-1, dtype=float) @ k, shares.sum(-2, dtype=float) @ k)) / total


def _potential(probes: np.ndarray, atoms: Atoms, optics: Optics) -> np.ndarray:
    """Projected potential in the window around every probe (probe, pixel, pixel) [V Å]."""
    reach = optics.window / 2 + 4 * atoms.sd[:, None]
    near = ((atoms.places >= probes.min(0) - reach) & (atoms.places <= probes.max(0) + reach)).all(
        1
    )
    offset = atoms.places[near] - probes[:, None]
    profile = np.exp(-(((optics.x - offset[..., None]) / atoms.sd[near][:, None, None]) ** 2) / 2)
    y, x = np.moveaxis(profile.astype(np.float32), 2, 0)
    peak = atoms.peak[near][:, None].astype(np.float32)
    return np.swapaxes(peak * y, 1, 2) @ x


def _middles(n: int, reach: float) -> np.ndarray:
    """Middles of n pixels between -reach and reach."""
    return (np.arange(n) - (n - 1) / 2) * (2 * reach / n)
