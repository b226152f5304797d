"""Counts of single electrons: a Poisson likelihood learns what the patterns are, from a hundred electrons and from ten thousand."""

import numpy as np
import pytest
from scipy.special import gammaln

from invae import InvariantVAE
from tests.invae.recorded_scan import lobed

N_TRAINED, N_UNSEEN, SIZE = 600, 200, 16
DEAD = (3, 4)
"""A pixel that counts whatever it likes."""


def log_likelihood(counts: np.ndarray, expected: np.ndarray, valid: np.ndarray) -> float:
    """Of Poisson counts, mean over patterns [nats]."""
    density = counts * np.log(np.maximum(expected, 1e-9)) - expected - gammaln(counts + 1)
    return float((density * valid).sum((1, 2, 3)).mean())


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("dose", [1e2, 1e4])
def test_counts_are_explained_by_half_of_what_can_be(dose, seed):
    """Between the mean pattern and the truth; and the angle is found where there are electrons enough to show it."""
    rng = np.random.default_rng(seed)
    angle, strength = rng.uniform(-np.pi, np.pi, 800), rng.uniform(0.2, 0.9, 800)
    shapes = lobed(angle, strength, n_k=SIZE, centre=(7.5, 7.5), radius=12.0)[:, None]
    expected = dose * shapes / shapes.mean(0).sum()
    counts = rng.poisson(expected).astype(np.float32)
    counts[:, :, *DEAD] = 1000
    inside = np.hypot(*(np.indices((SIZE, SIZE)) - 7.5)) <= SIZE / 2
    inside[DEAD] = False
    valid = np.broadcast_to(inside, counts.shape).copy()
    model = InvariantVAE(
        family="rVAE",
        latent_dim=1,
        pose_inference="exact",
        likelihood={"kind": "poisson"},
        encoder={"kind": "polar", "channels": (8, 16, 16)},
        decoder={"kind": "polar", "harmonics": 4, "hidden": (32, 32)},
        training={"epochs": 25, "batch_size": 50, "learning_rate": 3e-3, "angle_start": "free"},
        seed=seed,
    )
    model.fit(counts[:N_TRAINED], valid=valid[:N_TRAINED])
    unseen = slice(N_TRAINED, N_TRAINED + N_UNSEEN)
    found = model.encode(counts[unseen], valid=valid[unseen])
    mean = np.broadcast_to(counts[:N_TRAINED].mean(0), counts[unseen].shape)
    least, most = (
        log_likelihood(counts[unseen], told, valid[unseen]) for told in (mean, expected[unseen])
    )
    reached = float(found["log_likelihood"].mean())
    assert reached > least + 0.5 * (most - least)
    resultant = np.abs(np.exp(1j * (found["angle"].to_numpy() - angle[unseen])).mean())
    assert resultant > (0.98 if dose > 1e3 else 0.3)
