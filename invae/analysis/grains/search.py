"""Grains of a scan of diffraction patterns: phases, orientation and strain of every probe, without knowing the crystals."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from invae.analysis.grains import pose
from invae.analysis.grains.areas import connected, folded
from invae.analysis.grains.axis import refined_axis
from invae.analysis.grains.borders import Border, borders_of, jump_of
from invae.analysis.grains.discs import Discs, find_discs, radius_of_discs
from invae.analysis.grains.features import Blocks, features_of
from invae.analysis.grains.lattice import Lattice
from invae.analysis.grains.phases import Phases, find_phases, refitted
from invae.analysis.grains.regions import (
    THIN,
    Features,
    Labels,
    centres_of,
    depth_of,
    find_regions,
    reassigned,
    typical_difference,
    whitened,
)
from invae.analysis.grains.shrinkage import shrunk

LARGEST = 12
"""Number of the largest regions that decide about the disc."""
LEAST_SPACING = 1.9
"""Smallest distance of neighbouring discs [radius of a disc]: they hardly overlap."""
SMALLEST = 9
"""Smallest number of probes of a grain; smaller ones join a neighbour."""
RIM = 0.3
"""Largest number of probes of a rim, relative to the largest region of its grain."""
KNOWN_BY = 2
"""Distance of regions that a probe may belong to [scan step]."""
OTHER_TILT = 0.3
"""Difference of two patterns relative to the typical one, from which on they are two grains even with equal angles."""
STEEPEST = float(np.radians(0.5))
"""Sd of the change of the angle from probe to probe within a grain [rad]."""
SURE = 2.0
"""Number of sds by which a jump must be below its limit."""
STEPS_TO_OTHER = 6
"""Number of probes within which a steady change makes a pattern differ as much as that of another grain."""
TIGHT = 0.05
"""Part of the typical difference between patterns that a pattern may differ from its region besides noise."""


@dataclass(frozen=True)
class Settings:
    """Tolerances of the search."""

    phase_tolerance: float = 0.012
    """Relative deviation of positions within a phase, sd."""
    grain_tolerance: float = float(np.radians(1.0))
    """Largest misorientation within a grain, from region to region [rad]."""


@dataclass(frozen=True)
class Polycrystal:
    """Phases, regions and grains of a scan."""

    lattices: tuple[Lattice, ...]
    axis: tuple[float, float]
    """Optic axis (y, x) [px]."""
    radius: float
    """Of a disc [px]."""
    regions: Labels
    phases: Phases
    patterns: Float[np.ndarray, "region y x"]
    """Mean patterns of the regions."""
    region_angle: Float[np.ndarray, " region"]
    """Angle of every region [rad]; NaN without a lattice."""
    phase: Labels
    """Phase of every probe; −1 without a lattice."""
    probability: Float[np.ndarray, "row column"]
    """Of the phase."""
    grain: Labels
    angle: Float[np.ndarray, "row column"]
    """Angle of the first vector of the lattice from +x, positive as np.rot90 [rad]; NaN without a lattice."""
    angle_sd: Float[np.ndarray, "row column"]
    strain: Float[np.ndarray, "row column 3"]
    """Deformation of the reflections against the mean of the phase: yy, xx, yx."""
    strain_sd: Float[np.ndarray, "row column 3"]


def find_grains(
    blocks: Blocks,
    shape: tuple[int, int],
    *,
    valid: np.ndarray,
    axis: tuple[float, float],
    beam: float | None,
    settings: Settings,
    displaced: np.ndarray | None = None,
) -> Polycrystal:
    """Phases, regions and grains of a scan.

    Args:
        blocks: its patterns.
        shape: of the scan (row, column).
        valid: bool (y, x).
        axis: optic axis (y, x) [px].
        beam: radius of the direct beam [px]; None if it is not recorded.
        settings: tolerances.
        displaced: displacement of every pattern (row, column, axis) [px]; None if all are centred.
    """
    features = whitened(features_of(blocks, shape, valid=valid, displaced=displaced))
    regions = find_regions(features)
    means, number = means_of(blocks, regions)
    discs, axis, radius = _discs(means, number, valid=valid, axis=axis, beam=beam)
    phases = find_phases(discs, tolerance=settings.phase_tolerance, least=LEAST_SPACING * radius)
    for tidied in (_without_slivers, _without_rims, _without_rims):
        regions = tidied(regions, phases, features, settings)
        means, number = means_of(blocks, regions)
        discs = [find_discs(m, n, valid=valid, centre=axis, radius=radius) for m, n in zip(means, number, strict=True)]  # fmt: skip
        phases = find_phases(
            discs, tolerance=settings.phase_tolerance, least=LEAST_SPACING * radius
        )
    optics = _optics(means, number, phases, valid=valid, axis=axis, radius=radius)
    models = _models(means, number, phases, optics)
    bases = np.array([phases.basis[n] if m is None else m.basis for n, m in enumerate(models)])
    phases = replace(phases, lattices=tuple(refitted(phases, bases, number)))
    angle, strain = _angles(bases, phases)
    phase, probability = _phase_of_probes(features, regions, phases)
    poses, sds = _poses(blocks, shape, regions, models, optics)
    grain = _grains(features, regions, phases, angle, poses[..., 0], sds[..., 0], settings)
    poses, sds = shrunk(poses, sds, regions)
    return Polycrystal(
        phases.lattices,
        axis,
        optics.radius,
        regions,
        phases,
        means,
        angle,
        phase,
        probability,
        grain,
        angle[regions] + poses[..., 0],
        sds[..., 0],
        strain[regions] + poses[..., 1:4],
        sds[..., 1:4],
    )


def means_of(blocks: Blocks, regions: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Mean pattern of every region (region, y, x), and number of its probes (region,)."""
    number = np.bincount(regions.ravel())
    sums: np.ndarray | None = None
    for rows, patterns in blocks():
        flat = patterns.reshape(-1, *patterns.shape[2:])
        sums = np.zeros((len(number), *flat.shape[1:])) if sums is None else sums
        own = regions[rows].ravel()
        for region in np.unique(own):
            sums[region] += flat[own == region].sum(0, dtype=np.float64)
    assert sums is not None
    return sums / number[:, None, None], number


