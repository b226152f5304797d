"""Lamellae as areas, their edges, and the layers of walls."""

import numpy as np
import pytest
import scipy.ndimage as ndi
import xarray as xr

from invae.config.describe import WallConfig
from invae.descriptors.domains.channels import layer
from invae.descriptors.domains.detection import detect
from invae.descriptors.domains.stripes import find_lamellae, lamella_edges

CONFIG = WallConfig()
SHAPE = (128, 128)
EVERYWHERE, NOWHERE = np.ones(SHAPE, bool), np.zeros(SHAPE, bool)


def stripes(width: float, *, low: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.indices(SHAPE)
    across = (np.cos(0.5) * y + np.sin(0.5) * x) % 40 - 20
    inside = np.abs(across) < width / 2
    return ndi.gaussian_filter(np.where(inside, low, 1.0), 1.0), inside


@pytest.mark.parametrize("width", [4, 6])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_area_of_a_lamella_is_measured_without_its_width(width: float, sign: int) -> None:
    polarization, inside = stripes(width)
    noise = np.random.default_rng(1).normal(scale=0.08, size=SHAPE)
    area = find_lamellae(
        sign * polarization + noise, EVERYWHERE, NOWHERE, scan_lines="rows", config=CONFIG
    )
    own = (slice(8, -8), slice(8, -8))
    shared, either = (area & inside)[own].sum(), (area | inside)[own].sum()
    assert shared / either > 0.75


def test_a_plain_frame_has_no_lamella() -> None:
    noise = np.random.default_rng(2).normal(scale=0.1, size=SHAPE)
    area = find_lamellae(1 + noise, EVERYWHERE, NOWHERE, scan_lines="rows", config=CONFIG)
    assert not area.any()


def test_edges_are_both_sides_of_a_lamella_and_not_the_border_or_a_mask() -> None:
    lamella = NOWHERE.copy()
    lamella[:, 20:30] = True
    valid = EVERYWHERE.copy()
    valid[60] = False
    edges = lamella_edges(lamella & valid, valid)
    expected = NOWHERE.copy()
    expected[:, [20, 29]] = True
    expected[60] = False
    np.testing.assert_array_equal(edges, expected)


def test_a_wall_may_cross_a_lamella_in_the_layers() -> None:
    wall, lamella = np.zeros(SHAPE, np.uint8), NOWHERE.copy()
    lamella[:, 20:30] = True
    wall[64] = 1
    maps = xr.Dataset(
        {name: (("y", "x"), value) for name, value in
         {"wall": wall, "lamella": lamella, "valid": EVERYWHERE}.items()}
    )  # fmt: skip
    both, alone, edges = (layer(name, maps) for name in ("wall_all", "wall_180", "wall_non180"))
    assert alone[64, 25] == edges[64, 20] == both[64, 20] == both[64, 60] == 1
    assert alone[65, 60] == pytest.approx(np.exp(-0.5))
    np.testing.assert_allclose(both, np.maximum(alone, edges))


def test_the_methods_differ_in_what_they_store() -> None:
    polarization, _ = stripes(6)
    polarization[:, 64:] *= -1
    response = polarization.astype(np.complex64)
    by = {
        method: detect(
            response,
            polarization,
            EVERYWHERE,
            scan_lines="rows",
            config=WallConfig(method=method),
        )
        for method in ("contour", "network", "both")
    }
    assert by["contour"].probabilities == {}
    assert set(by["both"].probabilities) == set(by["network"].probabilities)
    np.testing.assert_array_equal(by["both"].wall_180, by["contour"].wall_180)
    np.testing.assert_array_equal(by["both"].lamella, by["network"].lamella)
    assert by["network"].wall_180[:, 62:67].any(axis=1).mean() > 0.8


def test_columns_as_scan_lines_are_the_transposed_frame() -> None:
    polarization, _ = stripes(6)
    polarization[:, 64:] *= -1
    config = WallConfig(method="network")
    rows = detect(
        polarization.astype(np.complex64),
        polarization,
        EVERYWHERE,
        scan_lines="rows",
        config=config,
    )
    columns = detect(
        polarization.T.astype(np.complex64),
        polarization.T,
        EVERYWHERE,
        scan_lines="columns",
        config=config,
    )
    np.testing.assert_allclose(
        columns.probabilities["wall_probability"].T,
        rows.probabilities["wall_probability"],
        atol=1e-5,
    )
