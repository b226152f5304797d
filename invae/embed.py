"""Embedding: every site's latents as a labelled Dataset, from arrays or block by block from store to store.

Names never differ between families; what a family lacks is absent.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from invae import dims, store
from invae.config import ComputeConfig, EmbedConfig
from invae.models.circle import AnglePosterior, WrappedNormal
from invae.models.latents import Normal
from invae.models.objective import Evaluation, evaluate
from invae.models.patches import Patches
from invae.models.vae import VAE
from invae.progress import Progress, silent
from invae.provenance import Receipt
from invae.training.batches import Batches, open_patches
from invae.training.checkpoint import device_of
from invae.training.saved import Trained, load
from invae.training.train import limits_of

AXES = ("y", "x")
SHARD_SITES = 4096
"""Sites of one shard of the embedding, the unit of writing and of resuming."""

VARIABLES: Mapping[str, tuple[tuple[str, ...], dict[str, object]]] = {
    "content": ((dims.SITE, dims.LATENT), dims.attrs("content: what the patch shows")),
    "content_sd": ((dims.SITE, dims.LATENT), dims.attrs("standard deviation of the content")),
    "angle": (
        (dims.SITE,),
        dims.attrs("angle of the pattern, positive as np.rot90", "rad"),
    ),
    "angle_resultant": (
        (dims.SITE,),
        dims.attrs("certainty of the angle: 1 is one sharp peak, 0 none or several"),
    ),
    "shift": (
        (dims.SITE, dims.AXIS),
        dims.attrs("position of the pattern's centre in the patch", "pixel"),
    ),
    "shift_sd": ((dims.SITE, dims.AXIS), dims.attrs("standard deviation of the shift", "pixel")),
    "log_likelihood": ((dims.SITE,), dims.attrs("log-likelihood of the patch [nat]")),
    "elbo": ((dims.SITE,), dims.attrs("lower bound of the patch's log evidence [nat]")),
    "reconstruction_error": (
        (dims.SITE,),
        dims.attrs("rms difference of patch and reconstruction, over pixels that both know"),
    ),
}
"""Dimensions and attributes of all that can be said of a site."""


def embed(
    patches: Path,
    model: Path,
    target: Path,
    *,
    config: EmbedConfig,
    receipt: Receipt,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> None:
    """The stage: descriptors.zarr and model/ → embedding.zarr, block by block; `progress` counts sites.

    Raises:
        StoreError: A store is missing or unfinished.
        InputError: The model was made for patches of another shape.
    """
    device = device_of(compute.device)
    trained = load(model, device=device)
    source = open_patches(patches, limits=limits_of(trained.config))
    trained.refuse_other(source.geometry)
    dataset = store.open_store(patches)
    n_sites = len(source)
    partial = store.begin(target, receipt.key)
    shard = min(SHARD_SITES, n_sites)
    layout = _layout(trained, n_sites)
    store.lay_out(partial, layout, shard=shard, coords=_coordinates(dataset, trained))
    for block in store.blocks(n_sites, shard):
        if not store.block_is_written(partial, list(layout), start=block.start, shard=shard):
            batches = Batches(source, np.arange(block.start, block.stop), config.batch_size, device)
            values = encode_batches(trained.model, batches)
            store.write_block(partial, values, start=block.start, shard=shard)
        progress(block.stop, n_sites)
    store.publish(partial, target, receipt)


def encode_batches(model: VAE, batches: Batches) -> dict[str, np.ndarray]:
    """What the model says of every site, by the names of `VARIABLES`; only a batch is on the device."""
    pieces = [encode_batch(model, batch) for batch in batches.in_order()]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


@torch.no_grad()
def encode_batch(model: VAE, patches: Patches) -> dict[str, np.ndarray]:
    """Posterior means of one batch, their uncertainty and how well they explain it; nothing is drawn by chance."""
    found = evaluate(model, patches)
    said = {"content": found.latents["content"]}
    content = found.posterior["content"]
    if isinstance(content, Normal):
        said["content_sd"] = content.log_sd.exp()
    angle = found.posterior.get("angle")
    if isinstance(angle, AnglePosterior | WrappedNormal):
        said |= {"angle": angle.angle, "angle_resultant": angle.resultant}
    shift = found.posterior.get("shift")
    if isinstance(shift, Normal):
        unit = model.geometry.half_side
        said |= {"shift": shift.mean * unit, "shift_sd": shift.log_sd.exp() * unit}
    said |= {"log_likelihood": found.terms.log_likelihood, "elbo": found.terms.elbo}
    said["reconstruction_error"] = _reconstruction_error(model, patches, found)
    return {name: value.float().cpu().numpy() for name, value in said.items()}


def _reconstruction_error(model: VAE, patches: Patches, found: Evaluation) -> Tensor:
    latents = dict(found.latents)
    angle = found.posterior.get("angle")
    if isinstance(angle, AnglePosterior | WrappedNormal):
        latents["angle"] = angle.angle.unsqueeze(-1)
    picture = model.decode(latents)
    weight = patches.weight * picture.support.unsqueeze(1)
    squares = weight * (patches.values - picture.mean) ** 2
    return (squares.sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1e-9)).sqrt()


def dataset_of(
    values: Mapping[str, np.ndarray], *, coords: Mapping[str, xr.DataArray]
) -> xr.Dataset:
    """What was said of every site, labelled."""
    variables = {
        name: (VARIABLES[name][0], value, VARIABLES[name][1]) for name, value in values.items()
    }
    labels = {dims.AXIS: list(AXES)} if "shift" in values else {}
    return xr.Dataset(variables, coords={**coords, **labels})


def site_coordinates(patches: xr.Dataset | xr.DataArray) -> dict[str, xr.DataArray]:
    """The coordinates that belong to sites: frame, y, x, kind, source and whatever else there is."""
    return {
        str(name): coord.load().drop_vars([n for n in coord.coords if n != name])
        for name, coord in patches.coords.items()
        if coord.dims == (dims.SITE,)
    }


def _layout(trained: Trained, n_sites: int) -> dict[str, store.Variable]:
    """Variables of the embedding, found by encoding one empty patch."""
    geometry = trained.model.geometry
    like = trained.model.standardise.offset
    blank = torch.zeros(1, geometry.n_channels, geometry.height, geometry.width, device=like.device)
    said = encode_batch(trained.model, Patches(blank))
    return {
        name: store.Variable(
            VARIABLES[name][0], (n_sites, *value.shape[1:]), np.float32, VARIABLES[name][1]
        )
        for name, value in said.items()
    }


def _coordinates(dataset: xr.Dataset, trained: Trained) -> xr.Dataset:
    held_out = np.zeros(dataset.sizes[dims.SITE], dtype=bool)
    held_out[trained.split.held_out] = True
    coords = dataset_of({}, coords=site_coordinates(dataset))
    if "shift" in trained.model.drawn:
        coords = coords.assign_coords({dims.AXIS: list(AXES)})
    coords["held_out"] = (dims.SITE, held_out, dims.attrs("held out of training"))
    keep = ("pixel_size_nm", "window", "sources", "notes")
    coords.attrs = {name: dataset.attrs[name] for name in keep if name in dataset.attrs}
    return coords
