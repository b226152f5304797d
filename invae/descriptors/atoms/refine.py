"""Positions and shapes of atoms to a fraction of a pixel: Gaussians fitted together, all of a frame at once."""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi

CENTROID_STEPS = 4
"""Steps of the centroid; where it is not the answer the fit goes on from there."""
ROUNDS = 4
"""How often neighbours are taken away before an atom is looked at again."""
STEPS = 2
"""Steps of the fit in each round; more move no atom by 0.02 px."""
REACH = 2.6
"""Radius of what is looked at around an atom, in its sds."""
DRAWN = 4.0
"""Radius in which an atom is taken away from its neighbours, in its sds."""
GROUND = 4.0
"""Sd of the smoothing that makes the background of what the atoms leave over, in their sds."""
CLIPPED = 3.0
"""Deviation beyond which what the atoms leave over is no background, in its robust sds."""
LONGEST = 0.5
"""Longest step, in sds."""
FREE = 0.5
"""Sd of how far an atom is believed to lie from where it was found, in its sds: tells only on atoms that hardly
rise above the noise."""
SAME_WIDTH = 0.15
"""Sd of the logarithm of the widths of one frame's atoms."""
WIDEST = 2.0
"""No atom is wider or narrower than the guess by more than this factor."""


@dataclass(frozen=True)
class Shapes:
    """Fitted atoms of a frame."""

    position: np.ndarray
    """(atom, 2), (y, x) [px]."""
    height: np.ndarray
    """Of the Gaussian (atom,), in the image's unit."""
    sd: np.ndarray
    """(atom,) [px]."""
    ellipticity: np.ndarray
    """Difference over sum of the variances along the long and the short axis (atom,); 0 is round."""


@dataclass(frozen=True)
class Around:
    """The pixels around places."""

    pixels: np.ndarray
    """(atom, pixel, 2), (y, x); those outside the frame too."""
    inside: np.ndarray
    """Whether they are in the frame (atom, pixel)."""

    def of(self, image: np.ndarray) -> np.ndarray:
        """Values of an image (atom, pixel); what lies outside is the nearest pixel's."""
        last = np.array(image.shape) - 1
        kept = np.clip(self.pixels, 0, last)
        return image[kept[..., 0], kept[..., 1]]


def around(shape: tuple[int, ...], places: np.ndarray, *, radius: float) -> Around:
    """The pixels within a radius of the pixel nearest to each place."""
    reach = np.arange(-int(np.ceil(radius)), int(np.ceil(radius)) + 1)
    steps = np.stack(np.meshgrid(reach, reach, indexing="ij"), -1).reshape(-1, 2)
    steps = steps[(steps**2).sum(-1) <= radius**2]
    pixels = np.rint(places).astype(int)[:, None] + steps
    return Around(pixels, np.all((pixels >= 0) & (pixels < np.array(shape)), axis=-1))


