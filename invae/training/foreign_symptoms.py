"""Foreign objects among the patches of a training: how many patches show something beside their object."""

from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from invae.models.batch import Patches
from invae.models.foreign_objects import ForeignObjects
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
    if not masked and not show_objects(standard.values.mean(1).cpu().numpy()):
        return None
    share = _foreign(model, standard).float().mean((1, 2, 3))
    some = share > FEW
    return ForeignSymptoms(
        images=float(some.float().mean()),
        pixels=float(share[some].mean()) if some.any() else 0.0,
        masked=masked,
    )


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
