"""Invalid pixels of a frame: bad lines, lost contact, values that are not finite."""

import numpy as np
import scipy.ndimage as ndi

from invae.config.describe import MaskConfig

REASONS = ("none", "bad_line", "tip_loss", "not_finite", "drawn")
"""Why a pixel is invalid; `invalid_reason` holds the index."""
BAD_LINE, TIP_LOSS, NOT_FINITE, DRAWN = 1, 2, 3, 4
NEIGHBOURS = 5
"""Number of lines of the median with which a line is compared: detects scars of one and two lines."""
LEAST_SPREAD = 0.02
"""Lower limit of the spread of the line statistic, so that a noiseless frame has no bad lines [median
of the frame]."""


def line_coherence(frame: np.ndarray) -> np.ndarray:
    """Jumps of whole rows and columns: second difference of their medians, relative to that of the
    pixels, (2,).

    It is near 0 if pixels change independently of their line, and 1 if whole lines jump, as scan
    lines do.
    """
    coherence = np.zeros(2)
    finite = np.isfinite(frame)
    if min(frame.shape) < 3 or not finite.any():
        return coherence
    filled = np.where(finite, frame, np.median(frame[finite])).astype(np.float64)
    for axis in (0, 1):
        bends = np.diff(filled, 2, axis=axis)
        usual = np.median(np.abs(bends))
        if usual > 0:
            coherence[axis] = np.median(np.abs(np.median(bends, axis=1 - axis))) / usual
    return coherence


def invalid_reason(
    polarization: np.ndarray,
    aligned: np.ndarray,
    amplitude: np.ndarray,
    *,
    scan_lines: str,
    config: MaskConfig,
) -> np.ndarray:
    """Reason why each pixel of one frame is invalid: an index into `REASONS`, uint8 (y, x); 0 if it is
    valid.

    Args:
        polarization: signed response (y, x), any unit.
        aligned: cos 2(φ − φ₀) (y, x).
        amplitude: size of the response (y, x).
        scan_lines: "rows" or "columns".
        config: thresholds.
    """
    if scan_lines == "columns":
        turned = invalid_reason(
            polarization.T, aligned.T, amplitude.T, scan_lines="rows", config=config
        )
        return turned.T
    finite = np.isfinite(polarization) & np.isfinite(amplitude)
    reason = np.zeros(polarization.shape, np.uint8)
    lost = lost_lines(aligned, amplitude, finite, config=config)
    bad = bad_lines(np.where(finite, polarization, 0), ~lost, config=config)
    reason[bad] = BAD_LINE
    reason[lost] = TIP_LOSS
    reason[~finite] = NOT_FINITE
    return reason


def lost_lines(
    aligned: np.ndarray, amplitude: np.ndarray, finite: np.ndarray, *, config: MaskConfig
) -> np.ndarray:
    """Rows recorded without contact, bool (y,): bands of several rows in which the phase is off the
    up-down axis, or the amplitude is lost.

    A row with a single value was not recorded, whatever its neighbours are.
    """
    sizes = np.where(finite, amplitude, 0)
    level = np.median(sizes, axis=1)
    usual = np.median(level)
    off_axis = off_axis_lines(np.where(finite, aligned, np.nan), scan_lines="rows", config=config)
    suspect = off_axis | (level < config.tip_loss_fraction * usual)
    wide = _runs(suspect, least=config.tip_loss_lines)
    gaps = ~wide & ~_runs(~wide, least=config.tip_loss_lines, ends=True)
    constant = np.ptp(sizes, axis=1) == 0
    return wide | gaps | constant


def off_axis_lines(aligned: np.ndarray, *, scan_lines: str, config: MaskConfig) -> np.ndarray:
    """Lines in which the phase is off the up-down axis, bool (line,); pixels that are NaN do not count.

    Args:
        aligned: cos 2(φ − φ₀) (y, x).
        scan_lines: "rows" or "columns".
        config: threshold.
    """
    lines = aligned.T if scan_lines == "columns" else aligned
    known = np.isfinite(lines)
    on_axis = np.where(known, lines, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return ndi.median_filter(on_axis, 5) < config.tip_loss_alignment


def _runs(flagged: np.ndarray, *, least: int, ends: bool = False) -> np.ndarray:
    """The runs of at least so many flagged lines, bool (y,); with `ends`, also shorter ones at
    either end.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flagged, [False]])))
    kept = np.zeros(len(flagged), bool)
    for start, stop in edges.reshape(-1, 2):
        at_end = ends and (start == 0 or stop == len(flagged))
        kept[start:stop] = stop - start >= least or at_end
    return kept


def bad_lines(polarization: np.ndarray, believed: np.ndarray, *, config: MaskConfig) -> np.ndarray:
    """Rows that differ from their neighbours far more than typical rows, bool (y,).

    Each pixel is compared with the median of five rows, which preserves walls (also those along
    rows) and removes scars. Rows are mirrored at the border, so that the first and the last row can
    be scars too.

    Args:
        polarization: signed response (y, x), finite.
        believed: rows that define the typical difference, bool (y,).
        config: threshold.
    """
    if not believed.any():
        return np.zeros(len(polarization), bool)
    usual = np.median(np.abs(polarization[believed]))
    if not usual > 0:
        return np.zeros(len(polarization), bool)
    around = ndi.median_filter(polarization, size=(NEIGHBOURS, 1), mode="mirror")
    statistic = np.median(np.abs(polarization - around), axis=1) / usual
    centre = np.median(statistic[believed])
    spread = 1.4826 * np.median(np.abs(statistic[believed] - centre))
    score = (statistic - centre) / max(spread, LEAST_SPREAD)
    return believed & (score > config.bad_line_threshold)
