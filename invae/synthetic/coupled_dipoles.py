"""Electron energy loss and extinction of small spheres in one plane, each a point dipole that feels all others.

The beam is normal to the plane, so that dipoles in the plane and dipoles along the beam do not interact and are solved separately.
Gaussian units, fields ∝ exp(−iωt); lengths in nm, energies in eV; `particle 2` stands for all y components, then all x components.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import k0, k1

from invae.synthetic.particles import Particles
from invae.synthetic.phase_object import REST_ENERGY

HBAR_C = 197.3269804
"""ħc [eV nm]."""
FINE_STRUCTURE = 1 / 137.035999
BACKGROUND = 4.0
"""Permittivity of the lattice and of bound electrons, as in a doped oxide; an estimate."""
DAMPING = 0.08
"""Damping of the free electrons [eV]; an estimate."""
BATCH_BYTES = 64e6
"""Memory for the matrices and fields of the energies that are solved at once."""


def loss_probability(
    particles: Particles, probes: np.ndarray, energies: np.ndarray, *, beam_energy: float = 100.0
) -> np.ndarray:
    """Probability that a fast electron excites the particles, per energy (probe, energy) [1/eV].

    Source: García de Abajo 2010, doi:10.1103/RevModPhys.82.209: the work done on the induced field, for dipoles.

    Args:
        particles: The spheres.
        probes: Positions of the beam (probe, axis) [nm].
        energies: Energy losses [eV].
        beam_energy: [keV]
    """
    beta, _ = velocity(beam_energy)
    scale = 4 * FINE_STRUCTURE * HBAR_C / (np.pi * (HBAR_C * beta) ** 2)

    def solve(part: np.ndarray) -> np.ndarray:
        fields = electron_field(particles, probes, part, beam_energy=beam_energy)
        in_plane, normal = map(_work, interaction(particles, part), fields)
        return scale * (in_plane + normal).T

    return _in_batches(solve, energies, n_particles=len(particles), n_fields=len(probes))


def extinction(particles: Particles, energies: np.ndarray) -> np.ndarray:
    """Extinction cross-section for light along the beam, mean of both polarisations (energy,) [nm²].

    Source: Draine & Flatau 1994, doi:10.1364/JOSAA.11.001491, section 2.
    """
    light = np.repeat(np.eye(2), len(particles), axis=0)  # polarised along y, along x

    def solve(part: np.ndarray) -> np.ndarray:
        field = np.broadcast_to(light, (len(part), *light.shape))
        work = _work(interaction(particles, part)[0], field)
        return 4 * np.pi * part / HBAR_C * work.mean(1)

    return _in_batches(solve, energies, n_particles=len(particles), n_fields=2)


def permittivity(plasma_energy: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """Permittivity of free electrons in a polarisable lattice (energy, particle): 4 − E_p²/(E(E + i·damping))."""
    energy = energies[:, None]
    return BACKGROUND - plasma_energy**2 / (energy * (energy + 1j * DAMPING))


def inverse_polarizability(particles: Particles, energies: np.ndarray) -> np.ndarray:
    """Inverse polarizability of every sphere (energy, particle) [1/nm³].

    The static polarizability a³(ε − 1)/(ε + 2) with the radiation reaction of a dipole, so that extinction is absorption plus
    scattering and no arrangement gains energy. It changes the static value by 3e-4 at a radius of 10 nm.
    Source: Draine 1988, doi:10.1086/166795.
    """
    epsilon = permittivity(particles.plasma_energy, energies)
    reaction = 2j / 3 * (energies[:, None] / HBAR_C) ** 3
    return (epsilon + 2) / (particles.radius**3 * (epsilon - 1)) - reaction


def velocity(beam_energy: float) -> tuple[float, float]:
    """Velocity of an electron relative to light, and its Lorentz factor, from the beam energy [keV]."""
    gamma = 1 + beam_energy / REST_ENERGY
    return float(np.sqrt(1 - gamma**-2)), gamma


def electron_field(
    particles: Particles, probes: np.ndarray, energies: np.ndarray, *, beam_energy: float
) -> tuple[np.ndarray, np.ndarray]:
    """Field of a fast electron at the particles, divided by 2e/v [1/nm].

    Inside a sphere the field in the plane falls linearly from that on its surface to 0 at its centre, and the field along the beam
    is that on the surface.

    Source: García de Abajo 2010, doi:10.1103/RevModPhys.82.209, section II.

    Returns:
        In the plane (energy, particle 2, probe), and along the beam (energy, particle, probe).
    """
    beta, gamma = velocity(beam_energy)
    offset = particles.positions.T[..., None] - probes.T[:, None]
    distance = np.maximum(np.hypot(*offset), particles.radius[:, None])
    decay = (energies / (HBAR_C * beta * gamma))[:, None, None]
    radial = -decay * k1(decay * distance) / distance
    in_plane = np.concatenate([radial * offset[0], radial * offset[1]], axis=1)
    return in_plane, 1j * decay * k0(decay * distance) / gamma


def interaction(particles: Particles, energies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrices that give the field in which dipoles p lie from the dipoles: E = p/α − Σ Gp [1/nm³].

    Returns:
        In the plane (energy, particle 2, particle 2), and along the beam (energy, particle, particle).
    """
    isotropic, along = _green(particles.positions, energies)
    inverse = inverse_polarizability(particles, energies)
    y, x = _directions(particles.positions)
    n = len(particles)
    in_plane = np.empty((len(energies), 2 * n, 2 * n), complex)
    in_plane[:, :n, :n] = -isotropic - along * y**2
    in_plane[:, n:, n:] = -isotropic - along * x**2
    in_plane[:, :n, n:] = in_plane[:, n:, :n] = -along * (y * x)
    normal, own = -isotropic, np.arange(2 * n)
    in_plane[:, own, own] = np.tile(inverse, 2)
    normal[:, own[:n], own[:n]] = inverse
    return in_plane, normal


