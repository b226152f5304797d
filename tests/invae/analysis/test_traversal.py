"""The latent manifold."""

import numpy as np
import xarray as xr

from invae.analysis.traversal import Member, manifold, most_informative

NOTHING: dict[str, np.ndarray] = {}


def content_of(values):
    return xr.DataArray(np.asarray(values, dtype=float), dims=("site", "latent"))


def echo(content, given=None):
    """An image whose pixels are the content."""
    return np.repeat(content[:, None, None, :2], 3, axis=2)


def cloud(n_latents, n_sites=500, seed=0):
    return content_of(np.random.default_rng(seed).standard_normal((n_sites, n_latents)))


def test_the_grid_has_the_asked_for_dimensions_and_spans_the_data():
    content = cloud(2)
    found = manifold(content, echo, steps=5, channels=["t"])
    assert found["manifold"].dims == (
        "class",
        "latent_1",
        "latent_2",
        "channel",
        "patch_y",
        "patch_x",
    )
    assert found["manifold"].shape == (1, 5, 5, 1, 3, 2)
    np.testing.assert_allclose(
        found["latent_1"], np.quantile(content[:, 0], np.linspace(0.025, 0.975, 5))
    )
    assert int(found["n_sites"].sum()) == 500


def test_each_image_is_decoded_at_its_own_node():
    found = manifold(cloud(2), echo, steps=5, channels=["t"])
    image = found["manifold"][0].isel(latent_1=1, latent_2=3, channel=0, patch_y=0).to_numpy()
    np.testing.assert_allclose(image, [found["latent_1"][1], found["latent_2"][3]], rtol=1e-6)


def test_nothing_is_drawn_where_no_data_live():
    line = np.linspace(-1, 1, 200)
    found = manifold(content_of(np.column_stack([line, line])), echo, steps=7, channels=["t"])
    empty = (found["n_sites"][0] == 0).to_numpy()
    assert empty[0, 6]
    assert empty[6, 0]
    assert not empty[3, 3]
    drawn = found["manifold"][0].notnull().all(("channel", "patch_y", "patch_x")).to_numpy()
    np.testing.assert_array_equal(drawn, ~empty)


def test_one_dimension_makes_a_row():
    found = manifold(
        cloud(1), lambda z, given=None: np.zeros((len(z), 2, 4, 4)), steps=6, channels=["a", "b"]
    )
    assert found["manifold"].shape == (1, 6, 1, 2, 4, 4)


def test_the_liveliest_dimensions_are_shown_and_the_others_rest_at_their_median():
    content = cloud(4) * xr.DataArray([0.1, 3.0, 0.2, 5.0], dims="latent") + 2
    assert most_informative(content) == [1, 3]
    seen = []

    def remember(grid, given=None):
        seen.append(grid)
        return np.zeros((len(grid), 1, 2, 2))

    manifold(content, remember, steps=3, channels=["t"])
    np.testing.assert_allclose(seen[0][:, 0], np.median(content[:, 0]), rtol=1e-5)
    assert len(np.unique(seen[0][:, 1])) == 3


def test_a_dimension_that_varies_less_than_its_uncertainty_is_not_lively():
    content = cloud(3) * xr.DataArray([1.0, 1.0, 2.0], dims="latent")
    sd = content * 0 + xr.DataArray([0.1, 0.2, 10.0], dims="latent")
    assert most_informative(content, sd) == [0, 1]


def test_every_class_has_a_manifold_where_its_own_sites_lie():
    content = cloud(2)
    first = content[:, 0].to_numpy() > 0
    asked = []

    def remember(grid, given=NOTHING):
        asked.append(int(given["class"][0]))
        return np.full((len(grid), 1, 2, 2), float(given["class"][0]))

    members = [
        Member("1", first, {"class": np.array([0])}),
        Member("2", ~first, {"class": np.array([1])}),
    ]
    found = manifold(content, remember, steps=4, channels=["t"], members=members)
    assert asked == [0, 1]
    assert found["class_name"].to_numpy().tolist() == ["1", "2"]
    np.testing.assert_array_equal(
        found["n_sites"].sum(("latent_1", "latent_2")), [first.sum(), (~first).sum()]
    )
    assert (found["n_sites"][1, 3] == 0).all()
    assert np.isnan(found["manifold"][1, 3]).all()
    assert float(found["manifold"][1].max()) == 1
