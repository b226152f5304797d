"""Spheres are read from images of their thickness, as exactly as the noise allows."""

import numpy as np
import pytest

from invae.config.plasmons import ClustersConfig, PlasmonsConfig
from invae.errors import InputError
from invae.synthetic.particles import Particles, cluster, thickness_images
from invae.synthetic.particles_of_image import particles_of_image

PIXELS, PIXEL_NM = 48, 2.5


def clusters(n: int, seed: int) -> list[Particles]:
    generator = np.random.default_rng(seed)
    sample = ClustersConfig()
    config = PlasmonsConfig(sample=sample)
    return [
        cluster(sample, radius=config.radius, radius_sd=config.radius_sd, generator=generator)
        for _ in range(n)
    ]


def image_of(particles: Particles, *, pixels: int = PIXELS) -> np.ndarray:
    return thickness_images(
        particles, np.zeros((1, 2)), pixels=pixels, pixel_size=PIXEL_NM, diameter=20.0
    )[0]


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS + 1])
def test_positions_and_radii_of_noisy_images_come_back(pixels: int) -> None:
    rng = np.random.default_rng(1)
    for particles in clusters(12, seed=0):
        image = image_of(particles, pixels=pixels)
        found = particles_of_image(image + 0.05 * rng.normal(size=image.shape), pixel_size=PIXEL_NM)
        assert len(found) == len(particles)
        nearest = np.linalg.norm(found.positions[:, None] - particles.positions, axis=-1).argmin(1)
        assert sorted(nearest) == list(range(len(particles)))
        assert np.abs(found.positions - particles.positions[nearest]).max() < 0.5
        assert np.abs(found.radius - particles.radius[nearest]).max() < 0.4


def test_an_image_without_particles_has_none() -> None:
    noise = 0.05 * np.random.default_rng(0).normal(size=(PIXELS, PIXELS))
    assert len(particles_of_image(noise, pixel_size=PIXEL_NM)) == 0


def test_more_particles_than_are_read_are_refused() -> None:
    lattice = 22.0 * np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(-1, 2) - 33
    many = Particles(lattice, np.full(16, 10.0), np.full(16, 2.1), np.ones(16))
    with pytest.raises(InputError, match="more than 12 spheres"):
        particles_of_image(image_of(many), pixel_size=PIXEL_NM)
