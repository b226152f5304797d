"""Kinetics of switching: growth and nucleation of domains (KAI), a spread of times (NLS), creep of walls, sizes of events.

f(t) is the share of the area that has switched by the time t since the first frame.

Source: KAI: Ishibashi & Takagi 1971, doi:10.1143/JPSJ.31.506, eq. 8; NLS with Lorentzian times: Jo et al. 2007,
doi:10.1103/PhysRevLett.99.267602, eq. 1 and 2; creep: Tybell et al. 2002, doi:10.1103/PhysRevLett.89.097601, eq. 1; exponents of
sizes: Clauset, Shalizi & Newman 2009, doi:10.1137/070710111, eq. 3.1 and section 3.3.
"""

from collections.abc import Callable

import numpy as np
import xarray as xr
from scipy.optimize import curve_fit

from invae.analysis.domains.quantities import Quantity

BLOCK = 16
"""Side of the blocks of pixels that are resampled [px]."""
N_RESAMPLED = 100
LEAST_RISE = 0.3
"""Smallest rise of the switched share that shows its shape."""
LEAST_TIMES = 6
LEAST_FIELDS, LEAST_RATIO = 5, 2.0
"""Number of fields, and largest over smallest, from which a law of creep can be fitted."""
LEAST_EVENTS, LEAST_DECADES = 50, 1.0
NLS_DIMENSION = 2.0
"""Exponent n of every region in the law of spread times: domains that grow in a film."""
LOG_TIMES = np.linspace(-4, 4, 201)
"""ln of the switching times of regions, in units of their width."""

KAI_TIME = Quantity("kai_time", "characteristic time of KAI", "frame")
KAI_EXPONENT = Quantity("kai_exponent", "exponent n of KAI")
NLS_TIME = Quantity("nls_time", "median switching time of NLS", "frame")
NLS_WIDTH = Quantity("nls_width", "half width of ln of the switching times of NLS")
CREEP_EXPONENT = Quantity("creep_exponent", "exponent μ of creep")
MERZ_FIELD = Quantity(
    "merz_field", "activation field of the law of Merz (μ = 1), in units of the field"
)
SIZE_EXPONENT = Quantity("event_size_exponent", "exponent τ of the sizes of events")


def kai(t: np.ndarray, time: float | np.ndarray, exponent: float) -> np.ndarray:
    """1 − exp[−(t/t₀)ⁿ]."""
    return 1 - np.exp(-((t / time) ** exponent))


def nls(t: np.ndarray, time: float, width: float) -> np.ndarray:
    """Mean of KAI over switching times with a Lorentzian distribution of their logarithm."""
    weight = 1 / (1 + LOG_TIMES**2)
    times = time * np.exp(width * LOG_TIMES)
    shares = kai(t[:, None], times[None], NLS_DIMENSION)
    return shares @ weight / weight.sum()


