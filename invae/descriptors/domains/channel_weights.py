"""How far each channel is trusted in the registration of a series, judged by the channel itself.

The shifts of three frames must add up: from the first to the third is from the first to the second plus from the second to the
third. A channel in which something moves other than the sample (domain walls, a pattern of the scanner) fails this, or disagrees
with the other channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invae.descriptors.domains import drift as drifts

LEAST_SD = 0.01
"""Sd of a shift that is always assumed [px]."""
APART, LEAST_APART = 4.0, 0.3
"""Channels disagree whose drifts differ by so many sd (rms over frames), and by at least so many pixels."""
FIXED, MOVES = 0.1, 1.0
"""A channel is fixed whose drift stays below the first, while that of another exceeds the second [px]."""
LEAST_RIGHT = 0.05
"""Least share of right pairs by which the sd of a channel is divided."""


@dataclass(frozen=True)
class ChannelShifts:
    """Shifts of pairs of frames by channel [px]."""

    pair: np.ndarray
    """First and second frame (pair, 2)."""
    shift: np.ndarray
    """(pair, channel, axis); NaN without one."""
    spread: np.ndarray
    """Sd among regions (pair, channel, axis)."""
    error: np.ndarray
    """Standard error of the mean over regions (pair, channel, axis)."""
    quality: np.ndarray
    """Mean correlation (pair, channel), 0 without a shift."""


@dataclass(frozen=True)
class Shifts:
    """Shifts of pairs of frames [px]."""

    pair: np.ndarray
    shift: np.ndarray
    """(pair, axis)"""
    spread: np.ndarray
    error: np.ndarray
    quality: np.ndarray
    """(pair)"""

    def where(self, chosen: np.ndarray) -> "Shifts":
        """Some of the pairs."""
        names = Shifts.__dataclass_fields__
        return Shifts(*(getattr(self, name)[chosen] for name in names))


@dataclass(frozen=True)
class Alone:
    """The drift that one channel alone gives."""

    drift: np.ndarray
    """(frame, axis) [px]"""
    sd: float
    """Of the shift of a pair along one axis [px]."""


def combined(
    found: ChannelShifts, names: Sequence[str], *, n_frames: int
) -> tuple[Shifts, list[str]]:
    """Mean over the channels that agree, weighted by how well the shifts of each fit together, and remarks on the others.

    Args:
        found: shifts by channel.
        names: of the channels.
        n_frames: length of the series.
    """
    alone = [alone_of(found, channel, n_frames=n_frames) for channel in range(len(names))]
    trusted = agreeing(alone)
    weight = np.array([0.0 if one is None else one.sd**-2 for one in alone])
    weight[[channel for channel in range(len(names)) if channel not in trusted]] = 0.0
    share = weight * found.quality
    total = share.sum(1)
    share = np.divide(share, total[:, None], out=np.zeros_like(share), where=total[:, None] > 0)
    of_pair = share[..., None]
    every = Shifts(
        found.pair,
        (of_pair * np.nan_to_num(found.shift)).sum(1),
        (of_pair * np.nan_to_num(found.spread)).sum(1),
        np.sqrt(((of_pair * np.nan_to_num(found.error)) ** 2).sum(1)),
        (share * found.quality).sum(1),
    )
    return every.where(total > 0), remarks(names, alone, trusted)


def alone_of(found: ChannelShifts, channel: int, *, n_frames: int) -> Alone | None:
    """The drift of one channel alone; none if no pair has a shift in it."""
    used = found.quality[:, channel] > 0
    if not used.any():
        return None
    pairs, shifts = found.pair[used], found.shift[used, channel]
    drift, weights = drifts.solve(pairs, shifts, found.quality[used, channel], n_frames=n_frames)
    residuals = shifts - (drift[pairs[:, 1]] - drift[pairs[:, 0]])
    misfit = drifts.closure(pairs, residuals, weights)
    # pairs that no drift fits are no pairs of this channel: their share makes it less trusted
    wrong = np.linalg.norm(residuals, axis=1) > drifts.TUKEY * drifts.LEAST_SCALE
    among_regions = float(np.median(found.error[used, channel]))
    own = np.hypot(np.nan_to_num(misfit), among_regions) / max(1 - wrong.mean(), LEAST_RIGHT)
    return Alone(drift, max(float(own), LEAST_SD))


def agreeing(alone: Sequence[Alone | None]) -> list[int]:
    """Channels that are trusted: the most that agree with each other, and of equally many those with the smallest sd.

    A channel that shows a pattern fixed in the frame fits together perfectly; it is not trusted if another one moves.
    """
    present = [channel for channel, one in enumerate(alone) if one is not None]
    moving = [channel for channel in present if not _is_fixed(channel, alone)]
    groups = [
        [other for other in moving if not _disagree(alone[channel], alone[other])]
        for channel in moving
    ]
    return max(groups, key=lambda g: (len(g), -min(alone[c].sd for c in g)), default=[])  # pyright: ignore[reportOptionalMemberAccess]


def _is_fixed(channel: int, alone: Sequence[Alone | None]) -> bool:
    others = [one for k, one in enumerate(alone) if one is not None and k != channel]
    own = alone[channel]
    assert own is not None
    still = np.abs(own.drift).max() < FIXED
    return still and any(np.abs(one.drift).max() > max(MOVES, APART * one.sd) for one in others)


def _disagree(one: Alone | None, other: Alone | None) -> bool:
    assert one is not None
    assert other is not None
    return _distance(one, other) > max(LEAST_APART, APART * float(np.hypot(one.sd, other.sd)))


def _distance(one: Alone, other: Alone) -> float:
    """Rms difference of two drifts over frames, apart from a common displacement [px]."""
    difference = one.drift - other.drift
    return float(np.sqrt(((difference - difference.mean(0)) ** 2).sum(1).mean()))


def remarks(
    names: Sequence[str], alone: Sequence[Alone | None], trusted: Sequence[int]
) -> list[str]:
    """One remark on each channel that was left out because its drift differs."""
    if not trusted:
        return []
    best = min(trusted, key=lambda channel: alone[channel].sd)  # pyright: ignore[reportOptionalMemberAccess]
    reference, found = alone[best], []
    assert reference is not None
    for channel, one in enumerate(alone):
        if one is None or channel in trusted:
            continue
        found.append(
            f"the drift of {names[channel]} differs from that of {names[best]} by {_distance(one, reference):.2g} px (rms over frames) and is left out; "
            f"shifts of {names[best]} fit together to {reference.sd:.2g} px, those of {names[channel]} to {one.sd:.2g} px; "
            "describe.registration.channels chooses"
        )
    return found
