"""180-degree walls and lamellae of one frame, by the configured method."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from invae.config.describe import WallConfig
from invae.descriptors.domains.stripes import find_lamellae
from invae.descriptors.domains.walls import (
    Contour,
    find_walls,
    rasterize,
    trace,
    wall_field,
    where_probable,
)

if TYPE_CHECKING:
    from invae.segmentation.wall_finder import Marked

MIN_LAMELLA = 0.3
"""Least probability of the inside of a lamella: the IoU on simulated series is lower by 0.08 at 0.4, by 0.18 at 0.5."""


@dataclass(frozen=True)
class Detected:
    """Walls and lamellae of one frame."""

    contours: list[Contour]
    """180-degree walls."""
    wall_180: np.ndarray
    """Their pixels, one pixel wide, bool (y, x)."""
    lamella: np.ndarray
    """Inside a lamella, bool (y, x); a 180-degree wall may cross it."""
    probabilities: dict[str, np.ndarray]
    """Maps of the network by name, float32 (y, x); none without one."""


def detect(
    response: np.ndarray,
    polarization: np.ndarray,
    valid: np.ndarray,
    *,
    scan_lines: str,
    config: WallConfig,
) -> Detected:
    """Walls and lamellae of one frame.

    Args:
        response: complex, without the phase offset (y, x), any unit.
        polarization: signed, domains near ±1 (y, x).
        valid: bool (y, x).
        scan_lines: "rows" or "columns".
        config: method and its settings.
    """
    marked = None if config.method == "contour" else _marked(response, valid, scan_lines=scan_lines)
    if marked is not None and config.method == "network":
        field = wall_field(polarization, valid, config=config)
        contours = where_probable(
            trace(field, min_length=config.min_length), marked.wall, config=config
        )
    else:
        contours = find_walls(polarization, valid, config=config)
    wall_180 = rasterize(contours, valid.shape)
    lamella = np.zeros(valid.shape, bool)
    if config.non180 and marked is not None:
        lamella = marked.lamella > MIN_LAMELLA
    elif config.non180:
        lamella = find_lamellae(polarization, valid, wall_180, scan_lines=scan_lines, config=config)
    return Detected(contours, wall_180, lamella, {} if marked is None else _maps(marked))


PROBABILITIES = {
    "wall_probability": "probability of a 180-degree wall within 1 px",
    "wall_spread": "sd of the probability of a 180-degree wall among the networks",
    "lamella_probability": "probability of the inside of a lamella",
    "lamella_spread": "sd of the probability of a lamella among the networks",
}
"""Maps of the network, and their labels."""


def _maps(marked: "Marked") -> dict[str, np.ndarray]:
    values = (marked.wall, marked.wall_spread, marked.lamella, marked.lamella_spread)
    return dict(zip(PROBABILITIES, values, strict=True))


def _marked(response: np.ndarray, valid: np.ndarray, *, scan_lines: str) -> "Marked":
    """Probabilities by the networks, which know scan lines along rows only."""
    from invae.segmentation.wall_finder import (  # imports torch; contours do not need it
        mark_walls,
    )

    if scan_lines == "columns":
        return mark_walls(response.T, valid.T).transposed()
    return mark_walls(response, valid)
