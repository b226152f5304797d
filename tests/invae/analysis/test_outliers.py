"""Sites unlike the others of their class are found where they are, and named for what is unusual."""

import numpy as np
import pytest
import xarray as xr

from invae.analysis.outliers import REASONS, find_outliers


def field(*, seed: int, n: int = 20) -> xr.Dataset:
    """Sites on a grid in two classes of normal noise, the dose doubling from left to right."""
    generator = np.random.default_rng(seed)
    y, x = (axis.ravel().astype(float) for axis in np.mgrid[:n, :n])
    label = (y + x).astype(int) % 2
    own = np.where(label == 0, 1.0, 0.4) * (1 + x / n)
    sites = xr.Dataset(
        {
            "content": (("site", "latent"), generator.normal(size=(n * n, 2))),
            "reconstruction_error": ("site", generator.normal(1, 0.05, n * n)),
            "intensity": ("site", own * generator.normal(1, 0.03, n * n)),
            "frame": ("site", np.zeros(n * n, int)),
        }
        | {name: ("site", values) for name, values in (("y", y), ("x", x))}
        | {f"{name}_nm": ("site", values * 0.02) for name, values in (("y", y), ("x", x))}
    )
    return sites.assign(label=("site", label))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_dim_and_a_bright_atom_are_found_though_the_dose_changes(seed):
    sites = field(seed=seed)
    sites["intensity"][210] *= 0.6
    sites["intensity"][33] *= 1.6
    score, found = find_outliers(sites, label=sites["label"].to_numpy())
    first = dict(zip(found["site"].to_numpy().tolist(), found["reason"].to_numpy(), strict=True))
    assert REASONS[first[210]] == "dimmer than its class"
    assert REASONS[first[33]] == "brighter than its class"
    assert set(found["site"].to_numpy()[:2].tolist()) == {210, 33}
    assert found.sizes["outlier"] <= 2 + 0.02 * sites.sizes["site"]
    np.testing.assert_allclose(found["score"], score.to_numpy()[found["site"].to_numpy()], 1e-6)
    np.testing.assert_array_equal(found["y_nm"], sites["y_nm"].to_numpy()[found["site"]])


def test_an_atom_of_the_other_class_s_height_is_unusual_in_its_own():
    sites = field(seed=3)
    site = int(np.flatnonzero(sites["label"].to_numpy() == 0)[90])
    sites["intensity"][site] *= 0.4
    _, found = find_outliers(sites, label=sites["label"].to_numpy())
    assert found["site"].to_numpy()[0] == site


def test_a_lonely_content_and_a_bad_reconstruction_are_said_so():
    sites = field(seed=4)
    sites["content"][50] = [9.0, 9.0]
    sites["reconstruction_error"][120] = 2.0
    _, found = find_outliers(sites, label=sites["label"].to_numpy())
    reasons = dict(zip(found["site"].to_numpy().tolist(), found["reason"].to_numpy(), strict=True))
    assert REASONS[reasons[50]] == "unusual content"
    assert REASONS[reasons[120]] == "poorly reconstructed"


def test_a_class_of_a_handful_of_sites_has_no_outliers():
    sites = field(seed=5, n=3)
    sites["intensity"][4] *= 50
    score, found = find_outliers(sites, label=np.zeros(9, int))
    assert found.sizes["outlier"] == 0
    assert float(score.max()) == 0
