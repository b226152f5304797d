"""The five descriptors of a site, on shapes whose answer is known."""

import numpy as np
import pytest
import xarray as xr

from invae import dims
from invae.analysis.domains.switching import count_walls, describe_sites
from invae.config import AnalyseConfig, ComputeConfig
from invae.config.describe import WallConfig
from invae.descriptors.domains.walls import find_walls, rasterize

SIDE = 96
MIDDLE = (SIDE - 1) / 2
Y, X = np.indices((SIDE, SIDE), dtype=float) - MIDDLE
WINDOW = 32
RADIUS = AnalyseConfig().disc_radius


def soft(distance: np.ndarray) -> np.ndarray:
    """A domain that is positive where the distance from its wall is [px]."""
    return np.tanh(distance / 2).astype(np.float32)


def maps_of(*frames: np.ndarray, drift=None, valid=None) -> xr.Dataset:
    """Maps as the describe stage makes them."""
    p = np.stack(frames)
    valid = np.ones(p.shape, bool) if valid is None else valid
    walls = [
        rasterize(find_walls(image, mask, config=WallConfig()), image.shape)
        for image, mask in zip(p, valid, strict=True)
    ]
    return xr.Dataset(
        {
            "polarization": (dims.IMAGE, p),
            "wall": (dims.IMAGE, np.stack(walls).astype(np.uint8)),
            "valid": (dims.IMAGE, valid),
            "drift": (("frame", "axis"), np.zeros((len(p), 2)) if drift is None else drift),
        },
        coords={axis: (axis, 5.0 * np.arange(SIDE), dims.attrs(axis, "nm")) for axis in "yx"},
    )


def site_at(*places: tuple[float, float], frame: int = 0) -> xr.Dataset:
    y, x = np.array(places).T
    return xr.Dataset(
        {"frame": ("site", np.full(len(y), frame)), "y": ("site", y), "x": ("site", x)}
    )


def described(maps: xr.Dataset, sites: xr.Dataset, **config) -> xr.Dataset:
    return describe_sites(
        maps,
        sites,
        window=WINDOW,
        config=AnalyseConfig.model_validate({"field": "positive", **config}),
        compute=ComputeConfig(workers=1),
    )


def one(maps: xr.Dataset, place: tuple[float, float], **config) -> dict[str, float]:
    return {str(k): float(v[0]) for k, v in described(maps, site_at(place), **config).items()}


def test_a_straight_wall_is_half_switched_flat_and_alone():
    found = one(maps_of(soft(X)), (MIDDLE, MIDDLE))
    assert found["wall_count"] == 1
    assert found["switching_degree"] == pytest.approx(0.5, abs=0.001)
    assert found["wall_curvature"] == pytest.approx(0, abs=1e-4)
    assert found["domain_convexity"] == pytest.approx(0, abs=0.001)
    assert np.isnan(found["switch_significance"])


@pytest.mark.parametrize("radius", [14.0, 20.0, 30.0])
@pytest.mark.parametrize("degrees", [0, 25, 100])
def test_the_curvature_of_a_disc_is_one_over_its_radius(radius, degrees):
    turn = np.deg2rad(degrees)
    place = (MIDDLE - radius * np.sin(turn), MIDDLE + radius * np.cos(turn))
    found = one(maps_of(soft(radius - np.hypot(Y, X))), place)
    assert found["wall_curvature"] == pytest.approx(1 / radius, rel=0.1)
    assert found["wall_curvature_nm"] == pytest.approx(found["wall_curvature"] / 5)


@pytest.mark.parametrize("radius", [22.0, 32.0])
def test_convexity_follows_curvature(radius):
    """(A_switched − A_unswitched)/A ≈ −(2/3π)·R·κ in a disc of radius R on an arc: a bulging domain fills less than half."""
    found = one(maps_of(soft(radius - np.hypot(Y, X))), (MIDDLE, MIDDLE + radius))
    expected = -2 / (3 * np.pi) * RADIUS / radius
    assert found["domain_convexity"] == pytest.approx(expected, rel=0.15)


def test_without_a_field_the_domain_is_that_of_positive_polarization():
    maps = maps_of(soft(20 - np.hypot(Y, X)))
    unknown, up = (one(maps, (MIDDLE, MIDDLE + 20), field=f) for f in ("unknown", "positive"))
    assert "switching_degree" not in unknown
    assert unknown.pop("domain_fraction") == up.pop("switching_degree")
    assert unknown == pytest.approx(up, nan_ok=True)


def test_the_other_field_swaps_what_is_switched():
    maps = maps_of(soft(20 - np.hypot(Y, X)))
    up, down = (one(maps, (MIDDLE, MIDDLE + 20), field=f) for f in ("positive", "negative"))
    assert up["switching_degree"] == pytest.approx(1 - down["switching_degree"])
    assert up["wall_curvature"] == pytest.approx(-down["wall_curvature"])
    assert up["domain_convexity"] == pytest.approx(-down["domain_convexity"])
    assert up["wall_count"] == down["wall_count"]


