"""Latent variables compared with ground truth: angles up to a symmetry, numbers by linear regression."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, cross_val_predict
from threadpoolctl import threadpool_limits

from invae import dims
from invae.analysis.confusion import Known

FOLDS = 5
MIN_SITES = 30
"""With fewer sites, the result is NaN."""
CIRCULAR = ("angle",)
"""Variables for which linear regression makes no sense."""


def known_numbers(sites: xr.Dataset) -> dict[str, np.ndarray]:
    """Coordinates `truth_…` that are numbers and not constant, by name without `truth_`."""
    numbers = {}
    for name, variable in sites.variables.items():
        short = str(name).removeprefix("truth_")
        number = variable.dtype.kind == "f" and variable.dims == (dims.SITE,)
        if short != str(name) and number and np.nanstd(variable.to_numpy()) > 0:
            numbers[short] = variable.to_numpy().astype(float)
    return numbers


def folded_resultant(inferred: np.ndarray, true: np.ndarray, *, symmetry: int = 1) -> float:
    """Agreement of two angles [rad] up to an offset, modulo 2π/symmetry: 1 is perfect, 0 is no relation."""
    if not len(inferred):
        return float("nan")
    return float(np.abs(np.exp(1j * symmetry * (inferred - true)).mean()))


def angle_scores(
    inferred: np.ndarray,
    true: np.ndarray,
    *,
    known: Known | None,
    label: np.ndarray,
    certainty: np.ndarray | None = None,
) -> xr.Dataset:
    """Agreement of inferred and true angles [rad] in every true class, up to an offset.

    Args:
        inferred: angle of each site.
        true: true angle of each site.
        known: the true classes with their symmetry; None to treat all sites as one class.
        label: found class of each site; each has its own offset.
        certainty: mean resultant length of the posterior of each site.
    """
    names = known.meanings if known else ("all",)
    of_known = known.label if known else np.zeros(len(inferred), dtype=np.int64)
    symmetry = known.symmetry if known else (1,)
    rows: dict[str, list[float]] = {"raw": [], "symmetric": [], "by_class": [], "certainty": []}
    for index, turns in enumerate(symmetry):
        here = of_known == index
        rows["raw"].append(folded_resultant(inferred[here], true[here]))
        rows["symmetric"].append(folded_resultant(inferred[here], true[here], symmetry=turns))
        rows["by_class"].append(_by_found(inferred[here], true[here], label[here], symmetry=turns))
        mean = np.nan if certainty is None or not here.any() else float(certainty[here].mean())
        rows["certainty"].append(mean)
    words = {
        "raw": "agreement of inferred and true angle up to one offset (1: perfect)",
        "symmetric": "agreement of inferred and true angle up to the symmetry of the class and one offset",
        "by_class": "agreement of inferred and true angle up to symmetry, with one offset per found class",
        "certainty": "mean resultant length of the posterior of the angle",
    }
    return xr.Dataset(
        {f"angle_{name}": ("known", rows[name], dims.attrs(words[name])) for name in rows}
        | {"symmetry": ("known", list(symmetry), dims.attrs("rotational symmetry of the class"))},
        coords={"known": list(names)},
    )


def _by_found(inferred: np.ndarray, true: np.ndarray, label: np.ndarray, *, symmetry: int) -> float:
    """Mean agreement within found classes, weighted by size."""
    parts = [
        (here.sum(), folded_resultant(inferred[here], true[here], symmetry=symmetry))
        for here in (label == number for number in np.unique(label))
    ]
    total = sum(n for n, _ in parts)
    return float(sum(n * value for n, value in parts) / total) if total else float("nan")


def linear_scores(
    spaces: Mapping[str, np.ndarray], known: Mapping[str, np.ndarray], *, label: np.ndarray
) -> xr.Dataset:
    """R² of linear regressions of true variables on latent variables, on held-out sites: `r2 (space, variable)`, `r2_by_class`.

    Args:
        spaces: name → (site, number).
        known: name → (site), NaN if unknown; angles are left out.
        label: found class of each site; `r2_by_class` fits one regression per class.
    """
    numbers = {name: values for name, values in known.items() if name not in CIRCULAR}
    shape = (len(spaces), len(numbers))
    overall, inside = np.full(shape, np.nan), np.full(shape, np.nan)
    with threadpool_limits(1):
        for row, space in enumerate(spaces.values()):
            for column, target in enumerate(numbers.values()):
                overall[row, column] = held_out_r2(space, target, np.zeros(len(target)))
                inside[row, column] = held_out_r2(space, target, label)
    pair = ("space", "variable")
    return xr.Dataset(
        {
            "r2": (pair, overall, dims.attrs("R² of a linear regression on held-out sites")),
            "r2_by_class": (
                pair,
                inside,
                dims.attrs("R² of a linear regression within each found class, on held-out sites"),
            ),
        },
        coords={"space": list(spaces), "variable": list(numbers)},
    )


def held_out_r2(space: np.ndarray, target: np.ndarray, label: np.ndarray) -> float:
    """R² of one linear regression per class, on held-out sites; NaN with too few sites."""
    known = np.isfinite(target) & np.isfinite(space).all(axis=1)
    space, target, label = space[known], target[known], label[known]
    if len(target) < MIN_SITES:
        return float("nan")
    predicted = np.full(len(target), target.mean())
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    for number in np.unique(label):
        here = np.flatnonzero(label == number)
        if len(here) >= MIN_SITES:
            read = cross_val_predict(LinearRegression(), space[here], target[here], cv=folds)
            predicted[here] = read
    total = ((target - target.mean()) ** 2).sum()
    return float(1 - ((target - predicted) ** 2).sum() / max(total, np.finfo(float).tiny))
