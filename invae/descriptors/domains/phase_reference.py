"""Phase reference of every frame: its own offset if frames differ, and a sign that does not jump.

The lock-in amplifier's reference may move or turn between the frames of a series. A new reference changes the sign of all domains and
leaves the walls where they are; a field cannot do that, since it switches only one of the two polarizations.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import scipy.ndimage as ndi

from invae.config import ComputeConfig
from invae.config.describe import MaskConfig
from invae.descriptors import block_results
from invae.descriptors.domains.masks import off_axis_lines
from invae.descriptors.domains.phase import (
    alignment,
    doubled_angle_histogram,
    in_phase,
    phase_offset,
)
from invae.descriptors.domains.series import LISTED, Series, listed
from invae.descriptors.domains.signals import read_complex
from invae.progress import Progress
from invae.storage.blocks import map_blocks

STAGE = "phase"
SAME_OFFSET = np.deg2rad(20.0)
"""Offsets of frames that differ less are one offset [rad]."""
SHARP = 0.3
"""Least mean resultant of the doubled phase for which the offset of one frame is believed."""
SMOOTHING = 1.5
"""Sd of the Gaussian before signs of two frames are compared [px]."""
FEWEST = 0.05
"""Least share of each polarization for a comparison of signs."""
OPPOSITE = 0.25
"""Kept share of both polarizations below which the reference was turned."""
NEARLY_ALL = 0.8
"""If more lines of a usual frame are off the up-down axis, the phase is weak or noisy, and contact was not lost."""


@dataclass(frozen=True)
class FrameReference:
    """What one frame says about its phase reference."""

    offset: float
    """Own offset, but for half a turn [rad]."""
    sharpness: float
    """Mean resultant of the doubled phase, 0 to 1."""
    off_axis: float
    """Share of lines whose phase is neither up nor down."""
    kept: tuple[float, float]
    """Share of the up and of the down domains of the frame before that are still so, by the own offsets; NaN if unknown."""


def with_references(
    series: Series, drift: np.ndarray, *, compute: ComputeConfig, progress: Progress
) -> Series:
    """The series with the phase offset of every frame, and remarks on them.

    Args:
        series: settings and calibration.
        drift: of every frame (frame, axis) [px].
        compute: where blocks run.
        progress: called with the number of finished blocks.
    """
    blocks = series.blocks()
    map_blocks(
        partial(reference_block, series=series, drift=drift),
        blocks,
        compute=compute,
        progress=progress,
    )
    paths = [block_results.path_of(series.partial, STAGE, block.start) for block in blocks]
    names = ("offset", "sharpness", "off_axis", "kept")
    own, sharpness, off_axis, kept = (block_results.gather(paths, name) for name in names)
    offsets, remarks = _offsets(series, own, sharpness, kept)
    masks, remark = _masks(series, off_axis)
    return replace(
        series,
        config=series.config.model_copy(update={"masks": masks}),
        phase_offsets=tuple(offsets.tolist()),
        notes=(*series.notes, *remarks, *remark),
    )


def reference_block(frames: slice, *, series: Series, drift: np.ndarray) -> None:
    """Save what every frame of a block says about its phase reference."""
    piece = block_results.path_of(series.partial, STAGE, frames.start)
    if piece.exists():
        return
    recording, found, before = series.open(), [], None
    for frame in range(max(0, frames.start - 1), frames.stop):
        response = read_complex(recording, series.signals, slice(frame, frame + 1))[0]
        moved = drift[frame] - drift[frame - 1] if frame else np.zeros(2)
        reference, before = _reference(response, before, moved, series=series)
        found.append(reference)
    found = found[-(frames.stop - frames.start) :]
    block_results.save(
        piece,
        offset=np.array([reference.offset for reference in found]),
        sharpness=np.array([reference.sharpness for reference in found]),
        off_axis=np.array([reference.off_axis for reference in found]),
        kept=np.array([reference.kept for reference in found]).reshape(-1, 2),
    )


def _reference(
    response: np.ndarray, before: np.ndarray | None, moved: np.ndarray, *, series: Series
) -> tuple[FrameReference, np.ndarray]:
    """What a frame says, and its signs for the comparison with the next one."""
    offset, sharpness = _own_offset(response, series=series)
    aligned = alignment(response, offset=offset)
    lost = off_axis_lines(aligned, scan_lines=series.scan_lines, config=series.config.masks)
    signs = _signs(response, aligned, offset=offset)
    kept = (np.nan, np.nan) if before is None else _kept(before, signs, moved)
    return FrameReference(offset, sharpness, float(lost.mean()), kept), signs


def _own_offset(response: np.ndarray, *, series: Series) -> tuple[float, float]:
    """Offset of one frame [rad] and its sharpness."""
    if not series.signals.has_phase:
        return 0.0, 1.0
    if series.config.phase_offset.offset is not None:
        return series.phase_offset, 1.0
    finite = response[np.isfinite(response)].astype(np.complex128)
    size = np.abs(finite)
    doubled = np.divide(finite**2, size, out=np.zeros_like(finite), where=size > 0)
    total = float(size.sum())
    sharpness = float(abs(doubled.sum()) / total) if total > 0 else 0.0
    return phase_offset(doubled_angle_histogram(response)), sharpness


def _signs(response: np.ndarray, aligned: np.ndarray, *, offset: float) -> np.ndarray:
    """+1 up, −1 down, 0 unknown (y, x), of the smoothed polarization."""
    polarization = np.nan_to_num(in_phase(response, offset=offset), posinf=0, neginf=0)
    known = np.nan_to_num(aligned, nan=-1.0) > 0
    return np.sign(ndi.gaussian_filter(polarization * known, SMOOTHING)).astype(np.int8) * known


def _kept(before: np.ndarray, now: np.ndarray, moved: np.ndarray) -> tuple[float, float]:
    """Share of the up and of the down domains that are still so; NaN if one of them is rare."""
    dy, dx = np.rint(moved).astype(int)
    here, there = now[_shared(-dy), _shared(-dx)], before[_shared(dy), _shared(dx)]
    compared = (here != 0) & (there != 0)
    up, down = (
        float((there[compared] == sign).mean()) if compared.any() else 0.0 for sign in (1, -1)
    )
    if min(up, down) < FEWEST:
        return np.nan, np.nan
    return (
        float((here[compared & (there == 1)] == 1).mean()),
        float((here[compared & (there == -1)] == -1).mean()),
    )


def _shared(offset: int) -> slice:
    """The part of an axis that overlaps with another frame at an offset."""
    return slice(offset, None) if offset >= 0 else slice(None, offset)


def _offsets(
    series: Series, own: np.ndarray, sharpness: np.ndarray, kept: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Offset of every frame [rad], and remarks."""
    settings, common = series.config.phase_offset, series.phase_offset
    away = np.abs(_wrapped(own - common, np.pi))
    believed = (sharpness >= SHARP) & (series.signals.has_phase)
    differ = bool((away[believed] > SAME_OFFSET).any())
    several = differ if settings.per_frame is None else settings.per_frame
    base = np.where(believed, own, common) if several else np.full(len(own), common)
    aligned, turned = _one_sign(own, base, kept, align=settings.align_sign)
    return aligned, _remarks(aligned, turned, several=several and differ)


