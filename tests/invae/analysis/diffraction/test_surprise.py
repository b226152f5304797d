"""Where a scan is unlike the rest of itself."""

import numpy as np
import pytest
import xarray as xr

from invae import dims
from invae.analysis.diffraction.groups import add_groups, raster, surprising
from invae.analysis.diffraction.surprise import surprise
from invae.analysis.inputs import Inputs
from invae.config import AnalyseConfig, ComputeConfig
from invae.progress import silent
from invae.storage import store

SHAPE = (44, 48)
PERIOD = 9.0
WHERE = (24, 19)
SCAN = (dims.SCAN_Y, dims.SCAN_X)


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


def maps_of(seed: int, *, noise: float) -> xr.Dataset:
    """Maps of an oblique lattice that lacks something around one place."""
    y, x = np.indices(SHAPE)
    waves = [2 * np.pi * y / PERIOD, 2 * np.pi * (0.3 * y + x) / PERIOD]
    near = np.exp(-((y - WHERE[0]) ** 2 + (x - WHERE[1]) ** 2) / (2 * 4.0**2))
    fields = {
        "com_y": np.sin(waves[0]),
        "com_x": np.sin(waves[1]),
        "haadf": 2 + np.cos(waves[0]) + np.cos(waves[1]),
    }
    rng = np.random.default_rng(seed)
    return xr.Dataset(
        {
            name: (SCAN, values * (1 - near) + noise * rng.standard_normal(SHAPE))
            for name, values in fields.items()
        }
    )


@pytest.mark.parametrize("seed", [1, 4])
def test_what_a_place_lacks_of_the_lattice_tells_where_contents_are_noise(seed):
    sites = lattice(seed, missing=False, noise=30.0)
    blind = surprise(sites, SHAPE, radius=4.0).to_numpy().reshape(SHAPE)
    told = surprise(sites, SHAPE, radius=4.0, maps=maps_of(seed, noise=1.5))
    first, second = (
        np.hypot(*np.subtract(np.unravel_index(values.argmax(), SHAPE), WHERE))
        for values in (told.to_numpy().reshape(SHAPE), blind)
    )
    assert first <= 4 < second


@pytest.mark.parametrize("asked", ["find", "ignore"])
def test_a_configuration_may_ask_for_the_contents_alone(asked, tmp_path):
    recording = tmp_path / "recording.zarr"
    patterns = xr.Dataset({"pattern": ((*SCAN, "k_y", "k_x"), np.zeros((*SHAPE, 1, 1)))})
    store.write_dataset(recording, patterns, group="")
    maps = maps_of(2, noise=0.5)
    store.write_dataset(recording, maps, group="maps")
    config = AnalyseConfig(surprise_lattice=asked)
    none = tmp_path / "none"
    inputs = Inputs(recording, none, none, none, config, 0, ComputeConfig(), silent)
    groups = {"": lattice(2, missing=False)}
    add_groups(inputs, groups)
    told = groups[""]["surprise"]
    expected = surprise(
        lattice(2, missing=False),
        SHAPE,
        radius=config.surprise_radius,
        maps=maps if asked == "find" else None,
    )
    np.testing.assert_array_equal(told, expected)
    assert (groups["surprises"].sizes["peak"] > 0) is (asked == "find")


def test_maps_without_a_lattice_change_no_surprise():
    sites, rng = lattice(0, missing=True), np.random.default_rng(5)
    noise = xr.Dataset({name: (SCAN, rng.normal(size=SHAPE)) for name in ("com_y", "com_x")})
    alone, beside = (surprise(sites, SHAPE, radius=4.0, maps=maps) for maps in (None, noise))
    xr.testing.assert_identical(alone, beside)


def test_sites_that_leave_out_the_edge_read_the_lattice_at_their_own_places():
    maps, whole = maps_of(0, noise=0.5), lattice(0, missing=False, noise=30.0)
    inner = (whole["y"] >= 2) & (whole["y"] < SHAPE[0] - 2) & (whole["x"] >= 2)
    found = surprise(whole.isel(site=inner.to_numpy()), SHAPE, radius=4.0, maps=maps)
    at = whole.isel(site=inner.to_numpy()).isel(site=int(found.to_numpy().argmax()))
    assert np.hypot(float(at["y"]) - WHERE[0], float(at["x"]) - WHERE[1]) <= 4


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
