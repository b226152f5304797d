"""Candidate sites: along walls, or on a grid."""

import numpy as np

from invae.config.describe import SiteConfig
from invae.descriptors.domains.walls import Contour
from invae.descriptors.sites import grid_sites


def along_contour(contour: Contour, *, spacing: float) -> np.ndarray:
    """Points (site, 2) at equal distances along a wall, at least `spacing` apart [px].

    Open lines have half a step at both ends. A closed line begins at the point farthest from its
    centre, so that the points rotate with the image.
    """
    points = _begun_farthest(contour.points) if contour.closed else contour.points
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    n_sites = max(1, int(along[-1] // spacing))
    places = (np.arange(n_sites) + 0.5) * along[-1] / n_sites
    return np.stack([np.interp(places, along, points[:, axis]) for axis in (0, 1)], axis=1)


def _begun_farthest(points: np.ndarray) -> np.ndarray:
    ring = points[:-1]
    start = int(np.argmax(np.linalg.norm(ring - ring.mean(axis=0), axis=1)))
    ring = np.roll(ring, -start, axis=0)
    return np.concatenate([ring, ring[:1]])


def wall_sites(contours: list[Contour], *, spacing: float) -> np.ndarray:
    """Sites (site, 2), (y, x) [px], along all walls of a frame, wall after wall."""
    if not contours:
        return np.zeros((0, 2))
    return np.concatenate([along_contour(contour, spacing=spacing) for contour in contours])


def candidates(
    contours: list[Contour], shape: tuple[int, int], *, config: SiteConfig
) -> np.ndarray:
    """Sites (site, 2) of one frame, before their surroundings are checked."""
    if config.kind == "grid":
        return grid_sites(shape, spacing=config.spacing)
    return wall_sites(contours, spacing=config.spacing)
