"""Patterns onto patches by a map: an ellipse becomes a circle, and on the polar grid a turn is a shift."""

import numpy as np
import pytest

from invae.config import PatternsConfig
from invae.descriptors.diffraction.warping import polar, rounded, warping
from invae.storage import store
from tests.invae.recorded_scan import lobed, write_scan

SIZE, CENTRE = 48, (23.2, 24.1)


def ring(*, ratio: float, angle: float, radius: float = 14.0, width: float = 1.5) -> np.ndarray:
    """An elliptic ring whose half-axes have the geometric mean `radius` (k_y, k_x)."""
    y, x = (np.indices((SIZE, SIZE)).T - np.array(CENTRE)).T
    along, across = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    distance = np.hypot(along / np.sqrt(ratio), across * np.sqrt(ratio))
    return np.exp(-(((distance - radius) / width) ** 2) / 2)


def eccentricity(patch: np.ndarray) -> float:
    """Longer over shorter half-axis by second moments."""
    steps = np.arange(len(patch)) - (len(patch) - 1) / 2
    y, x = np.meshgrid(steps, steps, indexing="ij")
    moments = [[(patch * a * b).sum() for a in (y, x)] for b in (y, x)]
    low, high = np.linalg.eigvalsh(np.array(moments) / patch.sum())
    return float(np.sqrt(high / low))


@pytest.mark.parametrize("angle", [0.0, 0.7, -1.2])
def test_an_ellipse_is_made_round_and_keeps_its_area(angle):
    pattern = ring(ratio=1.2, angle=angle)
    working = np.ones((SIZE, SIZE), bool)
    patches = [
        warping(working, centre=CENTRE, window=24, onto=rounded(24, (20, 20), ratio=r, angle=angle)).of(pattern)
        for r in (1.0, 1.2)
    ]  # fmt: skip
    assert eccentricity(patches[0]) == pytest.approx(1.2, abs=0.02)
    assert eccentricity(patches[1]) == pytest.approx(1.0, abs=0.01)
    assert patches[1].sum() == pytest.approx(pattern.sum(), rel=1e-3)
    steps = np.arange(24) - 11.5
    distance = np.hypot(steps[:, None], steps) * 40 / 24
    mean = 14 + 1.5**2 / 14  # outer parts of a ring have more area
    assert np.average(distance, weights=patches[1]) == pytest.approx(mean, abs=0.1)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_on_the_polar_grid_a_turn_is_a_shift(turns):
    pattern = np.random.default_rng(0).random((24, 24))
    found = warping(
        np.ones((24, 24), bool), centre=(11.5, 11.5), window=16, onto=polar(16, (10, 10))
    )
    shifted = np.roll(found.of(pattern), 4 * turns, axis=1)
    np.testing.assert_allclose(found.of(np.rot90(pattern, turns)), shifted, rtol=1e-4)


def test_rings_of_the_polar_grid_hold_what_lies_at_their_distance():
    pattern = ring(ratio=1.0, angle=0.0)
    found = warping(np.ones((SIZE, SIZE), bool), centre=CENTRE, window=20, onto=polar(20, (20, 20)))
    rows = found.of(pattern).sum(1)
    assert np.average(np.arange(20) + 0.5, weights=rows) == pytest.approx(14 + 1.5**2 / 14, abs=0.1)
    assert rows.sum() == pytest.approx(pattern.sum(), rel=1e-3)
    columns = found.of(pattern).sum(0)
    assert columns.std() < 0.05 * columns.mean()


def test_dealt_counts_are_whole_and_none_is_lost():
    counts = np.random.default_rng(1).poisson(3.0, (5, 20, 20))
    found = warping(np.ones((20, 20), bool), centre=(9.5, 9.5), window=9, onto=rounded(9, (12, 12), ratio=1.1, angle=0.3))  # fmt: skip
    dealt = found.dealt(counts, np.random.default_rng(2))
    assert dealt.dtype.kind == "i"
    np.testing.assert_array_equal(dealt.sum((1, 2)), counts.sum((1, 2)))
    many = found.dealt(np.broadcast_to(counts[:1], (400, 20, 20)), np.random.default_rng(3))
    expected = found.of(counts[0]) * np.maximum(found.share, 0.5)
    np.testing.assert_allclose(many.mean(0), expected, atol=5 * np.sqrt(expected.max() / 400))


def test_dead_pixels_are_made_up_for_and_what_lies_beyond_the_detector_is_not_believed():
    working = np.ones((20, 20), bool)
    working[8, 8] = False
    found = warping(working, centre=(9.5, 9.5), window=8, onto=rounded(8, (14, 14), ratio=1.0, angle=0.0))  # fmt: skip
    valid = found.valid(counts=False)
    np.testing.assert_allclose(found.of(np.full((20, 20), 7.0))[2:6, 2:6], 7 * 3.5**2, rtol=0.03)
    assert valid[3, 3]
    assert not valid[0].any()
    assert not found.valid(counts=True)[3, 3]


@pytest.mark.parametrize("transform", ["none", "pearson", "anscombe"])
def test_a_scan_is_described_on_the_polar_grid(tmp_path, described, transform):
    angle = np.array([[0.0, np.pi / 2, np.pi, -np.pi / 2]] * 4)
    shapes = lobed(angle, np.full(angle.shape, 0.8), centre=(11.3, 12.1), radius=8.0)
    counts = np.random.default_rng(4).poisson(400 * shapes).astype(np.uint16)
    path = write_scan(tmp_path / "scan" / "recording.zarr", counts, centre=(11.3, 12.1), radius=8.0)
    config = {"window": 12, "grid": "polar", "ellipse": "correct", "common": "remove"}
    found = store.open_store(
        described(path, PatternsConfig.model_validate({**config, "transform": transform}))
    ).load()
    assert found["patch_x"].attrs["units"] == "rad"
    assert found["patch_y"].attrs["units"] == "mrad"
    rows = found["patch"].where(found["valid"]).to_numpy()[:4, 0]
    for turn in range(4):
        likeness = [
            np.nansum(np.roll(rows[0] - np.nanmean(rows[0]), shift, axis=1) * rows[turn])
            for shift in range(12)
        ]
        assert int(np.argmax(likeness)) == 3 * turn
