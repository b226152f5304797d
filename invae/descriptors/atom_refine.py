"""Positions of atoms to a fraction of a pixel, all atoms of a frame at once."""

from collections.abc import Callable, Mapping

import numpy as np
import scipy.ndimage as ndi

STEPS = 7
"""Iterations; more move no atom by 0.02 px."""
REACH = 2.6
"""Radius of what is looked at around an atom, in its sds."""
LONGEST = 0.5
"""Longest step of an iteration, in sds."""


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
    position = places.copy()
    for _ in range(STEPS):
        values, apart, inside = _around(flat, position, radius=REACH * sd)
        weight = inside * np.exp(-(apart**2).sum(-1) / (2 * sd**2))
        mass = (weight * values).sum(-1)
        moved = (weight * values)[..., None] * apart
        step = 2 * moved.sum(1) / np.maximum(mass, 1e-9 * np.abs(values).max())[:, None]
        position += np.clip(step, -LONGEST * sd, LONGEST * sd)
    return _near(position, places, sd=sd)


def gaussian(image: np.ndarray, places: np.ndarray, *, sd: float) -> np.ndarray:
    """Positions (atom, 2) [px] of round Gaussians on a constant, fitted by least squares.

    Gauss-Newton in height, position, log sd and constant, slightly damped.

    Args:
        image: (y, x), finite.
        places: first guesses (atom, 2), (y, x) [px].
        sd: of an atom, the first guess [px].
    """
    if not len(places):
        return places
    start = centroid(image, places, sd=sd)
    position, log_sd = start.copy(), np.full(len(places), np.log(sd))
    values, apart, inside = _around(image, start, radius=max(REACH * sd, 2.0))
    grid = apart + start[:, None]
    for _ in range(STEPS):
        apart = grid - position[:, None]
        width = np.exp(log_sd)[:, None]
        square = (apart**2).sum(-1) / width**2
        shape = np.exp(-square / 2)
        height, floor = _line(shape, values, inside)
        rise = height[:, None] * shape
        slopes = np.stack(
            [
                shape,
                np.ones_like(shape),
                rise * apart[..., 0] / width**2,
                rise * apart[..., 1] / width**2,
                rise * square,
            ],
            axis=-1,
        )
        step = _least_squares(slopes, values - rise - floor[:, None], inside)
        position += np.clip(step[:, 2:4], -LONGEST * sd, LONGEST * sd)
        log_sd = np.clip(log_sd + np.clip(step[:, 4], -0.3, 0.3), np.log(sd / 2), np.log(sd * 2))
    return _near(position, start, sd=sd)


REFINE: Mapping[str, Callable[..., np.ndarray]] = {"centroid": centroid, "gaussian": gaussian}
"""Ways to place an atom, by their names in the configuration."""


def _around(
    image: np.ndarray, position: np.ndarray, *, radius: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (atom, pixel) around positions, where they lie from them (atom, pixel, 2) [px], and
    which are in the frame.
    """
    reach = np.arange(-int(np.ceil(radius)), int(np.ceil(radius)) + 1)
    steps = np.stack(np.meshgrid(reach, reach, indexing="ij"), -1).reshape(-1, 2)
    steps = steps[(steps**2).sum(-1) <= radius**2]
    pixels = np.rint(position).astype(int)[:, None] + steps
    last = np.array(image.shape) - 1
    inside = np.all((pixels >= 0) & (pixels <= last), axis=-1)
    kept = np.clip(pixels, 0, last)
    return image[kept[..., 0], kept[..., 1]], pixels - position[:, None], np.asarray(inside)


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


def _least_squares(slopes: np.ndarray, rest: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Steps (atom, parameter) that best explain the rest."""
    weighted = np.swapaxes(slopes * inside[..., None], 1, 2)
    normal = weighted @ slopes
    diagonal = np.arange(normal.shape[-1])
    # a flat neighbourhood leaves parameters without any slope; the small constant keeps it solvable
    normal[:, diagonal, diagonal] *= 1.01
    normal[:, diagonal, diagonal] += 1e-12 + 1e-9 * normal[:, diagonal, diagonal].max(
        -1, keepdims=True
    )
    return np.linalg.solve(normal, weighted @ rest[..., None])[..., 0]


def _near(position: np.ndarray, places: np.ndarray, *, sd: float) -> np.ndarray:
    """The refined positions; the guess where they ran away."""
    stayed = np.hypot(*(position - places).T) < 2 * sd
    return np.where(stayed[:, None], position, places)
