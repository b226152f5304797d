"""Probabilities of 180-degree walls and lamellae in PFM frames, by an ensemble of networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from torch import nn

from invae.models.networks.unet import UNet
from invae.segmentation.network_folder import SHIPPED, load_whole
from invae.segmentation.tasks import WALLS
from invae.segmentation.tiles import probabilities
from invae.segmentation.wall_images import MARKS, standardise

TILE = 512
"""Side of a tile [px]: most frames are one tile, since the pixels around a tile cost more than the frame itself."""
RIM = 32
"""Width of the mirror image around a frame [px]."""
SMALLEST = 1e-6
"""Probabilities are kept so far from 0 and 1, so that their log odds are finite."""


@dataclass(frozen=True)
class WallNetworks:
    """Networks with different seeds, and the calibration of their mean."""

    members: Sequence[UNet]
    calibration: Mapping[str, Sequence[float]]
    """Coefficients (a, b, c) by mark: log odds = a·ln p − b·ln(1 − p) + c; the mean itself when missing.

    Source: Kull, Silva Filho & Flach 2017, doi:10.1214/17-EJS1338SI, eq. 5."""


@dataclass(frozen=True)
class Marked:
    """What an ensemble says of one frame, float32 (y, x)."""

    wall: np.ndarray
    """Probability that a 180-degree wall lies within 1 px."""
    lamella: np.ndarray
    """Probability of the inside of a lamella."""
    up: np.ndarray
    """Probability of positive polarization, whatever lamellae respond."""
    wall_spread: np.ndarray
    """Sd of the members' probabilities of a wall."""
    lamella_spread: np.ndarray
    """Sd of the members' probabilities of a lamella."""

    def transposed(self) -> "Marked":
        """All maps with y and x exchanged."""
        return Marked(*(getattr(self, name).T for name in Marked.__dataclass_fields__))


def mark_walls(
    response: np.ndarray,
    valid: np.ndarray,
    networks: WallNetworks | None = None,
    *,
    tile: int = TILE,
) -> Marked:
    """Probabilities of walls, lamellae and positive polarization in one frame; 0 in invalid pixels.

    Args:
        response: complex (y, x), any unit; the phase offset is removed.
        valid: bool (y, x).
        networks: those of the package when empty.
        tile: side of a tile, a multiple of 8 [px].
    """
    networks = networks or load_walls()
    image = standardise(response, valid)
    # a frame and its negative have the same walls: the mean over both does not depend on which polarization is called up
    each = np.stack([_both_signs(image, member, tile=tile) for member in networks.members])
    mean, spread = each.mean(0), each.std(0)
    calibrated: dict[str, np.ndarray] = dict(zip(MARKS, mean, strict=True))
    for name, coefficients in networks.calibration.items():
        calibrated[name] = calibrate(calibrated[name], coefficients)
    maps = (*(calibrated[name] for name in MARKS), *spread[:2])
    return Marked(*(np.where(valid, one, 0).astype(np.float32) for one in maps))


def _both_signs(image: np.ndarray, network: UNet, *, tile: int) -> np.ndarray:
    plain, negative = (probabilities(one, network, tile=tile, rim=RIM) for one in (image, -image))
    negative[MARKS.index("up")] = 1 - negative[MARKS.index("up")]
    return (plain + negative) / 2


def calibrate(probability: np.ndarray, coefficients: Sequence[float]) -> np.ndarray:
    """Calibrated probabilities; see `WallNetworks.calibration`."""
    log_odds = features(probability) @ np.asarray(coefficients[:2]) + coefficients[2]
    return 1 / (1 + np.exp(-log_odds))


def features(probability: np.ndarray) -> np.ndarray:
    """Two features along a last axis: ln p and −ln(1 − p)."""
    inside = np.clip(probability.astype(np.float64), SMALLEST, 1 - SMALLEST)
    return np.stack((np.log(inside), -np.log1p(-inside)), axis=-1)


@cache
def load_walls(folder: Path = SHIPPED) -> WallNetworks:
    """The networks of a folder by `invae train-walls`, ready to use.

    Raises:
        StoreError: The folder holds none, or broken ones.
    """
    members, card = load_whole(folder, WALLS)
    assert isinstance(members, nn.ModuleList)
    return WallNetworks([m for m in members if isinstance(m, UNet)], card.get("calibration", {}))