def _one_sign(
    own: np.ndarray, base: np.ndarray, kept: np.ndarray, *, align: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Offsets without jumps of the sign [rad], and whether the reference was turned before each frame."""
    offsets, turned = base.copy(), np.zeros(len(base), bool)
    for frame in range(1, len(base)):
        last = offsets[frame - 1]
        nearest = last + _wrapped(base[frame] - last, np.pi)
        # `kept` compares signs by the own offsets; the signs by `nearest` and `last` may both be turned against them
        by_own = _turn(nearest - own[frame]) * _turn(last - own[frame - 1])
        now_kept = kept[frame] if by_own > 0 else 1 - kept[frame]
        turned[frame] = align and bool((now_kept < OPPOSITE).all())
        offsets[frame] = nearest + np.pi * turned[frame]
    return _wrapped(offsets, 2 * np.pi), turned


def _turn(angle: float) -> int:
    """+1 if an angle is nearer to 0, −1 if it is nearer to half a turn."""
    return 1 if np.cos(angle) >= 0 else -1


def _wrapped(angle: np.ndarray, period: float) -> np.ndarray:
    """Angles in (−period/2, period/2] [rad]."""
    return -((-angle + period / 2) % period - period / 2)


def _remarks(offsets: np.ndarray, turned: np.ndarray, *, several: bool) -> list[str]:
    remarks = []
    if several:
        listed_offsets = ", ".join(f"{value:.0f}" for value in np.rad2deg(offsets[:LISTED]))
        more = ", …" if len(offsets) > LISTED else ""
        remarks.append(
            f"the phase offset differs between frames ({listed_offsets}{more} degree): every frame has its own; "
            "describe.phase_offset.per_frame=false takes one"
        )
    if turned.any():
        remarks.append(
            f"between frames the sign of all domains changes and the walls stay (frame {listed(np.flatnonzero(turned))}): "
            "a new phase reference, not switching; the sign is turned back (describe.phase_offset.align_sign=false keeps it)"
        )
    return remarks


def _masks(series: Series, off_axis: np.ndarray) -> tuple[MaskConfig, tuple[str, ...]]:
    """Settings of the masks, without the criterion of the phase if it would mask nearly everything."""
    masks = series.config.masks
    if not off_axis.size or np.median(off_axis) < NEARLY_ALL:
        return masks, ()
    remark = (
        f"the phase is neither up nor down in {np.median(off_axis):.0%} of the lines of a usual frame: weak or noisy response, or lobes "
        "that are not 180 degree apart, and no lost contact; only lines without amplitude are masked "
        "(describe.masks.tip_loss_alignment)"
    )
    return masks.model_copy(update={"tip_loss_alignment": -1.0}), (remark,)
