"""Quality of spectra: spikes are replaced, and spectra that cannot be used are flagged with the reason.

Failed fits of piezoresponse loops are spikes of up to a hundred times the signal, alone or in bursts. In a public grid of 50 × 50
loops they touch half of the loops, and every one of the largest 1 % of the loop areas is made of them. Here 1.5 % of the values are
replaced and the 9 % of the loops with bursts are flagged; the 99th percentile of the area falls from 46 to 17 times the median.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from invae import dims

REASONS = ("valid", "not finite", "constant", "clipped", "spikes", "amplitude")
"""Why a spectrum cannot be used; the first that applies."""
NARROW, WIDE = 3, 7
"""Steps to either side of a value over which the local median is taken: for roughness, and for spikes, which may come in clusters."""
LONGEST_SPIKE = 3
"""Most successive values of one spike."""
PASSES = 12
"""Most passes of the filter; each replaces the largest spikes of every spectrum, which hide the others."""
COMPARABLE = 0.3
"""Share of the largest deviation of a spectrum from which values are looked at in a pass."""
STEEP = 4.0
"""Least ratio of the step into a spike over the steps beside it; a Lorentzian of two steps width has at most 3."""
FLAT = 0.6
"""Least height of the ends of a spike, as share of its largest; a Gaussian of two steps width has 0.5."""
BESIDE = 3
"""Values beyond the neighbour of a spike, one of which lies at the level of the neighbour."""
COMMON = 0.5
"""Share of spectra with a spike at one step from which it is a line of the specimen."""
WINDOW_VALUES = 1 << 22
"""Values of windows that are in memory at once."""
GAUSSIAN = 1.4826
"""Standard deviation of normal noise over its median absolute deviation."""
SECOND_DIFFERENCE = 6**0.5
"""Standard deviation of a second difference over that of the noise."""
FEWEST = 8
"""Steps below which the noise of a spectrum is not estimated."""
NARROWEST = 0.05
"""Smallest spread of log amplitudes that is used, so that equal spectra have no outliers."""
LONGEST_PLATEAU = 0.02
"""Share of a spectrum that may lie on the limit of the detector in succession."""


@dataclass(frozen=True)
class Quality:
    """Spectra after the gate, one row each."""

    cleaned: np.ndarray
    """(spectrum, step) with spikes replaced by the values beside them."""
    reason: np.ndarray
    """(spectrum): index into `REASONS`."""
    n_spikes: np.ndarray
    """(spectrum): number of replaced values."""
    spectrum_sd: np.ndarray
    """(spectrum): standard deviation of the noise of one value; NaN if it cannot be estimated."""

    @property
    def valid(self) -> np.ndarray:
        """(spectrum): whether it can be used."""
        return self.reason == 0

    def counts(self) -> dict[str, int]:
        """Number of spectra for every reason that occurs, valid ones first."""
        numbers = np.bincount(self.reason, minlength=len(REASONS))
        return {name: int(n) for name, n in zip(REASONS, numbers, strict=True) if n}

    def remark(self) -> str:
        """One line for the report."""
        total, counts = len(self.reason), self.counts()
        refused = ", ".join(f"{n} {name}" for name, n in counts.items() if name != REASONS[0])
        touched = int((self.n_spikes > 0).sum())
        share = self.n_spikes.sum() / max(self.cleaned.size, 1)
        spikes = f"{share:.1%} of the values replaced as spikes, in {touched} spectra"
        return f"{counts.get(REASONS[0], 0)} of {total} spectra valid" + (
            f" ({refused}); {spikes}" if refused else f"; {spikes}"
        )

    @staticmethod
    def reason_attrs() -> Mapping[str, Any]:
        """Attributes of a variable that holds the reasons."""
        return dims.flags(REASONS, "why a spectrum is not used")


def assess(
    spectra: np.ndarray,
    *,
    threshold: float = 4.0,
    most_spikes: float = 0.2,
    most_amplitude: float = 6.0,
) -> Quality:
    """Clean spectra, and flag those that cannot be used.

    Args:
        spectra: (spectrum, step), steps in order of measurement.
        threshold: Deviation from the local median that is a spike [standard deviations].
        most_spikes: Largest share of a valid spectrum that is spikes, or too rough, beyond what most spectra have.
        most_amplitude: Largest robust z-score of the logarithm of a spectrum's norm.

    Raises:
        ValueError: If `spectra` has other than two axes.
    """
    if spectra.ndim != 2:
        raise ValueError(f"spectra have {spectra.ndim} axes; (spectrum, step) is needed")
    values = spectra.astype(np.result_type(spectra.dtype, np.float32), copy=True)
    finite = np.asarray(np.isfinite(values).all(axis=1))
    values[~finite] = 0
    constant = finite & (np.ptp(values, axis=1) == 0) if values.size else ~finite
    clipped = finite & ~constant & is_clipped(values, finite)
    cleaned, spikes = hampel(values, threshold=threshold)
    n_spikes = spikes.sum(axis=1)
    rough = n_spikes + is_rough(cleaned, threshold=threshold).sum(axis=1)
    usual = np.median(rough[finite & ~constant]) if (finite & ~constant).any() else 0
    many = finite & (rough - usual > most_spikes * values.shape[1])
    usable = finite & ~(constant | clipped | many)
    large = usable & (amplitude_score(cleaned, usable) > most_amplitude)
    reason = np.select(
        [~finite, constant, clipped, many, large], [1, 2, 3, 4, 5], default=0
    )  # fmt: skip
    cleaned[~finite] = spectra[~finite]
    noise = noise_sd(cleaned)
    noise[~finite] = np.nan
    return Quality(cleaned, reason.astype(np.int8), n_spikes, noise)


def hampel(spectra: np.ndarray, *, threshold: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Spectra with spikes replaced by the values beside them, and where they were.

    A spike deviates from the local median by `threshold` standard deviations of the spectrum's own noise and half of its median
    magnitude, over at most `LONGEST_SPIKE` values, and it begins and ends within one step. A narrow peak does not: it has flanks.
    What most spectra have at the same step is no spike.

    Source: Hampel 1974, doi:10.1080/01621459.1974.10482962; here with a floor for smooth spectra, with a condition on the
    flanks, and repeated, since spikes hide each other.
    """
    cleaned = spectra.copy()
    replaced = np.zeros(spectra.shape, dtype=bool)
    if spectra.shape[1] <= 2 * (BESIDE + 1):
        return cleaned, replaced
    rows = np.arange(len(spectra))
    for _ in range(PASSES):
        values = cleaned[rows]
        deviation, limit = _deviations(values, half_width=WIDE, threshold=threshold)
        largest = deviation.max(axis=1, keepdims=True, initial=0)
        marked = (deviation > limit) & (deviation >= COMPARABLE * largest)
        spikes, level = abrupt_runs(values, marked)
        spikes &= ~replaced[rows]
        cleaned[rows] = np.where(spikes, level, values)
        replaced[rows] |= spikes
        rows = rows[spikes.any(axis=1)]
        if not len(rows):
            break
    common = replaced.mean(axis=0) > COMMON if len(spectra) > 1 else np.zeros(1, dtype=bool)
    replaced &= ~common
    return np.where(replaced, cleaned, spectra), replaced


