"""Spheres read from an image of their projected thickness: the inverse of `particles.thickness_images`."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from invae.errors import InputError
from invae.synthetic.particles import PLASMA_ENERGY, Particles, thickness_images

LEAST = 0.5
"""Smallest height of a particle, relative to that of a sphere of the usual radius."""
MOST = 12
"""Most particles of an image."""
FARTHEST = 6.0
"""Largest displacement of a particle by the fit [nm]."""
RADII = (0.79, 1.21)
"""Smallest and largest radius, relative to the usual one."""
STEP = 0.2
"""Displacement in the derivatives of the fit [nm]."""
EVALUATIONS = 15
"""Most steps of a fit."""
AROUND = 1.2
"""Radius of the region about one particle to which it is fitted first, relative to its own."""


def particles_of_image(
    image: Float[np.ndarray, "y x"],
    *,
    pixel_size: float,
    radius: float = 10.0,
    plasma_energy: float = PLASMA_ENERGY,
) -> Particles:
    """Positions and radii of the spheres of an image, relative to its middle.

    The sphere that fits best is taken off the image, again and again, until what is left is no sphere. Then all are fitted together.

    Args:
        image: Projected thickness, 1 at the centre of a sphere of the usual radius.
        pixel_size: [nm]
        radius: Usual radius [nm].
        plasma_energy: Of all particles [eV].

    Raises:
        InputError: There are more than 12 spheres. Radii beyond 0.79 to 1.21 of the usual one are set to these limits.
    """
    found = Particles(np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0))
    left = image.astype(float)
    usual = Particles.of_one(radius, plasma_energy)
    while (place := _best_place(left, usual, pixel_size)) is not None:
        if len(found) == MOST:
            raise InputError(f"the image shows more than {MOST} spheres; give a smaller image")
        one = _fitted(usual.shifted(place), left, pixel_size, radius, around=place)
        left = left - _image_of(one, len(image), pixel_size, radius)
        found = _together(found, one)
    return _fitted(found, image, pixel_size, radius) if len(found) else found


def _best_place(image: np.ndarray, usual: Particles, pixel_size: float) -> np.ndarray | None:
    """Where a sphere fits best, (y, x) from the middle [nm]; none if its height there is small."""
    template = _image_of(usual, len(image), pixel_size, usual.radius[0])
    spectrum = np.fft.rfft2(image) * np.conj(np.fft.rfft2(np.fft.ifftshift(template)))
    height = np.fft.irfft2(spectrum, s=image.shape) / (template**2).sum()
    best = np.array(np.unravel_index(height.argmax(), height.shape))
    return None if height[tuple(best)] < LEAST else (best - len(image) // 2) * pixel_size


def _fitted(
    start: Particles,
    image: np.ndarray,
    pixel_size: float,
    radius: float,
    *,
    around: np.ndarray | None = None,
) -> Particles:
    """Least squares over positions and radii, in the whole image or around a place."""
    from scipy.optimize import least_squares

    n, side = len(start), len(image)
    weight = _near(around, side, pixel_size, AROUND * radius) if around is not None else 1.0

    def particles(numbers: np.ndarray) -> Particles:
        return replace(
            start, positions=numbers[: 2 * n].reshape(n, 2), radius=numbers[2 * n :].copy()
        )

    def residuals(numbers: np.ndarray) -> np.ndarray:
        return ((_image_of(particles(numbers), side, pixel_size, radius) - image) * weight).ravel()

    def slopes(numbers: np.ndarray) -> np.ndarray:
        steps = STEP * np.eye(len(numbers))
        each = [(residuals(numbers + s) - residuals(numbers - s)) / (2 * STEP) for s in steps]
        return np.stack(each, axis=1)

    places = start.positions.ravel()
    low, high = (np.full(n, limit * radius) for limit in RADII)
    begin = np.concatenate((places, start.radius.clip(low + 1e-3, high - 1e-3)))
    bounds = (np.r_[places - FARTHEST, low], np.r_[places + FARTHEST, high])
    found = least_squares(residuals, begin, jac=slopes, bounds=bounds, max_nfev=EVALUATIONS)  # pyright: ignore[reportArgumentType]
    return particles(found.x)


def _near(place: np.ndarray, side: int, pixel_size: float, distance: float) -> np.ndarray:
    """Whether pixels lie near a place (y, x)."""
    along = (np.arange(side) - (side - 1) / 2) * pixel_size
    return np.hypot(along[:, None] - place[0], along - place[1]) < distance


def _image_of(particles: Particles, side: int, pixel_size: float, radius: float) -> np.ndarray:
    middle = np.zeros((1, 2))
    images = thickness_images(
        particles, middle, pixels=side, pixel_size=pixel_size, diameter=2 * radius
    )
    return images[0].astype(float)


def _together(some: Particles, more: Particles) -> Particles:
    names = ("positions", "radius", "plasma_energy", "brightness")
    return Particles(*(np.concatenate((getattr(some, n), getattr(more, n))) for n in names))
