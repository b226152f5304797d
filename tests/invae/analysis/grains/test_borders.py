"""The jump at a border differs from a steady change."""

import numpy as np
import pytest

from invae.analysis.grains.borders import borders_of, jump_of

REGIONS = np.repeat([[0] * 12 + [1] * 12], 16, axis=0)
COLUMNS = np.arange(24.0)


def jump(step: float, *, slope: float, seed: int = 0) -> tuple[float, float]:
    """The jump of a plane with a step between two regions and noise of variance 1, and its variance."""
    (border,) = borders_of(REGIONS)
    noise = np.random.default_rng(seed).normal(size=REGIONS.shape)
    values = slope * COLUMNS + step * REGIONS + noise
    jumps, variance = jump_of(border, values[..., None], steepest=2.0)
    return float(jumps[0]), variance


@pytest.mark.parametrize("slope", [0.0, 1.5, -2.5])
def test_a_steady_change_is_no_jump(slope: float) -> None:
    for step in (0.0, 15.0):
        values, variances = zip(*(jump(step, slope=slope, seed=n) for n in range(40)), strict=True)
        sd = np.sqrt(variances[0])
        assert np.mean(values) == pytest.approx(step, abs=0.3 + 4 * sd / np.sqrt(40))
        assert np.std(values) == pytest.approx(sd, rel=0.4)


def test_probes_at_the_border_do_not_count() -> None:
    (border,) = borders_of(REGIONS)
    mixed = np.where((COLUMNS == 11) | (COLUMNS == 12), 100.0, 0.0)
    values = np.broadcast_to(mixed[None, :, None], (*REGIONS.shape, 3))
    assert np.abs(jump_of(border, values, steepest=1.0)[0]).max() < 1e-9
