"""Networks as features of a Gaussian process: they learn, the seed decides, and narrow intervals are said to be narrow."""

import numpy as np
import pytest

from invae.active.belief import Data
from invae.active.deep_kernel import deep_kernel, last_layer
from invae.active.pool_process import PoolProcess

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(200, 4))
TARGET = np.sin(2 * INPUTS[:, 0]) + 0.5 * INPUTS[:, 1]
MEASURED = np.arange(80)
DATA = Data(MEASURED, TARGET[MEASURED], np.full(80, 0.05))


def r2(features, learned) -> float:
    left = np.arange(80, 200)
    mean = PoolProcess(features, learned, DATA).belief().mean[left]
    return float(1 - ((mean - TARGET[left]) ** 2).mean() / TARGET[left].var())


def test_the_last_layer_predicts_unmeasured_sites_and_the_seed_decides():
    made, again, other = (last_layer(INPUTS, DATA, seed=seed) for seed in (3, 3, 4))
    assert r2(*made) > 0.5
    np.testing.assert_array_equal(made[0][0].variants[0], again[0][0].variants[0])
    assert not np.array_equal(made[0][0].variants[0], other[0][0].variants[0])


@pytest.mark.filterwarnings("default")
def test_the_deep_kernel_predicts_unmeasured_sites():
    pytest.importorskip("gpytorch", reason="surrogate dkl needs GPyTorch, extra active")
    assert r2(*deep_kernel(INPUTS, DATA, seed=3)) > 0.5
