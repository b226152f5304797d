"""Classes of sites."""

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import adjusted_rand_score

from invae.analysis.clusters import classify, remarks
from invae.errors import InputError

CENTRES = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 6.0]])


def blobs(n_sites=400, seed=0, sizes=(0.5, 0.3, 0.2)):
    rng = np.random.default_rng(seed)
    label = rng.choice(3, n_sites, p=sizes)
    values = CENTRES[label] + 0.5 * rng.standard_normal((n_sites, 2))
    return xr.DataArray(values, dims=("site", "latent")), label


@pytest.mark.parametrize("seed", [0, 3, 11])
def test_three_blobs_are_three_classes(seed):
    content, truth = blobs(seed=seed)
    classes = classify(content, max_clusters=6, seed=seed)
    assert classes.attrs["n_classes"] == 3
    assert adjusted_rand_score(truth, classes["cluster"]) > 0.99
    assert classes.attrs["turns"]
    assert classes.attrs["agreement"] > 0.99
    assert remarks(classes) == []


def test_the_largest_class_comes_first():
    content, _ = blobs()
    counts = np.bincount(classify(content, max_clusters=5, seed=0)["cluster"])
    assert list(counts) == sorted(counts, reverse=True)


def test_probabilities_sum_to_one_and_agree_with_the_class():
    content, _ = blobs()
    classes = classify(content, max_clusters=5, seed=0)
    probability = classes["cluster_probability"]
    np.testing.assert_allclose(probability.sum("cluster_name"), 1, atol=1e-5)
    np.testing.assert_array_equal(probability.argmax("cluster_name"), classes["cluster"])


def test_the_same_seed_gives_the_same_classes():
    content, _ = blobs()
    first, second = (classify(content, max_clusters=5, seed=4) for _ in range(2))
    xr.testing.assert_identical(first, second)


def test_units_of_the_content_do_not_matter():
    content, _ = blobs()
    scale = xr.DataArray([1.0, 1000.0], dims="latent")
    first = classify(content, max_clusters=5, seed=0)
    second = classify(content * scale + 7, max_clusters=5, seed=0)
    np.testing.assert_array_equal(first["cluster"], second["cluster"])


def test_a_bic_that_does_not_turn_is_said():
    content, _ = blobs()
    classes = classify(content, max_clusters=2, seed=0)
    assert not classes.attrs["turns"]
    assert "still decreases" in remarks(classes)[0]


def test_a_handful_of_outliers_is_no_class():
    content, _ = blobs()
    content[:3] = 40.0
    classes = classify(content, max_clusters=6, seed=0)
    assert np.bincount(classes["cluster"]).min() >= 5


def test_a_dead_dimension_is_no_trouble():
    content, truth = blobs()
    dead = content.copy(data=np.column_stack([content[:, 0] + content[:, 1] * 0.1, np.zeros(400)]))
    assert classify(dead, max_clusters=4, seed=0).attrs["n_classes"] >= 2
    assert len(truth) == 400


@pytest.mark.parametrize("n_sites", [2, 9])
def test_a_handful_of_sites_is_one_class(n_sites):
    content = xr.DataArray(np.zeros((n_sites, 2)), dims=("site", "latent"))
    content[1:] = 1.0
    assert classify(content, max_clusters=8, seed=0).attrs["n_classes"] == 1


def test_one_site_and_content_that_is_not_finite_are_refused():
    with pytest.raises(InputError, match=r"1 site\(s\)"):
        classify(xr.DataArray(np.zeros((1, 2)), dims=("site", "latent")), max_clusters=3, seed=0)
    bad = xr.DataArray([[0.0, np.nan], [1.0, 2.0]], dims=("site", "latent"))
    with pytest.raises(InputError, match="1 of 2 sites is not finite"):
        classify(bad, max_clusters=3, seed=0)