def _green(positions: np.ndarray, energies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Green tensor between two particles, g·1 + h·rr for the unit vector r: g and h (energy, particle, particle) [1/nm³].

    Source: Draine & Flatau 1994, doi:10.1364/JOSAA.11.001491, eq. 6 with the opposite sign. Values on the diagonal have no meaning.
    """
    distance = np.hypot(*(positions.T[..., None] - positions.T[:, None])) + np.eye(len(positions))
    phase = (energies / HBAR_C)[:, None, None] * distance
    wave = np.exp(1j * phase) / distance**3
    return wave * (phase**2 + 1j * phase - 1), wave * (3 - 3j * phase - phase**2)


def _directions(positions: np.ndarray) -> np.ndarray:
    """Unit vectors from particle to particle (axis, particle, particle); 0 on the diagonal."""
    offset = positions.T[..., None] - positions.T[:, None]
    return offset / (np.hypot(*offset) + np.eye(len(positions)))


def _work(matrices: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Im Σ E*·p of the dipoles p that a field E makes (energy, field), for fields (energy, component, field)."""
    dipoles = np.linalg.solve(matrices, field.astype(complex))
    return np.imag(np.conj(field) * dipoles).sum(1)


def _in_batches(
    solve: Callable[[np.ndarray], np.ndarray],
    energies: np.ndarray,
    *,
    n_particles: int,
    n_fields: int,
) -> np.ndarray:
    """The values of `solve` (..., energy) for all energies, for as many at once as memory allows."""
    complex_numbers = 2 * n_particles * (4 * n_particles + 3 * n_fields)
    at_once = max(1, int(BATCH_BYTES / (16 * max(1, complex_numbers))))
    parts = [energies[first : first + at_once] for first in range(0, len(energies), at_once)]
    return np.concatenate([solve(part) for part in parts], axis=-1)
