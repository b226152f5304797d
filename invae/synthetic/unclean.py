"""What makes PFM frames unclean: grains, dust, gain and jumps of scan lines, drift of the phase."""

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

WEAKEST = 0.15
"""Least response of a grain."""
DEAD, BRIGHT = -1.0, 2.5
"""Change of the response in the centre of dust: none is left, or it is far stronger."""
BAND = 6.0
"""Correlation length of slow changes of the gain [line]."""
SLOW = 8.0
"""Correlation length of the phase [line]."""


def grain_response(
    size: tuple[int, int],
    *,
    grain_size: float,
    contrast: float,
    groove: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """Response relative to that of a perfect grain (y, x): one value per grain, lower in the boundaries.

    Args:
        size: of the frame, (y, x) [px].
        grain_size: typical size [px].
        contrast: grains respond by up to so much less, 0–1.
        groove: decrease in the boundaries, 0–1.
        generator: of the random numbers.
    """
    count = max(4, round(size[0] * size[1] / grain_size**2))
    centres = generator.uniform(0, size, (count, 2))
    y, x = np.indices(size)
    points = np.stack((y.ravel(), x.ravel()), axis=1)
    distance, nearest = map(np.asarray, KDTree(centres).query(points, k=2))
    level = np.clip(1 - contrast * generator.random(count), WEAKEST, 1)
    width = generator.uniform(1, 3)
    boundary = np.exp(-(((distance[:, 1] - distance[:, 0]) / width) ** 2))
    return (level[nearest[:, 0]] * (1 - groove * boundary)).reshape(size)


def dust_response(
    size: tuple[int, int],
    *,
    n_spots: int,
    radius: tuple[float, float],
    generator: np.random.Generator,
) -> np.ndarray:
    """Response relative to that of a clean surface (y, x): dead or bright spots.

    Args:
        size: of the frame, (y, x) [px].
        n_spots: number of spots.
        radius: smallest and largest sd of a spot [px].
        generator: of the random numbers.
    """
    response = np.ones(size)
    for _ in range(n_spots):
        change = (DEAD, BRIGHT)[generator.integers(2)]
        sd = generator.uniform(*radius)
        rows, columns = (
            np.exp(-(((np.arange(n) - generator.uniform(0, n)) / sd) ** 2) / 2) for n in size
        )
        response *= 1 + change * rows[:, None] * columns
    return response


def line_gain(n_lines: int, *, sd: float, generator: np.random.Generator) -> np.ndarray:
    """Gain of every scan line (y, 1): it jitters from line to line, and changes over bands of lines."""
    jitter, slow = generator.standard_normal((2, n_lines))
    bands = _smooth(slow, BAND)
    return np.clip(1 + sd * jitter + 2 * sd * bands, WEAKEST, None)[:, None]


def line_phase(n_lines: int, *, sd: float, generator: np.random.Generator) -> np.ndarray:
    """Slow drift of the phase, exp(iφ) of every scan line (y, 1)."""
    return np.exp(1j * sd * _smooth(generator.standard_normal(n_lines), SLOW))[:, None]


def shift_lines(image: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """An image (y, x) whose rows are displaced by shift (y) [px] to larger x; the ends are repeated."""
    position = np.arange(image.shape[1]) - shift[:, None]
    left = np.clip(np.floor(position).astype(int), 0, image.shape[1] - 2)
    share = np.clip(position - left, 0, 1)
    values = [np.take_along_axis(image, left + step, axis=1) for step in (0, 1)]
    return values[0] * (1 - share) + values[1] * share


def _smooth(values: np.ndarray, length: float) -> np.ndarray:
    """White noise of sd 1 as noise with a correlation length, of the same sd."""
    return ndimage.gaussian_filter1d(values, length, mode="wrap") * np.sqrt(
        2 * np.sqrt(np.pi) * length
    )
