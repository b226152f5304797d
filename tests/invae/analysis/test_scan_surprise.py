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
