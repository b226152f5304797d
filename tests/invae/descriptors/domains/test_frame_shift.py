"""Drift: two frames, many frames, and channels that lie."""

import numpy as np
import pytest
import scipy.ndimage as ndi

from invae.descriptors.domains import drift as drifts
from invae.descriptors.domains.frame_shift import Shift, prepare, shift_between
from tests.invae.descriptors.conftest import texture


def moved(image: np.ndarray, drift: tuple[float, float], size: int | tuple[int, int]) -> np.ndarray:
    """What a window of this size sees of a sample after it drifted."""
    height, width = (size, size) if isinstance(size, int) else size
    y, x = np.indices((height, width)) + 60.0
    return ndi.map_coordinates(image, [y + drift[0], x + drift[1]], order=5, mode="wrap")


def register(
    first: list[np.ndarray], second: list[np.ndarray], *, max_shift: float = 40
) -> Shift | None:
    prepared = [prepare(np.stack(frame)) for frame in (first, second)]
    return shift_between(*prepared, max_shift=max_shift, upsample=20)


@pytest.mark.parametrize(
    ("drift", "size"),
    [
        (drift, size)
        for drift in ((0.0, 0.0), (1.35, -3.0), (-7.6, 11.25), (24.4, -20.7))
        for size in (128, (96, 160), 48)
        if size != 48 or max(map(abs, drift)) < 12  # a quarter of the frame is looked at
    ],
)
def test_a_frame_that_drifted_is_found_to_a_twentieth_of_a_pixel(
    drift: tuple[float, float], size: int | tuple[int, int]
) -> None:
    sample = texture((320, 320), seed=3)
    found = register([moved(sample, (0, 0), size)], [moved(sample, drift, size)])
    assert found is not None
    np.testing.assert_allclose(found.shift[0], drift, atol=0.1)


def test_a_fixed_pattern_in_one_channel_is_outvoted() -> None:
    samples = [texture((320, 320), seed=seed) for seed in (4, 5)]
    fixed = 5 * texture((128, 128), seed=6)
    first = [moved(sample, (0, 0), 128) for sample in samples]
    second = [moved(sample, (3.2, -5.4), 128) for sample in samples]
    lying = fixed + moved(texture((320, 320), seed=7), (0, 0), 128)
    found = register([lying, *first], [lying, *second])
    assert found is not None
    np.testing.assert_allclose(found.shift[1:], [(3.2, -5.4)] * 2, atol=0.1)
    assert np.linalg.norm(found.shift[0] - (3.2, -5.4)) > 1


def test_lines_that_jump_do_not_hold_the_frame_fast() -> None:
    sample = texture((320, 320), seed=8)
    generator = np.random.default_rng(9)
    first, second = (
        moved(sample, drift, 128) + 8 * generator.normal(size=(1, 128)).cumsum(axis=1)
        for drift in ((0, 0), (2.5, 4.0))
    )
    found = register([first], [second])
    assert found is not None
    np.testing.assert_allclose(found.shift[0], (2.5, 4.0), atol=0.25)


def test_missing_pixels_and_dust_do_not_matter() -> None:
    sample = texture((320, 320), seed=10)
    first, second = moved(sample, (0, 0), 128), moved(sample, (-1.4, 6.3), 128)
    first[30:34] = np.nan
    second[60:66, 70:76] = 1e4
    found = register([first], [second])
    assert found is not None
    np.testing.assert_allclose(found.shift[0], (-1.4, 6.3), atol=0.15)


def test_a_displacement_that_varies_over_the_frame_has_its_mean_and_a_spread() -> None:
    sample = texture((320, 320), seed=11)
    y, x = np.indices((192, 192)) + 60.0
    first = ndi.map_coordinates(sample, [y, x], order=3, mode="wrap")
    bent = ndi.map_coordinates(sample, [y + 4 * (x - 60) / 191, x], order=3, mode="wrap")
    found = register([first], [bent])
    assert found is not None
    np.testing.assert_allclose(found.shift[0], (2, 0), atol=0.2)
    assert found.spread[0, 0] == pytest.approx(4 / 3 * np.sqrt(2 / 3), abs=0.3)
    assert found.spread[0, 1] < 0.2


