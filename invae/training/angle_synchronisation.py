"""How far patches are turned from each other, found from the patches themselves before any decoder.

A decoder that begins to learn a pattern of nearly threefold symmetry at unlike angles learns the symmetric mean, and from then
on every angle that it infers agrees with it: half of the clubs stay turned by 120 degrees for good. Held against each other
patch by patch, nothing is blurred. Landmarks are joined from the most alike pair upwards, and all pairs between two groups
together say how far one is turned from the other; patterns that have nothing in common are joined last, at some angle that
then holds for all of each kind. Groups are joined by their closest pair (single linkage): clubs of strongest and of no shear
are each alike within, and joined by their averages they met at a wrong lobe in 2 draws of 30 (now none), at noise sd 0.5 in 12 (now 3).

The task is angular synchronization (Singer 2011, doi:10.1016/j.acha.2010.02.001); its eigenvectors serve one kind of pattern at
a time and blur the twofold ones (resultant of noisy diamonds .86, joined groups .93), so groups are joined instead.
"""

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from invae.models.batch import Patches
from invae.models.generators import DiscGenerator
from invae.models.geometry.circle import TURN
from invae.models.vae import VAE
from invae.training.split import thin

LANDMARKS = 600
"""Patches that are held against each other, all pairs."""
NEAREST = 5
"""Landmarks from which the turn of another patch is taken."""
AVERAGED = 8
"""Landmarks that are averaged with each one before the comparison that counts."""
HARMONICS = 16
"""Angular frequencies compared; finer ones are mostly noise."""
TURNS, FEW_TURNS = 128, 64
"""Angles at which two landmarks are compared, and a landmark with another patch."""
CONTRAST = 60
"""Power of the likeness: pairs much less alike than the most alike ones say little."""
VOTES, BLUR = 256, 0.15
"""Angles among which pairs vote on how far two groups are turned, and sd over which a vote counts [rad]."""
AGREED = 0.9
"""Cosine of the angle from the elected one within which votes are averaged."""
AT_ONCE = 512
"""Patches compared with all landmarks at a time."""


def harmonics(
    model: VAE, batch: Patches, centre: Float[Tensor, "batch 2"] | None
) -> Complex[Tensor, "batch ring frequency"]:
    """Angular harmonics of patches about their centres, each patch of unit length, means over rings left out."""
    disc = model.generator.turning
    assert isinstance(disc, DiscGenerator)
    view = disc.grid.observe(model.standardise(batch), centre).values * disc.grid.area.sqrt()
    found = torch.fft.rfft(view.flatten(1, 2))[..., : HARMONICS + 1]
    found[..., 0] = 0
    return of_unit_length(found)


def turns(rows: Complex[Tensor, "site ring frequency"]) -> Float[np.ndarray, " site"]:
    """Angle by which every patch is turned from the upright one of its kind [rad]."""
    marks = rows[torch.from_numpy(thin(np.arange(len(rows)), LANDMARKS))]
    marks = averaged(marks)
    likeness, turn = compared(marks, marks, n_turns=TURNS)
    angle = torch.from_numpy(synchronised(likeness.double().numpy(), turn.numpy()))
    found = []
    for few in rows.split(AT_ONCE):
        likeness, turn = compared(few, marks, n_turns=FEW_TURNS)
        best, which = likeness.topk(min(NEAREST, len(marks)))
        weight = (CONTRAST * (best / best[:, :1].clamp(min=1e-9) - 1)).exp()
        each = turn.gather(-1, which) + angle[which]
        found.append(torch.atan2((weight * each.sin()).sum(-1), (weight * each.cos()).sum(-1)))
    return torch.cat(found).float().numpy()


def averaged(
    marks: Complex[Tensor, "mark ring frequency"],
) -> Complex[Tensor, "mark ring frequency"]:
    """Every landmark's mean with those most like it, turned onto it: noise goes, and what tells the lobes apart stays."""
    likeness, turn = compared(marks, marks, n_turns=TURNS)
    which = likeness.topk(min(AVERAGED, len(marks))).indices
    frequency = torch.arange(marks.shape[-1], device=marks.device)
    phase = -turn.gather(-1, which).unsqueeze(-1) * frequency
    like = torch.einsum("mnf,mnrf->mrf", torch.polar(torch.ones_like(phase), phase), marks[which])
    return of_unit_length(like)


def of_unit_length(
    rows: Complex[Tensor, "site ring frequency"],
) -> Complex[Tensor, "site ring frequency"]:
    """Harmonics divided by the length of the patch they make."""
    length = (2 * rows.abs().square().sum((1, 2), keepdim=True)).sqrt()
    return rows / length.clamp(min=1e-9)


def compared(
    rows: Complex[Tensor, "site ring frequency"],
    marks: Complex[Tensor, "mark ring frequency"],
    *,
    n_turns: int,
) -> tuple[Float[Tensor, "site mark"], Float[Tensor, "site mark"]]:
    """How alike patches are at best, and by how much the first is then turned from the second [rad]."""
    product = torch.einsum("arf,brf->abf", rows, marks.conj())
    likeness, index = torch.fft.irfft(product, n=n_turns).max(-1)
    return likeness * n_turns, index * (TURN / n_turns)


def synchronised(
    likeness: Float[np.ndarray, "mark mark"], turn: Float[np.ndarray, "mark mark"]
) -> Float[np.ndarray, " mark"]:
    """Angles whose differences agree best with how far each patch is turned from each other [rad].

    Args:
        likeness: Of every pair at its best match, at most 1.
        turn: By how much the first of every pair is then turned from the second [rad].
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    n_marks = len(likeness)
    angle = np.zeros(n_marks)
    if n_marks < 2:
        return angle
    alike = ((likeness + likeness.T) / 2).clip(0, 1)
    np.fill_diagonal(alike, 1)
    groups = {mark: [mark] for mark in range(n_marks)}
    for number, (first, second, _, _) in enumerate(
        linkage(squareform(1 - alike, checks=False), "single")
    ):
        one, other = groups.pop(int(first)), groups.pop(int(second))
        pairs = np.ix_(one, other)
        needed = angle[one][:, None] - turn[pairs] - angle[other]
        angle[other] += _elected(needed, (alike[pairs] / alike[pairs].max().clip(1e-9)) ** CONTRAST)
        groups[n_marks + number] = one + other
    return np.remainder(angle + np.pi, TURN) - np.pi


def _elected(
    angle: Float[np.ndarray, "one other"], weight: Float[np.ndarray, "one other"]
) -> float:
    """The angle that most votes are near to [rad]."""
    place = np.rint(angle.ravel() * (VOTES / TURN)).astype(np.int64) % VOTES
    votes = np.fft.rfft(np.bincount(place, weight.ravel(), VOTES))
    votes *= np.exp(-0.5 * (BLUR * np.arange(len(votes))) ** 2)
    best = np.fft.irfft(votes, VOTES).argmax() * (TURN / VOTES)
    agreed = weight * (np.cos(angle - best) > AGREED)
    return float(np.angle((agreed * np.exp(1j * angle)).sum()))
