"""The forces on walls: v_n + c·κ = e(t) + b(x) − n·∇u(x), by sparse least squares.

c is the line tension times the mobility, e the force of the applied field, b that of the built-in field (it depends on the polarity),
and u the energy of a wall times c (it does not). Everything is in pixels and frames. Priors are chosen by left-out frames; intervals
come from resampled frames and draws of the priors.

κ is noisy, and the noise of v and κ at the same place is the same: least squares would shrink c by up to a half. The curvature of the
frames beside a step has noise of its own and is taken as the instrument. Where the response of the domains is uneven (defects,
lamellae) a wall is not a thin line under tension, and c is taken from elsewhere.

Source: the law of a thin wall, Allen & Cahn 1979, doi:10.1016/0001-6160(79)90196-2, eq. 11, with a field; definitions of this project.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, SuperLU, cg, splu

from invae.analysis.domains.force_terms import (
    Grid,
    built_in,
    drive,
    drive_prior_root,
    energy_slope,
)
from invae.analysis.domains.wall_steps import WallSteps

FOLDS = 4
"""Every fourth frame is left out at a time."""
N_DRAWS = 24
RTOL, MOST_ITERATIONS = 1e-4, 500
LEAST_STEPS, LEAST_FRAMES = 500, 6
UNEVEN_WEIGHT = 0.1
"""Weight of steps at uneven places: a wall at a defect obeys the balance only roughly."""
POINTS_PER_STEP = 4.0
"""Neighbouring points of a wall share their noise: so many count as one."""


@dataclass(frozen=True)
class Priors:
    """Smoothness of the maps."""

    field_sd: float
    """Of the built-in force [pixel per frame]."""
    field_length: float
    """[px]"""
    energy_sd: float = 0.0
    """Of u [pixel² per frame]; without u if 0."""
    energy_length: float = 4.0


@dataclass(frozen=True)
class Estimate:
    """A value with its interval of 95 %."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Forces:
    """The force balance of a series."""

    tension: Estimate
    """c [pixel² per frame]."""
    drive: Estimate
    """e (frame) [pixel per frame]."""
    field: Estimate
    """b (y, x) in pixels of frame 0 [pixel per frame]."""
    energy: Estimate | None
    """u (y, x) [pixel² per frame]; none if left-out frames are not predicted better with it."""
    priors: Priors
    r2: float
    """Of left-out frames."""
    residual: np.ndarray
    """v_n + c·κ − e − b + n·∇u of the steps (point)."""
    force: np.ndarray
    """e + b − c·κ of the steps (point)."""


class TooFew(Exception):
    """The data cannot carry a force balance; the message is the reason."""


@dataclass(frozen=True)
class System:
    """The steps of a series with the matrices of all terms."""

    steps: WallSteps
    grid: Grid
    n_frames: int
    weight: np.ndarray
    """Of each step (point)."""

    def terms(self, priors: Priors) -> sp.csr_matrix:
        """The matrix of all terms but c: drive, built-in force, and the wall energy if the priors have it."""
        parts = [drive(self.steps, n_frames=self.n_frames), built_in(self.grid, self.steps)]
        if priors.energy_sd:
            parts.append(energy_slope(self.grid, self.steps))
        return sp.csr_matrix(sp.hstack(parts))

    def prior_root(self, priors: Priors) -> sp.csr_matrix:
        """The root of the precision of all terms."""
        spread = max(float(np.std(self.steps.velocity)), 1e-6)
        field = self.grid.prior_root(sd=priors.field_sd, length=priors.field_length)
        parts = [drive_prior_root(self.n_frames, sd=spread), field]
        if priors.energy_sd:
            energy = self.grid.prior_root(sd=priors.energy_sd, length=priors.energy_length)
            parts.append(energy)
        return sp.csr_matrix(sp.block_diag(parts))


def balance(
    steps: WallSteps,
    *,
    uneven: np.ndarray,
    shape: tuple[int, int],
    n_frames: int,
    margin: int,
    seed: int,
) -> Forces:
    """The forces on the walls of a series.

    Args:
        steps: wall points with their step to the next frame.
        uneven: whether a step is at an uneven place (point), bool.
        shape: of a frame [px].
        n_frames: length of the series.
        margin: by which the sample seen exceeds frame 0 [px].
        seed: of resampled frames and draws.

    Raises:
        TooFew: there are too few steps or frames.
    """
    frames = len(np.unique(steps.frame))
    if len(steps) < LEAST_STEPS or frames < LEAST_FRAMES:
        raise TooFew(
            f"{len(steps)} steps of walls in {frames} pairs of frames; forces need {LEAST_STEPS} in {LEAST_FRAMES}"
        )
    weight = np.where(uneven, UNEVEN_WEIGHT, 1.0)
    system = System(steps, Grid(shape, margin), n_frames, weight)
    rng = np.random.default_rng(seed)
    spread = float(np.std(steps.velocity))
    start = Priors(field_sd=1.5 * spread, field_length=12.0)
    tension = line_tension(system, start, even=~uneven, rng=rng)
    pushed = steps.velocity + tension.value * steps.curvature
    noise = float(np.std(pushed - _fitted(system, start, pushed, noise=0.3 * spread)))
    chosen, r2 = best_priors(system, pushed, noise=noise, spread=spread)
    return _with_intervals(system, chosen, tension, pushed, noise=noise, r2=r2, rng=rng)


