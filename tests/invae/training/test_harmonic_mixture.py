"""Groups by angular harmonics: fields of different size and radius at any angle, also where one kind is rare."""

import numpy as np
import pytest

from benchmarks.scores import accuracy
from invae.training.harmonic_mixture import N_COMPONENTS, harmonic_groups, principal_parts

SHARES = (0.65, 0.3, 0.05)


def fields(n_sites: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Harmonics (site, ring, order) of fields that vary around zero at any angle: weak, strong, and threefold."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, size=n_sites, p=SHARES)
    amplitude = np.array([[0.3, 0.1], [2.0, 0.1], [0.3, 3.0]])[kind]
    noise = rng.normal(size=(2, n_sites, 2)) / np.sqrt(2)
    drawn = amplitude * (noise[0] + 1j * noise[1])
    rows = np.zeros((n_sites, 5, 5), dtype=complex)
    rows[:, :, 0] = np.array([1.0, 0.0, -2.0])[kind, None] + 0.3 * rng.normal(size=(n_sites, 1))
    rows[:, :, 1] = drawn[:, :1] * np.linspace(0, 1, 5)
    rows[:, :, 3] = drawn[:, 1:] * np.linspace(1, 0, 5)
    small = 0.05 * rng.normal(size=(2, *rows.shape))
    return rows + small[0] + 1j * small[1] * (np.arange(5) > 0), kind


def turned(rows: np.ndarray, *, seed: int) -> np.ndarray:
    """Every site turned by an angle of its own."""
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(rows))
    return rows * np.exp(1j * angle[:, None, None] * np.arange(rows.shape[2]))


@pytest.mark.parametrize("seed", range(3))
def test_kinds_of_fields_are_apart_also_where_one_is_rare(seed):
    rows, kind = fields(1500, seed=seed)
    probability = harmonic_groups(rows, 3, seed=seed)
    np.testing.assert_allclose(probability.sum(1), 1)
    assert accuracy(probability.argmax(1), kind) > 0.95


def test_groups_do_not_change_when_sites_are_turned():
    rows, _ = fields(600, seed=4)
    one = harmonic_groups(rows, 3, seed=0).argmax(1)
    other = harmonic_groups(turned(rows, seed=5), 3, seed=0).argmax(1)
    assert accuracy(one, other) > 0.97


def test_the_components_of_most_variance_are_used():
    rows, _ = fields(300, seed=0)
    parts = principal_parts(rows)
    assert sum(part.shape[1] for part in parts.values()) == N_COMPONENTS
    assert {0, 1, 3} <= set(parts)
