"""Frames that were stopped, that lost lines, or whose phase reference moved within the scan: walls are where they are, or masked."""

import numpy as np
import pytest
import scipy.ndimage as ndi
import xarray as xr

from invae.config import WallsConfig
from invae.config.describe import PatchConfig
from invae.storage import store
from tests.invae.descriptors.conftest import Describe, Record, lock_in, texture

SHAPE = (96, 96)
LARGE = texture((128, 128), seed=5, size=6)
Y, X = np.indices(SHAPE)
STRIPES = np.tanh(4 * np.sin(2 * np.pi * (0.94 * Y - 0.34 * X) / 40))
PLAIN = WallsConfig(patches=PatchConfig(window=16))
Channels = dict[str, np.ndarray]


def scanned(polarization: np.ndarray, *, reference: np.ndarray | float = 0.0) -> Channels:
    """One frame; `reference` turns the phase of every line [rad]."""
    recorded = lock_in(polarization, offset=0.3, noise=0.1)
    turned = recorded["phase"] + np.broadcast_to(reference, SHAPE[:1])[:, None]
    phase = np.angle(np.exp(1j * turned))
    return {"amplitude": recorded["amplitude"], "phase": phase, "height": texture(SHAPE, seed=9)}


def series(frames: list[Channels]) -> Channels:
    return {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}


def maps_of(path) -> xr.Dataset:
    return store.open_store(path, group="maps").load()


def away_from(polarization: np.ndarray) -> np.ndarray:
    """Distance of every pixel from the nearest change of sign [pixel]."""
    up = polarization > 0
    edge = (ndi.grey_dilation(up.astype("u1"), size=(3, 3)) > up) | (
        ndi.grey_erosion(up.astype("u1"), size=(3, 3)) < up
    )
    distance = ndi.distance_transform_edt(~edge)
    assert isinstance(distance, np.ndarray)
    return distance


def share_of_walls_at(maps: xr.Dataset, polarization: np.ndarray, *, frame: int = 0) -> float:
    """Share of the pixels of walls that lie within 1.5 pixels of a true one."""
    walls = maps["wall"][frame].to_numpy() > 0
    assert walls.any()
    return float((away_from(polarization)[walls] <= 1.5).mean())


@pytest.mark.parametrize("fill", [0.0, np.nan])
@pytest.mark.parametrize("lost", [slice(0, 50), slice(40, None)])
def test_lines_of_a_scan_that_was_stopped_are_masked_and_no_others(
    lost: slice, fill: float, record: Record, described: Describe
) -> None:
    frame = scanned(STRIPES)
    for values in frame.values():
        values[lost] = fill
    maps = maps_of(described(record(series([frame])), PLAIN))
    is_lost = np.zeros(SHAPE, bool)
    is_lost[lost] = True
    valid = maps["valid"][0].to_numpy()
    assert not valid[is_lost].any()
    assert valid[~is_lost].mean() > 0.97
    assert share_of_walls_at(maps, STRIPES) > 0.97


@pytest.mark.parametrize("fill", [0.0, np.nan])
def test_a_frame_that_was_stopped_does_not_move_the_others(
    fill: float, record: Record, described: Describe
) -> None:
    shifts = ((0, 0), (2, -3), (4, -6))
    frames = []
    for number, (down, right) in enumerate(shifts):
        part = np.s_[10 + down : 106 + down, 16 + right : 112 + right]
        frame = scanned(np.tanh(4 * LARGE[part]))
        frame["height"] = texture((128, 128), seed=9, size=2)[part]
        if number == 1:
            for values in frame.values():
                values[:50] = fill
        frames.append(frame)
    maps = maps_of(described(record(series(frames)), PLAIN))
    drift = maps["drift"].to_numpy()
    np.testing.assert_allclose(np.abs(drift[2]), (4, 6), atol=0.5)
    assert maps["valid"][1].to_numpy().mean() == pytest.approx(46 / 96, abs=0.05)
    assert maps["valid"][[0, 2]].to_numpy().all()


@pytest.mark.parametrize(
    "reference",
    [np.where(np.arange(96) < 32, np.pi / 2, 0.0), np.linspace(0, 2 * np.pi / 3, 96)],
    ids=["jumps by 90 degree", "wanders by 120 degree"],
)
def test_a_reference_that_moves_within_a_frame_makes_no_walls(
    reference: np.ndarray, record: Record, described: Describe
) -> None:
    path = described(record(series([scanned(STRIPES, reference=reference)])), PLAIN)
    maps = maps_of(path)
    assert share_of_walls_at(maps, STRIPES) > 0.97
    assert maps["valid"][0].to_numpy().mean() < 0.9


def with_lost_lines(frame: Channels) -> Channels:
    """Every 17th line is empty, and five lines jump by 6 pixels."""
    for values in frame.values():
        values[::17] = 0
        values[60:65] = np.roll(values[60:65], 6, axis=1)
    return frame


def test_lost_and_shifted_lines_cost_only_the_walls_near_them(
    record: Record, described: Describe
) -> None:
    maps = maps_of(described(record(series([with_lost_lines(scanned(STRIPES))])), PLAIN))
    walls = maps["wall"][0].to_numpy() > 0
    walls[58:67] = False
    assert (away_from(STRIPES)[walls] <= 2.5).mean() > 0.97
    assert walls.sum() > 0.25 * (away_from(STRIPES) < 1).sum()  # both sides of every wall


@pytest.mark.parametrize(
    "polarization",
    [np.where((Y // 16) % 2, 1.0, -1.0), np.where(Y > 20.3, 1.0, -1.0)],
    ids=["walls along the lines", "one wall near the edge"],
)
def test_walls_along_the_scan_lines_are_walls(
    polarization: np.ndarray, record: Record, described: Describe
) -> None:
    maps = maps_of(described(record(series([scanned(polarization)])), PLAIN))
    n_lines = int((np.diff(polarization[:, 0]) != 0).sum())
    assert int((maps["wall"][0].to_numpy() > 0).sum()) == pytest.approx(96 * n_lines, rel=0.03)
    assert share_of_walls_at(maps, polarization) > 0.99
    assert maps["valid"][0].to_numpy().all()


def test_a_few_pixels_without_a_number_leave_the_rest(record: Record, described: Describe) -> None:
    frame = scanned(STRIPES)
    frame["amplitude"][5, 5:9], frame["amplitude"][40:43, 60:64] = np.inf, np.nan
    maps = maps_of(described(record(series([frame])), PLAIN))
    assert int((~maps["valid"][0].to_numpy().astype(bool)).sum()) == 4 + 12
    assert share_of_walls_at(maps, STRIPES) > 0.97
