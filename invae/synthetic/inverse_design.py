"""Inverse design: arrangements of particles whose spectrum is a wanted one.

A library of simulated arrangements gives starts. The simulator refines each: positions and radii change until the spectrum is met, with gaps
that stay possible. Several arrangements may have one spectrum, so the distinct ones are returned, each with its own simulated spectrum.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from invae.errors import InputError
from invae.synthetic.particles import Particles, gaps

Simulate = Callable[[Particles], Float[np.ndarray, " energy"]]
STARTS = 12
"""Arrangements of the library that are refined for one spectrum."""
SAME = 1.5
"""Arrangements are the same if no distance or radius differs by more [nm]."""
EVALUATIONS = 40
"""Most steps of a refinement; each takes one simulation per parameter."""
STIFFNESS = 0.3
"""Weight of a gap that is too small by 1 nm, against the relative error of the spectrum."""


@dataclass(frozen=True)
class Design:
    """One arrangement, its simulated spectrum, and how far that is from the wanted one."""

    particles: Particles
    spectrum: Float[np.ndarray, " energy"]
    error: float
    """‖spectrum − wanted‖ / ‖wanted‖."""


def relative_error(spectrum: np.ndarray, wanted: np.ndarray) -> float:
    """‖spectrum − wanted‖ / ‖wanted‖."""
    return float(np.linalg.norm(spectrum - wanted) / np.linalg.norm(wanted))


def nearest(
    wanted: Float[np.ndarray, " energy"], spectra: Float[np.ndarray, "arrangement energy"], n: int
) -> np.ndarray:
    """Numbers of the arrangements whose spectra are nearest to the wanted one, the nearest first.

    Raises:
        InputError: The spectra have another number of channels, or the wanted one is 0 or not finite.
    """
    if spectra.shape[1:] != wanted.shape:
        raise InputError(
            f"the wanted spectrum has {len(wanted)} channels, the library {spectra.shape[1]}; give both on one axis"
        )
    if not np.isfinite(wanted).all() or not np.any(wanted):
        raise InputError("the wanted spectrum is 0 or not finite; give one that can be met")
    return np.argsort(np.linalg.norm(spectra - wanted, axis=1), kind="stable")[:n]


def designs(
    wanted: Float[np.ndarray, " energy"],
    library: Sequence[Particles],
    spectra: Float[np.ndarray, "arrangement energy"],
    simulate: Simulate,
    *,
    n: int = 8,
    gap: float = 2.0,
    radius: tuple[float, float] = (8.0, 12.0),
) -> list[Design]:
    """Distinct arrangements that give a spectrum, the best first.

    Args:
        wanted: The spectrum.
        library: Arrangements to begin with.
        spectra: Their spectra without noise.
        simulate: The spectrum of an arrangement.
        n: Most arrangements that are returned.
        gap: Smallest distance of two surfaces [nm].
        radius: Smallest and largest radius [nm].

    Raises:
        InputError: The spectra do not fit, or the wanted one cannot be met.
    """
    starts = [library[k] for k in nearest(wanted, spectra, max(STARTS, n))]
    refined = [refine(start, wanted, simulate, gap=gap, radius=radius) for start in starts]
    found: list[Design] = []
    for design in sorted(refined, key=lambda design: design.error):
        if all(not alike(design.particles, other.particles) for other in found):
            found.append(design)
    return found[:n]


def refine(
    start: Particles,
    wanted: Float[np.ndarray, " energy"],
    simulate: Simulate,
    *,
    gap: float = 2.0,
    radius: tuple[float, float] = (8.0, 12.0),
) -> Design:
    """Change positions and radii until the spectrum is as near to the wanted one as it gets.

    Least squares of the relative difference of the spectra and of gaps that are too small; arguments as for `designs`.
    """
    from scipy.optimize import least_squares

    n, size = len(start), np.linalg.norm(wanted)

    def arrangement(numbers: np.ndarray) -> Particles:
        positions = numbers[: 2 * n].reshape(n, 2)
        return replace(start, positions=positions - positions.mean(0), radius=numbers[2 * n :])

    def residuals(numbers: np.ndarray) -> np.ndarray:
        particles = arrangement(numbers)
        pairs = np.triu_indices(n, 1)
        short = (gap - gaps(particles)[pairs]).clip(0)
        return np.concatenate(((simulate(particles) - wanted) / size, STIFFNESS * short))

    begin = np.concatenate((start.positions.ravel(), start.radius.clip(*radius)))
    low = np.r_[np.full(2 * n, -np.inf), np.full(n, radius[0] - 1e-6)]
    high = np.r_[np.full(2 * n, np.inf), np.full(n, radius[1] + 1e-6)]
    found = least_squares(residuals, begin, bounds=(low, high), max_nfev=EVALUATIONS, x_scale=1.0)
    particles = with_gaps(arrangement(found.x), gap=gap)
    spectrum = simulate(particles)
    return Design(particles, spectrum, relative_error(spectrum, wanted))


def alike(one: Particles, other: Particles) -> bool:
    """Whether two arrangements differ by no more than a rotation, a mirror image, and small displacements."""
    if len(one) != len(other):
        return False
    return bool(np.abs(_shape(one) - _shape(other)).max(initial=0.0) <= SAME)


def _shape(particles: Particles) -> np.ndarray:
    """All distances, then all radii, each in order [nm]: the same for rotated and mirrored arrangements."""
    first, second = np.triu_indices(len(particles), 1)
    offset = particles.positions[first] - particles.positions[second]
    return np.concatenate((np.sort(np.hypot(*offset.T)), np.sort(particles.radius)))


def with_gaps(particles: Particles, *, gap: float) -> Particles:
    """Push particles apart until every gap is possible; most refined arrangements need no push."""
    positions = particles.positions.copy()
    for _ in range(100):
        short = gap - gaps(replace(particles, positions=positions))
        np.fill_diagonal(short, 0.0)
        if short.max(initial=0.0) <= 1e-9:
            break
        offset = positions[:, None] - positions
        distance = (
            np.linalg.norm(offset, axis=-1, keepdims=True) + np.eye(len(positions))[..., None]
        )
        positions = positions + 0.5 * (offset / distance * short.clip(0)[..., None]).sum(1)
    return replace(particles, positions=positions - positions.mean(0))