def centroid(image: np.ndarray, places: np.ndarray, *, sd: float) -> np.ndarray:
    """Positions (atom, 2) [px] at which the Gaussian-weighted centroid stands still.

    A Gaussian atom of sd s under a weight of sd s moves the centroid half of the way only; so each
    step is twice as long.

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


def fit(image: np.ndarray, places: np.ndarray, *, sd: float, free: float = FREE) -> Shapes:
    """Gaussians on constants of their own, fitted by least squares, neighbours taken away.

    Gauss-Newton in height, position, log sd and constant. Neighbours and a sloping background pull at
    an atom; so these are subtracted before it is fitted, round after round.

    Args:
        image: (y, x), finite.
        places: first guesses (atom, 2), (y, x) [px].
        sd: of an atom, the first guess [px].
        free: sd of a position about its guess, in sds of an atom.
    """
    state = np.column_stack([np.zeros(len(places)), places, np.full(len(places), np.log(sd))])
    if not len(places):
        return Shapes(places.astype(float), state[:, 0], state[:, 0], state[:, 0])
    window = around(image.shape, places, radius=max(REACH * sd, 2.0))
    rest = values = image_values = window.of(image)
    trust = np.array([free * sd, free * sd, SAME_WIDTH])
    for number in range(ROUNDS):
        if number:
            drawn = draw(image.shape, state, radius=DRAWN * sd)
            ground = slow(image - drawn, sd=sd)
            values = image_values - window.of(drawn + ground) + _gaussians(window, state)
        for _ in range(STEPS if number else 2 * STEPS):
            state, rest = _step(state, values, window, start=(places, sd), trust=trust)
    state[:, 1:3] = _near(state[:, 1:3], places, sd=sd)
    ellipticity = _ellipticity(state, rest, window)
    return Shapes(state[:, 1:3], state[:, 0], np.exp(state[:, 3]), ellipticity)


def slow(left: np.ndarray, *, sd: float) -> np.ndarray:
    """What changes slowly (y, x) in what the atoms leave over; what stands out of it, such as an atom that the rim cuts off, is clipped."""
    usual = float(np.median(left))
    spread = CLIPPED * 1.4826 * float(np.median(np.abs(left - usual)))
    return ndi.gaussian_filter(
        np.clip(left, usual - spread, usual + spread), GROUND * sd, mode="mirror"
    )


def draw(shape: tuple[int, ...], state: np.ndarray, *, radius: float) -> np.ndarray:
    """The sum (y, x) of Gaussians (atom; height, y, x, log sd), each as far as the radius [px]."""
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
    """Heights (atom,) of Gaussians of one width at fixed places, each on a constant."""
    window = around(image.shape, places, radius=max(REACH * sd, 2.0))
    apart = window.pixels - places[:, None]
    shape = np.exp(-(apart**2).sum(-1) / (2 * sd**2))
    return _line(shape, window.of(image), window.inside)[0]


def _gaussians(window: Around, state: np.ndarray) -> np.ndarray:
    """Every atom on its own pixels (atom, pixel)."""
    apart = window.pixels - state[:, None, 1:3]
    return state[:, [0]] * np.exp(-(apart**2).sum(-1) / (2 * np.exp(2 * state[:, [3]])))


def _step(
    state: np.ndarray,
    values: np.ndarray,
    window: Around,
    *,
    start: tuple[np.ndarray, float],
    trust: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """One step of all atoms, and what they leave over (atom, pixel)."""
    (places, sd), inside = start, window.inside
    apart = window.pixels - state[:, None, 1:3]
    square = (apart**2).sum(-1) / np.exp(2 * state[:, [3]])
    shape = np.exp(-square / 2)
    height, floor = _line(shape, values, inside)
    height = np.maximum(height, 0)
    rise = height[:, None] * shape
    rest = inside * (values - rise - floor[:, None])
    along = rise / np.exp(2 * state[:, [3]])
    slopes = np.stack(
        [shape, np.ones_like(shape), along * apart[..., 0], along * apart[..., 1], rise * square],
        axis=-1,
    )
    noise = (rest**2).sum(-1) / np.maximum(inside.sum(-1), 1)
    usual = float(np.median(state[:, 3]))
    away = np.column_stack([state[:, 1:3] - places, state[:, 3] - usual])
    step = _least_squares(slopes, rest, inside, pull=noise[:, None] / trust**2, away=away)
    position = state[:, 1:3] + np.clip(step[:, 2:4], -LONGEST * sd, LONGEST * sd)
    log_sd = state[:, 3] + np.clip(step[:, 4], -0.3, 0.3)
    log_sd = np.clip(log_sd, np.log(sd / WIDEST), np.log(sd * WIDEST))
    moved = np.column_stack([height, position, log_sd])
    return moved, rest


def _line(
    shape: np.ndarray, values: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Height and constant of values ≈ height·shape + constant, atom by atom."""
    count = np.maximum(inside.sum(-1), 1)
    shape_mean = (inside * shape).sum(-1) / count
    value_mean = (inside * values).sum(-1) / count
    apart = inside * (shape - shape_mean[:, None])
    height = (apart * values).sum(-1) / np.maximum((apart**2).sum(-1), 1e-12)
    return height, value_mean - height * shape_mean


def _least_squares(
    slopes: np.ndarray, rest: np.ndarray, inside: np.ndarray, *, pull: np.ndarray, away: np.ndarray
) -> np.ndarray:
    """Steps (atom, parameter) that best explain the rest; the last parameters are pulled back.

    Args:
        slopes: (atom, pixel, parameter).
        rest: (atom, pixel).
        inside: (atom, pixel).
        pull: how strongly each of the last three parameters is drawn back (atom, 3).
        away: how far they are from where they are drawn to (atom, 3).
    """
    weighted = np.swapaxes(slopes * inside[..., None], 1, 2)
    normal, right = weighted @ slopes, (weighted @ rest[..., None])[..., 0]
    diagonal = np.arange(normal.shape[-1])
    last = diagonal[-pull.shape[1] :]
    normal[:, last, last] += pull
    right[:, last] -= pull * away
    # a flat neighbourhood leaves parameters without any slope; the small constant keeps it solvable
    largest = normal[:, diagonal, diagonal].max(-1, keepdims=True)
    normal[:, diagonal, diagonal] += 1e-12 + 1e-9 * largest
    return np.linalg.solve(normal, right[..., None])[..., 0]


def _ellipticity(state: np.ndarray, rest: np.ndarray, window: Around) -> np.ndarray:
    """How far from round (atom,), from the first order of the Gaussian in its two shears."""
    apart = window.pixels - state[:, None, 1:3]
    apart /= np.exp(state[:, 3])[:, None, None]
    shape = window.inside * state[:, [0]] * np.exp(-(apart**2).sum(-1) / 2) / 2
    straight = shape * (apart[..., 0] ** 2 - apart[..., 1] ** 2)
    diagonal = shape * 2 * apart[..., 0] * apart[..., 1]
    parts = [
        (slope * rest).sum(-1) / np.maximum((slope**2).sum(-1), 1e-300)
        for slope in (straight, diagonal)
    ]
    return np.clip(np.hypot(*parts), 0, 1)


def _near(position: np.ndarray, places: np.ndarray, *, sd: float) -> np.ndarray:
    """The refined positions; the guess where they ran away."""
    stayed = np.hypot(*(position - places).T) < 2 * sd
    return np.where(stayed[:, None], position, places)