def test_a_constant_frame_has_no_shift() -> None:
    assert register([np.zeros((64, 64))], [texture((64, 64), seed=12)]) is None


def test_large_frames_are_reduced_and_give_the_shift_in_their_own_pixels() -> None:
    sample = texture((1000, 1000), seed=13, size=6)
    found = register([sample[40:840, 40:840]], [sample[46:846, 31:831]])
    assert found is not None
    np.testing.assert_allclose(found.shift[0], (6, -9), atol=0.3)


def pairs_of(drift: np.ndarray, *, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    n_frames = len(drift)
    pairs = np.array(
        [(i, j) for i in range(n_frames) for j in drifts.partners(i, n_frames)], np.int64
    )
    shifts = drift[pairs[:, 1]] - drift[pairs[:, 0]]
    return pairs, shifts + noise * np.random.default_rng(seed).normal(size=shifts.shape)


def test_there_are_about_two_pairs_per_frame_and_none_beyond_the_end() -> None:
    pairs, _ = pairs_of(np.zeros((1000, 2)), noise=0)
    assert 1.8 < len(pairs) / 1000 < 2.1
    assert pairs.max() == 999
    assert len({tuple(pair) for pair in pairs.tolist()}) == len(pairs)


def test_wrong_pairs_are_left_out_of_the_drift() -> None:
    truth = np.cumsum(np.random.default_rng(1).normal(size=(200, 2)), axis=0)
    truth -= truth[0]
    pairs, shifts = pairs_of(truth, noise=0.05)
    wrong = np.random.default_rng(2).random(len(pairs)) < 0.15
    wrong &= np.ptp(pairs, axis=1) > 1
    shifts[wrong] += np.random.default_rng(3).normal(scale=15, size=(wrong.sum(), 2))
    found, _ = drifts.solve(pairs, shifts, np.ones(len(pairs)), n_frames=200)
    assert np.linalg.norm(found - truth, axis=1).max() < 0.5


def test_far_pairs_that_all_lock_onto_zero_are_left_out() -> None:
    truth = np.arange(60)[:, None] * np.array([2.0, -2.2])
    pairs, shifts = pairs_of(truth, noise=0.05)
    shifts[np.ptp(pairs, axis=1) >= 8] = 0
    found, _ = drifts.solve(pairs, shifts, np.ones(len(pairs)), n_frames=60)
    assert np.linalg.norm(found - truth, axis=1).max() < 0.6


def test_a_frame_that_no_pair_holds_is_put_between_its_neighbours() -> None:
    truth = np.arange(9)[:, None] * np.array([1.0, 0.5])
    pairs, shifts = pairs_of(truth, noise=0)
    held = ~np.any(pairs == 4, axis=1)
    found, _ = drifts.solve(pairs[held], shifts[held], np.ones(held.sum()), n_frames=9)
    np.testing.assert_allclose(found, truth, atol=0.05)
    sd = drifts.uncertainty(
        pairs[held], np.zeros((held.sum(), 2)), np.zeros((held.sum(), 2)), np.ones(held.sum()),
        n_frames=9,
    )  # fmt: skip
    assert np.isnan(sd[4]).all()
    assert np.isfinite(np.delete(sd, 4, axis=0)).all()


def test_the_sd_is_that_of_the_error() -> None:
    """Noise of pairs and noise of frames, over many series."""
    ratios = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth = np.concatenate((np.zeros((1, 2)), rng.normal(size=(23, 2)).cumsum(0)))
        pairs, shifts = pairs_of(truth, noise=0.02, seed=seed)
        of_frame = 0.03 * rng.normal(size=truth.shape)
        shifts = shifts + of_frame[pairs[:, 1]] - of_frame[pairs[:, 0]]
        weights = np.ones(len(pairs))
        drift, kept = drifts.solve(pairs, shifts, weights, n_frames=len(truth))
        residuals = shifts - (drift[pairs[:, 1]] - drift[pairs[:, 0]])
        errors = np.full(shifts.shape, 0.03 * np.sqrt(2))
        sd = drifts.uncertainty(pairs, errors, residuals, kept, n_frames=len(truth))
        ratios.append((drift - truth)[1:] / sd[1:])
    assert 0.85 < np.sqrt(np.mean(np.square(ratios))) < 1.2
