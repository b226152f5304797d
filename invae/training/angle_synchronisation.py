"""Angles of patches relative to each other, from the patches themselves, before any decoder.

A decoder that begins to learn a pattern of nearly threefold symmetry at different angles learns the symmetric mean, and every angle
that it infers afterwards agrees with that mean: half of the clubs stay turned by 120 degrees for good. A comparison of the patches
blurs nothing. Landmarks are joined into groups from the most similar pair upwards, and all pairs between two groups decide
together how far one is turned from the other. Patterns that have nothing in common are joined last, at some angle that then holds
for all of each kind. Groups are joined by their closest pair (single linkage): clubs of strongest shear and of no shear are each
similar within themselves, and joined by their averages they met at a wrong lobe in 2 draws of 30 (now none), at noise sd 0.5 in 12
(now 3).

The task is angular synchronisation (Singer 2011, doi:10.1016/j.acha.2010.02.001). Its eigenvectors serve one kind of pattern at
a time and blur twofold patterns (resultant of noisy diamonds .86, joined groups .93), so groups are joined instead.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from invae.models.generators import DiscGenerator
from invae.models.geometry.circle import TURN
from invae.models.signals import Signals
from invae.models.vae import VAE
from invae.training.split import thin

LANDMARKS = 600
"""Patches that are compared with each other, all pairs."""
NEAREST = 5
"""Landmarks that decide the angle of another patch."""
AVERAGED = 8
"""Landmarks that are averaged with each one before the final comparison."""
HARMONICS = 16
"""Angular frequencies compared; finer ones are mostly noise."""
N_ANGLES, FEW_ANGLES = 128, 64
"""Angles at which two landmarks are compared, and a landmark with another patch."""
CONTRAST = 60
"""Power of the similarity: pairs much less similar than the most similar ones have little weight."""
VOTES, BLUR = 256, 0.15
"""Angles among which pairs vote on how far two groups are turned, and sd over which a vote counts [rad]."""
AGREED = 0.9
"""Cosine of the angle from the elected one within which votes are averaged."""
AT_ONCE = 512
"""Patches compared with all landmarks at a time."""


def disc_of(model: VAE) -> DiscGenerator | None:
    """The generator that infers all angles of a model at once; none in other models."""
    generator = model.main.generator
    disc = None if generator is None else generator.turning
    return disc if isinstance(disc, DiscGenerator) else None


def ring_harmonics(
    model: VAE, batch: Signals, centre: Float[Tensor, "batch 2"] | None
) -> Complex[Tensor, "batch ring frequency"]:
    """Angular harmonics of patches about their centres, on rings weighted by their area."""
    disc, patches = disc_of(model), batch[model.names[0]]
    assert disc is not None
    patches = replace(model.main.cleared(patches), hidden=None)
    view = disc.grid.observe(model.main.standardise(patches), centre).values
    view = view * disc.grid.area.sqrt()
    return torch.fft.rfft(view.flatten(1, 2))[..., : HARMONICS + 1]


def harmonics(
    model: VAE, batch: Signals, centre: Float[Tensor, "batch 2"] | None
) -> Complex[Tensor, "batch ring frequency"]:
    """Angular harmonics of patches about their centres, without the means over rings; each patch has length 1."""
    rows = ring_harmonics(model, batch, centre)
    rows[..., 0] = 0
    return normalise(rows)


def angles_of(rows: Complex[Tensor, "site ring frequency"]) -> Float[np.ndarray, " site"]:
    """Angle by which every patch is turned from the upright one of its kind [rad]."""
    marks = rows[torch.from_numpy(thin(np.arange(len(rows)), LANDMARKS))]
    marks = average_with_similar(marks)
    similarity, turn = compare(marks, marks, n_angles=N_ANGLES)
    angle = torch.from_numpy(synchronise(similarity.double().numpy(), turn.numpy()))
    angles: list[Tensor] = []
    for few in rows.split(AT_ONCE):
        similarity, turn = compare(few, marks, n_angles=FEW_ANGLES)
        best, which = similarity.topk(min(NEAREST, len(marks)))
        weight = (CONTRAST * (best / best[:, :1].clamp(min=1e-9) - 1)).exp()
        each = turn.gather(-1, which) + angle[which]
        angles.append(torch.atan2((weight * each.sin()).sum(-1), (weight * each.cos()).sum(-1)))
    return torch.cat(angles).float().numpy()


def average_with_similar(
    marks: Complex[Tensor, "mark ring frequency"],
) -> Complex[Tensor, "mark ring frequency"]:
    """Mean of every landmark with the most similar ones, turned onto it: noise goes, and differences of the lobes stay."""
    similarity, turn = compare(marks, marks, n_angles=N_ANGLES)
    which = similarity.topk(min(AVERAGED, len(marks))).indices
    frequency = torch.arange(marks.shape[-1], device=marks.device)
    phase = -turn.gather(-1, which).unsqueeze(-1) * frequency
    mean = torch.einsum("mnf,mnrf->mrf", torch.polar(torch.ones_like(phase), phase), marks[which])
    return normalise(mean)


def normalise(
    rows: Complex[Tensor, "site ring frequency"],
) -> Complex[Tensor, "site ring frequency"]:
    """Harmonics divided by the length of their patch."""
    length = (2 * rows.abs().square().sum((1, 2), keepdim=True)).sqrt()
    return rows / length.clamp(min=1e-9)


def compare(
    rows: Complex[Tensor, "site ring frequency"],
    marks: Complex[Tensor, "mark ring frequency"],
    *,
    n_angles: int,
) -> tuple[Float[Tensor, "site mark"], Float[Tensor, "site mark"]]:
    """Similarity of patches at their best angle, at most 1, and the angle of the first from the second there [rad]."""
    product = torch.einsum("arf,brf->abf", rows, marks.conj())
    similarity, index = torch.fft.irfft(product, n=n_angles).max(-1)
    return similarity * n_angles, index * (TURN / n_angles)


def synchronise(
    similarity: Float[np.ndarray, "mark mark"], turn: Float[np.ndarray, "mark mark"]
) -> Float[np.ndarray, " mark"]:
    """Angles whose differences agree best with the angles between patches [rad].

    Args:
        similarity: Of every pair at its best angle, at most 1.
        turn: Angle of the first of every pair from the second there [rad].
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    n_marks = len(similarity)
    angle = np.zeros(n_marks)
    if n_marks < 2:
        return angle
    symmetric = ((similarity + similarity.T) / 2).clip(0, 1)
    np.fill_diagonal(symmetric, 1)
    groups = {mark: [mark] for mark in range(n_marks)}
    for number, (first, second, _, _) in enumerate(
        linkage(squareform(1 - symmetric, checks=False), "single")
    ):
        one, other = groups.pop(int(first)), groups.pop(int(second))
        pairs = np.ix_(one, other)
        votes = angle[one][:, None] - turn[pairs] - angle[other]
        weight = (symmetric[pairs] / symmetric[pairs].max().clip(1e-9)) ** CONTRAST
        angle[other] += _elect(votes, weight)
        groups[n_marks + number] = one + other
    return np.remainder(angle + np.pi, TURN) - np.pi


def _elect(angle: Float[np.ndarray, "one other"], weight: Float[np.ndarray, "one other"]) -> float:
    """The angle that has most votes near it [rad]."""
    place = np.rint(angle.ravel() * (VOTES / TURN)).astype(np.int64) % VOTES
    votes = np.fft.rfft(np.bincount(place, weight.ravel(), VOTES))
    votes *= np.exp(-0.5 * (BLUR * np.arange(len(votes))) ** 2)
    best = np.fft.irfft(votes, VOTES).argmax() * (TURN / VOTES)
    agreed = weight * (np.cos(angle - best) > AGREED)
    return float(np.angle((agreed * np.exp(1j * angle)).sum()))
