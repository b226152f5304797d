"""Patches that stand for many: of each class, and the best, middling and worst reconstructed ones."""

from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims, store
from invae.analysis.orientation import upright
from invae.analysis.traversal import Decode

PIXELS = (dims.CHANNEL, dims.PATCH_Y, dims.PATCH_X)
KINDS = ("best", "median", "worst")
PER_KIND = 3
PER_CLASS = 200
"""Sites of a class, the nearest to its mean content, of which the mean patch is taken."""


def reconstructions(patches: Path, sites: xr.Dataset, decode: Decode) -> xr.Dataset:
    """The best, median and worst reconstructed patches with their reconstructions, (example, channel, …).

    Args:
        patches: the store that the sites' patches lie in.
        sites: `content`, `reconstruction_error` and, where the family has them, `angle` and `shift` (site).
        decode: the model's decoder.
    """
    errors = sites["reconstruction_error"].to_numpy()
    order = np.argsort(errors, kind="stable")
    n_shown = min(PER_KIND, max(1, len(order) // len(KINDS)))
    middle = max(0, (len(order) - n_shown) // 2)
    chosen = np.concatenate(
        [order[:n_shown], order[middle : middle + n_shown], order[-n_shown:][::-1]]
    )
    shown = sites.isel({dims.SITE: chosen})
    drawn = decode(
        shown["content"].transpose(dims.SITE, dims.LATENT).to_numpy(),
        angle=_known(shown, "angle"),
        shift=_known(shown, "shift"),
    )
    return _labelled(patches, chosen, errors[chosen], np.asarray(drawn), n_shown=n_shown)


def _known(sites: xr.Dataset, name: str) -> np.ndarray | None:
    return sites[name].transpose(dims.SITE, ...).to_numpy() if name in sites else None


def _read(patches: Path, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Patches of some sites, in the order given, and where they are valid."""
    ascending = np.unique(chosen)
    part = store.open_store(patches)[["patch", "valid"]].isel({dims.SITE: ascending}).load()
    back = np.searchsorted(ascending, chosen)
    return part["patch"].to_numpy()[back], part["valid"].to_numpy()[back]


def _labelled(
    patches: Path, chosen: np.ndarray, errors: np.ndarray, drawn: np.ndarray, *, n_shown: int
) -> xr.Dataset:
    values, valid = _read(patches, chosen)
    kind = np.repeat(np.arange(len(KINDS), dtype=np.int8), n_shown)
    pixels = ("example", *PIXELS)
    return xr.Dataset(
        {
            "patch": (pixels, np.where(valid, values, np.nan), dims.attrs("patch")),
            "valid": (pixels, valid, {"long_name": "pixel is valid"}),
            "reconstruction": (
                pixels,
                drawn.astype(np.float32),
                dims.attrs("reconstruction of the patch"),
            ),
            "error": (
                "example",
                errors,
                dims.attrs("rms of patch minus reconstruction over valid pixels"),
            ),
            "site": ("example", chosen, dims.attrs("position of the patch along `site`")),
            "rank": ("example", kind, dims.flags(KINDS, "how well it is reconstructed")),
        },
        coords={dims.CHANNEL: store.open_store(patches)[dims.CHANNEL].to_numpy()},
    )


def of_each_class(
    patches: Path, sites: xr.Dataset, decode: Decode, *, names: list[str]
) -> xr.Dataset:
    """What a class looks like: the mean of its patches, turned upright, and its mean content decoded.

    Args:
        patches: the store that the sites' patches lie in.
        sites: `content`, `cluster` and, where the family has them, `angle` and `shift` (site).
        decode: the model's decoder.
        names: of the classes.
    """
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy()
    label = sites["cluster"].to_numpy()
    means, pictures = [], []
    for index in range(len(names)):
        here = np.flatnonzero(label == index)
        mean = content[here].mean(axis=0) if len(here) else np.full(content.shape[1], np.nan)
        nearest = here[np.argsort(((content[here] - mean) ** 2).sum(axis=1), kind="stable")]
        means.append(mean)
        pictures.append(_mean_upright(patches, sites, nearest[:PER_CLASS]))
    centres = np.stack(means).astype(np.float32)
    drawn = np.asarray(decode(np.nan_to_num(centres)), dtype=np.float32)
    counts = np.bincount(label, minlength=len(names)).astype(np.int64)
    pixels = ("cluster_name", *PIXELS)
    return xr.Dataset(
        {
            "mean_patch": (
                pixels,
                np.stack(pictures),
                dims.attrs("mean of the class's most typical patches, turned upright"),
            ),
            "decoded": (pixels, drawn, dims.attrs("the class's mean content, decoded")),
            "mean_content": (
                ("cluster_name", dims.LATENT),
                centres,
                dims.attrs("mean content of the class"),
            ),
            "n_sites": ("cluster_name", counts, dims.attrs("sites of the class")),
        },
        coords={
            "cluster_name": names,
            dims.CHANNEL: store.open_store(patches)[dims.CHANNEL].to_numpy(),
        },
    )


def _mean_upright(patches: Path, sites: xr.Dataset, chosen: np.ndarray) -> np.ndarray:
    """Mean of some patches over what is valid, each moved and turned back by its pose."""
    opened = store.open_store(patches)["patch"]
    if not len(chosen):
        return np.full(opened.shape[1:], np.nan, dtype=np.float32)
    values, valid = _read(patches, chosen)
    shown = sites.isel({dims.SITE: chosen})
    angle, shift = _known(shown, "angle"), _known(shown, "shift")
    turned = upright(
        np.where(valid, values, np.nan),
        angle=np.zeros(len(chosen)) if angle is None else angle,
        shift=np.zeros((len(chosen), 2)) if shift is None else shift,
    )
    known = np.isfinite(turned)
    total = np.where(known, turned, 0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
