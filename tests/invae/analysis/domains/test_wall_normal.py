"""Directions in patches."""

import numpy as np
import pytest
import xarray as xr

from invae.analysis.domains.wall_normal import wall_normal
from invae.models.geometry.upright import upright
from invae.storage import store


def patch_store(path, images, channel="polarization"):
    values = np.stack(images)[:, None].astype(np.float32)
    dataset = xr.Dataset(
        {
            "patch": (("site", "channel", "patch_y", "patch_x"), values),
            "valid": (("site", "channel", "patch_y", "patch_x"), np.isfinite(values)),
        },
        coords={"channel": [channel]},
    )
    store.write_dataset(path, dataset)
    return path


def test_the_normal_points_to_the_positive_side_and_turns_as_rot90(tmp_path):
    right = np.where(np.arange(16) >= 8, 1.0, -1.0)[None].repeat(16, axis=0)
    images = [np.rot90(right, turns) for turns in range(4)]
    normal = wall_normal(patch_store(tmp_path / "p.zarr", images)).to_numpy()
    np.testing.assert_allclose(np.exp(1j * normal), 1j ** np.arange(4), atol=1e-6)


def test_without_polarization_there_is_no_normal(tmp_path):
    path = patch_store(tmp_path / "p.zarr", [np.ones((8, 8))], channel="wall_180")
    assert np.isnan(wall_normal(path)).all()


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_upright_undoes_rot90(turns):
    image = np.random.default_rng(0).random((9, 9))
    turned = np.rot90(image, turns)[None, None]
    back = upright(turned, {"angle": np.array([turns * np.pi / 2])})
    inner = (slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(back[0, 0][inner], image[inner], atol=1e-5)


def test_upright_undoes_a_shift_and_leaves_nothing_invented():
    image = np.random.default_rng(0).random((8, 8))
    moved = np.roll(image, (2, -1), axis=(0, 1))[None, None]
    back = upright(moved, {"shift": np.array([[2.0, -1.0]])})[0, 0]
    np.testing.assert_allclose(back[:-2, 1:], image[:-2, 1:], atol=1e-6)
    assert np.isnan(back[-2:]).all()
    assert np.isnan(back[:, 0]).all()
