"""Inverse design: arrangements that give a wanted spectrum, simulated again."""

import numpy as np
import pytest

from invae.config.plasmons import ClustersConfig, PlasmonsConfig
from invae.errors import InputError
from invae.synthetic.inverse_design import alike, designs, nearest, refine, relative_error
from invae.synthetic.particles import Particles, gaps
from invae.synthetic.plasmon_specimens import clean_spectra, specimens

CONFIG = PlasmonsConfig(sample=ClustersConfig(n_clusters=240, n_energies=64))


def simulate(particles: Particles) -> np.ndarray:
    return clean_spectra(particles, np.zeros((1, 2)), CONFIG)[0]


def clusters(seed: int) -> tuple[list[Particles], np.ndarray]:
    library = [one.particles for one in specimens(CONFIG, seed=seed)]
    return library, np.stack([simulate(particles) for particles in library])


@pytest.fixture(scope="module")
def library():
    return clusters(0)


@pytest.fixture(scope="module")
def wanted():
    return clusters(1)


def of_number(clusters: list[Particles], n: int) -> int:
    return next(k for k, particles in enumerate(clusters) if len(particles) == n)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_refined_arrangements_meet_the_spectrum_and_are_possible(library, wanted, n):
    spectrum = wanted[1][of_number(wanted[0], n)]
    found = designs(spectrum, library[0], library[1], simulate, n=4)
    assert found[0].error < 0.01
    for design in found:
        assert design.error == relative_error(simulate(design.particles), spectrum)
        assert gaps(design.particles).min() >= 2 - 1e-6
        assert (design.particles.radius >= 8 - 1e-5).all()
    assert [d.error for d in found] == sorted(d.error for d in found)


def test_refinement_is_better_than_the_nearest_of_the_library(library, wanted):
    spectrum = wanted[1][of_number(wanted[0], 3)]
    best = nearest(spectrum, library[1], 1)[0]
    before = relative_error(library[1][best], spectrum)
    assert refine(library[0][best], spectrum, simulate).error < 0.5 * before


def test_returned_arrangements_are_distinct(library, wanted):
    found = designs(wanted[1][of_number(wanted[0], 4)], library[0], library[1], simulate, n=6)
    assert len(found) > 1
    for number, one in enumerate(found):
        assert not any(alike(one.particles, other.particles) for other in found[number + 1 :])


def test_rotated_and_mirrored_arrangements_are_alike():
    rng = np.random.default_rng(0)
    positions, ones = rng.uniform(-40, 40, (4, 2)), np.ones(4)
    one = Particles(positions, 10 * ones, 2 * ones, ones)
    turned = Particles(positions[:, ::-1] * [1, -1], 10 * ones, 2 * ones, ones)
    moved = Particles(
        positions + np.array([[9, 0], [0, 0], [0, 0], [0, 0]]), 10 * ones, 2 * ones, ones
    )
    assert alike(one, turned)
    assert not alike(one, moved)


def test_spectra_that_do_not_fit_are_refused(library):
    with pytest.raises(InputError, match="63"):
        nearest(np.ones(63), library[1], 1)
    with pytest.raises(InputError, match="finite"):
        nearest(np.zeros(64), library[1], 1)
