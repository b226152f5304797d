"""Latents given by a user, in the units of `encode`, as the tensors that a model decodes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from invae import dims
from invae.errors import InputError
from invae.estimators.inputs import ORDER, Data, condition_columns, numbers_of, roles_of
from invae.latent_table import row_of
from invae.models.latents import ClassPrior
from invae.training.model_folder import Trained

if TYPE_CHECKING:
    import xarray as xr

Tensors = dict[str, torch.Tensor]


def named_as(decoded: "xr.DataArray", patches: Data) -> "xr.DataArray":
    """Decoded patches (site, channel, y, x) with the dimensions that the patches came with.

    A labelled array keeps its own names and their order; a store has `patch_y` and `patch_x`.
    """
    if isinstance(patches, str | Path):
        return decoded.rename({dims.Y: dims.PATCH_Y, dims.X: dims.PATCH_X})
    own = [str(name) for name in getattr(patches, "dims", ())]
    if not own:
        return decoded
    roles = roles_of(own)
    here: dict[str, str] = dict(zip(ORDER, map(str, decoded.dims), strict=True))
    squeezed = decoded.squeeze([here[role] for role in ORDER if role not in roles], drop=True)
    return squeezed.rename(
        {here[role]: name for role, name in zip(roles, own, strict=True) if here[role] != name}
    ).transpose(*own)


def pose(trained: Trained, name: str, value: Any, *, n_sites: int) -> Tensors:
    """A pose; at rest when empty.

    Raises:
        InputError: The family has no such pose, or it has another shape or no such value.
    """
    model = trained.model
    if name not in model.poses:
        if value is not None:
            raise InputError(f"family {trained.config.family} has no {name}; leave it out")
        return {}
    row = row_of(name)
    shape = (n_sites, row.size or 1)
    reported = np.full(shape, row.at_rest) if value is None else np.asarray(value)
    latent = numbers_of(name, reported, shape)
    match row.measure:
        case "logarithm" if latent.min() <= 0:
            raise InputError(f"{name} is {float(latent.min()):g}; values above 0 are needed")
        case "logarithm":
            return {name: latent.log()}
        case "half side":
            return {name: latent / model.main.geometry.half_side}
        case _:
            return {name: latent}


def class_state(trained: Trained, value: Any, *, n_sites: int) -> Tensors:
    """The class; the first one when empty.

    Raises:
        InputError: The family has no classes, or not this one.
    """
    prior = trained.model.priors.get("class")
    if not isinstance(prior, ClassPrior):
        if value is not None:
            raise InputError(f"family {trained.config.family} has no classes; leave class_ out")
        return {}
    states = np.broadcast_to(0 if value is None else np.asarray(value), (n_sites,))
    if states.dtype.kind not in "iu" or states.min() < 0 or states.max() >= prior.n_states:
        raise InputError(f"class_ is {value!r}; whole numbers from 0 to {prior.n_states - 1}")
    whole = torch.from_numpy(states.astype(np.int64))
    return {"class": torch.nn.functional.one_hot(whole, prior.n_states).float()}


def numbers(trained: Trained, name: str, value: Any, *, n_sites: int) -> Tensors:
    """Target or condition; the mean of the training sites when empty.

    Raises:
        InputError: The family has none, or it has another shape.
    """
    standard = getattr(trained.model, f"standardise_{name}")
    size = len(standard.offset)
    if size == 0:
        if value is not None:
            raise InputError(f"family {trained.config.family} has no {name}; leave it out")
        return {}
    if value is None:
        return {name: torch.zeros(n_sites, size)}
    columns = condition_columns(value, size) if name == "condition" else np.asarray(value)
    given = numbers_of(name, columns, (n_sites, size))
    return {name: standard(given.to(standard.offset.device))}