def _discs(
    means: np.ndarray,
    number: np.ndarray,
    *,
    valid: np.ndarray,
    axis: tuple[float, float],
    beam: float | None,
) -> tuple[list[Discs], tuple[float, float], float]:
    """Discs of all regions, the optic axis between them, and their radius [px]."""
    largest = np.argsort(-number, kind="stable")[:LARGEST]
    radius = radius_of_discs(means[largest], number[largest], valid=valid, centre=axis, beam=beam)

    def find(centre: tuple[float, float]) -> list[Discs]:
        return [
            find_discs(mean, n, valid=valid, centre=centre, radius=radius)
            for mean, n in zip(means, number, strict=True)
        ]

    discs = find(axis)
    moved = refined_axis(discs, axis, radius=radius)
    return (find(moved), moved, radius) if moved != axis else (discs, axis, radius)


def _without_slivers(
    regions: Labels, phases: Phases, features: Features, settings: Settings
) -> Labels:
    """Regions without those that are too small to be a grain, or small without a lattice; their probes go to a neighbour."""
    number = np.bincount(regions.ravel())
    least = np.where(phases.phase < 0, 4 * SMALLEST, SMALLEST)
    return _only(number >= least, regions, features)


def _without_rims(
    regions: Labels, phases: Phases, features: Features, settings: Settings
) -> Labels:
    """Regions without the thin ones along the edge of a grain; their probes go to a neighbour."""
    angle, _ = _angles(phases.basis, phases)
    turn = np.zeros(regions.shape)
    grain = _grains(features, regions, phases, angle, turn, turn + STEEPEST, settings)
    number = np.bincount(regions.ravel())
    of_region = np.zeros(len(number), int)
    of_region[regions.ravel()] = grain.ravel()
    largest = np.array([number[of_region == own].max() for own in of_region])
    is_small = (number < RIM * largest) | (phases.phase < 0)
    thin = (depth_of(regions) <= THIN) & is_small
    return _only(~thin, regions, features)


def _only(kept: np.ndarray, regions: Labels, features: Features) -> Labels:
    """Labels with the kept regions only, numbered from 0."""
    if kept.all() or not kept.any():
        return regions
    return _dense(reassigned(np.where(kept[regions], regions, -1), features))


def _dense(labels: Labels) -> Labels:
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)


def _optics(
    means: np.ndarray, number: np.ndarray, phases: Phases, *, valid: np.ndarray, axis: tuple[float, float], radius: float
) -> pose.Optics:  # fmt: skip
    """The shape of a disc, from the largest crystalline regions."""
    start = pose.Optics(axis, radius, 0.15 * radius, valid)
    largest = [n for n in np.argsort(-number, kind="stable") if phases.phase[n] >= 0][:3]
    if not largest:
        return start
    return pose.sharpened(means[largest], phases.basis[largest], start, n_patterns=number[largest])


def _models(
    means: np.ndarray, number: np.ndarray, phases: Phases, optics: pose.Optics
) -> list[pose.RegionModel | None]:
    """The fitted mean pattern of every region; None without a lattice."""
    return [
        pose.fit_region(means[n], phases.basis[n], optics, n_patterns=number[n]) if phases.phase[n] >= 0 else None
        for n in range(len(means))
    ]  # fmt: skip


