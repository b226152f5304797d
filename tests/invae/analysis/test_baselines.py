"""Methods without invariance."""

from typing import get_args

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import adjusted_rand_score

from invae import dims
from invae.analysis import baselines
from invae.analysis.linear import principal_components
from invae.config import AnalyseConfig, ComputeConfig
from invae.descriptors.layout import EMPTY
from invae.errors import ConfigError, InputError
from invae.storage import store

SHAPE = (1, 6, 8)
METHODS = ("pca", "ica", "nmf", "kmeans", "gmm")


def sites_of(path, *, seed=0, n_sites=300, offset=0.0):
    """Three pictures of different brightness with noise, and which picture each patch shows."""
    rng = np.random.default_rng(seed)
    pictures = rng.random((3, *SHAPE)) * 4
    label = rng.integers(0, 3, n_sites)
    bright = rng.uniform(0.9, 1.1, (n_sites, 1, 1, 1))
    values = bright * pictures[label] + 0.05 * rng.random((n_sites, *SHAPE)) + offset
    valid = rng.random(values.shape) > 0.02
    made = {"patch": (dims.PATCH, np.where(valid, values, np.nan)), "valid": (dims.PATCH, valid)}
    store.write_dataset(path, xr.Dataset(made))
    return path, label


def answers(path, methods=METHODS, **more):
    asked = {"n_components": 2, "n_classes": 3, "seed": 0, "compute": ComputeConfig(), **more}
    components = principal_components(
        path, n_components=6, n_compared=2, seed=0, compute=ComputeConfig(workers=1)
    )
    return baselines.compare_methods(path, components, methods=methods, **asked), components


@pytest.mark.parametrize("seed", [0, 4])
def test_plain_pictures_are_told_apart_by_every_method(tmp_path, seed):
    path, label = sites_of(tmp_path / "p.zarr", seed=seed)
    found, _ = answers(path, n_components=3)
    for method in METHODS:
        own = found["cluster"].sel(baseline=method)
        assert adjusted_rand_score(label, own) > 0.95, method


def test_values_do_not_depend_on_the_number_of_workers(tmp_path):
    path, _ = sites_of(tmp_path / "p.zarr")
    one, two, four = (answers(path, compute=ComputeConfig(workers=n))[0] for n in (1, 2, 4))
    xr.testing.assert_identical(one, two)
    xr.testing.assert_identical(one, four)


def test_every_method_answers_in_the_same_form(tmp_path):
    path, _ = sites_of(tmp_path / "p.zarr")
    found, components = answers(path)
    assert found["content"].dims == ("baseline", "site", "coordinate")
    assert found["baseline"].to_numpy().tolist() == list(METHODS)
    assert np.isfinite(found["content"]).all()
    assert (found["reconstruction_error"] > 0).all()
    pca = found.sel(baseline="pca")
    np.testing.assert_allclose(pca["reconstruction_error"], components["pca_error"], rtol=1e-3)
    np.testing.assert_allclose(pca["content"], components["pca"][:, :2], rtol=1e-4, atol=1e-4)


def test_pieces_give_the_values_of_the_whole(tmp_path, monkeypatch):
    path, _ = sites_of(tmp_path / "p.zarr")
    whole, _ = answers(path)
    monkeypatch.setattr(baselines, "BLOCK_BYTES", 70 * 48 * 8)
    pieces, _ = answers(path)
    xr.testing.assert_allclose(whole, pieces, rtol=1e-3, atol=1e-3)


def test_the_same_seed_gives_the_same_answer(tmp_path):
    path, _ = sites_of(tmp_path / "p.zarr")
    xr.testing.assert_identical(answers(path)[0], answers(path)[0])


def test_negative_patches_are_refused_by_the_method_that_cannot_take_them(tmp_path):
    path, _ = sites_of(tmp_path / "p.zarr", offset=-9.0)
    with pytest.raises(InputError, match=r"negative values \(-.*remove it from analyse.baselines"):
        answers(path, methods=("nmf",))
    assert np.isfinite(answers(path, methods=("pca", "gmm"))[0]["content"]).all()


def residuals_of(path, *, seed, told=True):
    """Poisson counts that three non-negative pictures add up to, as residuals, and how much of each is in every one."""
    rng = np.random.default_rng(seed)
    pictures = np.zeros((3, *SHAPE))
    pictures[0, :, :3], pictures[1, :, :, :4], pictures[2, :, 3:, 4:] = 60.0, 60.0, 60.0
    share = rng.dirichlet([0.4, 0.4, 0.4], 400)
    expected = np.einsum("sk,k...->s...", share, pictures) + 2.0
    mean = expected.mean(0)
    values = (rng.poisson(expected) - mean) / np.sqrt(mean)
    made = {"patch": (dims.PATCH, values), "valid": (dims.PATCH, np.ones(values.shape, bool))}
    store.write_dataset(path, xr.Dataset(made))
    if told:
        empty = {"empty_patch": (dims.PATCH[1:], -np.sqrt(mean))}
        store.write_dataset(path, xr.Dataset(empty), group=EMPTY)
    return path, share


@pytest.mark.parametrize("seed", [1, 6])
def test_nmf_finds_the_parts_of_counts_from_which_a_mean_was_taken_off(tmp_path, seed):
    path, share = residuals_of(tmp_path / "p.zarr", seed=seed)
    found, _ = answers(path, methods=("pca", "nmf"), n_components=3)
    content = found["content"].sel(baseline="nmf").to_numpy()
    assert content.min() >= 0
    alike = np.corrcoef(content.T, share.T)[:3, 3:]
    assert (alike.max(axis=0) > 0.95).all()
    assert len(set(alike.argmax(axis=0))) == 3
    # In the unit of the patches, which is the noise: no more is left over than that, as by as many principal components.
    errors = found["reconstruction_error"].median("site")
    assert float(errors.sel(baseline="nmf")) == pytest.approx(
        float(errors.sel(baseline="pca")), rel=0.05
    )


def test_residuals_that_do_not_say_from_what_they_are_counted_are_refused(tmp_path):
    path, _ = residuals_of(tmp_path / "p.zarr", seed=1, told=False)
    with pytest.raises(InputError, match="negative values"):
        answers(path, methods=("nmf",))


def test_umap_that_is_not_installed_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setattr(baselines.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match="umap, which is not installed"):
        baselines.refuse_missing(("pca", "umap"))


@pytest.mark.skipif(
    baselines.importlib.util.find_spec("umap") is None, reason="umap is not installed"
)
@pytest.mark.filterwarnings("default")  # its own, on what else could be installed
def test_umap_where_it_is_installed_tells_pictures_apart(tmp_path):
    path, label = sites_of(tmp_path / "p.zarr")
    content = answers(path, methods=("umap",))[0]["content"].sel(baseline="umap").to_numpy()
    middles = np.stack([np.median(content[label == k], axis=0) for k in range(3)])
    nearest = np.linalg.norm(content[:, None] - middles, axis=-1).argmin(1)
    assert (nearest == label).mean() > 0.95


def test_every_method_of_the_configuration_exists():
    assert set(AnalyseConfig().baselines) <= set(baselines.METHODS)
    names = get_args(get_args(AnalyseConfig.model_fields["baselines"].annotation)[0])
    assert set(names) == set(baselines.METHODS)
