"""Channels are weighted by how well their shifts fit together; those that disagree are left out and named."""

import numpy as np

from invae.descriptors.domains import drift as drifts
from invae.descriptors.domains.channel_weights import ChannelShifts, combined

N_FRAMES = 24
PAIRS = np.array(
    [(i, j) for i in range(N_FRAMES) for j in drifts.partners(i, N_FRAMES)], dtype=np.int64
)


def walk(seed: int) -> np.ndarray:
    steps = np.random.default_rng(seed).normal(0.3, 0.8, size=(N_FRAMES, 2))
    steps[0] = 0
    return steps.cumsum(0)


def shifts_of(*channels: tuple[np.ndarray, float]) -> ChannelShifts:
    """Shifts of every channel, from its drift and the noise of a pair."""
    rng = np.random.default_rng(7)
    shift = np.stack(
        [
            drift[PAIRS[:, 1]] - drift[PAIRS[:, 0]] + noise * rng.normal(size=(len(PAIRS), 2))
            for drift, noise in channels
        ],
        axis=1,
    )
    error = np.broadcast_to(np.array([noise for _, noise in channels])[:, None], shift.shape)
    return ChannelShifts(PAIRS, shift, 3 * error, error, np.full(shift.shape[:2], 0.8))


def drift_of(found: ChannelShifts, names: list[str]) -> tuple[np.ndarray, list[str]]:
    shifts, remarks = combined(found, names, n_frames=N_FRAMES)
    drift, _ = drifts.solve(shifts.pair, shifts.shift, shifts.quality, n_frames=N_FRAMES)
    return drift, remarks


def worst(drift: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(drift - truth, axis=1).max())


def test_a_channel_whose_shifts_do_not_add_up_has_little_weight() -> None:
    truth = walk(0)
    drift, remarks = drift_of(shifts_of((truth, 0.02), (truth, 0.7)), ["height", "amplitude"])
    assert worst(drift, truth) < 0.1
    assert not remarks  # it agrees within its own noise


def test_a_channel_that_moves_otherwise_is_left_out_and_named() -> None:
    truth = walk(0)
    walls = truth + 0.4 * np.arange(N_FRAMES)[:, None] + 0.2 * walk(3)
    found = shifts_of((walls, 0.3), (truth, 0.02))
    drift, remarks = drift_of(found, ["amplitude", "height"])
    assert worst(drift, truth) < 0.1
    assert len(remarks) == 1
    assert remarks[0].startswith("the drift of amplitude differs from that of height by")


def test_the_majority_wins_over_one_that_fits_together_better() -> None:
    truth, other = walk(0), walk(5)
    drift, remarks = drift_of(
        shifts_of((truth, 0.05), (other, 0.01), (truth, 0.05)),
        ["deflection", "amplitude", "height"],
    )
    assert worst(drift, truth) < 0.2
    assert len(remarks) == 1
    assert "amplitude" in remarks[0]


def test_a_pattern_that_stays_in_the_frame_is_not_trusted() -> None:
    truth = walk(0)
    found = shifts_of((np.zeros_like(truth), 0.001), (truth, 0.05))
    drift, remarks = drift_of(found, ["amplitude", "height"])
    assert worst(drift, truth) < 0.2
    assert len(remarks) == 1


def test_a_sample_that_does_not_move_has_no_drift() -> None:
    still = np.zeros((N_FRAMES, 2))
    drift, remarks = drift_of(shifts_of((still, 0.02), (still, 0.05)), ["amplitude", "height"])
    assert worst(drift, still) < 0.05
    assert not remarks


def test_pairs_without_a_shift_in_any_trusted_channel_are_left_out() -> None:
    truth = walk(0)
    found = shifts_of((truth, 0.02), (truth, 0.02))
    found.quality[::3] = 0
    found.shift[::3] = np.nan
    shifts, _ = combined(found, ["height", "deflection"], n_frames=N_FRAMES)
    assert len(shifts.pair) == (found.quality > 0).any(1).sum()
    assert np.isfinite(shifts.shift).all()
