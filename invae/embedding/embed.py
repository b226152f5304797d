"""Embedding: every site's latents as a labelled Dataset, from arrays or block by block from store to store.

Names never differ between families; what a family lacks is absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from invae import dims
from invae.config import ComputeConfig, EmbedConfig
from invae.embedding.counting_noise import counting_noise
from invae.latent_table import variable_of
from invae.models.batch import Annotations, Patches
from invae.models.encoding import encode_batch
from invae.models.likelihoods import limits_of
from invae.models.signals import IMAGE, Signals
from invae.models.vae import VAE
from invae.progress import Progress, silent
from invae.storage.provenance import Receipt
from invae.training.annotations import SiteAnnotations
from invae.training.batches import Batches
from invae.training.device import device_of, n_cores
from invae.training.model_folder import Trained, load, load_parts, refuse_other_axis
from invae.training.parallel import mapped
from invae.training.sd_ratios import widened
from invae.training.signal_sources import SignalSource, open_signals

if TYPE_CHECKING:
    import xarray as xr

    from invae.storage import store

AXES = ("y", "x")
MOST_NAMES = 5
"""Recordings named in a note."""
SHARD_SITES = 4096
"""Sites of one shard of the embedding, the unit of writing and of resuming."""

SCORES: Mapping[str, str] = {
    "log_likelihood": "log-likelihood of the patch [nat]",
    "elbo": "lower bound of the patch's log evidence [nat]",
    "reconstruction_error": "rms difference of patch and reconstruction, over pixels that both know",
    "foreign_share": "share of the pixels that show foreign objects, which are masked",
}
"""Scores of each site, by name; `invae.latent_table` has the latent variables."""


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
        InputError: The model was made for patches of another shape, or for spectra on another axis.
    """
    from invae.storage import store

    device = device_of(compute.device)
    trained = load(model, device=device)
    source = unlabelled(open_signals(patches, limits={IMAGE: limits_of(trained.config.likelihood)}))
    trained.refuse_other(source.geometries)
    dataset = store.open_store(patches)
    refuse_other_axis(trained.axis, dataset, patches=patches)
    n_sites = len(source)
    partial = store.begin(target, receipt.key)
    shard = min(SHARD_SITES, n_sites)
    layout = _layout(trained, n_sites)
    held_out = held_out_of(trained, model, receipt.inputs.get("describe", ""), n_sites=n_sites)
    coords = _coordinates(dataset, trained, held_out)
    coords.attrs |= _origin_of(model, receipt)
    store.lay_out(partial, layout, shard=shard, coords=coords)

    def encoded(some: SignalSource, sites: np.ndarray) -> dict[str, np.ndarray]:
        batches = Batches(some, sites, config.batch_size, device)
        return encode(trained, batches, workers=compute.workers)

    noise = counting_noise(patches, lambda some: encoded(some, np.arange(len(some))), source.known)
    for block in store.blocks(n_sites, shard):
        if not store.block_is_written(partial, list(layout), start=block.start, shard=shard):
            values = encoded(source, np.arange(block.start, block.stop))
            if noise is not None:
                values = noise.applied(values)
            store.write_block(partial, values, start=block.start, shard=shard)
        progress(block.stop, n_sites)
    store.publish(partial, target, receipt)


def encode(
    trained: Trained, batches: Batches, *, workers: int | None = None
) -> dict[str, np.ndarray]:
    """Latents and scores of every site, with stated sds as wide as another draw of the noise makes them.

    Args:
        trained: model and its symptoms.
        batches: of the sites.
        workers: batches that are encoded at a time on a processor; the number of cores when empty. Values do not depend on it.
    """
    ratios = None if trained.symptoms is None else trained.symptoms.sd_ratio
    return widened(encode_batches(trained.model, batches, workers=workers), ratios)


def encode_batches(
    model: VAE, batches: Batches, *, workers: int | None = None
) -> dict[str, np.ndarray]:
    """Latents and scores of every site, by the names of `invae.latent_table` and `SCORES`; only a few batches are on the device."""
    n = 1 if batches.device.type != "cpu" else workers or n_cores()
    pieces = list(mapped(lambda batch: encode_batch(model, batch), batches.in_order(), workers=n))
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


@torch.no_grad()
def foreign_pixels(model: VAE, batches: Batches) -> np.ndarray:
    """The pixels of every site that show foreign objects (site, y, x); none of a model that does not look for them."""
    patches = (model.main.cleared(batch[model.names[0]]) for batch in batches.in_order())
    none = np.zeros((0, model.main.geometry.height, model.main.geometry.width), bool)
    return np.concatenate([none, *map(_hidden, patches)])


def _hidden(patches: Patches) -> np.ndarray:
    shape = (len(patches), *patches.values.shape[2:])
    return np.zeros(shape, bool) if patches.hidden is None else patches.hidden[:, 0].cpu().numpy()


