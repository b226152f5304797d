"""Virtual detectors: exact sums, whatever the type, the shape, the blocks and the threads."""

import numpy as np
import pytest

from invae.scans import virtual
from invae.scans.virtual import Detectors, maps_of, rings_of, total_and_maximum

BANDS = {"bf": (0.0, 9.0), "abf": (4.5, 9.0), "haadf": (11.0, 1e3)}


def detectors(shape: tuple[int, int], *, valid: np.ndarray | None = None) -> Detectors:
    centre = (shape[0] / 2 - 0.3, shape[1] / 2 - 0.8)
    return Detectors(np.ones(shape, bool) if valid is None else valid, centre, BANDS, (1.5, 0.5))


def by_hand(patterns: np.ndarray, seen: Detectors) -> dict[str, np.ndarray]:
    """The maps pixel by pixel, in float64."""
    counts = np.where(np.isfinite(patterns), patterns, 0).astype(float) * seen.valid
    y, x = np.indices(seen.valid.shape)
    y, x = y - seen.centre[0], x - seen.centre[1]
    maps = {"sum": counts.sum((1, 2))}
    for name, (inner, outer) in BANDS.items():
        ring = (np.hypot(y, x) >= inner) & (np.hypot(y, x) < outer)
        maps[name] = (counts * ring).sum((1, 2))
    maps["com_y"] = (counts * y).sum((1, 2)) / maps["sum"] * seen.steps[0]
    maps["com_x"] = (counts * x).sum((1, 2)) / maps["sum"] * seen.steps[1]
    return maps


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(32, 32), (40, 25), (200, 190)])
def test_maps_are_the_sums_over_masks(shape: tuple[int, int], dtype: str) -> None:
    random = np.random.default_rng(7)
    patterns = random.poisson(3, (37, *shape)).astype(dtype)
    valid = random.random(shape) > 0.05
    seen = detectors(shape, valid=valid)
    maps, expected = maps_of(patterns, seen), by_hand(patterns, seen)
    assert tuple(maps) == virtual.MAPS
    for name in ("sum", *BANDS):
        np.testing.assert_array_equal(maps[name], expected[name])
    for name in ("com_y", "com_x"):
        np.testing.assert_allclose(maps[name], expected[name], atol=1e-6)


def test_threads_change_no_bit() -> None:
    patterns = np.random.default_rng(0).gamma(0.3, size=(300, 64, 64)).astype("f4")
    one, three = (maps_of(patterns, detectors((64, 64)), threads=n) for n in (1, 3))
    for name, values in one.items():
        assert values.tobytes() == three[name].tobytes()


def test_a_moved_pattern_moves_its_centre_of_mass_by_the_size_of_a_pixel() -> None:
    pattern = np.random.default_rng(0).poisson(5, (64, 64)) * (
        np.hypot(*np.indices((64, 64)) - 31.5) < 20
    )
    moved = np.stack([pattern, np.roll(pattern, (2, 3), axis=(0, 1))])
    maps = maps_of(moved, detectors((64, 64)))
    np.testing.assert_allclose(np.diff(maps["com_y"]), 2 * 1.5, atol=1e-9)  # down is positive
    np.testing.assert_allclose(np.diff(maps["com_x"]), 3 * 0.5, atol=1e-9)


@pytest.mark.parametrize("dtype", ["u2", "i4", "f4"])
@pytest.mark.parametrize("shape", [(40, 25), (200, 190)])
def test_rings_are_what_bincount_says(shape: tuple[int, int], dtype: str) -> None:
    random = np.random.default_rng(2)
    patterns = random.poisson(40, (9, *shape)).astype(dtype)
    seen = detectors(shape, valid=random.random(shape) > 0.3)
    ring = np.rint(seen.distance).astype(int)[seen.valid]
    sizes = np.bincount(ring, minlength=len(seen.ring_sizes))
    found = rings_of(patterns, seen)
    for pattern, profile in zip(patterns, found, strict=True):
        sums = np.bincount(ring, weights=pattern[seen.valid], minlength=len(sizes))
        np.testing.assert_allclose(profile, sums / np.where(sizes, sizes, np.nan), rtol=1e-6)


def test_sum_and_maximum_are_over_all_patterns() -> None:
    patterns = np.random.default_rng(2).poisson(4, (333, 20, 30)).astype("u1")
    total, highest = total_and_maximum(patterns)
    np.testing.assert_array_equal(total, patterns.sum(axis=0))
    np.testing.assert_array_equal(highest, patterns.max(axis=0))
    assert highest.dtype == np.uint8


def test_what_is_not_finite_is_left_out() -> None:
    patterns = np.random.default_rng(2).poisson(4, (50, 32, 32)).astype("f4")
    patterns[3, 4, 5:9] = np.nan
    patterns[7, 20, 20], patterns[7, 21, 20] = np.inf, -np.inf
    seen = detectors((32, 32))
    maps, expected = maps_of(patterns, seen), by_hand(patterns, seen)
    for name, values in expected.items():
        np.testing.assert_allclose(maps[name], values, atol=1e-6)
    assert np.isfinite(rings_of(patterns, seen)).all()
    total, highest = total_and_maximum(patterns)
    assert np.isfinite(total).all()
    assert np.isfinite(highest).all()


def test_a_pattern_without_counts_has_no_centre() -> None:
    maps = maps_of(np.zeros((2, 16, 16), "u2"), detectors((16, 16)))
    assert np.isnan(maps["com_y"]).all()
    assert not maps["sum"].any()


def test_the_largest_counts_do_not_overflow() -> None:
    patterns = np.full((2, 64, 64), 2**16 - 1, "u2")
    seen = detectors((64, 64))
    np.testing.assert_array_equal(maps_of(patterns, seen)["sum"], 64 * 64 * (2**16 - 1))
    np.testing.assert_array_equal(rings_of(patterns, seen), 2**16 - 1)


def test_large_counts_are_summed_exactly_in_any_order() -> None:
    """Odd counts whose sum exceeds 2^24: float32 would round each partial sum."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(2**15, 2**16, (300, 64, 64)).astype("u2") | 1
    seen = detectors((64, 64))
    np.testing.assert_array_equal(maps_of(patterns, seen)["sum"], patterns.sum((1, 2), dtype=float))
    total, _ = total_and_maximum(patterns)
    np.testing.assert_array_equal(total, patterns.sum(0, dtype=float))
