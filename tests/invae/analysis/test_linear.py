"""Principal components."""

import numpy as np
import pytest
import xarray as xr

from invae.analysis import linear
from invae.analysis.linear import principal_components
from invae.config import ComputeConfig
from invae.errors import InputError
from invae.storage import store

SHAPE = (2, 6, 5)


def patch_store(path, values, valid=None):
    dims = ("site", "channel", "patch_y", "patch_x")
    valid = np.ones(values.shape, bool) if valid is None else valid
    store.write_dataset(
        path,
        xr.Dataset({"patch": (dims, values.astype(np.float32)), "valid": (dims, valid)}),
    )
    return path


def low_rank(n_sites, seed=0, noise=0.05):
    rng = np.random.default_rng(seed)
    pixels = int(np.prod(SHAPE))
    directions = np.linalg.qr(rng.standard_normal((pixels, 4)))[0]
    scores = rng.standard_normal((n_sites, 4)) * [6, 4, 2, 1]
    values = scores @ directions.T + 0.3 + noise * rng.standard_normal((n_sites, pixels))
    return values.reshape(n_sites, *SHAPE)


def components(path, **more):
    chosen = {"n_components": 4, "n_compared": 2, "seed": 0, "compute": ComputeConfig(workers=1)}
    return principal_components(path, **{**chosen, **more})


def test_the_components_are_those_of_the_singular_value_decomposition(tmp_path, monkeypatch):
    monkeypatch.setattr(linear, "BLOCK_BYTES", 17 * 60 * 8)  # several blocks, the last one short
    values = low_rank(101).astype(np.float32).astype(np.float64)
    found = components(patch_store(tmp_path / "p.zarr", values))
    rows = values.reshape(len(values), -1)
    _, singular, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(found["explained_variance"], singular[:4] ** 2 / 100, rtol=1e-4)
    ratio = singular[:4] ** 2 / (singular**2).sum()
    np.testing.assert_allclose(found["explained_variance_ratio"], ratio, rtol=1e-4)
    overlap = np.abs((found["component"].to_numpy().reshape(4, -1) * axes[:4]).sum(axis=1))
    np.testing.assert_allclose(overlap, 1, atol=1e-4)
    scores = (rows - rows.mean(axis=0)) @ found["component"].to_numpy().reshape(4, -1).T
    np.testing.assert_allclose(found["pca"], scores, atol=1e-3)


def test_the_error_is_what_the_compared_components_leave_over(tmp_path):
    values = low_rank(60, noise=0)
    path = patch_store(tmp_path / "p.zarr", values)
    assert float(components(path, n_compared=4)["pca_error"].max()) < 1e-3
    two, rows = components(path, n_compared=2), values.reshape(60, -1)
    _, singular, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    expected = (singular[2:] ** 2).sum() / rows.size
    np.testing.assert_allclose((two["pca_error"] ** 2).mean(), expected, rtol=1e-3)


def test_masked_pixels_count_for_nothing(tmp_path):
    values = low_rank(80)
    valid = np.random.default_rng(1).random(values.shape) > 0.1
    broken = np.where(valid, values, 1e6)
    first = components(patch_store(tmp_path / "a.zarr", broken, valid))
    second = components(patch_store(tmp_path / "b.zarr", np.where(valid, values, -3.0), valid))
    xr.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-4)


def test_more_workers_give_the_same_values(tmp_path, monkeypatch):
    monkeypatch.setattr(linear, "BLOCK_BYTES", 17 * 60 * 8)
    path = patch_store(tmp_path / "p.zarr", low_rank(100))
    one = components(path)
    two = components(path, compute=ComputeConfig(workers=2))
    xr.testing.assert_identical(one, two)


def test_patches_that_do_not_vary_have_no_components_worth_naming(tmp_path):
    found = components(patch_store(tmp_path / "p.zarr", np.ones((10, *SHAPE))))
    assert float(found["explained_variance_ratio"].sum()) == 0
    assert float(found["pca_error"].max()) < 1e-6


def test_a_single_patch_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"1 patch\(es\); components need at least 2"):
        components(patch_store(tmp_path / "p.zarr", np.ones((1, *SHAPE))))
