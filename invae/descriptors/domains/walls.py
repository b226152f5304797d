"""180-degree domain walls: sub-pixel zero lines of the smoothed signed polarization."""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
from skimage.feature import canny
from skimage.measure import find_contours
from skimage.morphology import skeletonize

from invae.config.describe import WallConfig

WALL_KINDS = ("none", "wall_180", "wall_non180")
"""Meanings of the values of the map `wall`."""
WALL_180, WALL_NON180 = 1, 2
LEAST_SUPPORT = 0.5
"""Smallest share of the Gaussian weight on valid pixels for a valid smoothed value."""
EIGHT = np.ones((3, 3), bool)
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


def smoothed(values: np.ndarray, valid: np.ndarray, *, sd: float) -> np.ndarray:
    """Gaussian mean over valid pixels only, NaN if too few of them are near, float32 (y, x).

    Args:
        values: (y, x).
        valid: bool (y, x); other values are ignored.
        sd: of the Gaussian [px].
    """
    share = ndi.gaussian_filter(valid.astype(np.float32), sd, mode="nearest")
    total = ndi.gaussian_filter(np.where(valid, values, 0).astype(np.float32), sd, mode="nearest")
    believed = valid & (share > LEAST_SUPPORT)
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
    """The zero lines of a field (y, x), without those shorter than `min_length` [px]; lines end at
    NaN.
    """
    known = np.isfinite(field)
    found = find_contours(np.where(known, field, 0), 0.0, mask=known)
    contours = [Contour(_without_repeats(points)) for points in found]
    return [contour for contour in contours if contour.length >= max(min_length, 1e-6)]


def _without_repeats(points: np.ndarray) -> np.ndarray:
    """Points without immediate repetitions, which occur if a pixel is exactly zero."""
    moved = np.any(np.diff(points, axis=0) != 0, axis=1)
    return points[np.concatenate([[True], moved])]


def find_walls(polarization: np.ndarray, valid: np.ndarray, *, config: WallConfig) -> list[Contour]:
    """The 180-degree walls of one frame, where both sides are valid.

    The polarization is clipped at ±1 first: a domain, or dust, with a strong response would repel
    the zero line of the smoothed field.

    Args:
        polarization: signed, domains near ±1 (y, x).
        valid: bool (y, x); lines end at invalid pixels.
        config: smoothing, contrast and length.
    """
    field = smoothed(np.clip(polarization, -1, 1), valid, sd=config.smoothing)
    return trace(
        without_faint_domains(field, min_contrast=config.min_contrast),
        min_length=config.min_length,
    )


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
