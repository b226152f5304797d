"""Assemblies and clusters of plasmonic particles with the points at which spectra are recorded; their images and spectra without noise.

Positions are (y, x) [nm] from the first pixel of the image.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from invae.config.plasmons import AssemblyConfig, PlasmonsConfig
from invae.synthetic.coupled_dipoles import extinction, loss_probability
from invae.synthetic.particles import (
    PLASMA_ENERGY,
    Particles,
    assembly,
    cluster,
    thickness_images,
)

STREAMS = ("particles", "probes", "image", "spectrum")
"""Independent random streams of a specimen; append new ones, so that the others keep their values."""
LOUD = 99
"""Percentile of the loss probability to which the noise of an assembly is relative [%]."""
TRUTH_OF_PARTICLES = {
    "particle_y_nm": ("y of the particle", "nm"),
    "particle_x_nm": ("x of the particle", "nm"),
    "radius": ("radius of the particle", "nm"),
    "plasma_energy": ("plasma energy of the particle", "eV"),
    "brightness": ("brightness of the particle per thickness", "1"),
}
"""Name and unit of what is known of every particle (frame, particle), missing beyond the number of particles of the frame."""


@dataclass(frozen=True)
class Specimen:
    """One assembly or cluster, and the points at which its spectra are recorded."""

    particles: Particles
    points: np.ndarray
    """(point, axis) [nm]."""


def stream(seed: int, name: str, number: int) -> np.random.Generator:
    """The generator of one random stream of a specimen; independent of all other streams."""
    return np.random.default_rng([seed, STREAMS.index(name), number])


def specimens(config: PlasmonsConfig, *, seed: int) -> list[Specimen]:
    """All specimens; each depends on the seed and on its own number, not on how many there are."""
    return [specimen(config, seed=seed, number=number) for number in range(config.sample.n_frames)]


def specimen(config: PlasmonsConfig, *, seed: int, number: int) -> Specimen:
    """One assembly or cluster about the middle of its image, with its points."""
    sample, generator = config.sample, stream(seed, "particles", number)
    sizes = {"radius": config.radius, "radius_sd": config.radius_sd}
    if isinstance(sample, AssemblyConfig):
        particles = assembly(sample, **sizes, generator=generator)
        points = probe_offsets(sample, stream(seed, "probes", number))
    else:
        particles = cluster(sample, **sizes, generator=generator)
        points = np.zeros((1, 2))
    middle = middle_of_image(config)
    return Specimen(particles.shifted(middle), points + middle)


def probe_offsets(sample: AssemblyConfig, generator: np.random.Generator) -> np.ndarray:
    """Positions of the probes relative to the middle of the image (point, axis) [nm]; those of a grid row by row."""
    if sample.grid is None:
        return generator.uniform(-sample.reach, sample.reach, (sample.n_probes, 2))
    axis = np.linspace(-sample.reach, sample.reach, sample.grid)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def middle_of_image(config: PlasmonsConfig) -> np.ndarray:
    """Position of the middle of an image (axis,) [nm]."""
    return np.full(2, (config.sample.pixels - 1) / 2 * config.pixel_size)


def energies_of(config: PlasmonsConfig) -> np.ndarray:
    """Energies of a spectrum [eV]."""
    return np.linspace(*config.energies, config.sample.n_energies)


def clean_image(particles: Particles, config: PlasmonsConfig) -> np.ndarray:
    """The image without noise (y, x): projected thickness relative to the mean diameter, times the brightness of the material."""
    return thickness_images(
        particles,
        middle_of_image(config)[None],
        pixels=config.sample.pixels,
        pixel_size=config.pixel_size,
        diameter=2 * config.radius,
    )[0]


def clean_spectra(particles: Particles, points: np.ndarray, config: PlasmonsConfig) -> np.ndarray:
    """Spectra without noise (point, energy): loss probability [1/eV], extinction [nm²], or extinction relative to its maximum.

    An oracle calls it with the particles that it supposes. Extinction is the same at all points.
    """
    energies, sample = energies_of(config), config.sample
    if isinstance(sample, AssemblyConfig):
        return loss_probability(particles, points, energies, beam_energy=sample.beam_energy)
    spectrum = extinction(particles, energies)
    if sample.spectra == "normalised":
        spectrum = spectrum / spectrum.max()
    return np.repeat(spectrum[None], len(points), axis=0)


def spectrum_sd(clean: np.ndarray, config: PlasmonsConfig) -> float:
    """Sd of the noise of a specimen's spectra, in their units, from these spectra without noise (point, energy)."""
    sample = config.sample
    if isinstance(sample, AssemblyConfig):
        return sample.spectrum_noise * float(np.percentile(clean, LOUD))
    if sample.spectra == "normalised":
        return sample.spectrum_noise
    mean_size = Particles.of_one(config.radius, PLASMA_ENERGY)
    largest = float(extinction(mean_size, energies_of(config)).max())
    return sample.spectrum_noise * sample.max_particles * largest


def particles_of(truth: xr.Dataset, frame: int) -> Particles:
    """The particles of a frame, as the ground truth of a recording holds them."""
    n = int(truth["n_particles"][frame])
    y, x, *others = (truth[name][frame, :n].to_numpy() for name in TRUTH_OF_PARTICLES)
    return Particles(np.stack((y, x), axis=-1), *others)
