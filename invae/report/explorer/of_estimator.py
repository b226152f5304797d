"""The groups that the interactive view needs, of a fitted estimator and its patches, without a run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis import clusters
from invae.analysis.classes import class_names, members_of
from invae.analysis.decoding import decoder, states_of
from invae.analysis.exploration import Sources, explore
from invae.errors import InputError
from invae.estimators.inputs import Data, in_order, several
from invae.estimators.invariant_vae import InvariantVAE
from invae.report.figure import Result
from invae.storage import store

MOST_CLUSTERS = 6
N_EXAMPLES = 100
"""Patches that give the range of the grey scale."""
KIND = "images"
"""The kind of recording whose patches lie on no image."""


def groups_of(vae: InvariantVAE, patches: Data, *, names: Sequence[str] | None = None) -> Result:
    """Sites, `classes` or clusters, `examples` and `explorer` of patches that a model describes.

    Args:
        vae: a trained model.
        patches: as in `InvariantVAE.encode`.
        names: of the axes of a plain array.

    Raises:
        InputError: The model has seen no data, the patches have another shape, or there are several stores.
    """
    if several(patches):
        raise InputError("the view shows the patches of one store; give one path")
    sites = vae.encode(patches, dims=names).assign_attrs(recording_kind=KIND)
    shown = _labelled(patches, names, vae.trained.channels)
    groups = _with_classes(sites, seed=vae.seed)
    decode = decoder(vae.trained.model, vae.trained.config, vae.device)
    sources = Sources(shown, decode, members_of(groups[""]), None, vae.seed)
    groups["explorer"] = explore(groups[""], sources)
    groups["examples"] = shown[["patch"]].isel({dims.SITE: slice(N_EXAMPLES)}).load()
    return groups


def _with_classes(sites: xr.Dataset, *, seed: int) -> dict[str, xr.Dataset]:
    """The sites with the classes of the model, else with clusters of their content."""
    state = states_of(sites)
    if state is not None:
        names = xr.Dataset({"class_name": (dims.CLASS, class_names(sites))})
        return {"": sites.assign(joint_class=(dims.SITE, state)), "classes": names}
    found = clusters.classify(sites["content"], max_clusters=MOST_CLUSTERS, seed=seed)
    return {"": sites.merge(found[["cluster", "cluster_probability"]], combine_attrs="override")}


def _labelled(patches: Data, names: Sequence[str] | None, channels: Sequence[str]) -> xr.Dataset:
    """`patch` and `valid` (site, channel, patch_y, patch_x); a store is opened."""
    ordered = in_order(patches, names)
    if isinstance(ordered, str | Path):
        return store.open_store(Path(ordered))
    values = np.asarray(ordered)
    while values.ndim < len(dims.PATCH):  # spectra (site, x), images of one channel (site, y, x)
        values = values[:, None]
    variables = {"patch": (dims.PATCH, values), "valid": (dims.PATCH, np.isfinite(values))}
    return xr.Dataset(variables, coords={dims.CHANNEL: list(channels)})
