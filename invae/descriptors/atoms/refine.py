"""Sub-pixel positions and shapes of atoms: a joint fit of Gaussians to all atoms of a frame."""

from dataclasses import dataclass, replace

import numpy as np
import scipy.ndimage as ndi

CENTROID_STEPS = 4
"""Steps of the centroid; the fit may start from its result."""
ROUNDS = 4
"""Number of rounds in which neighbours are subtracted and atoms are fitted again."""
STEPS = 2
"""Steps of the fit in each round; more move no atom by 0.02 px."""
REACH = 2.6
"""Radius of the fitted pixels around an atom, in its sds."""
DRAWN = 4.0
"""Radius in which an atom is subtracted from its neighbours, in its sds."""
GROUND = 4.0
"""Sd of the smoothing of the residual that gives the background, in sds of the atoms."""
CLIPPED = 3.0
"""Deviation at which the residual is clipped before the smoothing, in its robust sds."""
LONGEST = 0.5
"""Longest step of a fit, in sds of an atom."""
FREE = 0.5
"""Sd of the prior on the position about the detected one, in sds of an atom: it matters only for atoms near the noise."""
SAME_WIDTH = 0.15
"""Sd of the prior on the logarithm of the widths in one frame."""
WIDEST = 2.0
"""Largest factor between the width of an atom and the first guess, in both directions."""


@dataclass(frozen=True)
class Shapes:
    """Fitted atoms of a frame."""

    position: np.ndarray
    """(atom, 2), (y, x) [px]."""
    height: np.ndarray
    """Height of the Gaussian (atom,), in the image's unit."""
    sd: np.ndarray
    """(atom,) [px]."""
    ellipticity: np.ndarray
    """Difference over sum of the variances along the long and the short axis (atom,); 0 is round."""


@dataclass(frozen=True)
class Windows:
    """The pixels around positions."""

    pixels: np.ndarray
    """(atom, pixel, 2), (y, x); also those outside the frame."""
    inside: np.ndarray
    """Whether they are in the frame (atom, pixel)."""

    def of(self, image: np.ndarray) -> np.ndarray:
        """Values of an image (atom, pixel); pixels outside the frame have the value of the nearest one."""
        last = np.array(image.shape) - 1
        kept = np.clip(self.pixels, 0, last)
        return image[kept[..., 0], kept[..., 1]]


def around(shape: tuple[int, ...], places: np.ndarray, *, radius: float) -> Windows:
    """The pixels within a radius of the pixel nearest to each position."""
    reach = np.arange(-int(np.ceil(radius)), int(np.ceil(radius)) + 1)
    steps = np.stack(np.meshgrid(reach, reach, indexing="ij"), -1).reshape(-1, 2)
    steps = steps[(steps**2).sum(-1) <= radius**2]
    pixels = np.rint(places).astype(int)[:, None] + steps
    return Windows(pixels, np.all((pixels >= 0) & (pixels < np.array(shape)), axis=-1))


def centroid(image: np.ndarray, places: np.ndarray, *, sd: float) -> np.ndarray:
    """Positions (atom, 2) [px] that are fixed points of the Gaussian-weighted centroid.

    For a Gaussian atom of sd s and a weight of sd s the centroid moves only half of the way, so each step is doubled.

    Args:
        image: (y, x), finite.
        places: first guesses (atom, 2), (y, x) [px].
        sd: of an atom [px].
    """
    flat = image - ndi.gaussian_filter(image, 3 * sd, mode="mirror")
    position = places.astype(float)
    for _ in range(CENTROID_STEPS):
        window = around(image.shape, position, radius=REACH * sd)
        apart = window.pixels - position[:, None]
        weight = window.inside * np.exp(-(apart**2).sum(-1) / (2 * sd**2))
        values = weight * window.of(flat)
        mass = np.maximum(values.sum(-1), 1e-9 * max(float(np.abs(flat).max()), 1e-300))
        step = 2 * (values[..., None] * apart).sum(1) / mass[:, None]
        position += np.clip(step, -LONGEST * sd, LONGEST * sd)
    return _near(position, places, sd=sd)