def line_tension(
    system: System, priors: Priors, *, even: np.ndarray, rng: np.random.Generator
) -> Estimate:
    """The line tension c from the steps at even places, with the curvature of the frames beside each step as the instrument.

    Everything is freed from e and b first (Frisch & Waugh 1933, doi:10.2307/1907330); the interval is that of resampled frames.

    Raises:
        TooFew: too few steps have curvatures beside them.
    """
    steps = system.steps
    used = even & np.isfinite(steps.beside)
    if used.sum() < LEAST_STEPS:
        used = np.isfinite(steps.beside)
    if used.sum() < LEAST_STEPS:
        raise TooFew(
            f"{int(used.sum())} steps of walls have curvatures in the frames beside them; the line tension needs {LEAST_STEPS}"
        )
    spread = float(np.std(steps.velocity))
    only = replace(system, weight=used.astype(float))
    both = np.stack([steps.velocity, np.where(used, steps.curvature, 0)], axis=1)
    rest = both - _fitted(only, priors, both, noise=0.3 * spread)
    product = np.where(used, steps.beside, 0)[:, None] * rest
    n_frames = system.n_frames
    sums = np.stack([np.bincount(steps.frame, column, n_frames) for column in product.T])
    draws = rng.integers(0, n_frames, (400, n_frames))
    upper, lower = (part[draws].sum(1) for part in sums)
    resampled = (
        -upper[lower != 0] / lower[lower != 0]
    )  # frames without a step that is used say nothing
    low, high = np.percentile(resampled, (2.5, 97.5))
    return Estimate(np.asarray(-sums[0].sum() / sums[1].sum()), np.asarray(low), np.asarray(high))


def best_priors(
    system: System, pushed: np.ndarray, *, noise: float, spread: float
) -> tuple[Priors, float]:
    """The priors with the smallest error in left-out frames, and the R² of those."""
    fields = [
        Priors(field_sd=sd * spread, field_length=length)
        for length in (10.0, 20.0)
        for sd in (0.75, 2.0)
    ]
    chosen, error = _best(fields, system, pushed, noise=noise)
    energies = [
        replace(chosen, energy_sd=sd * spread, energy_length=length)
        for sd, length in ((1.0, 8.0), (3.0, 4.0))
    ]
    with_energy, smaller = _best(energies, system, pushed, noise=noise)
    if smaller < error:
        chosen, error = with_energy, smaller
    mean = np.average(pushed, weights=system.weight)
    return chosen, 1 - error / float(np.average((pushed - mean) ** 2, weights=system.weight))


def _best(
    candidates: Sequence[Priors], system: System, pushed: np.ndarray, *, noise: float
) -> tuple[Priors, float]:
    """The candidate with the smallest error in left-out frames, and that error."""
    errors = [left_out_error(system, one, pushed, noise=noise) for one in candidates]
    best = int(np.argmin(errors))
    return candidates[best], errors[best]


def left_out_error(system: System, priors: Priors, pushed: np.ndarray, *, noise: float) -> float:
    """Mean squared error of v + cκ in frames that were left out, in turn."""
    normal, total = Normal.of(system, priors, noise=noise), 0.0
    for fold in range(FOLDS):
        out = system.steps.frame % FOLDS == fold
        rest = normal.solve_with(pushed, weight=np.where(out, 0, system.weight))
        error = pushed - normal.terms @ rest
        total += float((system.weight * error**2)[out].sum())
    return total / float(system.weight.sum())