def unlabelled(source: SignalSource) -> SignalSource:
    """The patches without their labels, so that the latents come from the patches alone."""
    return source.annotated(SiteAnnotations(condition=source.known.condition))


def described(name: str) -> tuple[tuple[str, ...], dict[str, object]]:
    """Dimensions and attributes of a variable of the embedding."""
    signal, _, plain = name.rpartition(".")
    if plain not in SCORES:
        return variable_of(name)
    return (dims.SITE,), dims.attrs(SCORES[plain] + (f", of {signal}" if signal else ""))


def dataset_of(
    values: Mapping[str, np.ndarray], *, coords: Mapping[str, xr.DataArray]
) -> xr.Dataset:
    """Values of every site, labelled."""
    import xarray as xr

    variables = {
        name: (described(name)[0], value, described(name)[1]) for name, value in values.items()
    }
    labels = {dims.AXIS: list(AXES)} if "shift" in values else {}
    return xr.Dataset(variables, coords={**coords, **labels})


def joined(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """The sites of several recordings in succession; `source` continues from one to the next, so that it identifies the recording."""
    import xarray as xr

    moved, first = [], 0
    for part in parts:
        own = part.get("source", xr.zeros_like(part["log_likelihood"], dtype=np.int32))
        counted = own.variable + np.int32(first)
        counted.attrs = dims.attrs(
            "index of the source file, counted on from recording to recording"
        )
        moved.append(part.assign_coords(source=counted))
        first = int(counted.max()) + 1
    dataset = xr.concat(
        moved, dims.SITE, data_vars="minimal", coords="minimal", compat="override", join="override"
    )
    assert isinstance(dataset, xr.Dataset)
    return dataset


def site_coordinates(patches: xr.Dataset | xr.DataArray) -> dict[str, xr.DataArray]:
    """The coordinates of sites: frame, y, x, kind, source and any others."""
    return {
        str(name): coord.load().drop_vars([n for n in coord.coords if n != name])
        for name, coord in patches.coords.items()
        if coord.dims == (dims.SITE,)
    }


def _layout(trained: Trained, n_sites: int) -> dict[str, store.Variable]:
    """Variables of the embedding, from the encoding of one empty patch."""
    from invae.storage import store

    device = trained.model.main.standardise.offset.device
    n_conditions = trained.config.n_conditions
    condition = torch.zeros(1, n_conditions, device=device) if n_conditions else None
    blank = {
        name: Patches(torch.zeros(1, g.n_channels, g.height, g.width, device=device))
        for name, g in trained.model.geometries.items()
    }
    values = encode_batch(trained.model, Signals(blank, Annotations(condition=condition)))
    return {
        name: store.Variable(
            described(name)[0], (n_sites, *value.shape[1:]), value.dtype, described(name)[1]
        )
        for name, value in values.items()
    }


def held_out_of(trained: Trained, model: Path, key: str, *, n_sites: int) -> np.ndarray:
    """Sites of a descriptor store on which a model was not trained; all of them if it was trained on other recordings.

    Args:
        trained: The model.
        model: Its folder.
        key: Key of the descriptor store.
        n_sites: Number of sites in the store.
    """
    from invae.storage import store

    first, parts = 0, load_parts(model)
    for part in parts:
        if part.key == key:
            break
        first += part.n_sites
    else:
        made = store.read_receipt(model)
        if parts or (made is not None and made.inputs.get("describe", key) != key):
            return np.ones(n_sites, dtype=bool)
    own = trained.split.held_out - first
    held_out = np.zeros(n_sites, dtype=bool)
    held_out[own[(own >= 0) & (own < n_sites)]] = True
    return held_out


def _origin_of(model: Path, receipt: Receipt) -> dict[str, object]:
    """A note on a model that was not trained on this recording alone."""
    from invae.storage import store

    parts, made = load_parts(model), store.read_receipt(model)
    if not parts and (
        made is None or made.inputs.get("describe") == receipt.inputs.get("describe")
    ):
        return {}
    names = [part.recording for part in parts] or [made.recording if made else ""]
    listed = ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")
    among = any(part.key == receipt.inputs.get("describe") for part in parts)
    words = "with this one among them" if among else "not on this one"
    return {"trained_on": f"the model was trained on {listed}, {words}"}


def _coordinates(dataset: xr.Dataset, trained: Trained, held_out: np.ndarray) -> xr.Dataset:
    coords = dataset_of({}, coords=site_coordinates(dataset))
    if "shift" in trained.model.poses:
        coords = coords.assign_coords({dims.AXIS: list(AXES)})
    coords["held_out"] = (dims.SITE, held_out, dims.attrs("held out of training"))
    keep = ("pixel_size_nm", "window", "sources", "notes")
    coords.attrs = {name: dataset.attrs[name] for name in keep if name in dataset.attrs}
    return coords
