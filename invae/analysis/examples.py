"""Representative patches: of each class, and the best, median and worst fits."""

from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.decoding import latents_of, states_of
from invae.analysis.traversal import Decode
from invae.models.geometry.upright import upright
from invae.storage import store

PIXELS = (dims.CHANNEL, dims.PATCH_Y, dims.PATCH_X)
KINDS = ("best", "median", "worst")
PER_KIND = 3
PER_SHEET = 6
"""Number of sites of a class that are shown with their reconstructions."""
MEAN = "mean of the most typical patches of the class, upright"
PER_CLASS = 200
"""Number of sites of a class, nearest to its mean content, in the mean patch."""


def reconstructions(patches: Path, sites: xr.Dataset, decode: Decode) -> xr.Dataset:
    """The best, median and worst fits with their reconstructions, (example, channel, …).

    Args:
        patches: the store that the sites' patches lie in.
        sites: `content`, `reconstruction_error` and what else the family infers (site).
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
    reconstruction = _reconstruct(shown, decode)
    return _labelled(patches, chosen, errors[chosen], reconstruction, n_shown=n_shown)


def _reconstruct(sites: xr.Dataset, decode: Decode) -> np.ndarray:
    """Reconstructions of some sites, (site, channel, patch_y, patch_x)."""
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy()
    return np.asarray(decode(content, latents_of(sites)), dtype=np.float32)


def patches_of(patches: Path, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Patches of some sites, in the order of `chosen`, and their valid pixels."""
    ascending = np.unique(chosen)
    part = store.open_store(patches)[["patch", "valid"]].isel({dims.SITE: ascending}).load()
    back = np.searchsorted(ascending, chosen)
    return part["patch"].to_numpy()[back], part["valid"].to_numpy()[back]


def _labelled(
    patches: Path,
    chosen: np.ndarray,
    errors: np.ndarray,
    reconstruction: np.ndarray,
    *,
    n_shown: int,
) -> xr.Dataset:
    values, valid = patches_of(patches, chosen)
    kind = np.repeat(np.arange(len(KINDS), dtype=np.int8), n_shown)
    pixels = ("example", *PIXELS)
    return xr.Dataset(
        {
            "patch": (pixels, np.where(valid, values, np.nan), dims.attrs("patch")),
            "valid": (pixels, valid, {"long_name": "valid pixel"}),
            "reconstruction": (
                pixels,
                reconstruction,
                dims.attrs("reconstruction of the patch"),
            ),
            "error": (
                "example",
                errors,
                dims.attrs("rms residual over valid pixels"),
            ),
            "site": ("example", chosen, dims.attrs("position of the patch along `site`")),
            "rank": ("example", kind, dims.flags(KINDS, "rank by reconstruction error")),
        },
        coords=_channels(patches),
    )


def of_each_cluster(
    patches: Path, sites: xr.Dataset, decode: Decode, *, names: list[str]
) -> xr.Dataset:
    """Mean upright patch and decoded mean content of each cluster.

    Args:
        patches: the store that the sites' patches lie in.
        sites: `content`, `cluster` and what else the family infers (site).
        decode: the model's decoder.
        names: of the clusters.
    """
    label = sites["cluster"].to_numpy()
    members = [np.flatnonzero(label == index) for index in range(len(names))]
    means = [_mean_of(patches, sites, here) for here in members]
    centres = np.stack([content for content, _ in means]).astype(np.float32)
    latents = [_typical(sites.isel({dims.SITE: here})) for here in members]
    decoded = [decode(np.nan_to_num(c[None]), g)[0] for c, g in zip(centres, latents, strict=True)]
    content = (("cluster_name", dims.LATENT), centres, dims.attrs("mean content of the class"))
    return xr.Dataset(
        {
            **_appearance(
                "cluster_name", members, [picture for _, picture in means], np.stack(decoded)
            ),
            "mean_content": content,
        },
        coords={"cluster_name": names, **_channels(patches)},
    )


