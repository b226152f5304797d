"""Drift of every frame relative to the first, from the shifts of many pairs of frames.

`drift[k]` is the position of the scan window of frame k on the sample relative to frame 0 [pixel,
(y, x)]: features move by −drift inside the frames, and a point (y, x) of frame k is at (y, x) +
drift[k] of frame 0.
"""

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu, spsolve

N_ROUNDS = 10
LEAST_SCALE = 0.2
"""Residuals smaller than this are never suspicious [px]."""
TUKEY = 4.0
"""Pairs whose residual exceeds so many robust sd have no weight."""
COLUMNS = 256
"""Frames whose variance is calculated together."""
FAINT = 1e-6
"""Weight of "equal steps", which matters only for frames without pairs."""


def lags(n_frames: int) -> list[int]:
    """Distances between the frames of a pair: powers of two, up to the length of the series."""
    return [1 << power for power in range((n_frames - 1).bit_length()) if 1 << power < n_frames]


def partners(first: int, n_frames: int) -> list[int]:
    """Frames that `first` is registered with: all near ones, and far ones with decreasing density.

    Far frames prevent the accumulation of errors along a long series; there are about two pairs
    per frame in total.
    """
    return [first + lag for lag in lags(n_frames) if first % lag == 0 and first + lag < n_frames]


