"""Classes of probes: the phases by their lattices, and areas without a lattice, amorphous or empty."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import affine_transform

from invae.analysis.grains.discs import on_rings
from invae.analysis.grains.search import Polycrystal

RISE = 1.1
"""Smallest ratio of a ring to the gap before it in an amorphous pattern."""
AMORPHOUS, EMPTY = "amorphous", "without discs"


@dataclass(frozen=True)
class Classes:
    """Names of the classes, the class of every probe, and mean patterns."""

    names: tuple[str, ...]
    of_region: np.ndarray
    """(region,)"""
    of_probe: np.ndarray
    """(row, column)"""
    patterns: np.ndarray
    """Mean patterns (class, y, x), turned to angle 0 for crystals [electron]."""


def classes_of(found: Polycrystal) -> Classes:
    """The phases, numbered as their lattices, then amorphous and empty areas if there are any."""
    names = _distinct([lattice.words for lattice in found.lattices])
    of_region = found.phases.phase.copy()
    for words in (AMORPHOUS, EMPTY):
        own = [
            region
            for region in np.flatnonzero(found.phases.phase < 0)
            if _has_ring(found, int(region)) == (words == AMORPHOUS)
        ]
        if own:
            of_region[own] = len(names)
            names = [*names, words]
    patterns = np.stack([_mean(found, of_region == n, turned=n < len(found.lattices)) for n in range(len(names))])  # fmt: skip
    return Classes(tuple(names), of_region, of_region[found.regions], patterns)


def _distinct(words: list[str]) -> list[str]:
    """Names with numbers where several phases have one kind of lattice."""
    return [
        word if words.count(word) == 1 else f"{word} {words[: number + 1].count(word)}"
        for number, word in enumerate(words)
    ]


def _has_ring(found: Polycrystal, region: int) -> bool:
    """Whether the intensity rises again at some distance from the direct beam."""
    pattern, centre = found.patterns[region], found.axis
    smooth = on_rings(pattern, valid=np.ones(pattern.shape, bool), centre=centre)
    row = smooth[round(centre[0]), round(centre[1]) :]
    beyond = row[int(np.ceil(2 * found.radius)) : len(row) - 2]
    if len(beyond) < 3:
        return False
    lowest = np.minimum.accumulate(beyond)
    return bool((beyond > RISE * lowest + 1e-12).any())


def _mean(found: Polycrystal, regions: np.ndarray, *, turned: bool) -> np.ndarray:
    """Mean pattern of some regions, each turned back by its angle."""
    number = np.bincount(found.regions.ravel(), minlength=len(found.patterns))
    total, weight = np.zeros(found.patterns.shape[1:]), 0
    for region in np.flatnonzero(regions):
        pattern = found.patterns[region]
        angle = float(found.region_angle[region]) if turned else 0.0
        total += number[region] * _turned_back(pattern, angle, found.axis)
        weight += number[region]
    return total / max(weight, 1)


def _turned_back(pattern: np.ndarray, angle: float, axis: tuple[float, float]) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]])
    middle = (np.array(pattern.shape) - 1) / 2
    offset = np.array(axis) - matrix @ middle
    return affine_transform(pattern, matrix, offset=offset, order=1)  # pyright: ignore[reportArgumentType]
