"""Scores of a network that marks atoms, on simulated images that it has not seen."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from invae.config.segment import AtomNetworkConfig
from invae.models.networks.unet import UNet
from invae.segmentation.atom_finder import centres, mark
from invae.segmentation.atom_images import draw

N_IMAGES = 40
NEAR = 0.3
"""Largest distance of a detected atom from the true one, as a share of the spacing."""
UNSEEN = 1
"""Added to the seed: images of a training and of its score have nothing in common."""


@dataclass(frozen=True)
class Matches:
    """Detected atoms against true ones, each at most once."""

    n_right: int
    n_false: int
    n_missed: int
    square: float
    """Sum of the squared distances of the right ones [px²]."""


def scores(network: UNet, config: AtomNetworkConfig) -> dict[str, float]:
    """`precision`, `recall`, `f1` of all atoms of unseen images, and `rms` distance of the detected ones [px]."""
    matches: list[Matches] = []
    for number in range(N_IMAGES):
        simulated = draw(config.images, seed=config.seed + UNSEEN, number=number)
        detected = centres(mark(simulated.image, network))
        matches.append(match(detected, simulated.places, within=NEAR * simulated.spacing))
    return summary(matches)


def match(detected: np.ndarray, true: np.ndarray, *, within: float) -> Matches:
    """Pairs of places (atom, axis) that are each other's nearest, and nearer than `within` [px]."""
    if not len(detected) or not len(true):
        return Matches(0, len(detected), len(true), 0.0)
    distance, nearest = map(np.asarray, KDTree(true).query(detected))
    back = np.asarray(KDTree(detected).query(true)[1])
    right = (distance < within) & (back[nearest] == np.arange(len(detected)))
    n_right = int(right.sum())
    square = float((distance[right] ** 2).sum())
    return Matches(n_right, len(detected) - n_right, len(true) - n_right, square)


def summary(matches: list[Matches]) -> dict[str, float]:
    """`precision`, `recall`, `f1` and `rms` [px] over images; every atom has the same weight."""
    right, false, missed = (
        sum(getattr(m, f"n_{k}") for m in matches) for k in ("right", "false", "missed")
    )
    return {
        "precision": right / max(1, right + false),
        "recall": right / max(1, right + missed),
        "f1": 2 * right / max(1, 2 * right + false + missed),
        "rms": (sum(m.square for m in matches) / max(1, right)) ** 0.5,
    }
