"""Baselines: known answers, in any unit."""

import numpy as np
import pytest

from invae.regression import scores
from invae.regression.baselines import BASELINES, predict_held_out
from invae.training.split import Split


def smooth_pairs(n: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Patches of a plane that is tilted by two random numbers, and spectra that are linear in its mean."""
    rng = np.random.default_rng(0)
    level, tilt = rng.normal(size=(2, n, 1, 1, 1))
    patches = level + 0.3 * tilt * np.linspace(-1, 1, 4)
    patches = np.broadcast_to(patches, (n, 1, 4, 4)) + 0.01 * rng.normal(size=(n, 1, 4, 4))
    return patches, level[:, 0, 0] * np.linspace(1, 2, 5)


@pytest.mark.parametrize("name", sorted(set(BASELINES) - {"mean"}))
def test_a_prediction_does_not_depend_on_the_units_of_image_and_spectrum(name):
    """About heights in metres and currents in ampere: a forest took their variances for zero, a ridge its penalty for large."""
    patches, spectra = smooth_pairs()
    splits = [Split(np.arange(0, 60), np.arange(60, 90)), Split(np.arange(30, 90), np.arange(30))]
    held = np.r_[0:30, 60:90]
    given = predict_held_out(BASELINES[name], patches, spectra, splits)
    small = predict_held_out(BASELINES[name], patches * 2.0**-30, spectra * 2.0**-37, splits)
    np.testing.assert_allclose(small[held] * 2.0**37, given[held], rtol=1e-6, atol=1e-6)
    if name != "invariant_ridge":  # amplitudes of rings do not tell the sign of the level
        assert scores.r2(given[held], spectra[held]) > 0.7
