"""What patches show besides one object: foreign objects beside it, and parts of it that the model does not describe."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from invae.models.batch import Patches
from invae.models.foreign_objects import ForeignObjects, smoothed
from invae.models.signals import IMAGE
from invae.models.vae import VAE
from invae.training.batches import Batches
from invae.training.split import thin
from invae.verdict.neighbours import show_objects
from invae.verdict.symptoms import ForeignSymptoms

FEW = 0.01
"""Share of foreign pixels up to which a patch counts as one without: noise has single ones."""
SMALLEST = 8
"""Shortest side of a patch with an outer part [pixel]."""
BLOB, SPREADS = 0.8, 4.0
"""Smoothed residual of a pixel that is not described: at least so many sd of the patches, and robust sd of all such residuals."""
PART = 0.04
"""Share of such pixels above which a part of a patch is not described."""
MOST_SITES = 400
"""Sites that are looked at."""


@torch.no_grad()
def foreign_symptoms(model: VAE, batches: Batches) -> ForeignSymptoms | None:
    """How many patches have foreign objects, masked or not; none for a model without rotation, or where patches show no object.

    Args:
        model: Trained.
        batches: Of some of its training sites.
    """
    sides = (model.main.geometry.height, model.main.geometry.width)
    if "angle" not in model.poses or min(sides) < SMALLEST:
        return None
    some_sites = replace(batches, sites=thin(batches.sites, MOST_SITES))
    standard = model.main.standardise(joined([batch[IMAGE] for batch in some_sites.in_order()]))
    masked = model.main.foreign is not None
    valid = (standard.weight > 0).all(1).cpu().numpy()
    if not masked and not show_objects(standard.values.mean(1).cpu().numpy(), valid):
        return None
    share = _foreign(model, standard).float().mean((1, 2, 3))
    some = share > FEW
    return ForeignSymptoms(
        images=float(some.float().mean()),
        pixels=float(share[some].mean()) if some.any() else 0.0,
        masked=masked,
    )


def undescribed(
    values: Float[np.ndarray, "site channel y x"],
    residual: Float[np.ndarray, "site channel y x"],
    weight: Float[np.ndarray, "site channel y x"],
    valid: Bool[np.ndarray, "site channel y x"],
) -> float | None:
    """Share of the patches with a part that a model does not describe; none where patches show no object.

    Residuals of noise and of blurred edges are small after smoothing, those of something that covers the object are not.

    Args:
        values: Of the patches, in any unit.
        residual: Values minus their reconstruction.
        weight: Share of a pixel that the decoder describes.
        valid: Pixels that count.
    """
    if min(values.shape[2:]) < SMALLEST or not show_objects(values.mean(1), np.all(valid, axis=1)):
        return None
    smooth = smoothed(torch.from_numpy(residual * (weight > 0.5))).numpy()
    known = smooth[weight > 0.5]
    if not known.size:
        return None
    spread = 1.4826 * np.median(np.abs(known))
    least = max(BLOB * float(values.std()), SPREADS * float(spread))
    return float(((np.abs(smooth) > least).mean((1, 2, 3)) > PART).mean())


def joined(patches: list[Patches]) -> Patches:
    """Batches as one."""
    masks = [patch.weight > 0 for patch in patches]
    masked = any(patch.valid is not None for patch in patches)
    return Patches(torch.cat([p.values for p in patches]), torch.cat(masks) if masked else None)


def _foreign(model: VAE, standard: Patches) -> Bool[Tensor, "site channel y x"]:
    """The foreign pixels of standardised patches as the model finds them, or as it would."""
    if model.main.foreign is not None:
        return model.main.foreign(standard)
    finder = ForeignObjects(model.main.geometry).to(standard.values.device)
    finder.start(standard)
    return finder(standard)
