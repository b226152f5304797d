"""Scores of latent variables against known answers: pure functions of arrays."""

from collections.abc import Mapping

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.linear_model import LinearRegression
from sklearn.metrics import adjusted_rand_score, r2_score, roc_auc_score

FEWEST = 8
"""Smallest number of frames for which the angles of a class are scored."""


def confusion(classes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Number of frames by estimated class (rows) and true class (columns)."""
    counts = np.zeros((int(classes.max()) + 1, int(truth.max()) + 1), int)
    np.add.at(counts, (classes, truth), 1)
    return counts


def matched(classes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Every estimated class, replaced by the matching true class; −1 without a match.

    The matching is one to one and maximises the number of agreeing frames (Hungarian method).
    """
    counts = confusion(classes, truth)
    rows, columns = linear_sum_assignment(-counts)
    match = np.full(len(counts), -1)
    match[rows] = columns
    return match[classes]


def accuracy(classes: np.ndarray, truth: np.ndarray) -> float:
    """Fraction of frames in the class that matches their true class, one to one."""
    return float((matched(classes, truth) == truth).mean())


def rand_index(classes: np.ndarray, truth: np.ndarray) -> float:
    """Adjusted Rand index: 1 for equal partitions, 0 for independent ones."""
    return float(adjusted_rand_score(truth, classes))


def resultants(
    angle: np.ndarray,
    truth: np.ndarray,
    classes: np.ndarray,
    *,
    symmetry: Mapping[int, int] | None = None,
) -> np.ndarray:
    """Length of the mean direction of estimated − true angle in every true class, 0–1; NaN for too few frames.

    A constant offset within a class has no effect, because upright is a convention.

    Args:
        angle: Estimated angle [rad].
        truth: True angle [rad].
        classes: True class of every frame.
        symmetry: Number of rotations that leave a class unchanged; differences count modulo 2π over that.
    """
    difference, lengths = angle - truth, []
    for number in np.unique(classes):
        in_class = difference[classes == number]
        fold = 1 if symmetry is None else symmetry.get(int(number), 1)
        enough = len(in_class) >= FEWEST
        lengths.append(abs(np.exp(1j * fold * in_class).mean()) if enough else np.nan)
    return np.array(lengths)


def circular_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of two angles [rad], −1 to 1; independent of an offset between them.

    Source: Fisher & Lee 1983, doi:10.1093/biomet/70.2.327, ρ_T; unlike correlations about a mean direction it
    also applies to uniform directions, which have none.
    """
    cos_cos, sin_sin = (np.cos(first) @ np.cos(second), np.sin(first) @ np.sin(second))
    cos_sin, sin_cos = (np.cos(first) @ np.sin(second), np.sin(first) @ np.cos(second))
    spread = [len(angle) ** 2 - abs(np.exp(2j * angle).sum()) ** 2 for angle in (first, second)]
    norm = np.sqrt(spread[0] * spread[1])
    return float(4 * (cos_cos * sin_sin - cos_sin * sin_cos) / norm) if norm > 0 else np.nan


def class_correlation(angle: np.ndarray, truth: np.ndarray, classes: np.ndarray) -> float:
    """Mean over true classes of the circular correlation within each."""
    return float(
        np.mean(
            [circular_correlation(angle[group], truth[group]) for group in _by_class(classes)],
        )
    )


def features(
    content: np.ndarray,
    *,
    probability: np.ndarray | None = None,
    shift: np.ndarray | None = None,
    angle: np.ndarray | None = None,
) -> np.ndarray:
    """Features for the linear regression of factors (frame, feature).

    The features are the shift (y, x) and, for every class, weighted by its probability: 1, the content, cosine and sine of the angle.
    Every class has its own line through the content, and its own centre, which turns with the object: a shift is that of this centre.
    Without classes there is one of probability 1; missing arguments are left out.
    """
    weight = np.ones((len(content), 1)) if probability is None else probability
    turns = [] if angle is None else [np.cos(angle)[:, None], np.sin(angle)[:, None]]
    own = np.concatenate([np.ones((len(content), 1)), content, *turns], axis=1)
    per_class = (weight[:, :, None] * own[:, None, :]).reshape(len(content), -1)
    return per_class if shift is None else np.concatenate([shift, per_class], axis=1)


def linear_r2(read_from: np.ndarray, factor: np.ndarray) -> float:
    """R² of a factor in the second half of the frames, by least squares from features in the first half."""
    half = len(factor) // 2
    fitted = LinearRegression().fit(read_from[:half], factor[:half])
    return float(r2_score(factor[half:], fitted.predict(read_from[half:])))


def pearson(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation; 0 if one of them is constant."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Probability that a positive frame scores higher than a negative one; NaN if all are of one kind."""
    if positive.all() or not positive.any():
        return np.nan
    return float(roc_auc_score(positive, score))


def entropy(probability: np.ndarray) -> np.ndarray:
    """Entropy of every frame's class probabilities [nats]."""
    return -(probability * np.log(np.clip(probability, 1e-12, None))).sum(-1)


def gap_closed(*, plain: float, reached: float, best: float) -> float:
    """Fraction of the gap between the loss of a plain model and the best possible loss; above 1 beyond it."""
    return (plain - reached) / (plain - best)


def _by_class(classes: np.ndarray) -> list[np.ndarray]:
    groups = [classes == number for number in np.unique(classes)]
    return [group for group in groups if group.sum() >= FEWEST]