def _angles(bases: np.ndarray, phases: Phases) -> tuple[np.ndarray, np.ndarray]:
    """Angle (region,) [rad] and strain yy, xx, yx (region, 3) of every region; NaN without a lattice."""
    angle, strain = np.full(len(bases), np.nan), np.full((len(bases), 3), np.nan)
    for region in np.flatnonzero(phases.phase >= 0):
        lattice = phases.lattices[phases.phase[region]]
        reference = (lattice.mirrored if phases.mirrored[region] else lattice).basis
        angle[region], tensor = pose.decomposed(bases[region], reference)
        strain[region] = tensor[0, 0], tensor[1, 1], tensor[0, 1]
    return angle, strain


def _grains(
    features: Features,
    regions: Labels,
    phases: Phases,
    angle: np.ndarray,
    turn: np.ndarray,
    sd: np.ndarray,
    settings: Settings,
) -> Labels:
    """Grains: touching regions of one phase that are alike as a whole or at their border.

    Args:
        features: of the patterns.
        regions: of the scan.
        phases: of the regions.
        angle: of every region [rad].
        turn: angle of every probe relative to its region [rad].
        sd: of the turn [rad].
        settings: tolerances.
    """
    centres, number = centres_of(features, regions)
    size = centres.shape[1]
    limit = OTHER_TILT * np.sqrt(typical_difference(centres, number))
    n_fold = np.array([*(lattice.n_fold for lattice in phases.lattices), 1])[phases.phase]

    def is_alike(border: Border) -> bool:
        a, b = border.first, border.second
        step = centres[a] - centres[b]
        jump, variance = jump_of(border, features, steepest=limit / np.sqrt(size) / STEPS_TO_OTHER)
        unsure = SURE * np.sqrt(2 * size) * variance
        squares = step @ step - size * (1 / number[a] + 1 / number[b]), jump @ jump - size * variance + unsure  # fmt: skip
        return float(min(squares)) < limit**2

    def is_aligned(border: Border) -> bool:
        a, b = border.first, border.second
        if abs(folded(angle[a] - angle[b], n_fold[a])) <= settings.grain_tolerance:
            return True
        apart = folded(angle[regions] - angle[a], n_fold[a]) + turn
        noise = float(np.median(sd[regions == a]))
        jump, variance = jump_of(border, apart[..., None], steepest=STEEPEST / noise)
        return abs(float(jump[0])) + SURE * noise * np.sqrt(variance) <= settings.grain_tolerance

    def is_one(border: Border) -> bool:
        phase = phases.phase[border.first]
        is_same = phase == phases.phase[border.second]
        return bool(is_same and (phase < 0 or (is_aligned(border) and is_alike(border))))

    return connected(regions, ((b.first, b.second) for b in borders_of(regions) if is_one(b)))


def _phase_of_probes(
    features: Features, regions: Labels, phases: Phases
) -> tuple[Int[np.ndarray, "row column"], Float[np.ndarray, "row column"]]:
    """Phase and its probability, from the difference of a pattern to the regions near it.

    Patterns of a region differ by noise, by thickness and by bending: a part of the typical difference is added to the noise.
    """
    centres, number = centres_of(features, regions)
    extra = TIGHT * typical_difference(centres, number) / features.shape[-1]
    padded = np.pad(regions, KNOWN_BY, mode="edge")
    rows, columns = regions.shape
    logs: dict[int, np.ndarray] = {}
    for y in range(2 * KNOWN_BY + 1):
        for x in range(2 * KNOWN_BY + 1):
            near = padded[y : y + rows, x : x + columns]
            log = -((features - centres[near]) ** 2).sum(-1) / (2 * (1 + extra))
            for phase in np.unique(phases.phase[near]):
                here = np.where(phases.phase[near] == phase, log, -np.inf)
                logs[int(phase)] = np.maximum(logs.get(int(phase), np.full(regions.shape, -np.inf)), here)  # fmt: skip
    names = np.array(sorted(logs))
    stack = np.stack([logs[int(n)] for n in names])
    share = np.exp(stack - stack.max(0))
    share /= share.sum(0)
    own = phases.phase[regions]
    return own, np.take_along_axis(share, np.searchsorted(names, own)[None], axis=0)[0]


def _poses(
    blocks: Blocks,
    shape: tuple[int, int],
    regions: Labels,
    models: list[pose.RegionModel | None],
    optics: pose.Optics,
) -> tuple[np.ndarray, np.ndarray]:
    """Pose of every probe relative to its region, and its sd (row, column, number); NaN without a lattice."""
    poses = np.full((*shape, len(pose.NAMES)), np.nan)
    sds = poses.copy()
    for rows, patterns in blocks():
        flat = patterns[..., optics.valid]
        for region in np.unique(regions[rows]):
            model = models[region]
            if model is not None:
                here = regions[rows] == region
                values, sd = pose.poses_of(flat[here].astype(np.float64), model, optics)
                part, part_sd = poses[rows], sds[rows]
                part[here], part_sd[here] = values, sd
    return poses, sds
