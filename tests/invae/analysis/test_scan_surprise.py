"""Where a scan is unlike the rest of itself."""

import numpy as np
import pytest
import xarray as xr

from invae import dims
from invae.analysis.scan import raster, surprising
from invae.analysis.scan_surprise import surprise
from invae.config import AnalyseConfig

SHAPE = (44, 48)
PERIOD = 9.0
WHERE = (24, 19)


def lattice(seed: int, *, missing: bool, noise: float = 0.4, width: float = 3.0) -> xr.Dataset:
    """Sites of a scan whose two contents repeat along both axes, but around one place."""
    y, x = np.indices(SHAPE)
    first = np.cos(2 * np.pi * y / PERIOD) * np.cos(2 * np.pi * x / PERIOD)
    second = np.sin(2 * np.pi * y / PERIOD) + np.sin(2 * np.pi * (x + y) / PERIOD)
    content = np.stack([first, second], axis=-1)
    near = np.exp(-((y - WHERE[0]) ** 2 + (x - WHERE[1]) ** 2) / (2 * width**2))
    if missing:
        content = content * (1 - near[..., None]) + 0.9 * near[..., None]
    rng = np.random.default_rng(seed)
    content = (content + noise * rng.standard_normal(content.shape)).reshape(-1, 2)
    return xr.Dataset(
        {
            "content": ((dims.SITE, dims.LATENT), content),
            "content_sd": ((dims.SITE, dims.LATENT), np.full(content.shape, noise)),
            "log_likelihood": (dims.SITE, rng.standard_normal(len(content))),
        },
        {
            name: (dims.SITE, values.ravel().astype(float), {"units": unit})
            for name, values, unit in (
                ("y", y, "pixel"),
                ("x", x, "pixel"),
                ("y_nm", 0.02 * y, "nm"),
                ("x_nm", 0.02 * x, "nm"),
            )
        },
    )


def peaks(sites: xr.Dataset, radius: float = 4.0) -> xr.Dataset:
    told = sites.assign(surprise=surprise(sites, SHAPE, radius=radius))
    return surprising(told, SHAPE, config=AnalyseConfig(surprise_radius=radius))


@pytest.mark.parametrize("seed", [0, 7])
def test_what_breaks_the_repetition_is_the_greatest_surprise(seed):
    found = peaks(lattice(seed, missing=True))
    assert found.sizes["peak"] >= 1
    assert abs(int(found["y"][0]) - WHERE[0]) <= 3
    assert abs(int(found["x"][0]) - WHERE[1]) <= 3


@pytest.mark.parametrize("seed", [0, 7])
def test_a_lattice_that_repeats_itself_surprises_far_less(seed):
    broken, whole = (
        surprise(lattice(seed, missing=missing), SHAPE, radius=4.0).to_numpy()
        for missing in (True, False)
    )
    assert whole.max() < 0.5 * broken.max()


def test_a_content_that_carries_nothing_changes_no_surprise():
    sites = lattice(1, missing=True)
    rng = np.random.default_rng(2)
    idle = 0.02 * rng.standard_normal((sites.sizes[dims.SITE], 1))
    more = xr.Dataset(
        {
            "content": ((dims.SITE, dims.LATENT), np.hstack([sites["content"], idle])),
            "content_sd": (
                (dims.SITE, dims.LATENT),
                np.hstack([sites["content_sd"], np.full(idle.shape, 0.99)]),
            ),
            "log_likelihood": sites["log_likelihood"],
        },
        sites.coords,
    )
    before, after = (surprise(each, SHAPE, radius=4.0) for each in (sites, more))
    np.testing.assert_allclose(before, after, rtol=1e-6)


def test_a_few_probes_surprise_nobody():
    sites = lattice(0, missing=True).isel(site=slice(0, 20))
    assert (surprise(sites, SHAPE, radius=2.0) == 0).all()
    assert peaks(sites).sizes["peak"] == 0


def test_values_lie_where_their_probes_are():
    sites = lattice(0, missing=False).isel(site=slice(0, None, 3))
    values = xr.DataArray(np.arange(float(sites.sizes[dims.SITE])), dims=dims.SITE)
    found = raster(values, sites, SHAPE)
    assert found.dims == (dims.SCAN_Y, dims.SCAN_X)
    np.testing.assert_array_equal(found.to_numpy().ravel()[::3], values)
    assert np.isnan(found.to_numpy().ravel()[1::3]).all()


def uneven(arms: tuple[float, float, float], *, seed: int) -> xr.Dataset:
    """Sites of a scan whose surprise has three arms of these heights, 120° apart, and some noise."""
    sites = lattice(seed, missing=False)
    y, x = np.indices(SHAPE)
    values = np.random.default_rng(seed).normal(size=SHAPE)
    for height, angle in zip(arms, np.deg2rad([90, 210, 330]), strict=True):
        middle = WHERE[0] - 4 * np.sin(angle), WHERE[1] + 4 * np.cos(angle)
        values += height * np.exp(-((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / (2 * 5**2))
    return sites.assign(surprise=(dims.SITE, values.ravel(), dims.attrs("surprise")))


@pytest.mark.parametrize("arms", [(13, 10, 10), (10, 13, 10), (10, 9, 13)])
def test_a_mark_is_the_middle_of_what_is_surprising_not_its_highest_arm(arms):
    sites = uneven(arms, seed=3)
    found = surprising(sites, SHAPE, config=AnalyseConfig(surprise_threshold=8)).isel(peak=0)
    middle = np.array([float(found["y"]), float(found["x"])])
    highest = sites.isel(site=int(found["site"]))
    peak = np.array([float(highest["y"]), float(highest["x"])])
    assert np.hypot(*(middle - WHERE)) < 1
    assert np.hypot(*(middle - WHERE)) < 0.7 * np.hypot(*(peak - WHERE))
    assert float(found["surprise"]) == float(sites["surprise"].max())
    np.testing.assert_allclose(found["y_nm"], 0.02 * middle[0])


def test_two_places_keep_apart_and_a_probe_without_a_pattern_counts_nowhere():
    sites = lattice(5, missing=False)
    y, x = np.indices(SHAPE)
    first, second = (
        20 * np.exp(-((y - row) ** 2 + (x - 20) ** 2) / (2 * 4**2)) for row in (12, 28)
    )
    sites = sites.assign(surprise=(dims.SITE, (first + second).ravel(), dims.attrs("surprise")))
    kept = sites.isel(site=np.flatnonzero(sites["x"].to_numpy() != 31))
    for each in (sites, kept):
        found = surprising(each, SHAPE, config=AnalyseConfig()).sortby("y")
        np.testing.assert_allclose(found["y"], [12, 28], atol=0.7)
        np.testing.assert_allclose(found["x"], [20, 20], atol=0.3)
