"""The embed stage of models of pairs: what the model says of every site → embedding.zarr."""

from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.config import ComputeConfig, EmbedConfig
from invae.errors import InputError
from invae.pairs import folder
from invae.pairs.data import SPECTRUM, Pairs, pairs_of
from invae.pairs.fitted import Fitted
from invae.pairs.prediction import content_of
from invae.progress import Progress, silent
from invae.regression.scores import relative_error
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.training.device import device_of

KEPT = ("pixel_size_nm", "window", "sources", "notes", "modality", "image", "spectrum_axis")
"""Attributes of the descriptors that the embedding keeps."""


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
    """Write `content`, `predicted`, `predicted_sd` and `error` of every site.

    Predictions are those of members that have not seen the site: the held-out ones of the training, or those of all members if the
    model comes from another recording.

    Args:
        patches: A finished descriptor store of pairs.
        model: Folder of the model.
        target: The store to make.
        config: Not used; members take batches of their own size.
        receipt: Of this stage.
        compute: Device.
        progress: Called with sites.

    Raises:
        StoreError: A store is missing or unfinished, or the folder has no model of pairs.
        InputError: The model was made for other patches or another spectral axis.
    """
    fitted, given = folder.load(model, device=device_of(compute.device)), pairs_of(patches)
    refuse_other(fitted, given, patches)
    made, own = store.read_receipt(model), receipt.inputs.get("describe")
    is_own = made is not None and made.inputs.get("describe") == own
    dataset = store.open_store(patches)
    sites = embedded(fitted, given, is_own=is_own)
    sites.attrs = {name: dataset.attrs[name] for name in KEPT if name in dataset.attrs}
    if made is not None and not is_own:
        sites.attrs["trained_on"] = f"the model was trained on {made.recording}, not on this one"
    partial = store.begin(target, receipt.key)
    store.write_dataset(partial, sites)
    progress(len(given), len(given))
    store.publish(partial, target, receipt)


def refuse_other(fitted: Fitted, given: Pairs, patches: Path) -> None:
    """Refuse pairs that are not like those of the training.

    Raises:
        InputError: Patches or spectral axis differ.
    """
    try:
        fitted.refuse_other(given)
        if given.axis is not None:
            fitted.axis.refuse_other(given.axis)
    except InputError as error:
        raise InputError(f"{patches}: {error}") from error


def embedded(fitted: Fitted, given: Pairs, *, is_own: bool) -> xr.Dataset:
    """What the model says of every site.

    Args:
        fitted: The model.
        given: Pairs with spectra.
        is_own: Whether the model has learned from these pairs.
    """
    assert given.spectra is not None
    if is_own:
        mean, sd = fitted.held_out.mean, fitted.held_out.sd
    else:
        said = fitted.predict(given.patches)
        mean, sd = said.mean, said.sd
    sd = fitted.held_out.scale * sd
    axis = fitted.axis
    over = (dims.SITE, axis.name)
    values = {
        "predicted": (over, mean, dims.attrs(f"predicted {SPECTRUM}", fitted.units)),
        "predicted_sd": (
            over,
            sd,
            dims.attrs("sd of a spectrum about its prediction", fitted.units),
        ),
        "error": (
            dims.SITE,
            relative_error(mean, given.spectra),
            dims.attrs(
                "norm of the difference of prediction and spectrum, relative to the spectrum"
            ),
        ),
    }
    if fitted.networks:
        words = dims.attrs("content: what the image says of the spectrum")
        content = content_of(fitted.networks[0], given.patches)
        values["content"] = ((dims.SITE, dims.LATENT), content, words)
    fold = fitted.held_out.fold if is_own else np.full(len(given), -1, np.int32)
    coords = {
        axis.name: (axis.name, axis.values, {"units": axis.units, "long_name": axis.name}),
        "fold": (dims.SITE, fold, dims.attrs("part of the pairs with which the site was held out")),
        **(given.coords or {}),
    }
    return xr.Dataset(
        {name: (over, np.asarray(v, np.float32), told) for name, (over, v, told) in values.items()},
        coords=coords,
    )
