"""How far patches of one class are turned from each other, found from the patches themselves before any decoder.

A decoder that begins to learn a pattern of nearly threefold symmetry at unlike angles learns the symmetric mean, and from then
on every angle that it infers agrees with it: half of the clubs stay turned by 120 degrees for good. Held against each other
patch by patch, nothing is blurred, and all pairs together say how each patch is turned.

Source: Singer 2011, doi:10.1016/j.acha.2010.02.001, angular synchronization by eigenvectors.
"""

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from invae.models.circle import TURN
from invae.models.generators import DiscGenerator
from invae.models.patches import Patches
from invae.models.vae import VAE
from invae.training.split import thin

LANDMARKS = 200
"""Patches of a class that are held against each other, all pairs."""
NEAREST = 5
"""Landmarks from which the turn of another patch is taken."""
HARMONICS = 16
"""Angular frequencies compared; finer ones are mostly noise."""
TURNS = 128
"""Angles at which two patches are compared."""
CONTRAST = 30
"""Power of the likeness: pairs much less alike than the most alike ones say little."""
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
    length = (2 * found.abs().square().sum((1, 2), keepdim=True)).sqrt()
    return found / length.clamp(min=1e-9)


def turns(
    rows: Complex[Tensor, "site ring frequency"], group: Int[np.ndarray, " site"]
) -> Float[np.ndarray, " site"]:
    """Angle by which every patch is turned from the others of its group [rad]; NaN outside of all groups (−1)."""
    angle = np.full(len(rows), np.nan, dtype=np.float32)
    for number in range(group.max(initial=-1) + 1):
        members = np.flatnonzero(group == number)
        if len(members) > NEAREST:
            angle[members] = _within(rows[torch.from_numpy(members)])
    return angle


def _within(rows: Complex[Tensor, "site ring frequency"]) -> Float[np.ndarray, " site"]:
    marks = rows[torch.from_numpy(thin(np.arange(len(rows)), LANDMARKS))]
    likeness, turn = compared(marks, marks)
    angle = synchronised(likeness.numpy(), turn.numpy())
    found = []
    for few in rows.split(AT_ONCE):
        likeness, turn = compared(few, marks)
        best, which = likeness.topk(NEAREST)
        weight = (CONTRAST * (best / best[:, :1].clamp(min=1e-9) - 1)).exp()
        each = turn.gather(-1, which) + torch.from_numpy(angle)[which]
        found.append(torch.atan2((weight * each.sin()).sum(-1), (weight * each.cos()).sum(-1)))
    return torch.cat(found).numpy()


def compared(
    rows: Complex[Tensor, "site ring frequency"], marks: Complex[Tensor, "mark ring frequency"]
) -> tuple[Float[Tensor, "site mark"], Float[Tensor, "site mark"]]:
    """How alike patches are at best, and by how much the first is then turned from the second [rad]."""
    product = torch.einsum("arf,brf->abf", rows, marks.conj())
    likeness, index = torch.fft.irfft(product, n=TURNS).max(-1)
    return likeness * TURNS, index * (TURN / TURNS)


def synchronised(
    likeness: Float[np.ndarray, "mark mark"], turn: Float[np.ndarray, "mark mark"]
) -> Float[np.ndarray, " mark"]:
    """Angles whose differences agree best with how far each patch is turned from each other [rad]."""
    alike = np.clip(likeness - np.eye(len(likeness)) * likeness, 0, None)
    weight = (alike / alike.max(axis=1).mean().clip(1e-9)).clip(0, 1) ** CONTRAST
    link = weight * np.exp(1j * turn)
    link = (link + link.conj().T) / 2
    degree = np.sqrt(np.abs(link).sum(1)).clip(1e-9)
    _, vectors = np.linalg.eigh(link / degree[:, None] / degree)
    return np.angle(vectors[:, -1]).astype(np.float32)
