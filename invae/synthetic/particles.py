"""Spherical nanoparticles in a plane: assemblies with vacancies, clusters of a few, and images of their projected thickness."""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from invae.config.plasmons import LARGEST_IN_CLUSTER, AssemblyConfig, ClustersConfig
from invae.synthetic.crystal import hexagonal

PLASMA_ENERGY = 2.1
"""Plasma energy of the usual material [eV]: a single sphere absorbs at 0.857 eV, as Sn-doped indium oxide can; an estimate."""
LOWER_PLASMA_ENERGY = 1.7
"""Plasma energy of the second material [eV]."""
BRIGHTER = 1.3
"""Brightness of the usual material where the two differ in the image."""
SMALLEST = 0.8
"""Smallest drawn radius, relative to the mean."""
LARGEST_IN_ASSEMBLY = 1.08
"""Largest drawn radius in an assembly, relative to the mean."""
LEFT_OUT = 0.5
"""Particles that their neighbours would make smaller than this, relative to the mean, are left out."""
DENSITY_LENGTH = 120.0
"""Wavelength at which the wave vectors of the density have their sd [nm]."""
DENSITY_AMPLITUDE = 0.7
"""Largest deviation of the density from its mean."""
FEWEST = 0.05
"""Smallest density."""
OVERSAMPLING = 4
"""Samples of the thickness along each side of a pixel."""


@dataclass(frozen=True)
class Particles:
    """Spheres whose centres lie in one plane."""

    positions: np.ndarray
    """Centres (particle, axis), (y, x) [nm]."""
    radius: np.ndarray
    """(particle,) [nm]"""
    plasma_energy: np.ndarray
    """(particle,) [eV]"""
    brightness: np.ndarray
    """Intensity per thickness in an image (particle,)."""

    def __len__(self) -> int:
        """Number of particles."""
        return len(self.radius)

    @classmethod
    def of_one(cls, radius: float, plasma_energy: float) -> Self:
        """A single particle at the origin, from its radius [nm] and plasma energy [eV]."""
        return cls(
            np.zeros((1, 2)), np.array([radius]), np.array([plasma_energy]), brightness=np.ones(1)
        )

    def shifted(self, offset: np.ndarray) -> Self:
        """The particles, displaced by (y, x) [nm]."""
        return replace(self, positions=self.positions + offset)


def assembly(
    sample: AssemblyConfig, *, radius: float, radius_sd: float, generator: np.random.Generator
) -> Particles:
    """A hexagonal assembly about the origin, with vacancies of a smooth random density.

    Args:
        sample: Lattice and materials.
        radius: Mean radius [nm].
        radius_sd: Sd of the radius [nm].
        generator: Draws the materials last, so that they do not change the geometry.
    """
    half = sample.extent / 2
    lattice = hexagonal(sample.pitch).shifted(generator.random(2))
    lattice = lattice.rotated(generator.uniform(0, np.pi / 3))
    margin = np.full(2, half + 4 * sample.jitter)
    positions = lattice.sites(-margin, margin)[0]
    positions = positions + sample.jitter * generator.standard_normal(positions.shape)
    density = _density(positions, mean=generator.uniform(*sample.fill), generator=generator)
    occupied = generator.random(len(positions)) < density
    positions = positions[occupied & (np.abs(positions) < half).all(1)]
    drawn = radius + radius_sd * generator.standard_normal(len(positions))
    drawn = drawn.clip(SMALLEST * radius, LARGEST_IN_ASSEMBLY * radius)
    fitted = apart(positions, drawn, gap=sample.gap)
    kept = fitted > LEFT_OUT * radius
    return _of_materials(sample, positions[kept], fitted[kept], generator)


def cluster(
    sample: ClustersConfig, *, radius: float, radius_sd: float, generator: np.random.Generator
) -> Particles:
    """A cluster of one to a few particles about the origin; each is attached to a random earlier one, in a random direction."""
    n = int(generator.integers(1, sample.max_particles, endpoint=True))
    drawn = radius + radius_sd * generator.standard_normal(n)
    drawn = drawn.clip(SMALLEST * radius, LARGEST_IN_CLUSTER * radius)
    positions = np.zeros((1, 2))
    while len(positions) < n:
        new, other = len(positions), int(generator.integers(len(positions)))
        angle, gap = generator.uniform(0, 2 * np.pi), generator.uniform(*sample.gap)
        distance = drawn[other] + drawn[new] + gap
        position = positions[other] + distance * np.array([math.sin(angle), math.cos(angle)])
        touching = drawn[:new] + drawn[new] + sample.gap[0] - 1e-9
        if (np.hypot(*(positions - position).T) >= touching).all():
            positions = np.concatenate([positions, position[None]])
    deviation = sample.material_sd * generator.standard_normal()
    plasma_energy = PLASMA_ENERGY + (deviation if sample.material == "spread" else 0.0)
    centred = positions - positions.mean(0)
    return Particles(centred, drawn, np.full(n, plasma_energy), np.ones(n))


