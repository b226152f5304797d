"""The embed stage of models of pairs: what the model says of every site → embedding.zarr."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from invae import dims
from invae.config import ComputeConfig, EmbedConfig
from invae.errors import InputError
from invae.models.signals import IMAGE
from invae.pairs import folder
from invae.pairs.data import SPECTRUM, Pairs, SpectralAxis, pairs_of
from invae.pairs.designs import MOST_WANTED, Designs, designs, some_of
from invae.pairs.fitted import Fitted
from invae.pairs.partners import both_contents, ranks
from invae.pairs.prediction import content_of
from invae.progress import Progress, silent
from invae.regression.scores import relative_error
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.training.device import device_of

DESIGNS = "designs"
"""Group of the embedding with images made for spectra."""
Variables = dict[str, tuple[Any, np.ndarray, dict[str, Any]]]
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
    made_images = made_for(fitted, given, is_own=is_own)
    if made_images is not None:
        group = designs_group(made_images, fitted.axis, fitted.units)
        store.write_dataset(partial, group, group=DESIGNS)
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
    values: Variables = {
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
        values |= _latents(fitted, given)
    if fitted.config.has_partners:
        values |= _partners(fitted, given, is_own=is_own)
    fold = fitted.held_out.fold if is_own else np.full(len(given), -1, np.int32)
    coords = {
        axis.name: (axis.name, axis.values, {"units": axis.units, "long_name": axis.name}),
        "fold": (dims.SITE, fold, dims.attrs("part of the pairs with which the site was held out")),
        **(given.coords or {}),
    }
    return xr.Dataset(
        {name: (over, _stored(v), attrs) for name, (over, v, attrs) in values.items()},
        coords=coords,
    )


def _stored(values: np.ndarray) -> np.ndarray:
    """Real numbers with single precision."""
    return values.astype(np.float32) if values.dtype.kind == "f" else values


def _latents(fitted: Fitted, given: Pairs) -> Variables:
    """Latent variables of the first network, which has learned from all pairs of its training."""
    assert given.spectra is not None
    network, over = fitted.networks[0], (dims.SITE, dims.LATENT)
    of_spectra = dims.attrs("content, inferred from the spectrum")
    if fitted.config.family == "spec2im":
        return {"content": (over, content_of(network, SPECTRUM, given.spectra), of_spectra)}
    of_images = dims.attrs("content, inferred from the image")
    found: Variables = {"content": (over, content_of(network, IMAGE, given.patches), of_images)}
    if fitted.config.has_partners:
        both = both_contents(network, given.patches, given.spectra)
        found["content_spectrum"] = (over, both[:, 1], of_spectra)
    return found


def _partners(fitted: Fitted, given: Pairs, *, is_own: bool) -> Variables:
    """How many wrong candidates are nearer than the partner, and among how many it was looked for."""
    assert given.spectra is not None
    if is_own:
        found, fold = fitted.held_out.ranks, fitted.held_out.fold
        among, contents = np.bincount(fold)[fold], fitted.held_out.contents
    else:
        found = ranks(fitted.networks, given.patches, given.spectra)
        among = np.full(len(given), len(given))
        contents = both_contents(fitted.networks[0], given.patches, given.spectra)
    words = "number of {} that are nearer than the partner in the latent space"
    return {
        "rank_of_image": (dims.SITE, found[:, 0], dims.attrs(words.format("images"))),
        "rank_of_spectrum": (dims.SITE, found[:, 1], dims.attrs(words.format("spectra"))),
        "content_unseen": (
            (dims.SITE, "signal", dims.LATENT),
            contents,
            dims.attrs(
                "content from image and from spectrum, by a network that has not seen the pair"
            ),
        ),
        "candidates": (
            dims.SITE,
            among.astype(np.int32),
            dims.attrs("number of pairs among which the partner was looked for"),
        ),
    }


def made_for(fitted: Fitted, given: Pairs, *, is_own: bool) -> Designs | None:
    """Images made for some spectra; none where the family makes none.

    Args:
        fitted: The model.
        given: Pairs with spectra.
        is_own: Whether the model has learned from these pairs.
    """
    if fitted.config.family != "spec2im" or is_own:
        return fitted.held_out.designs
    assert given.spectra is not None
    assert fitted.process is not None
    everything = np.arange(len(given))
    return designs(
        fitted.networks,
        fitted.process,
        given.spectra,
        wanted=some_of(everything, MOST_WANTED),
        library=everything,
        n_private=fitted.config.private_dim,
        rng=np.random.default_rng([fitted.seed, 14]),
    )


def designs_group(made: Designs, axis: SpectralAxis, units: str) -> xr.Dataset:
    """Images made for some spectra, as the group `designs`."""
    wanted, sample = ("wanted",), ("wanted", "sample")
    pixels = dims.PATCH[1:]
    spectrum = dims.attrs("predicted spectrum of the image", units)
    return xr.Dataset(
        {
            "site": (wanted, made.site, dims.attrs("site whose spectrum is wanted")),
            "image": ((*sample, *pixels), made.images, dims.attrs("image made for the spectrum")),
            "spectrum": ((*sample, axis.name), made.spectra, spectrum),
            "best_image": (
                (*wanted, *pixels),
                made.best_image,
                dims.attrs("image whose predicted spectrum is nearest, of all tries"),
            ),
            "best_spectrum": ((*wanted, axis.name), made.best_spectrum, spectrum),
            "nearest": (wanted, made.nearest, dims.attrs("site of the nearest training spectrum")),
        }
    )
