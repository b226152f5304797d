"""Posteriors of the angle of some sites: one peak, several, or none."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from invae import dims
from invae.analysis.examples import PIXELS, patches_of
from invae.embedding.embed import unlabelled
from invae.models.encoding import settled
from invae.models.evaluation import evaluate
from invae.models.geometry.circle import AnglePosterior, WrappedNormal, log_wrapped_normal
from invae.models.likelihoods import limits_of
from invae.models.signals import IMAGE
from invae.storage import store
from invae.training.batches import Batches
from invae.training.device import device_of
from invae.training.model_folder import load
from invae.training.signal_sources import open_signals

N_ANGLES = 256
"""Number of angles at which an analytic posterior is evaluated."""
BATCH = 64


def angle_examples(
    patches: Path, model: Path, sites: xr.Dataset, *, label: np.ndarray, most: int, device: str
) -> xr.Dataset | None:
    """`density (example, turn)` [1/rad] of some sites with their patches; None if the model has no such posterior.

    From every class, the site of median certainty and the least certain one are shown, up to `most` sites.

    Args:
        patches: the store that the sites' patches lie in.
        model: the trained model.
        sites: with `angle_resultant` (site).
        label: class of each site, true or found.
        most: largest number of sites.
        device: where the model runs.
    """
    if "angle_resultant" not in sites or most == 0:
        return None
    chosen = typical_and_doubtful(sites["angle_resultant"].to_numpy(), label, most=most)
    density = _densities(patches, model, chosen, device=device)
    if density is None:
        return None
    values, valid = patches_of(patches, chosen)
    n_angles = density.shape[1]
    variables: dict[str, tuple[object, np.ndarray, Mapping[str, object]]] = {
        "density": (
            ("example", "turn"),
            density.astype(np.float32),
            dims.attrs("posterior density of the angle", "1/rad"),
        ),
        "patch": (("example", *PIXELS), np.where(valid, values, np.nan), dims.attrs("patch")),
        "site": ("example", chosen, dims.attrs("position of the patch along `site`")),
        "label": ("example", label[chosen], dims.attrs("class of the site")),
    }
    turn = np.arange(n_angles) * (2 * np.pi / n_angles)
    return xr.Dataset(
        variables,
        coords={
            "turn": ("turn", turn, dims.attrs("angle of the pattern", "rad")),
            dims.CHANNEL: store.open_store(patches)[dims.CHANNEL].to_numpy(),
        },
    )


def typical_and_doubtful(certainty: np.ndarray, label: np.ndarray, *, most: int) -> np.ndarray:
    """Ascending indices: of each class the site of median certainty, then the least certain one."""
    ranked = [
        here[np.argsort(certainty[here], kind="stable")]
        for here in (np.flatnonzero(label == number) for number in np.unique(label))
    ]
    middling = [order[len(order) // 2] for order in ranked]
    doubtful = [order[0] for order in ranked if len(order) > 1]
    return np.unique([*middling, *doubtful][:most])


@torch.no_grad()
def _densities(patches: Path, model: Path, chosen: np.ndarray, *, device: str) -> np.ndarray | None:
    """Posterior densities (example, turn) [1/rad] at equally spaced angles from 0."""
    place = device_of(device)
    trained = load(model, device=place)
    source = unlabelled(open_signals(patches, limits={IMAGE: limits_of(trained.config.likelihood)}))
    batches = Batches(source, chosen, BATCH, place).in_order()
    found = [evaluate(trained.model, batch).posterior.get("angle") for batch in batches]
    tables = [_table(settled(posterior)) for posterior in found if posterior is not None]
    known = [table for table in tables if table is not None]
    return np.concatenate(known) if len(known) == len(found) else None


def _table(posterior: object) -> np.ndarray | None:
    match posterior:
        case AnglePosterior() as exact:
            per_radian = exact.log_prob.shape[-1] / (2 * np.pi)
            return exact.log_prob.exp().cpu().numpy() * per_radian
        case WrappedNormal() as wrapped:
            turn = torch.arange(N_ANGLES, device=wrapped.mean.device) * (2 * np.pi / N_ANGLES)
            return log_wrapped_normal(turn - wrapped.mean, wrapped.log_sd.exp()).exp().cpu().numpy()
        case _:
            return None
