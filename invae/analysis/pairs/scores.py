"""Held-out scores of the model and of every baseline, on the same folds."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from invae import dims
from invae.pairs.fitting import folds_for
from invae.pairs.prediction import NORMAL_90
from invae.progress import Progress
from invae.regression import scores
from invae.regression.baselines import BASELINES, predict_held_out
from invae.regression.measures import has_peaks
from invae.training.folds import Folds

if TYPE_CHECKING:
    from invae.analysis.pairs.analyse import Inputs

OWN, PLACE = "model", "place"
N_NEIGHBOURS = 7
WORDS = {
    "r2": "R² of the predicted spectra",
    "relative_error": "median relative error of a spectrum",
    "peak_error": "median error of the peak, spectra above the lower quartile of intensity",
    "coverage": "share of values inside their interval",
    "crps": "continuous ranked probability score",
    "r2_truth": "R² against spectra without noise",
}
"""Scores by name. Intervals of a baseline are the 90 % intervals of the sd of its held-out errors at each place of the axis."""


def compared(inputs: "Inputs", *, seed: int, progress: Progress) -> xr.Dataset:
    """Scores by `predictor`: the model first, then the baselines.

    Args:
        inputs: What the analysis reads.
        seed: Of the folds, if the model comes from another recording.
        progress: Called with predictors.
    """
    rows: dict[str, dict[str, float]] = {OWN: score(inputs, inputs.predicted, inputs.sd)}
    labels = ["this model"]
    folds = _folds(inputs, seed=seed)
    for number, (name, label, mean) in enumerate(_others(inputs, folds), start=1):
        rows[name] = score(inputs, mean, _spread(mean, inputs.measured))
        labels.append(label)
        progress(min(number, len(BASELINES)), len(BASELINES))
    units = {"peak_error": inputs.axis.units, "crps": inputs.axis.value_units}
    names = [name for name in WORDS if name in rows[OWN]]
    return xr.Dataset(
        {
            name: ("predictor", [row[name] for row in rows.values()], dims.attrs(WORDS[name], units.get(name, "1")))
            for name in names
        },
        coords={"predictor": list(rows), "label": ("predictor", labels)},
        attrs={"leaks": int(inputs.fitted.leaks), "held_out_by": inputs.fitted.by},
    )  # fmt: skip


def _folds(inputs: "Inputs", *, seed: int) -> Folds:
    """Those of the model, or of this recording if the model comes from another one."""
    own = inputs.fitted.seed if (inputs.sites["fold"] >= 0).all() else seed
    return folds_for(inputs.given, n_folds=inputs.fitted.config.n_folds, seed=own)


def _others(inputs: "Inputs", folds: Folds) -> Iterator[tuple[str, str, np.ndarray]]:
    """Name, label and held-out predictions of every baseline."""
    splits = list(folds.splits)
    for name, baseline in BASELINES.items():
        predicted = predict_held_out(baseline, inputs.given.patches, inputs.measured, splits)
        yield name, baseline.label, predicted
    if inputs.given.places is not None and folds.by != "specimen":
        yield (
            PLACE,
            f"{N_NEIGHBOURS} neighbours in place, without the image",
            by_place(inputs, folds),
        )


def by_place(inputs: "Inputs", folds: Folds) -> np.ndarray:
    """Mean spectra of the nearest training sites of every site; they say how much of a score is smoothness in space."""
    from scipy.spatial import KDTree

    places = inputs.given.places
    assert places is not None
    apart = 1e3 * (np.ptp(places.y) + np.ptp(places.x) + 1)
    at = np.stack((places.frame * apart, places.y, places.x), axis=1)
    predicted = np.full(inputs.measured.shape, np.nan)
    for split in folds.splits:
        k = min(N_NEIGHBOURS, len(split.training))
        _, near = KDTree(at[split.training]).query(at[split.held_out], k=k)
        near = near.reshape(len(split.held_out), k)
        predicted[split.held_out] = inputs.measured[split.training[near]].mean(1)
    return predicted


def _spread(mean: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Sd of the held-out errors at each place of the axis, for every site."""
    sd = np.sqrt(np.nanmean((mean - measured) ** 2, axis=0))
    return np.broadcast_to(np.maximum(sd, 1e-12), mean.shape)


def score(inputs: "Inputs", mean: np.ndarray, sd: np.ndarray) -> dict[str, float]:
    """All scores of a predictor, of the sites that it has predicted."""
    known = np.isfinite(mean).all(1)
    mean, sd, measured = mean[known].astype(float), sd[known], inputs.measured[known].astype(float)
    half = NORMAL_90 * sd
    found = {
        "r2": scores.r2(mean, measured),
        "relative_error": float(np.median(scores.relative_error(mean, measured))),
        "coverage": scores.coverage(mean - half, mean + half, measured),
        "crps": scores.crps(mean, np.maximum(sd, 1e-12), measured),
    }
    if has_peaks(inputs.measured, inputs.axis):
        errors = scores.peak_errors(mean, measured, inputs.axis.values)
        found["peak_error"] = float(np.median(errors)) if len(errors) else float("nan")
    if "truth_spectrum" in inputs.patches:
        found["r2_truth"] = scores.r2(mean, inputs.patches["truth_spectrum"].to_numpy()[known])
    return found
