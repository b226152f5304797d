"""Held-out scores of the model and of every baseline, on the same folds."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.pairs.measures import is_monotonic
from invae.pairs.fitting import folds_for
from invae.pairs.prediction import NORMAL_90
from invae.progress import Progress
from invae.regression import scores
from invae.regression.baselines import BASELINES, predict_held_out

if TYPE_CHECKING:
    from invae.analysis.pairs.analyse import Told

OWN = "model"
WORDS = {
    "r2": "R² of the predicted spectra",
    "relative_error": "median relative error of a spectrum",
    "peak_error": "median error of the peak, spectra above the lower quartile of intensity",
    "coverage": "share of values inside their interval",
    "crps": "continuous ranked probability score",
    "r2_truth": "R² against spectra without noise",
}
"""Scores by name. Intervals of a baseline are the 90 % intervals of the sd of its held-out errors at each place of the axis."""


def compared(told: "Told", *, seed: int, progress: Progress) -> xr.Dataset:
    """Scores by `predictor`: the model first, then the baselines.

    Args:
        told: What the analysis reads.
        seed: Of the folds, if the model comes from another recording.
        progress: Called with predictors.
    """
    rows: dict[str, dict[str, float]] = {OWN: score(told, told.predicted, told.sd)}
    labels = ["this model"]
    for number, (name, mean) in enumerate(_baselines(told, seed=seed), start=1):
        rows[name] = score(told, mean, _spread(mean, told.measured))
        labels.append(BASELINES[name].label)
        progress(number, len(BASELINES))
    units = {"peak_error": told.axis.units, "crps": told.axis.value_units}
    names = [name for name in WORDS if name in rows[OWN]]
    return xr.Dataset(
        {
            name: ("predictor", [row[name] for row in rows.values()], dims.attrs(WORDS[name], units.get(name, "1")))
            for name in names
        },
        coords={"predictor": list(rows), "label": ("predictor", labels)},
        attrs={"leaks": int(told.fitted.leaks), "held_out_by": told.fitted.by},
    )  # fmt: skip


def _baselines(told: "Told", *, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Held-out predictions of every baseline."""
    own = told.fitted.seed if (told.sites["fold"] >= 0).all() else seed
    folds = folds_for(told.given, n_folds=told.fitted.config.n_folds, seed=own)
    for name, baseline in BASELINES.items():
        yield (
            name,
            predict_held_out(baseline, told.given.patches, told.measured, list(folds.splits)),
        )


def _spread(mean: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Sd of the held-out errors at each place of the axis, for every site."""
    sd = np.sqrt(np.nanmean((mean - measured) ** 2, axis=0))
    return np.broadcast_to(np.maximum(sd, 1e-12), mean.shape)


def score(told: "Told", mean: np.ndarray, sd: np.ndarray) -> dict[str, float]:
    """All scores of a predictor, of the sites that it has predicted."""
    known = np.isfinite(mean).all(1)
    mean, sd, measured = mean[known].astype(float), sd[known], told.measured[known].astype(float)
    half = NORMAL_90 * sd
    found = {
        "r2": scores.r2(mean, measured),
        "relative_error": float(np.median(scores.relative_error(mean, measured))),
        "coverage": scores.coverage(mean - half, mean + half, measured),
        "crps": scores.crps(mean, np.maximum(sd, 1e-12), measured),
    }
    if is_monotonic(told.axis):
        errors = scores.peak_errors(mean, measured, told.axis.values)
        found["peak_error"] = float(np.median(errors)) if len(errors) else float("nan")
    if "truth_spectrum" in told.patches:
        found["r2_truth"] = scores.r2(mean, told.patches["truth_spectrum"].to_numpy()[known])
    return found