def solve(
    pairs: np.ndarray, shifts: np.ndarray, weights: np.ndarray, *, n_frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """Drift (frame, axis) [px] that fits the shifts of all pairs except wrong ones, zero for the
    first frame; and the weight of each pair after the fit, 0 for wrong ones.

    First least absolute deviations, with lower weights for pairs that are farther apart (wrong
    matches are more likely there); then least squares with Tukey's biweight on the residuals,
    which gives wrong pairs no weight.

    Args:
        pairs: indices of first and second frame (pair, 2).
        shifts: shift from first to second (pair, 2) [px].
        weights: weight of each pair, ≥ 0.
        n_frames: length of the series.
    """
    lag = np.ptp(pairs, axis=1).astype(np.float64)
    trust = weights / lag
    drift = _least_squares(pairs, shifts, trust, n_frames=n_frames)
    for _ in range(N_ROUNDS):
        residual = _residual(pairs, shifts, drift)
        trust = weights / lag / np.maximum(residual, LEAST_SCALE)
        drift = _least_squares(pairs, shifts, trust, n_frames=n_frames)
    for _ in range(N_ROUNDS):
        residual = _residual(pairs, shifts, drift)
        scale = max(LEAST_SCALE, float(np.median(residual)) if residual.size else 0.0)
        # the error of the first estimate grows with the distance
        allowed = TUKEY * scale * np.sqrt(lag)
        trust = weights * np.clip(1 - (residual / allowed) ** 2, 0, None) ** 2
        drift = _least_squares(pairs, shifts, trust, n_frames=n_frames)
    return drift, trust


def _residual(pairs: np.ndarray, shifts: np.ndarray, drift: np.ndarray) -> np.ndarray:
    return np.linalg.norm(shifts - (drift[pairs[:, 1]] - drift[pairs[:, 0]]), axis=1)


def _least_squares(
    pairs: np.ndarray, shifts: np.ndarray, weights: np.ndarray, *, n_frames: int
) -> np.ndarray:
    if n_frames < 2:
        return np.zeros((n_frames, 2))
    bends = np.arange(n_frames - 2)
    level = FAINT * max(float(weights.max(initial=0.0)), FAINT)
    n_pairs = len(pairs)
    rows = np.concatenate([np.repeat(np.arange(n_pairs), 2), np.repeat(n_pairs + bends, 3)])
    columns = np.concatenate([pairs.ravel(), (bends[:, None] + np.arange(3)).ravel()])
    values = np.concatenate([np.tile([-1.0, 1.0], n_pairs), np.tile([1.0, -2.0, 1.0], len(bends))])
    design = sp.csr_matrix((values, (rows, columns)), (n_pairs + len(bends), n_frames))[:, 1:]
    weight = sp.diags(np.concatenate([weights, np.full(len(bends), level)]))
    wanted = np.concatenate([shifts, np.zeros((len(bends), 2))])
    normal = (design.T @ weight @ design + level**2 * sp.eye(n_frames - 1)).tocsc()
    answer = np.asarray(spsolve(normal, design.T @ (weight @ wanted)))
    return np.concatenate([np.zeros((1, 2)), answer.reshape(n_frames - 1, 2)])


def unconnected(pairs: np.ndarray, *, n_frames: int) -> np.ndarray:
    """Frames outside of the largest group that pairs connect, bool (frame,); all, if no two are connected."""
    if not len(pairs):
        return np.full(n_frames, n_frames > 1)
    links = sp.coo_matrix((np.ones(len(pairs)), pairs.T), (n_frames, n_frames))
    _, group = connected_components(links, directed=False)
    return group != np.argmax(np.bincount(group))


def closure(pairs: np.ndarray, residuals: np.ndarray, weights: np.ndarray) -> float:
    """Sd of the shift of one pair along one axis, from how badly the shifts of all pairs fit together [px]; NaN if each frame has one pair only.

    Args:
        pairs: indices of first and second frame (pair, 2).
        residuals: measured minus fitted shift (pair, 2) [px].
        weights: weight of each pair after the fit, ≥ 0.
    """
    used = weights > 0
    n_free = int(used.sum()) - (len(np.unique(pairs[used])) - 1)
    if not used.any() or n_free < 1:
        return float("nan")
    mean = (weights[:, None] * residuals**2).sum() / (2 * weights.sum())
    return float(np.sqrt(mean * used.sum() / n_free))


def uncertainty(
    pairs: np.ndarray,
    errors: np.ndarray,
    residuals: np.ndarray,
    weights: np.ndarray,
    *,
    n_frames: int,
) -> np.ndarray:
    """Sd of the drift of each frame (frame, axis) [px]; NaN without a valid pair.

    Two causes add up. Shifts of pairs do not fit together: the covariance of the least squares. And the noise of one frame displaces
    all of its pairs alike, which fits together: the standard error among regions, half of which belongs to each frame of a pair.

    Args:
        pairs: indices of first and second frame (pair, 2).
        errors: standard error of the shift of each pair, from its regions (pair, 2) [px].
        residuals: measured minus fitted shift (pair, 2) [px].
        weights: weight of each pair after the fit, ≥ 0.
        n_frames: length of the series.
    """
    total = np.zeros((n_frames, 1))
    own = np.zeros((n_frames, 2))
    for end in (0, 1):
        np.add.at(total, pairs[:, end], weights[:, None])
        np.add.at(own, pairs[:, end], weights[:, None] * errors**2 / 2)
    own = np.divide(own, total, out=np.full_like(own, np.nan), where=total > 0)
    misfit = closure(pairs, residuals, weights)
    leverage = _leverage(pairs, weights, n_frames=n_frames)
    fitted = np.nan_to_num(misfit) ** 2 * leverage[:, None]
    sd = np.sqrt(own + np.nan_to_num(own[:1]) + fitted)
    sd[0] = 0.0
    return sd


def _leverage(pairs: np.ndarray, weights: np.ndarray, *, n_frames: int) -> np.ndarray:
    """Variance of the drift of each frame (frame,), relative to that of a pair of mean weight."""
    leverage = np.zeros(n_frames)
    used = weights > 0
    if n_frames < 2 or not used.any():
        return leverage
    ends, relative = pairs[used], weights[used] / weights[used].mean()
    rows = np.repeat(np.arange(len(ends)), 2)
    signs = np.tile([-1.0, 1.0], len(ends))
    design = sp.csr_matrix((signs, (rows, ends.ravel())), (len(ends), n_frames))[:, 1:]
    normal = design.T @ sp.diags(relative) @ design + FAINT * sp.eye(n_frames - 1)
    factors = splu(normal.tocsc())
    for start in range(0, n_frames - 1, COLUMNS):
        stop = min(start + COLUMNS, n_frames - 1)
        unit = np.eye(n_frames - 1, stop - start, -start)
        inverse = factors.solve(unit)
        leverage[1 + start : 1 + stop] = inverse[np.arange(start, stop), np.arange(stop - start)]
    return leverage
