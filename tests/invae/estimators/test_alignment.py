"""Members of an ensemble, brought to the same words."""

import numpy as np
import pytest
import xarray as xr

from invae.estimators.alignment import aligned, fit_alignment, matched
from invae.estimators.ensemble import combined, entropy

N_SITES = 400


def member(seed: int = 0) -> xr.Dataset:
    """What a model with three classes might say."""
    rng = np.random.default_rng(seed)
    state = rng.integers(3, size=N_SITES)
    probability = np.full((N_SITES, 3), 0.02)
    probability[np.arange(N_SITES), state] = 0.96
    return xr.Dataset(
        {
            "content": (("site", "latent"), rng.normal(size=(N_SITES, 3)).astype(np.float32)),
            "content_sd": (("site", "latent"), np.full((N_SITES, 3), 0.1, np.float32)),
            "angle": ("site", rng.uniform(-np.pi, np.pi, N_SITES).astype(np.float32)),
            "class_probability": (("site", "class"), probability),
        },
        coords={"class": ("site", state.astype(np.int32)), "frame": ("site", np.arange(N_SITES))},
    )


def renamed(latents: xr.Dataset, *, seed: int) -> xr.Dataset:
    """The same in other words: classes shuffled, content turned and moved, angles offset by class."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(3)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    probability = np.empty((N_SITES, 3))
    probability[:, names] = latents["class_probability"].values
    state = latents["class"].values
    angle = latents["angle"].values + rng.uniform(-3, 3, 3)[state]
    return latents.assign(
        content=(("site", "latent"), latents["content"].values @ rotation + 0.7),
        angle=("site", np.angle(np.exp(1j * angle))),
        class_probability=(("site", "class"), probability),
    ).assign_coords({"class": ("site", names[state].astype(np.int32))})


@pytest.mark.parametrize("seed", range(3))
def test_renumbered_classes_and_rotated_content_are_aligned(seed):
    reference = member()
    other = renamed(reference, seed=seed)
    latents = aligned(other, fit_alignment(other, reference))
    for name in ("content", "class_probability"):
        np.testing.assert_allclose(latents[name], reference[name], atol=1e-5)
    assert (latents["class"] == reference["class"]).all()
    assert np.cos(latents["angle"] - reference["angle"]).min() > 1 - 1e-6


def test_the_reference_is_aligned_with_itself():
    reference = member()
    latents = aligned(reference, fit_alignment(reference, reference))
    np.testing.assert_allclose(latents["content"], reference["content"], atol=1e-5)
    np.testing.assert_allclose(latents["angle"], reference["angle"], atol=1e-5)


def test_classes_are_matched_by_the_sites_they_share():
    own = np.eye(3)[[0, 0, 1, 2, 2, 2]]
    other = np.eye(3)[[2, 2, 0, 1, 1, 0]]
    assert matched(own, other).tolist() == [2, 0, 1]


def test_members_that_agree_have_no_dispersion_and_those_that_do_not_are_told():
    reference = member()
    torn = reference.copy(deep=True)
    first = np.flatnonzero(reference["class"].values == 0)
    torn["class"][first] = 1
    torn["class_probability"][first] = torn["class_probability"].values[first][:, [1, 0, 2]]
    torn["angle"][:] = torn["angle"] + 1.0
    ensemble = combined([reference, torn])
    agreed = ensemble["class"].values == 2
    assert (ensemble["agreement"].values[agreed] == 1).all()
    np.testing.assert_allclose(ensemble["content_dispersion"], 0)
    assert (ensemble["agreement"].values[first] == 0.5).all()
    sure, torn_entropy = (
        ensemble["class_entropy"].values[k] for k in (np.flatnonzero(agreed), first)
    )
    assert torn_entropy.min() > 3 * sure.max()
    np.testing.assert_allclose(
        ensemble["angle_dispersion"], np.sqrt(-2 * np.log(np.cos(0.5))), 1e-5
    )
    assert 2 not in ensemble.attrs["unstable_classes"]
    assert len(ensemble.attrs["unstable_classes"]) >= 1
    assert ensemble["frame"].equals(reference["frame"])


def test_entropy_is_that_of_the_rows():
    np.testing.assert_allclose(entropy(np.array([[1, 0], [0.5, 0.5]])), [0, np.log(2)])