def switched_share(first: np.ndarray, known: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Share of the known pixels that have switched by each time.

    Args:
        first: time of the first switch of each pixel, NaN for never.
        known: bool, of the same shape.
        times: [frame].
    """
    at = np.sort(first[known & np.isfinite(first)])
    return np.searchsorted(at, times, side="right") / max(int(known.sum()), 1)


def growth(
    first: np.ndarray, known: np.ndarray, *, n_frames: int, one_sign: bool, seed: int
) -> list[Quantity]:
    """KAI and NLS of the switched share, or why they are not given.

    Args:
        first: first switching time (y, x) [frame].
        known: pixels that were seen (y, x), bool.
        n_frames: length of the series.
        one_sign: whether the force on the walls keeps its sign.
        seed: of resampled blocks.
    """
    wanted = [KAI_TIME, KAI_EXPONENT, NLS_TIME, NLS_WIDTH]
    times = np.arange(1, n_frames, dtype=float)
    if not one_sign:
        reason = (
            "the field changes its sign during the series, or its sign is not certain in all frames"
        )
        return [one.without(reason) for one in wanted]
    share = switched_share(first, known, times)
    rise = float(share[-1] - share[0]) if len(share) else 0.0
    if rise < LEAST_RISE or len(times) < LEAST_TIMES:
        reason = f"{100 * rise:.0f} % of the area switch in {n_frames} frames; the shape of the curve needs {100 * LEAST_RISE:.0f} % in {LEAST_TIMES} frames"
        return [one.without(reason) for one in wanted]
    rng = np.random.default_rng(seed)
    blocks = _blocks(first, known)
    drawn = rng.integers(0, len(blocks), (N_RESAMPLED, len(blocks)))
    curves = [_share_of_blocks([blocks[k] for k in row], times) for row in drawn]
    return [
        quantity.having(value, [fit[place] for fit in fits])
        for law, quantities in ((kai, wanted[:2]), (nls, wanted[2:]))
        for best, fits in [(_fit(law, times, share), [_fit(law, times, c) for c in curves])]
        for place, (quantity, value) in enumerate(zip(quantities, best, strict=True))
    ]


def _fit(law: Callable[..., np.ndarray], times: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The time and the shape of a law by least squares; NaN if it does not converge."""
    start = (float(np.interp(0.5, share, times)) if share[-1] > 0.5 else times[-1], 1.0)
    bounds = ([1e-3, 0.05], [1e4, 10.0])
    try:
        return curve_fit(law, times, share, p0=start, bounds=bounds)[0]
    except RuntimeError:
        return np.full(2, np.nan)


def _blocks(first: np.ndarray, known: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Sorted switching times and number of known pixels of each block."""
    blocks = []
    for y in range(0, first.shape[0], BLOCK):
        for x in range(0, first.shape[1], BLOCK):
            here = (slice(y, y + BLOCK), slice(x, x + BLOCK))
            times = first[here][known[here]]
            if len(times):
                blocks.append((np.sort(times[np.isfinite(times)]), len(times)))
    return blocks


def _share_of_blocks(blocks: list[tuple[np.ndarray, int]], times: np.ndarray) -> np.ndarray:
    switched = np.sum([np.searchsorted(at, times, side="right") for at, _ in blocks], axis=0)
    return switched / sum(n for _, n in blocks)


def creep(field: np.ndarray, velocity: np.ndarray, *, seed: int) -> list[Quantity]:
    """μ of creep and the activation field of Merz, from mean velocities by frame, or why they are not given.

    Args:
        field: size of the applied field of each frame.
        velocity: mean velocity along the field of each frame [pixel per frame].
        seed: of resampled frames.
    """
    wanted = [CREEP_EXPONENT, MERZ_FIELD]
    used = np.isfinite(field) & np.isfinite(velocity) & (field > 0) & (velocity > 0)
    field, velocity = field[used], velocity[used]
    levels = np.unique(np.round(field, 6))
    if len(levels) < LEAST_FIELDS or levels[-1] < LEAST_RATIO * levels[0]:
        reason = f"{len(levels)} different known fields; creep needs {LEAST_FIELDS} that span a factor of {LEAST_RATIO:g}"
        return [one.without(reason) for one in wanted]
    if _misfit_of_creep(field, velocity) >= _misfit_of_flow(field, velocity):
        reason = "the velocity rises in proportion to the field: walls flow, they do not creep"
        return [one.without(reason) for one in wanted]
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(field), (N_RESAMPLED, len(field)))
    merz = MERZ_FIELD.having(
        _merz(field, velocity), [_merz(field[row], velocity[row]) for row in drawn]
    )
    if not merz.low > 0:
        reason = "the velocity does not rise with the field as in creep"
        return [one.without(reason) for one in wanted]
    exponents = [_creep_exponent(field[row], velocity[row]) for row in drawn]
    return [
        CREEP_EXPONENT.having(_creep_exponent(field, velocity), exponents),
        merz,
    ]


EXPONENTS = np.linspace(0.1, 2.5, 49)


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and summed squared residuals of a straight line."""
    if np.ptp(x) == 0:
        return float("nan"), float("inf")
    slope, offset = np.polyfit(x, y, 1)
    return float(slope), float(((y - slope * x - offset) ** 2).sum())


def _creep_exponent(field: np.ndarray, velocity: np.ndarray) -> float:
    misfits = [_line(field**-mu, np.log(velocity))[1] for mu in EXPONENTS]
    return float(EXPONENTS[int(np.argmin(misfits))])


def _merz(field: np.ndarray, velocity: np.ndarray) -> float:
    return -_line(1 / field, np.log(velocity))[0]


def _misfit_of_creep(field: np.ndarray, velocity: np.ndarray) -> float:
    """Summed squared residuals of ln v of the law of Merz."""
    return _line(1 / field, np.log(velocity))[1]


def _misfit_of_flow(field: np.ndarray, velocity: np.ndarray) -> float:
    """Summed squared residuals of ln v of v ∝ E; it has one parameter less."""
    ratio = np.log(velocity / field)
    n = len(field)
    return float(((ratio - ratio.mean()) ** 2).sum()) * (n - 2) / max(n - 1, 1)


def sizes(events: xr.Dataset, *, seed: int) -> Quantity:
    """τ of P(S) ∝ S^−τ by maximum likelihood above the size where the law begins, or why it is not given."""
    area = np.sort(events["area"].to_numpy().astype(float))
    if len(area) < LEAST_EVENTS:
        return SIZE_EXPONENT.without(f"{len(area)} events; their sizes need {LEAST_EVENTS}")
    smallest = _beginning(area)
    tail = area[area >= smallest]
    decades = float(np.log10(tail[-1] / tail[0]))
    if len(tail) < LEAST_EVENTS or decades < LEAST_DECADES:
        reason = f"{len(tail)} events above {smallest:.0f} px² span {decades:.1f} decades; a power law needs {LEAST_EVENTS} over {LEAST_DECADES:g}"
        return SIZE_EXPONENT.without(reason)
    if _log_likelihood_of_exponential(tail) > _log_likelihood_of_power(tail):
        return SIZE_EXPONENT.without("an exponential describes the sizes better than a power law")
    rng = np.random.default_rng(seed)
    drawn = rng.choice(area, (N_RESAMPLED, len(area)))
    resampled = [_exponent(row[row >= smallest], smallest) for row in drawn]
    return SIZE_EXPONENT.having(_exponent(tail, smallest), resampled)


def _exponent(tail: np.ndarray, smallest: float) -> float:
    """Areas are whole numbers of pixels: the law begins half a pixel below the smallest."""
    return 1 + len(tail) / float(np.log(tail / (smallest - 0.5)).sum())


def _beginning(area: np.ndarray) -> float:
    """The size above which a power law fits best, by the distance of Kolmogorov and Smirnov."""
    candidates = np.unique(area)
    candidates = candidates[[(area >= c).sum() >= LEAST_EVENTS for c in candidates]]
    return float(min(candidates, key=lambda c: _distance(area[area >= c], float(c))))


def _distance(tail: np.ndarray, smallest: float) -> float:
    model = 1 - ((tail + 0.5) / (smallest - 0.5)) ** (1 - _exponent(tail, smallest))
    seen = np.searchsorted(tail, tail, side="right") / len(tail)
    return float(np.abs(model - seen).max())


def _log_likelihood_of_power(tail: np.ndarray) -> float:
    begin = tail[0] - 0.5
    tau = _exponent(tail, tail[0])
    return float((np.log((tau - 1) / begin) - tau * np.log(tail / begin)).sum())


def _log_likelihood_of_exponential(tail: np.ndarray) -> float:
    excess = tail - (tail[0] - 0.5)
    return float((-np.log(excess.mean()) - excess / excess.mean()).sum())