def apart(positions: np.ndarray, radius: np.ndarray, *, gap: float) -> np.ndarray:
    """Radii with which no two particles are closer than a gap [nm]; of two that are, each gives up half of its largest overlap."""
    overlap = radius[:, None] + radius + gap - _distances(positions)
    return radius - overlap.max(axis=1, initial=0) / 2


def gaps(particles: Particles) -> np.ndarray:
    """Gaps between the surfaces of any two particles (particle, particle) [nm]; infinite on the diagonal."""
    return _distances(particles.positions) - particles.radius[:, None] - particles.radius


def thickness_images(
    particles: Particles, centres: np.ndarray, *, pixels: int, pixel_size: float, diameter: float
) -> np.ndarray:
    """Projected thickness times brightness about some centres (centre, y, x), relative to a diameter; mean over each pixel.

    Args:
        particles: The spheres.
        centres: Positions of the middle of the images (centre, axis) [nm].
        pixels: Along each side of an image.
        pixel_size: [nm]
        diameter: Thickness that has the value 1 [nm].
    """
    n_fine, step = pixels * OVERSAMPLING, pixel_size / OVERSAMPLING
    images = np.empty((len(centres), pixels, pixels), np.float32)
    for image, centre in zip(images, centres, strict=True):
        fine = np.zeros((n_fine, n_fine))
        middles = (particles.positions - centre) / step + (n_fine - 1) / 2
        for middle, radius, brightness in zip(
            middles, particles.radius / step, particles.brightness, strict=True
        ):
            _add_sphere(fine, middle, radius, brightness * 2 * step / diameter)
        image[...] = fine.reshape(pixels, OVERSAMPLING, pixels, OVERSAMPLING).mean((1, 3))
    return images


def _add_sphere(image: np.ndarray, middle: np.ndarray, radius: float, scale: float) -> None:
    """Add the scaled height of a half sphere to an image, in place; lengths in pixels."""
    first = np.maximum(np.ceil(middle - radius), 0).astype(int)
    last = np.minimum(np.floor(middle + radius) + 1, len(image)).astype(int)
    if (first >= last).any():
        return
    y, x = (np.arange(*ends) - at for *ends, at in zip(first, last, middle, strict=True))
    height = np.sqrt(np.maximum(radius**2 - y[:, None] ** 2 - x**2, 0))
    image[first[0] : last[0], first[1] : last[1]] += scale * height


def _density(positions: np.ndarray, *, mean: float, generator: np.random.Generator) -> np.ndarray:
    """Probability that a site is occupied (particle,): four random waves about a mean."""
    phases = generator.uniform(0, 2 * np.pi, 4)
    waves = 2 * np.pi / DENSITY_LENGTH * generator.standard_normal((4, 2))
    field = np.cos(positions @ waves.T + phases).mean(1)
    return np.clip(mean + DENSITY_AMPLITUDE * field, FEWEST, 1)


def _of_materials(
    sample: AssemblyConfig,
    positions: np.ndarray,
    radius: np.ndarray,
    generator: np.random.Generator,
) -> Particles:
    """The particles of an assembly with their materials."""
    is_lower = generator.random(len(radius)) < 0.5
    if sample.material == "one":
        is_lower[:] = False
    brighter = BRIGHTER if sample.material == "two-visible" else 1.0
    return Particles(
        positions,
        radius,
        np.where(is_lower, LOWER_PLASMA_ENERGY, PLASMA_ENERGY),
        np.where(is_lower, 1.0, brighter),
    )


def _distances(positions: np.ndarray) -> np.ndarray:
    """Distances of any two positions; infinite on the diagonal."""
    distances = np.hypot(*(positions.T[..., None] - positions.T[:, None]))
    np.fill_diagonal(distances, np.inf)
    return distances