def fit(
    image: np.ndarray,
    places: np.ndarray,
    *,
    sd: float,
    free: float = FREE,
    left_out: np.ndarray | None = None,
) -> Shapes:
    """Gaussians with individual constants, fitted by least squares after subtraction of their neighbours.

    The fit is Gauss-Newton in height, position, log sd and constant. Neighbours and a sloping background bias an atom, so
    they are subtracted before each round of fits.

    Args:
        image: (y, x), finite.
        places: first guesses (atom, 2), (y, x) [px].
        sd: of an atom, the first guess [px].
        free: sd of the prior on a position about its guess, in sds of an atom.
        left_out: pixels (y, x) that no atom is fitted to; none if empty.
    """
    state = np.column_stack([np.zeros(len(places)), places, np.full(len(places), np.log(sd))])
    if not len(places):
        return Shapes(places.astype(float), state[:, 0], state[:, 0], state[:, 0])
    window = around(image.shape, places, radius=max(REACH * sd, 2.0))
    if left_out is not None:
        window = replace(window, inside=window.inside & ~window.of(left_out))
    residual = values = image_values = window.of(image)
    prior_sd = np.array([free * sd, free * sd, SAME_WIDTH])
    for number in range(ROUNDS):
        if number:
            drawn = draw(image.shape, state, radius=DRAWN * sd)
            background = slow(image - drawn, sd=sd)
            values = image_values - window.of(drawn + background) + _gaussians(window, state)
        for _ in range(STEPS if number else 2 * STEPS):
            state, residual = _step(state, values, window, start=(places, sd), prior_sd=prior_sd)
    state[:, 1:3] = _near(state[:, 1:3], places, sd=sd)
    ellipticity = _ellipticity(state, residual, window)
    return Shapes(state[:, 1:3], state[:, 0], np.exp(state[:, 3]), ellipticity)


def slow(residual: np.ndarray, *, sd: float) -> np.ndarray:
    """Smooth background (y, x) of the residual. Outliers, such as an atom cut off by the rim, are clipped."""
    typical = float(np.median(residual))
    spread = CLIPPED * 1.4826 * float(np.median(np.abs(residual - typical)))
    return ndi.gaussian_filter(
        np.clip(residual, typical - spread, typical + spread), GROUND * sd, mode="mirror"
    )


def draw(shape: tuple[int, ...], state: np.ndarray, *, radius: float) -> np.ndarray:
    """The sum (y, x) of Gaussians (atom; height, y, x, log sd), each up to the radius [px]."""
    reach = np.arange(-int(np.ceil(radius)), int(np.ceil(radius)) + 1)
    square = 2 * np.exp(2 * state[:, 3, None])
    places = [np.rint(state[:, [axis]]).astype(int) + reach for axis in (1, 2)]
    profiles = [np.exp(-((p - state[:, [1 + n]]) ** 2) / square) for n, p in enumerate(places)]
    inside = [(p >= 0) & (p < length) for p, length in zip(places, shape, strict=True)]
    rows, columns = (profile * kept for profile, kept in zip(profiles, inside, strict=True))
    values = (state[:, 0, None] * rows)[:, :, None] * columns[:, None]
    y, x = (np.clip(p, 0, length - 1) for p, length in zip(places, shape, strict=True))
    index = y[:, :, None] * shape[1] + x[:, None]
    total = np.bincount(index.ravel(), weights=values.ravel(), minlength=shape[0] * shape[1])
    return total.reshape(shape)


def heights(image: np.ndarray, places: np.ndarray, *, sd: float) -> np.ndarray:
    """Heights (atom,) of Gaussians of one width at fixed positions, each on a constant."""
    window = around(image.shape, places, radius=max(REACH * sd, 2.0))
    apart = window.pixels - places[:, None]
    shape = np.exp(-(apart**2).sum(-1) / (2 * sd**2))
    return _line(shape, window.of(image), window.inside)[0]


def _gaussians(window: Windows, state: np.ndarray) -> np.ndarray:
    """The Gaussian of every atom at its own pixels (atom, pixel)."""
    apart = window.pixels - state[:, None, 1:3]
    return state[:, [0]] * np.exp(-(apart**2).sum(-1) / (2 * np.exp(2 * state[:, [3]])))


