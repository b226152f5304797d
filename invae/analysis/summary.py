"""Scalars of the group `summary`."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.kind import Scalars
from invae.analysis.verdict import scalars_of
from invae.verdict.findings import verdict_in


def summarise(groups: Mapping[str, xr.Dataset], *, own: Scalars) -> xr.Dataset:
    """The group `summary`: scalars with units and long names; scalars that are not finite are left out.

    Args:
        groups: groups of the result by name; the sites are "".
        own: scalars of the kind of recording.
    """
    sites = groups[""]
    scalars: Scalars = {
        "n_sites": (sites.sizes[dims.SITE], "sites", "1"),
        **_of_sites(sites),
        **_of_training(groups["training"]),
        **_of_truth(groups),
        **own,
        **scalars_of(verdict_in(sites.attrs)),
        **_of_components(sites, groups["baseline"]),
        "n_clusters": (sites.sizes["cluster_name"], "clusters, chosen by the BIC", "1"),
    }
    if "classes" in groups:
        n_classes = groups["classes"].sizes[dims.CLASS]
        scalars["n_classes"] = (n_classes, "model classes", "1")
    return xr.Dataset(
        {
            name: xr.Variable((), value, dims.attrs(long_name, units))
            for name, (value, long_name, units) in scalars.items()
            if np.isfinite(value)
        }
    )


def _of_components(sites: xr.Dataset, baseline: xr.Dataset) -> Scalars:
    n_compared = int(sites["pca_error"].attrs["n_components"])
    share = float(baseline["explained_variance_ratio"][:n_compared].sum())
    long_name = f"share of the variance explained by PCA with {n_compared} component(s)"
    return {"pca_share": (share, long_name, "1")}


def frame_scalars(groups: Mapping[str, xr.Dataset]) -> Scalars:
    """Scalars of series of frames: number of frames and outliers, drift."""
    frames = groups["frames"]
    scalars: Scalars = {"n_frames": (frames.sizes[dims.FRAME], "frames", "1")}
    if "outliers" in groups:
        n_outliers = groups["outliers"].sizes["outlier"]
        scalars["n_outliers"] = (n_outliers, "outliers", "1")
    return scalars | _of_drift(frames)


def _of_sites(sites: xr.Dataset) -> Scalars:
    scalars = {
        "reconstruction_error": (
            float(sites["reconstruction_error"].median()),
            "median reconstruction error",
            "1",
        ),
        "pca_error": (
            float(sites["pca_error"].median()),
            f"median {sites['pca_error'].attrs['long_name']}",
            "1",
        ),
    }
    if "angle_resultant" in sites:
        scalars["angle_resultant"] = (
            float(sites["angle_resultant"].median()),
            "median resultant length of the posterior of the angle (1: certain)",
            "1",
        )
    return scalars


def _of_training(history: xr.Dataset) -> Scalars:
    """The ELBO of the best epoch."""
    best = np.flatnonzero(history["best"].to_numpy())
    if not len(best):
        return {}
    return {
        f"elbo_{part}": (
            float(history[f"elbo_{part}"][best[-1]]),
            f"mean ELBO per patch, {words} [nat]",
            "1",
        )
        for part, words in (("training", "training sites"), ("held_out", "held-out sites"))
        if f"elbo_{part}" in history
    }


def _of_truth(groups: Mapping[str, xr.Dataset]) -> Scalars:
    """Scores of the first labelling, which is the model's own, against ground truth."""
    scalars = {}
    if "confusion" in groups:
        first = groups["confusion"].isel(labelling=0)
        for name, words in (("accuracy", "accuracy"), ("adjusted_rand", "adjusted Rand index")):
            scalars[name] = (float(first[name]), f"{words} of the found classes", "1")
    known = groups.get("known", xr.Dataset())
    if "angle_by_class" in known:
        worst = float(known["angle_by_class"].min())
        words = "agreement of inferred and true angle up to symmetry, worst class (1: perfect)"
        scalars["angle_score"] = (worst, words, "1")
    return scalars


def _of_drift(frames: xr.Dataset) -> Scalars:
    if "drift" not in frames or frames.sizes[dims.FRAME] < 2:
        return {}
    length = np.hypot(*frames["drift"].transpose(dims.AXIS, dims.FRAME).to_numpy())
    scalars = {
        "drift_max": (float(np.nanmax(length)), "largest drift relative to frame 0", "pixel")
    }
    if "drift_sd" in frames:
        sd = float(frames["drift_sd"].isel({dims.FRAME: slice(1, None)}).median())
        scalars["drift_sd"] = (sd, "median standard deviation of the drift", "pixel")
    return scalars
