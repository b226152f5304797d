"""Which descriptor each latent follows."""

import numpy as np
import pytest
import xarray as xr

from invae.analysis.association import associate, circular_agreement


def scene(n_sites=800, seed=0, side=256):
    rng = np.random.default_rng(seed)
    y, x = rng.uniform(0, side, (2, n_sites))
    z = rng.standard_normal((n_sites, 2))
    return rng, z, xr.Dataset(coords={"y": ("site", y), "x": ("site", x)})


def answer(z, targets, sites, **more):
    features = xr.Dataset({f"content_{i + 1}": ("site", z[:, i]) for i in range(z.shape[1])})
    descriptors = xr.Dataset({name: ("site", values) for name, values in targets.items()})
    spaces = {"content": xr.DataArray(z, dims=("site", "latent"))}
    return associate(
        features, descriptors, spaces, sites=sites, **{"window": 24, "seed": 0, **more}
    )


def test_a_monotonic_descriptor_has_rank_correlation_one():
    _, z, sites = scene()
    found = answer(z, {"cubed": z[:, 0] ** 3, "minus": -z[:, 1]}, sites)
    assert float(found["rho"].sel(feature="content_1", descriptor="cubed")) == pytest.approx(1)
    assert float(found["rho"].sel(feature="content_2", descriptor="minus")) == pytest.approx(-1)


@pytest.mark.parametrize("seed", [0, 5])
def test_the_interval_covers_zero_for_unrelated_and_not_for_related(seed):
    rng, z, sites = scene(seed=seed)
    noise = rng.standard_normal(len(z))
    found = answer(z, {"related": z[:, 0] + noise, "unrelated": noise}, sites).sel(
        feature="content_1"
    )
    related, unrelated = found.sel(descriptor="related"), found.sel(descriptor="unrelated")
    assert related["rho_low"] > 0.4
    assert unrelated["rho_low"] < unrelated["rho"] < unrelated["rho_high"]
    assert abs(unrelated["rho"]) < 0.15


def test_held_out_r2_is_high_for_a_function_of_the_latents_and_not_above_zero_for_noise():
    rng, z, sites = scene(n_sites=1500)
    targets = {"smooth": np.sin(z[:, 0]) + z[:, 1] ** 2, "noise": rng.standard_normal(len(z))}
    r2 = answer(z, targets, sites)["r2"].sel(space="content")
    assert float(r2.sel(descriptor="smooth")) > 0.85
    assert float(r2.sel(descriptor="noise")) < 0.05


def test_a_latent_that_only_knows_the_place_predicts_nothing_elsewhere():
    """Copying the nearest overlapping patch would give R² = 1; a held-out strip does not let it."""
    rng, _, sites = scene(n_sites=1500)
    place = np.column_stack([sites["y"], sites["x"]])
    lumps = rng.standard_normal((8, 8))
    target = lumps[(sites["y"] // 32).astype(int), (sites["x"] // 32).astype(int)]
    assert float(answer(place, {"lumps": target}, sites)["r2"].squeeze()) < 0.3


def test_too_few_known_values_give_no_answer_rather_than_a_wrong_one():
    _, z, sites = scene()
    target = np.full(len(z), np.nan)
    target[:20] = z[:20, 0]
    found = answer(z, {"rare": target, "constant": np.ones(len(z))}, sites)
    assert found["rho"].isnull().all()
    assert found["r2"].isnull().all()


def test_angles_agree_up_to_an_offset_of_each_class():
    rng = np.random.default_rng(0)
    first = rng.uniform(-np.pi, np.pi, 300)
    label = rng.integers(0, 2, 300)
    second = first - np.where(label == 0, 0.3, 2.1)
    arrays = [xr.DataArray(values, dims="site") for values in (first, second, label)]
    assert circular_agreement(*arrays) == pytest.approx(1)
    other = xr.DataArray(rng.uniform(-np.pi, np.pi, 300), dims="site")
    assert circular_agreement(arrays[0], other, arrays[2]) < 0.2
