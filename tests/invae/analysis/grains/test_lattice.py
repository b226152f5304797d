"""Lattices are found from the positions of discs alone."""

import numpy as np
import pytest

from invae.analysis.grains.discs import Discs
from invae.analysis.grains.lattice import (
    Lattice,
    aligned,
    direction,
    fit_lattice,
    reduced,
    shape_of,
    turned,
)
from invae.analysis.grains.phases import find_phases

HEXAGONAL = Lattice(15.0, 15.0, np.pi / 3)
SQUARE = Lattice(13.0, 13.0, np.pi / 2)
OBLIQUE = Lattice(9.0, 12.0, np.radians(75))


def discs_of(lattice: Lattice, angle: float, *, seed: int = 0, missing: float = 0.3) -> Discs:
    """Discs at the nodes of a lattice, some of which are missing, in random order."""
    rng = np.random.default_rng(seed)
    places = turned(lattice.nodes(31.0), angle)
    places = rng.permutation(places[rng.uniform(size=len(places)) > missing])
    places = places + rng.normal(0, 0.08, places.shape)
    return Discs(places, np.full(len(places), 0.15), rng.uniform(8, 40, len(places)))


@pytest.mark.parametrize("lattice", [HEXAGONAL, SQUARE, OBLIQUE])
@pytest.mark.parametrize("seed", range(3))
def test_a_lattice_is_found_without_some_of_its_discs(lattice: Lattice, seed: int) -> None:
    fit = fit_lattice(discs_of(lattice, 0.4, seed=seed), least=5.0)
    assert fit is not None
    shape = shape_of(fit.basis)
    assert (shape.first, shape.second) == pytest.approx((lattice.first, lattice.second), rel=0.02)
    assert shape.area == pytest.approx(lattice.area, rel=0.02)
    assert shape.n_fold == lattice.n_fold


def test_a_known_lattice_is_turned_onto_the_discs() -> None:
    fit = aligned(SQUARE, discs_of(SQUARE, 0.3), tolerance=0.01)
    assert fit is not None
    assert np.mod(direction(fit.basis[0]), np.pi / 2) == pytest.approx(0.3, abs=0.01)


def test_reduction_keeps_the_area_and_finds_the_shortest_vectors() -> None:
    basis = np.array([[0.0, 15.0], [-13.0, 7.5]])
    longer = np.array([[2, 1], [3, 2]]) @ basis
    again = reduced(longer)
    assert abs(np.linalg.det(again)) == pytest.approx(abs(np.linalg.det(basis)))
    assert np.hypot(*again[0]) == pytest.approx(15.0, rel=0.01)


def test_two_lattices_seven_percent_apart_are_two_phases() -> None:
    other = Lattice(16.05, 16.05, np.pi / 3)
    discs = [discs_of(one, 0.2 * n, seed=n) for n, one in enumerate([HEXAGONAL, other] * 3)]
    phases = find_phases(discs, tolerance=0.012, least=5.0)
    assert len(phases.lattices) == 2
    assert len(set(phases.phase[::2])) == len(set(phases.phase[1::2])) == 1
    assert phases.phase[0] != phases.phase[1]


def test_a_pattern_without_discs_has_no_phase() -> None:
    nothing = Discs(np.zeros((0, 2)), np.zeros(0), np.zeros(0))
    assert find_phases([nothing], tolerance=0.012, least=5.0).phase.tolist() == [-1]


@pytest.mark.parametrize(
    ("lattice", "words", "mirror"),
    [
        (HEXAGONAL, "hexagonal", True),
        (SQUARE, "square", True),
        (OBLIQUE, "oblique", False),
        (Lattice(9, 12, np.pi / 2), "rectangular", True),
        (Lattice(9, 9, np.radians(75)), "centred rectangular", True),
    ],
)
def test_the_symmetry_follows_from_the_vectors(lattice: Lattice, words: str, mirror: bool) -> None:
    assert (lattice.words, lattice.has_mirror) == (words, mirror)