def _step(
    state: np.ndarray,
    values: np.ndarray,
    window: Windows,
    *,
    start: tuple[np.ndarray, float],
    prior_sd: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """One step of all atoms, and the residual before it (atom, pixel)."""
    (places, sd), inside = start, window.inside
    apart = window.pixels - state[:, None, 1:3]
    square = (apart**2).sum(-1) / np.exp(2 * state[:, [3]])
    shape = np.exp(-square / 2)
    height, floor = _line(shape, values, inside)
    height = np.maximum(height, 0)
    rise = height[:, None] * shape
    residual = inside * (values - rise - floor[:, None])
    along = rise / np.exp(2 * state[:, [3]])
    slopes = np.stack(
        [shape, np.ones_like(shape), along * apart[..., 0], along * apart[..., 1], rise * square],
        axis=-1,
    )
    noise = (residual**2).sum(-1) / np.maximum(inside.sum(-1), 1)
    typical = float(np.median(state[:, 3]))
    deviation = np.column_stack([state[:, 1:3] - places, state[:, 3] - typical])
    step = _least_squares(
        slopes, residual, inside, precision=noise[:, None] / prior_sd**2, deviation=deviation
    )
    position = state[:, 1:3] + np.clip(step[:, 2:4], -LONGEST * sd, LONGEST * sd)
    log_sd = state[:, 3] + np.clip(step[:, 4], -0.3, 0.3)
    log_sd = np.clip(log_sd, np.log(sd / WIDEST), np.log(sd * WIDEST))
    moved = np.column_stack([height, position, log_sd])
    return moved, residual


def _line(
    shape: np.ndarray, values: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Height and constant of the fit values ≈ height·shape + constant for every atom."""
    count = np.maximum(inside.sum(-1), 1)
    shape_mean = (inside * shape).sum(-1) / count
    value_mean = (inside * values).sum(-1) / count
    apart = inside * (shape - shape_mean[:, None])
    height = (apart * values).sum(-1) / np.maximum((apart**2).sum(-1), 1e-12)
    return height, value_mean - height * shape_mean


def _least_squares(
    slopes: np.ndarray,
    residual: np.ndarray,
    inside: np.ndarray,
    *,
    precision: np.ndarray,
    deviation: np.ndarray,
) -> np.ndarray:
    """Least-squares steps (atom, parameter) for the residual; the last parameters have a Normal prior.

    Args:
        slopes: (atom, pixel, parameter).
        residual: residual (atom, pixel).
        inside: (atom, pixel).
        precision: precision of the prior of each of the last three parameters (atom, 3).
        deviation: their deviation from the mean of the prior (atom, 3).
    """
    weighted = np.swapaxes(slopes * inside[..., None], 1, 2)
    normal, right = weighted @ slopes, (weighted @ residual[..., None])[..., 0]
    diagonal = np.arange(normal.shape[-1])
    last = diagonal[-precision.shape[1] :]
    normal[:, last, last] += precision
    right[:, last] -= precision * deviation
    # parameters have no slope in a flat neighbourhood; the small constant keeps the equations solvable
    largest = normal[:, diagonal, diagonal].max(-1, keepdims=True)
    normal[:, diagonal, diagonal] += 1e-12 + 1e-9 * largest
    return np.linalg.solve(normal, right[..., None])[..., 0]


def _ellipticity(state: np.ndarray, residual: np.ndarray, window: Windows) -> np.ndarray:
    """Ellipticity (atom,), from the first order of the Gaussian in its two shears."""
    apart = window.pixels - state[:, None, 1:3]
    apart /= np.exp(state[:, 3])[:, None, None]
    shape = window.inside * state[:, [0]] * np.exp(-(apart**2).sum(-1) / 2) / 2
    straight = shape * (apart[..., 0] ** 2 - apart[..., 1] ** 2)
    diagonal = shape * 2 * apart[..., 0] * apart[..., 1]
    parts = [
        (slope * residual).sum(-1) / np.maximum((slope**2).sum(-1), 1e-300)
        for slope in (straight, diagonal)
    ]
    return np.clip(np.hypot(*parts), 0, 1)


def _near(position: np.ndarray, places: np.ndarray, *, sd: float) -> np.ndarray:
    """The refined positions; the first guess where the fit diverged."""
    stayed = np.hypot(*(position - places).T) < 2 * sd
    return np.where(stayed[:, None], position, places)