def is_rough(spectra: np.ndarray, *, threshold: float = 4.0) -> np.ndarray:
    """(spectrum, step): whether a value deviates from the local median as a spike does, whatever its flanks."""
    if spectra.shape[1] <= 2 * NARROW:
        return np.zeros(spectra.shape, dtype=bool)
    deviation, limit = _deviations(spectra, half_width=NARROW, threshold=threshold)
    return deviation > limit


def _deviations(
    spectra: np.ndarray, *, half_width: int, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Deviation of every value from the local median, and for every spectrum the deviation of a spike."""
    median = _local_median(spectra, min(half_width, (spectra.shape[1] - 1) // 2))
    deviation = np.abs(spectra - median)
    sd = GAUSSIAN * np.median(deviation, axis=1, keepdims=True)
    floor = 0.5 * np.median(np.abs(median), axis=1, keepdims=True)
    tiny = np.finfo(spectra.dtype).eps * np.abs(spectra).max(axis=1, keepdims=True)
    return deviation, threshold * sd + floor + tiny


def run_lengths(marked: np.ndarray) -> np.ndarray:
    """For every marked value the number of marked values in succession around it; 0 elsewhere."""
    forward, backward = (np.zeros(marked.shape, dtype=int) for _ in range(2))
    n = marked.shape[1]
    for step in range(n):
        before = forward[:, step - 1] if step else 0
        after = backward[:, n - step] if step else 0
        forward[:, step] = np.where(marked[:, step], before + 1, 0)
        backward[:, n - 1 - step] = np.where(marked[:, n - 1 - step], after + 1, 0)
    return np.where(marked, forward + backward - 1, 0)


def _local_median(spectra: np.ndarray, half_width: int) -> np.ndarray:
    """The median of each value and its surroundings; some spectra at a time, since windows overlap in memory."""
    window = 2 * half_width + 1
    n_rows = max(1, WINDOW_VALUES // (window * max(spectra.shape[1], 1)))
    median = np.empty_like(spectra)
    for start in range(0, len(spectra), n_rows):
        rows = slice(start, start + n_rows)
        padded = np.pad(spectra[rows], ((0, 0), (half_width, half_width)), mode="reflect")
        median[rows] = np.median(sliding_window_view(padded, window, axis=1), axis=-1)
    return median


def abrupt_runs(values: np.ndarray, marked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The marked values in short runs that begin and end within one step, and the level beside them."""
    n, pad = values.shape[1], BESIDE + 1
    padded = np.pad(values, ((0, 0), (pad, pad)), mode="reflect")
    edge = np.pad(marked, ((0, 0), (1, 1)))
    # the smallest step from a value to one of those beyond it, to the left and to the right
    steps = [
        np.abs(
            padded[:, pad - 1 : pad + n + 1]
            - np.roll(padded, shift, axis=1)[:, pad - 1 : pad + n + 1]
        )
        for shift in (*range(1, BESIDE + 1), *range(-1, -BESIDE - 1, -1))
    ]
    left, right = np.min(steps[:BESIDE], axis=0), np.min(steps[BESIDE:], axis=0)
    around = padded[:, pad - 1 : pad + n + 1]
    abrupt, level = np.zeros(marked.shape, dtype=bool), values.copy()
    for length in range(1, LONGEST_SPIKE + 1):
        last = n - length + 1
        run = sliding_window_view(marked, length, axis=1).all(axis=-1)
        alone = run & ~edge[:, :last] & ~edge[:, length + 1 :]
        inside = sliding_window_view(values, length, axis=1)
        before, after = around[:, :last], around[:, length + 1 :]
        rise, fall = inside[..., 0] - before, inside[..., -1] - after
        is_spike = alone & (np.abs(rise) > STEEP * left[:, :last])
        is_spike &= np.abs(fall) > STEEP * right[:, length + 1 :]
        beside = (before + after) / 2
        height = np.abs(inside - beside[..., None])
        ends = np.minimum(height[..., 0], height[..., -1])
        is_spike &= ends >= FLAT * height.max(axis=-1)
        is_spike &= ends > np.abs(before - after)  # a step between two levels is no spike
        for step in range(length):
            part = slice(step, last + step)
            abrupt[:, part] |= is_spike
            level[:, part] = np.where(is_spike, beside, level[:, part])
    return abrupt, level


def is_clipped(spectra: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Whether a spectrum rests on the largest or smallest value of all spectra for several steps.

    Zero is no limit: empty channels of a counting detector are zero.
    """
    clipped = np.zeros(len(spectra), dtype=bool)
    if not finite.any():
        return clipped
    shortest = max(3, int(np.ceil(LONGEST_PLATEAU * spectra.shape[1])) + 1)
    for limit in (spectra[finite].max(), spectra[finite].min()):
        if limit != 0:
            clipped |= run_lengths(spectra == limit).max(axis=1, initial=0) >= shortest
    return clipped


def amplitude_score(spectra: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Robust z-score of the logarithm of each spectrum's norm among the usable ones."""
    norms = np.linalg.norm(spectra.astype(float), axis=1)
    positive = usable & (norms > 0)
    if not positive.any():
        return np.zeros(len(spectra))
    amplitude = np.log(np.where(norms > 0, norms, 1.0))
    centre = np.median(amplitude[positive])
    spread = GAUSSIAN * np.median(np.abs(amplitude[positive] - centre))
    return np.where(positive, (amplitude - centre) / max(spread, NARROWEST), 0.0)


def noise_sd(spectra: np.ndarray) -> np.ndarray:
    """Standard deviation of the noise of one value, from second differences, which a smooth spectrum hardly has.

    Source: as in Immerkaer 1996, doi:10.1006/cviu.1996.0060, eq. 1 in one dimension, with the median instead of the mean.
    """
    if spectra.shape[1] < FEWEST:
        return np.full(len(spectra), np.nan)
    second = np.diff(spectra.astype(float), n=2, axis=1)
    second -= np.median(second, axis=1, keepdims=True)
    return GAUSSIAN * np.median(np.abs(second), axis=1) / SECOND_DIFFERENCE