def of_each_class(
    patches: Path, sites: xr.Dataset, decode: Decode, *, names: list[str], seed: int
) -> xr.Dataset:
    """Mean patch, decoded class, and some sites with their reconstructions, for each model class.

    Sites are a random sample of the class; missing ones are NaN, with `site` −1.

    Args:
        patches: the store that the sites' patches lie in.
        sites: `content`, `class`, `class_probability` and what else the family infers (site).
        decode: the model's decoder.
        names: of the joint states of the classes.
        seed: of the choice of sites.
    """
    state = states_of(sites)
    members = [np.flatnonzero(state == index) for index in range(len(names))]
    means = [_mean_of(patches, sites, here) for here in members]
    centres = np.nan_to_num(np.stack([content for content, _ in means])).astype(np.float32)
    decoded = np.asarray(decode(centres, {"class": np.arange(len(names))}), dtype=np.float32)
    decoded[[not len(here) for here in members]] = np.nan
    return xr.Dataset(
        {
            **_appearance(dims.CLASS, members, [picture for _, picture in means], decoded),
            **_sheets(patches, sites, decode, _some_of_each(members, seed=seed)),
        },
        coords={"class_name": (dims.CLASS, names), **_channels(patches)},
    )


def _appearance(
    dim: str, members: list[np.ndarray], means: list[np.ndarray], decoded: np.ndarray
) -> dict[str, xr.Variable]:
    """Mean patch, decoded patch and number of sites of every class, along `dim`."""
    pixels, counts = (dim, *PIXELS), np.array([len(here) for here in members], dtype=np.int64)
    wording = dims.attrs("decoded mean content of the class")
    return {
        "mean_patch": xr.Variable(pixels, np.stack(means), dims.attrs(MEAN)),
        "decoded": xr.Variable(pixels, decoded.astype(np.float32), wording),
        "n_sites": xr.Variable(dim, counts, dims.attrs("sites of the class")),
    }


def _some_of_each(members: list[np.ndarray], *, seed: int) -> np.ndarray:
    """Random sites of each class, (class, example); −1 if a class has too few."""
    rng = np.random.default_rng(seed)
    chosen = np.full((len(members), PER_SHEET), -1)
    for row, here in zip(chosen, members, strict=True):
        sample = rng.permutation(here)[:PER_SHEET]
        row[: len(sample)] = sample
    return chosen


def _sheets(
    patches: Path, sites: xr.Dataset, decode: Decode, chosen: np.ndarray
) -> dict[str, xr.Variable]:
    """Patches of the chosen sites (class, example) and their reconstructions; NaN where `chosen` is −1."""
    shown = np.unique(chosen[chosen >= 0])
    values, valid = patches_of(patches, shown)
    both = {
        "patch": np.where(valid, values, np.nan),
        "reconstruction": _reconstruct(sites.isel({dims.SITE: shown}), decode),
    }
    place = np.searchsorted(shown, np.maximum(chosen, 0))
    empty = (chosen < 0)[..., None, None, None]
    sheet = (dims.CLASS, "example")
    position = dims.attrs("position of the patch along `site`; −1: none")
    sheets = {"site": xr.Variable(sheet, chosen, position)}
    for name, pictures in both.items():
        values = np.where(empty, np.nan, pictures[place]).astype(np.float32)
        wording = dims.attrs(f"{name} of a site of the class")
        sheets[name] = xr.Variable((*sheet, *PIXELS), values, wording)
    return sheets


def _channels(patches: Path) -> dict[str, np.ndarray]:
    return {dims.CHANNEL: store.open_store(patches)[dims.CHANNEL].to_numpy()}


def _typical(sites: xr.Dataset) -> dict[str, np.ndarray]:
    """Typical latents of some sites without content and pose: the most frequent class, mean target and mean condition."""
    latents = latents_of(sites)
    typical = {k: latents[k].mean(axis=0) for k in ("target", "condition") if k in latents}
    if "class" in latents and len(latents["class"]):
        typical["class"] = np.array([np.bincount(latents["class"]).argmax()])
    return typical if sites.sizes[dims.SITE] else {}


def _mean_of(patches: Path, sites: xr.Dataset, here: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean content of some sites, and the mean upright patch of the sites nearest to it."""
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy()
    mean = content[here].mean(axis=0) if len(here) else np.full(content.shape[1], np.nan)
    nearest = here[np.argsort(((content[here] - mean) ** 2).sum(axis=1), kind="stable")]
    return mean, _mean_upright(patches, sites, nearest[:PER_CLASS])


def _mean_upright(patches: Path, sites: xr.Dataset, chosen: np.ndarray) -> np.ndarray:
    """Mean of some upright patches over valid pixels."""
    opened = store.open_store(patches)["patch"]
    if not len(chosen):
        return np.full(opened.shape[1:], np.nan, dtype=np.float32)
    values, valid = patches_of(patches, chosen)
    latents = latents_of(sites.isel({dims.SITE: chosen}))
    rotated = upright(np.where(valid, values, np.nan), latents)
    known = np.isfinite(rotated)
    total = np.where(known, rotated, 0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
