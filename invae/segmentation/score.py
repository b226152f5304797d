"""How many atoms a network finds on images it has not seen, how many it invents, and how far off it is."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from invae.config.segment import AtomNetworkConfig
from invae.models.networks.unet import AtomNetwork
from invae.segmentation.atom_finder import centres, mark
from invae.segmentation.atom_images import draw

N_IMAGES = 40
NEAR = 0.3
"""An atom is found if it is nearer than this share of the spacing."""
UNSEEN = 1
"""Added to the seed: images of a training and of its judgement have nothing in common."""


@dataclass(frozen=True)
class Matched:
    """Found places against true ones, each at most once."""

    n_right: int
    n_false: int
    n_missed: int
    square: float
    """Sum of the squared distances of the right ones [px²]."""


def judge(network: AtomNetwork, config: AtomNetworkConfig) -> dict[str, float]:
    """`precision`, `recall`, `f1` of all atoms of unseen images, and `rms` distance of those found [px]."""
    found = []
    for number in range(N_IMAGES):
        made = draw(config.images, seed=config.seed + UNSEEN, number=number)
        places = centres(mark(made.image, network))
        found.append(match(places, made.places, within=NEAR * made.spacing))
    return summary(found)


def match(found: np.ndarray, true: np.ndarray, *, within: float) -> Matched:
    """Places (atom, axis) that are each other's nearest and nearer than that [px]."""
    if not len(found) or not len(true):
        return Matched(0, len(found), len(true), 0.0)
    distance, nearest = map(np.asarray, KDTree(true).query(found))
    back = np.asarray(KDTree(found).query(true)[1])
    right = (distance < within) & (back[nearest] == np.arange(len(found)))
    n_right = int(right.sum())
    square = float((distance[right] ** 2).sum())
    return Matched(n_right, len(found) - n_right, len(true) - n_right, square)


def summary(found: list[Matched]) -> dict[str, float]:
    """`precision`, `recall`, `f1` and `rms` [px] over images, every atom counting alike."""
    right, false, missed = (
        sum(getattr(m, f"n_{k}") for m in found) for k in ("right", "false", "missed")
    )
    return {
        "precision": right / max(1, right + false),
        "recall": right / max(1, right + missed),
        "f1": 2 * right / max(1, 2 * right + false + missed),
        "rms": (sum(m.square for m in found) / max(1, right)) ** 0.5,
    }
