"""The numbers at the top of a report."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.association import circular_agreement


def summarise(groups: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Scalars that say what was found, each with units and a long name; absent where there is no answer.

    Args:
        groups: groups of the result by name; the sites are "".
    """
    scalars: dict[str, xr.Variable] = {}

    def add(name: str, value: float, long_name: str, units: str = "1") -> None:
        if np.isfinite(value):
            scalars[name] = xr.Variable((), value, dims.attrs(long_name, units))

    sites, frames = groups[""], groups.get("frames")
    add("n_sites", sites.sizes[dims.SITE], "sites")
    found = _of_sites(sites) | _of_training(groups["training"]) | _of_known(groups)
    if frames is not None:
        add("n_frames", frames.sizes[dims.FRAME], "frames")
        if "masked_share" in frames:
            add("masked_share", float(frames["masked_share"].mean()), "masked share of all frames")
        found |= _of_drift(frames)
    for name, variable in found.items():
        add(name, *variable)
    walls = groups.get("walls")
    if walls is not None:
        add("n_walls", _walls_per_frame(walls), "walls in a frame, mean")
    if "outliers" in groups:
        add(
            "n_outliers",
            groups["outliers"].sizes["outlier"],
            "sites unlike the others of their class",
        )
    if "vacancies" in groups:
        n_empty = groups["vacancies"].sizes["vacancy"]
        add("n_vacancies", n_empty, "sites of the lattice without an atom, in all frames")
    if "tracks" in groups:
        add("n_tracks", groups["tracks"].sizes["track"], "atoms followed in time")
    if "scan" in groups:
        add("n_surprises", groups["surprises"].sizes["peak"], "surprising places of the scan")
        strongest = float(groups[""]["surprise"].max())
        add("surprise_max", strongest, "largest surprise, as a robust z-score")
    baseline = groups["baseline"]
    n_compared = int(sites["pca_error"].attrs["n_components"])
    share = float(baseline["explained_variance_ratio"][:n_compared].sum())
    add("pca_share", share, f"variance that {n_compared} principal component(s) explain")
    add("n_clusters", sites.sizes["cluster_name"], "classes chosen by the BIC")
    if "classes" in groups:
        add("n_classes", groups["classes"].sizes[dims.CLASS], "classes of the model")
    return xr.Dataset(scalars)


def _of_sites(sites: xr.Dataset) -> dict[str, tuple[float, str, str]]:
    found = {
        "reconstruction_error": (
            float(sites["reconstruction_error"].median()),
            "reconstruction error of a patch, median",
            "1",
        ),
        "pca_error": (
            float(sites["pca_error"].median()),
            f"{sites['pca_error'].attrs['long_name']}, median",
            "1",
        ),
    }
    if "angle_resultant" in sites:
        found["angle_resultant"] = (
            float(sites["angle_resultant"].median()),
            "resultant length of the angle's posterior, median (1: certain)",
            "1",
        )
    if "angle" in sites and "wall_normal" in sites:
        agreement = circular_agreement(sites["angle"], sites["wall_normal"], sites["cluster"])
        found["angle_agreement"] = (
            agreement,
            "agreement of angle and wall direction inside a class (1: same but for an offset)",
            "1",
        )
    return found


def _of_training(history: xr.Dataset) -> dict[str, tuple[float, str, str]]:
    """The ELBO of the epoch that was kept."""
    best = np.flatnonzero(history["best"].to_numpy())
    if not len(best):
        return {}
    return {
        f"elbo_{part}": (
            float(history[f"elbo_{part}"][best[-1]]),
            f"ELBO of a patch, mean of {words} [nat]",
            "1",
        )
        for part, words in (("training", "sites trained on"), ("held_out", "held-out sites"))
        if f"elbo_{part}" in history
    }


def _of_known(groups: Mapping[str, xr.Dataset]) -> dict[str, tuple[float, str, str]]:
    """How well the model's own answer, the first labelling, agrees with what is known."""
    found = {}
    if "confusion" in groups:
        first = groups["confusion"].isel(labelling=0)
        for name, words in (("accuracy", "accuracy"), ("adjusted_rand", "adjusted Rand index")):
            found[name] = (float(first[name]), f"{words} of the classes found", "1")
    known = groups.get("known", xr.Dataset())
    if "angle_by_class" in known:
        worst = float(known["angle_by_class"].min())
        words = "agreement of the angle with the true one, modulo symmetry, worst class (1: same)"
        found["angle_score"] = (worst, words, "1")
    return found


def _of_drift(frames: xr.Dataset) -> dict[str, tuple[float, str, str]]:
    if "drift" not in frames or frames.sizes[dims.FRAME] < 2:
        return {}
    length = np.hypot(*frames["drift"].transpose(dims.AXIS, dims.FRAME).to_numpy())
    found = {"drift_max": (float(np.nanmax(length)), "largest drift against frame 0", "pixel")}
    if "drift_sd" in frames:
        sd = float(frames["drift_sd"].isel({dims.FRAME: slice(1, None)}).median())
        found["drift_sd"] = (sd, "uncertainty of the drift, median", "pixel")
    return found


def _walls_per_frame(walls: xr.Dataset) -> float:
    pairs = np.column_stack([walls[dims.FRAME].to_numpy(), walls["contour"].to_numpy()])
    if not len(pairs):
        return 0.0
    frames = len(np.unique(pairs[:, 0]))
    return len(np.unique(pairs, axis=0)) / frames