@dataclass(frozen=True)
class Normal:
    """The normal equations of a system with its priors, and the factors of those with all data."""

    system: System
    terms: sp.csr_matrix
    root: sp.csr_matrix
    factors: SuperLU
    noise: float

    @classmethod
    def of(cls, system: System, priors: Priors, *, noise: float) -> "Normal":
        """The equations for data with noise of this sd."""
        terms, root = system.terms(priors), system.prior_root(priors)
        data = system.weight / (noise**2 * POINTS_PER_STEP)
        normal = terms.T.multiply(data[None]) @ terms + root.T @ root
        factors = splu(
            normal.tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        return cls(system, terms, root, factors, noise)

    def solve(self, values: np.ndarray) -> np.ndarray:
        """The terms for values at the steps, (point) or (point, column)."""
        data = self.system.weight / (self.noise**2 * POINTS_PER_STEP)
        return self.factors.solve(self.terms.T @ (values.T * data).T)

    def solve_with(
        self, values: np.ndarray, *, weight: np.ndarray, shift: np.ndarray | None = None
    ) -> np.ndarray:
        """The terms for other weights (point), by conjugate gradients with the factors as preconditioner.

        Args:
            values: at the steps (point).
            weight: of the steps.
            shift: added to the right-hand side.
        """
        data = weight / (self.noise**2 * POINTS_PER_STEP)
        right = self.terms.T @ (data * values) + (0 if shift is None else shift)

        def times(x: np.ndarray) -> np.ndarray:
            return self.terms.T @ (data * (self.terms @ x)) + self.root.T @ (self.root @ x)

        shape = (len(right),) * 2
        left = LinearOperator(shape, matvec=times)  # pyright: ignore[reportCallIssue]
        before = LinearOperator(shape, matvec=self.factors.solve)  # pyright: ignore[reportCallIssue]
        solution, left_over = cg(left, right, rtol=RTOL, maxiter=MOST_ITERATIONS, M=before)
        if left_over:
            raise TooFew("the force balance did not converge: too few walls in most frames")
        return solution


def _fitted(system: System, priors: Priors, values: np.ndarray, *, noise: float) -> np.ndarray:
    """The part of values (point) or (point, column) that the terms explain."""
    normal = Normal.of(system, priors, noise=noise)
    return normal.terms @ normal.solve(values)


def _with_intervals(
    system: System,
    priors: Priors,
    tension: Estimate,
    pushed: np.ndarray,
    *,
    noise: float,
    r2: float,
    rng: np.random.Generator,
) -> Forces:
    normal = Normal.of(system, priors, noise=noise)
    terms, best = normal.terms, normal.solve(pushed)
    spread = float(tension.high - tension.low) / 4
    draws = [
        _draw(normal, pushed + rng.normal(0, spread) * system.steps.curvature, rng)
        for _ in range(N_DRAWS)
    ]
    n, size = system.n_frames, system.grid.size
    cuts = [slice(0, n), slice(n, n + size), slice(n + size, n + 2 * size)]
    values, sds = best, np.std(draws, axis=0)
    over_time = _interval(values[cuts[0]], sds[cuts[0]])
    maps = [
        _interval(*(system.grid.image(part[cut]) for part in (values, sds)))
        for cut in cuts[1 : 2 + bool(priors.energy_sd)]
    ]
    no_energy = best.copy()
    no_energy[cuts[2]] = 0
    return Forces(
        tension=tension,
        drive=over_time,
        field=maps[0],
        energy=maps[1] if priors.energy_sd else None,
        priors=priors,
        r2=r2,
        residual=pushed - terms @ best,
        force=terms @ no_energy - tension.value * system.steps.curvature,
    )


def _draw(normal: Normal, pushed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The terms for resampled frames and a prior that is displaced by a draw of itself."""
    system, n_frames = normal.system, normal.system.n_frames
    times = np.bincount(rng.integers(0, n_frames, n_frames), minlength=n_frames)
    displaced = normal.root.T @ rng.standard_normal(len(normal.root.indptr) - 1)
    weight = system.weight * times[system.steps.frame]
    return normal.solve_with(pushed, weight=weight, shift=displaced)


def _interval(value: np.ndarray, sd: np.ndarray) -> Estimate:
    return Estimate(value, value - 1.96 * sd, value + 1.96 * sd)


def held(forces: Forces, steps: WallSteps, *, share: float = 0.2) -> np.ndarray:
    """Whether a wall stays although it is pushed (point): |v| is below a share of |e + b − cκ|."""
    return np.abs(steps.velocity) < share * np.abs(forces.force)


def density(steps: WallSteps, shape: Sequence[int], *, of: np.ndarray | None = None) -> np.ndarray:
    """Number of steps, or of some of them, in the square of 5 px around each pixel of frame 0 (y, x)."""
    count = np.zeros(tuple(shape))
    rows, columns = (np.rint(place).astype(int) for place in (steps.y, steps.x))
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    inside &= np.ones(len(steps), bool) if of is None else of
    np.add.at(count, (rows[inside], columns[inside]), 1)
    padded = np.pad(count, 2).cumsum(0).cumsum(1)
    padded = np.pad(padded, ((1, 0), (1, 0)))
    return padded[5:, 5:] - padded[:-5, 5:] - padded[5:, :-5] + padded[:-5, :-5]