def test_two_walls_are_two():
    found = one(maps_of(soft(5 - np.abs(X))), (MIDDLE, MIDDLE + 5))
    assert found["wall_count"] == 2
    assert found["switching_degree"] == pytest.approx(10 / 32, abs=0.02)


def test_crumbs_are_no_walls():
    tiles = np.zeros((3, 12, 12), bool)
    tiles[0, 2, 2:6] = True
    tiles[1, 2, 2:7] = True
    tiles[1, 8, 1:10] = True
    tiles[2, np.arange(6), np.arange(6)] = True
    np.testing.assert_array_equal(count_walls(tiles), [0, 2, 1])


def test_a_checkerboard_is_half_switched_and_convex_nowhere():
    board = np.sin(2 * np.pi * (X + 0.1) / 16) * np.sin(2 * np.pi * (Y + 0.1) / 16)
    found = one(maps_of(board.astype(np.float32)), (MIDDLE, MIDDLE))
    assert found["switching_degree"] == pytest.approx(0.5, abs=0.03)
    assert found["domain_convexity"] == pytest.approx(0, abs=0.05)


def test_a_quarter_turn_changes_nothing():
    generator = np.random.default_rng(4)
    bumpy = np.cumsum(np.cumsum(generator.standard_normal((2, SIDE, SIDE)), 1), 2)
    smooth = bumpy - bumpy.mean(axis=(1, 2), keepdims=True)
    p = np.tanh(smooth / np.abs(smooth).mean()).astype(np.float32)
    maps = maps_of(*p)
    places = np.argwhere(maps["wall"].to_numpy()[0])[::9] + generator.uniform(-0.4, 0.4, 2)
    turned_maps = maps_of(*np.rot90(p, axes=(1, 2)))
    turned_maps["wall"] = (dims.IMAGE, np.rot90(maps["wall"].to_numpy(), axes=(1, 2)))
    turned_places = np.column_stack([SIDE - 1 - places[:, 1], places[:, 0]])
    upright, turned = (
        described(m, site_at(*places))
        for m, places in ((maps, places), (turned_maps, turned_places))
    )
    assert upright.sizes["site"] > 10
    for name in upright:
        np.testing.assert_allclose(turned[name], upright[name], atol=2e-4, err_msg=str(name))


@pytest.mark.parametrize("moved", [0.0, 4.0, 8.0])
def test_significance_is_the_share_that_flips(moved):
    maps = maps_of(soft(X), soft(X + moved))
    assert one(maps, (MIDDLE, MIDDLE))["switch_significance"] == pytest.approx(moved / 32, abs=0.01)


def test_drift_is_no_switching():
    """Frame 1 sees at pixel p what frame 0 sees at p + drift."""
    drift = np.array([[0, 0], [3.0, -5.5]])
    shape = 20 - np.hypot(Y, X)
    moved = 20 - np.hypot(Y + drift[1, 0], X + drift[1, 1])
    still = maps_of(soft(shape), soft(moved), drift=drift)
    assert one(still, (MIDDLE, MIDDLE + 20))["switch_significance"] < 0.01
    ignored = maps_of(soft(shape), soft(moved))
    assert one(ignored, (MIDDLE, MIDDLE + 20))["switch_significance"] > 0.1


def test_the_last_frame_has_no_significance():
    maps = maps_of(soft(X), soft(X))
    last = described(maps, site_at((MIDDLE, MIDDLE), frame=1))
    assert np.isnan(last["switch_significance"]).all()
    assert np.isfinite(last["switching_degree"]).all()


def test_masked_pixels_are_left_out_of_every_mean():
    valid = np.ones((1, SIDE, SIDE), bool)
    valid[0, int(MIDDLE) + 4 :] = False
    p = soft(X)
    p_spoilt = p.copy()
    p_spoilt[~valid[0]] = -1e3
    found = one(maps_of(p_spoilt, valid=valid), (MIDDLE, MIDDLE))
    assert found["switching_degree"] == pytest.approx(0.5, abs=0.01)
    assert found["domain_convexity"] == pytest.approx(0, abs=0.01)
    assert found["wall_curvature"] == pytest.approx(0, abs=0.01)


def test_a_site_where_nothing_is_known_has_no_answer():
    found = one(maps_of(soft(X), valid=np.zeros((1, SIDE, SIDE), bool)), (MIDDLE, MIDDLE))
    assert found.pop("wall_count") == 0
    assert all(np.isnan(value) for value in found.values())


def test_the_edge_of_the_frame_is_left_out_too():
    found = one(maps_of(soft(Y)), (MIDDLE, 0.0))
    assert found["switching_degree"] == pytest.approx(0.5, abs=0.01)


def test_values_are_labelled():
    found = described(maps_of(soft(X)), site_at((MIDDLE, MIDDLE)))
    assert {v.attrs["units"] for v in found.data_vars.values()} == {"1", "1/pixel", "1/nm"}
    assert all(v.dims == ("site",) for v in found.data_vars.values())


def test_without_sites_there_are_no_values():
    empty = xr.Dataset({name: ("site", np.empty(0)) for name in ("frame", "y", "x")})
    assert described(maps_of(soft(X)), empty).sizes["site"] == 0
