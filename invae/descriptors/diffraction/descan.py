"""Motion of the direct beam over a scan (descan), and patterns that are moved back.

The position of the direct beam is the centre of mass near it, in the sum of the patterns of every part of the scan: the parts are
large, so that it is exact at few electrons. A plane or a parabola through these positions is the motion. Patterns are moved back by whole
pixels, so that counts stay counts; the error is at most half a pixel.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

PARTS = 8
"""Number of parts of the scan along each axis."""
WIDE = 1.5
"""Radius around the beam in which its centre of mass is taken [radius of the disc]."""
ROUNDS = 8
FEWEST = 16
"""Smallest number of electrons near the beam in a part that counts."""
TERMS = {"plane": 3, "parabola": 6}


@dataclass(frozen=True, eq=False)
class Motion:
    """Displacement of the direct beam from its mean position."""

    pixels: np.ndarray
    """Displacement in whole pixels (scan_y, scan_x, axis), int."""
    rest: np.ndarray
    """What is left after whole pixels (scan_y, scan_x, axis) [px]."""

    @property
    def moves(self) -> bool:
        """Whether some pattern is moved."""
        return bool(self.pixels.any())

    @property
    def range(self) -> tuple[int, int]:
        """Largest minus smallest displacement along both axes [px]."""
        low, high = self.pixels.min((0, 1)), self.pixels.max((0, 1))
        return int(high[0] - low[0]), int(high[1] - low[1])

    def undone(self, patterns: np.ndarray, rows: slice, *, first_column: int = 0) -> np.ndarray:
        """Patterns (row, column, k_y, k_x) of some rows, with the direct beam at its mean position; 0 beyond the detector."""
        if not self.moves:
            return patterns
        steps = self.pixels[rows, first_column : first_column + patterns.shape[1]]
        moved = np.empty_like(patterns)
        for step in np.unique(steps.reshape(-1, 2), axis=0):
            here = (steps == step).all(-1)
            moved[here] = _moved(patterns[here], -int(step[0]), -int(step[1]))
        return moved

    def always(self, working: np.ndarray) -> np.ndarray:
        """Pixels (k_y, k_x) that work, whatever the displacement."""
        if not self.moves:
            return working
        steps = np.unique(self.pixels.reshape(-1, 2), axis=0)
        return np.all([_moved(working, -int(y), -int(x)) for y, x in steps], axis=0)


def motion_of(
    pattern: xr.DataArray, maps: xr.Dataset, kind: Literal["none", "plane", "parabola"]
) -> Motion:
    """The motion of the direct beam; none without a bright-field disc.

    Args:
        pattern: (scan_y, scan_x, k_y, k_x).
        maps: The group `maps` of the recording.
        kind: Function of the position in the scan.
    """
    shape = (pattern.shape[0], pattern.shape[1])
    disc = float(maps.attrs["disc_radius"])
    still = Motion(np.zeros((*shape, 2), np.int64), np.zeros((*shape, 2)))
    if kind == "none" or not shows_beam(maps):
        return still
    centre = np.array([float(value) for value in maps.attrs["centre"]])
    valid = maps["detector_valid"].to_numpy().astype(bool)
    places, beams = _beams(pattern, valid, centre, disc)
    if len(places) < 2 * TERMS[kind]:
        return still
    terms = _terms(places, shape, kind)
    used = np.ones(len(places), bool)
    fitted = np.zeros((terms.shape[1], 2))
    for _ in range(4):
        fitted = np.linalg.lstsq(terms[used], beams[used], rcond=None)[0]
        residual = np.hypot(*(beams - terms @ fitted).T)
        used = residual <= max(3 * 1.4826 * float(np.median(residual)), 0.02)
    every = np.indices(shape).reshape(2, -1).T
    moved = (_terms(every, shape, kind) @ fitted).reshape(*shape, 2)
    pixels = np.rint(moved).astype(np.int64)
    return Motion(pixels, moved - pixels)


def remarks_on_descan(scan_motion: Motion, maps: xr.Dataset, kind: str) -> list[str]:
    """A line on patterns that were moved, or that could not be."""
    if kind != "none" and not shows_beam(maps):
        return [
            "the direct beam is not recorded: patterns are not moved back over the scan (describe.descan)"
        ]
    if not scan_motion.moves:
        return []
    y, x = scan_motion.range
    return [
        f"the direct beam moves by {y} px along k_y and {x} px along k_x over the scan (descan): patterns are moved back"
    ]


def shows_beam(maps: xr.Dataset) -> bool:
    """Whether the mean pattern has a bright-field disc whose middle is recorded."""
    row, column = (round(float(value)) for value in maps.attrs["centre"])
    is_recorded = bool(maps["detector_valid"].to_numpy()[row, column])
    return is_recorded and float(maps.attrs["disc_radius"]) > 0


def _beams(
    pattern: xr.DataArray, valid: np.ndarray, centre: np.ndarray, disc: float
) -> tuple[np.ndarray, np.ndarray]:
    """Middles of parts of the scan (part, axis), and the displacement of the beam there (part, axis) [px]."""
    places, beams = [], []
    edges = [np.unique(np.linspace(0, n, PARTS + 1).astype(int)) for n in pattern.shape[:2]]
    for top, bottom in zip(edges[0][:-1], edges[0][1:], strict=True):
        band = np.where(valid, pattern[top:bottom].to_numpy(), 0)
        for left, right in zip(edges[1][:-1], edges[1][1:], strict=True):
            total = band[:, left:right].sum((0, 1), dtype=np.float64)
            beam = _centre_of_beam(total, centre, disc)
            if beam is not None:
                places.append(((top + bottom - 1) / 2, (left + right - 1) / 2))
                beams.append(beam - centre)
    return np.array(places).reshape(-1, 2), np.array(beams).reshape(-1, 2)


def _centre_of_beam(total: np.ndarray, centre: np.ndarray, disc: float) -> np.ndarray | None:
    """Centre of mass near the beam, which the neighbourhood follows (axis,) [px]; None with too few electrons."""
    y, x = np.indices(total.shape)
    beam = centre
    for _ in range(ROUNDS):
        near = np.hypot(y - beam[0], x - beam[1]) <= WIDE * disc
        # what is even around the beam pulls the centre of mass to that of the window
        light = np.where(near, total - np.percentile(total[near], 10) if near.any() else 0, 0)
        light = np.maximum(light, 0)
        if light.sum() < FEWEST:
            return None
        beam = np.array([(light * y).sum(), (light * x).sum()]) / light.sum()
    return beam


def _terms(places: np.ndarray, shape: tuple[int, int], kind: str) -> np.ndarray:
    """Powers of the position (place, term)."""
    y, x = (2 * places[:, axis] / max(shape[axis] - 1, 1) - 1 for axis in (0, 1))
    return np.stack([np.ones_like(y), y, x, y * y, y * x, x * x][: TERMS[kind]], axis=1)


def _moved(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Images (…, k_y, k_x), moved by whole pixels; 0 where nothing comes from."""
    height, width = images.shape[-2:]
    result = np.zeros_like(images)
    if abs(down) < height and abs(right) < width:
        to = (slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0)))  # fmt: skip
        source = (slice(max(-down, 0), height + min(-down, 0)), slice(max(-right, 0), width + min(-right, 0)))  # fmt: skip
        result[(..., *to)] = images[(..., *source)]
    return result
