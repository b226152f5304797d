"""180-degree domain walls: sub-pixel contours of the smoothed signed polarization, half way between both domains."""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
from skimage.feature import canny
from skimage.measure import find_contours
from skimage.morphology import skeletonize

from invae.config.describe import WallConfig
from invae.descriptors.domains.mid_level import mid_level, noise_of

WALL_KINDS = ("none", "wall_180", "wall_non180")
"""Meanings of the values of the map `wall`; a pixel on both kinds has the first."""
WALL_180, WALL_NON180 = 1, 2
LEAST_SUPPORT = 0.5
"""Smallest share of the Gaussian weight on valid pixels for a valid smoothed value."""
EIGHT = np.ones((3, 3), bool)
CLEAN, NOISY = (0.3, 1.0), (0.6, 1.5)
"""Noise, relative to a typical domain, and the sd of the smoothing [px] that the contours need there; linear between."""
MID_LEVEL_CLIP = 1.5
"""Polarizations are clipped at so many times the typical one before their levels are measured."""
GAP = 2.0
"""Longest gap in the probability of a wall that a contour crosses [px]."""
SOBEL = 8.0
"""skimage's Canny does not normalise its Sobel filter: a slope of 1 per pixel gives 8."""


@dataclass(frozen=True)
class Contour:
    """A wall as a line of points (point, 2), (y, x) [px]; the last point is the first if it is
    closed.
    """

    points: np.ndarray

    @property
    def closed(self) -> bool:
        """Whether the line returns to its first point."""
        return len(self.points) > 2 and bool(np.array_equal(self.points[0], self.points[-1]))

    @property
    def length(self) -> float:
        """Length along the line [px]."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())


def smoothed(
    values: np.ndarray, valid: np.ndarray, *, sd: float, bridged: bool = False
) -> np.ndarray:
    """Gaussian mean over valid pixels only, NaN if too few of them are near, float32 (y, x).

    Args:
        values: (y, x).
        valid: bool (y, x); other values are ignored.
        sd: of the Gaussian [px].
        bridged: whether invalid pixels between enough valid ones, as in a single lost line, get a mean too.
    """
    share = ndi.gaussian_filter(valid.astype(np.float32), sd, mode="nearest")
    total = ndi.gaussian_filter(np.where(valid, values, 0).astype(np.float32), sd, mode="nearest")
    believed = (valid | bridged) & (share > LEAST_SUPPORT)
    return np.divide(total, share, out=np.full_like(total, np.nan), where=believed)


def islands(mask: np.ndarray, *, structure: np.ndarray | None = None) -> tuple[np.ndarray, int]:
    """Connected areas, numbered from 1 (y, x), and their number; by four neighbours, unless a
    structure is given.
    """
    label = np.zeros(mask.shape, np.int32)
    return label, int(ndi.label(mask, structure, output=label))  # type: ignore[arg-type]


def without_faint_domains(field: np.ndarray, *, min_contrast: float) -> np.ndarray:
    """The smoothed polarization with the sign of faint islands inverted, so that noise in a weak area
    gives no wall.

    An island is a connected area of one sign; it is faint if it never reaches `min_contrast`.

    Args:
        field: smoothed signed polarization (y, x), domains near ±1; NaN where unknown.
        min_contrast: least polarization of a domain.
    """
    size = np.nan_to_num(np.abs(field))
    turned = field.copy()
    for sign in (field > 0, field < 0):
        label, n_islands = islands(sign)
        peaks = ndi.maximum(size, label, np.arange(n_islands + 1))
        faint = np.asarray(peaks) < min_contrast
        faint[0] = False
        turned = np.where(faint[label], -turned, turned)
    return turned


def trace(field: np.ndarray, *, min_length: float) -> list[Contour]:
    """The zero lines of a field (y, x); lines end at NaN.

    Closed lines shorter than `min_length` [px] are left out. A line that ends at the border is half of a wall, on average, so that
    half of the length is enough.
    """
    known = np.isfinite(field)
    found = find_contours(np.where(known, field, 0), 0.0, mask=known)
    contours = [Contour(_without_repeats(points)) for points in found]
    return [line for line in contours if line.length >= _least(line, min_length)]


def _least(line: Contour, min_length: float) -> float:
    return max(min_length if line.closed else min_length / 2, 1e-6)


def _without_repeats(points: np.ndarray) -> np.ndarray:
    """Points without immediate repetitions, which occur if a pixel is exactly zero."""
    moved = np.any(np.diff(points, axis=0) != 0, axis=1)
    return points[np.concatenate([[True], moved])]


def find_walls(polarization: np.ndarray, valid: np.ndarray, *, config: WallConfig) -> list[Contour]:
    """The 180-degree walls of one frame, where both sides are valid.

    Args:
        polarization: signed, domains near ±1 (y, x).
        valid: bool (y, x); lines end at invalid pixels.
        config: level, smoothing, contrast and length.
    """
    field = wall_field(polarization, valid, config=config)
    return trace(
        without_faint_domains(field, min_contrast=config.min_contrast),
        min_length=config.min_length,
    )


def wall_field(polarization: np.ndarray, valid: np.ndarray, *, config: WallConfig) -> np.ndarray:
    """The smoothed polarization above the level of walls (y, x), NaN where unknown; walls are its zero lines.

    Single lost lines are crossed. It is clipped at ±1 before it is smoothed: a domain, or dust, with a strong response would repel the zero line.
    """
    sd = smoothing_of(polarization, valid, config=config)
    level = wall_level(polarization, valid, sd=sd) if config.level == "middle" else np.float32(0)
    return smoothed(np.clip(polarization - level, -1, 1), valid, sd=sd, bridged=True)


def wall_level(polarization: np.ndarray, valid: np.ndarray, *, sd: float) -> np.ndarray:
    """The middle level of the polarization smoothed by `sd` [px], float32 (y, x); see `mid_level`."""
    clipped = np.clip(polarization, -MID_LEVEL_CLIP, MID_LEVEL_CLIP)
    return mid_level(smoothed(clipped, valid, sd=sd), valid)


def smoothing_of(polarization: np.ndarray, valid: np.ndarray, *, config: WallConfig) -> float:
    """Sd of the smoothing [px]: the configured one, or what the noise asks for."""
    if config.smoothing is not None:
        return config.smoothing
    (low, least), (high, most) = CLEAN, NOISY
    return float(np.interp(noise_of(polarization, valid), (low, high), (least, most)))


def where_probable(
    contours: list[Contour], probability: np.ndarray, *, config: WallConfig
) -> list[Contour]:
    """The pieces of contours along which a wall is probable, without those that are too short.

    Args:
        contours: sub-pixel lines.
        probability: of a wall, 0–1 (y, x).
        config: least probability, least length.
    """
    pieces = [
        piece
        for contour in contours
        for piece in _pieces(contour, _sampled(probability, contour) > config.min_probability)
    ]
    return [piece for piece in pieces if piece.length >= max(config.min_length, 1e-6)]


def _sampled(image: np.ndarray, contour: Contour) -> np.ndarray:
    """Values of an image at the points of a contour, bilinear."""
    return ndi.map_coordinates(image, contour.points.T, order=1, mode="nearest")


def _pieces(contour: Contour, kept: np.ndarray) -> list[Contour]:
    """Pieces of consecutive kept points; short gaps are crossed. A closed line begins at a point that is not kept."""
    points = contour.points
    if contour.closed and not kept.all():
        start = int(np.argmin(kept))
        points = np.concatenate([np.roll(points[:-1], -start, axis=0), points[start : start + 1]])
        kept = np.append(np.roll(kept[:-1], -start), False)
    if not kept.any():
        return []
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    places = np.flatnonzero(kept)
    breaks = np.flatnonzero(np.diff(along[places]) > GAP) + 1
    runs = np.split(places, breaks)
    return [Contour(points[run[0] : run[-1] + 1]) for run in runs if len(run) > 1]


def rasterize(contours: list[Contour], shape: tuple[int, int]) -> np.ndarray:
    """The pixels nearest to the lines, one pixel wide, bool (y, x)."""
    mask = np.zeros(shape, bool)
    for contour in contours:
        rows, columns = np.rint(contour.points).astype(int).T
        mask[rows, columns] = True
    return skeletonize(mask)


def canny_edges(aligned_cosine: np.ndarray, valid: np.ndarray, *, sigma: float) -> np.ndarray:
    """Edges of cos(φ − φ₀) by Canny's detector, bool (y, x). The wrapped phase is not used, because
    its jumps are not walls.

    A step from −1 to 1 has the slope 2/(σ√2π) after smoothing; edges reach half of it at least once
    and a quarter everywhere.

    Args:
        aligned_cosine: cos(φ − φ₀) (y, x).
        valid: bool (y, x).
        sigma: sd of the Gaussian inside the detector [px].
    """
    step = SOBEL * 2 / (sigma * np.sqrt(2 * np.pi))
    return canny(
        np.where(valid, aligned_cosine, 0).astype(np.float64),
        sigma=sigma,
        low_threshold=step / 4,
        high_threshold=step / 2,
        mask=valid,
    )
