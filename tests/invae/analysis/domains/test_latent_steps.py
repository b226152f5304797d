"""The same wall point in the next frame."""

import numpy as np
import pytest
import xarray as xr

from invae import dims
from invae.analysis.domains.latent_steps import latent_steps
from invae.config import ComputeConfig

SIDE = 64
COMPUTE = ComputeConfig(workers=1)


def series(*walls: float, drift: float = 0.0) -> xr.Dataset:
    """A straight wall across x in each frame, in pixels of the frame."""
    x = np.indices((SIDE, SIDE))[1]
    p = np.stack([np.tanh((wall - x) / 2) for wall in walls]).astype(np.float32)
    path = np.stack([np.zeros(len(walls)), drift * np.arange(len(walls))], axis=1)
    return xr.Dataset(
        {
            "polarization": (dims.IMAGE, p),
            "valid": (dims.IMAGE, np.ones(p.shape, bool)),
            "drift": (("frame", "axis"), path),
        }
    )


def sites(*walls: float) -> xr.Dataset:
    rows = np.arange(8.0, 56, 4)
    frame = np.repeat(np.arange(len(walls)), len(rows))
    return xr.Dataset(
        {
            "frame": ("site", frame),
            "y": ("site", np.tile(rows, len(walls))),
            "x": ("site", np.repeat(walls, len(rows))),
        }
    )


@pytest.mark.parametrize("step", [3.0, -2.5])
def test_a_step_goes_along_the_normal_to_the_site_opposite(step):
    found = latent_steps(series(30.0, 30.0 + step), sites(30.0, 30.0 + step), compute=COMPUTE)
    n = found.sizes["site"] // 2
    assert found["next_site"].to_numpy().tolist() == [*range(n, 2 * n), *[-1] * n]
    np.testing.assert_allclose(found["step_length"][:n], step, atol=0.1)


def test_drift_is_no_step():
    found = latent_steps(series(30.0, 28.0, drift=2.0), sites(30.0, 28.0), compute=COMPUTE)
    np.testing.assert_allclose(found["step_length"][:12], 0, atol=0.1)
    assert (found["next_site"][:12] >= 0).all()


def test_a_wall_that_is_gone_has_no_step():
    found = latent_steps(series(30.0, 50.0), sites(30.0, 50.0), compute=COMPUTE)
    assert (found["next_site"] == -1).all()
    assert np.isnan(found["step_length"]).all()
