"""Scores of a result against ground truth: walls, drift, masks, and descriptors predicted from latents."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy.ndimage as ndi
import xarray as xr
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from invae import dims
from invae.analysis.domains.switching import describe_sites
from invae.config import AnalyseConfig, ComputeConfig
from invae.descriptors.domains.walls import WALL_180
from invae.errors import InputError
from invae.storage import store

WALL_TOLERANCE = 2.0
"""Largest distance between two detections of the same wall [px]."""
N_NEIGHBOURS = 10
N_STRIPS = 4
MIN_SITES = 30
"""With fewer sites to fit or to score, the result is NaN."""


@dataclass(frozen=True)
class Score:
    """One line of a scoreboard."""

    name: str
    value: float
    """NaN if it cannot be computed."""
    wanted: str
    """A good value, in words."""


def scoreboard(folder: Path, recording: Path) -> list[Score]:
    """Scores of the stores of a run against the ground truth of a simulated recording.

    True descriptors are those of the true polarization at the sites of the run.

    Args:
        folder: `<out>/<recording>`, with `descriptors.zarr` and `result.zarr`.
        recording: the simulated store, with a group `truth`.

    Raises:
        StoreError: a store is missing or has no truth.
        InputError: the frames of the run and of the truth differ.
    """
    truth = store.open_store(recording, group="truth")
    maps = store.open_store(folder / "descriptors.zarr", group="maps")
    if maps["wall"].shape != truth["wall"].shape:
        raise InputError(
            f"{folder} has walls of shape {maps['wall'].shape}, the truth of {recording} has "
            f"{truth['wall'].shape}; score a run of the whole recording"
        )
    errors = drift_error(maps["drift"], truth["drift"])
    return [
        Score("walls, F1 at 2 px", wall_score(maps, truth), "≥ 0.95 at SNR 10"),
        Score("drift error, mean [px]", float(errors.mean()), "≤ 0.3"),
        Score("drift error, worst [px]", float(errors.max()), "≤ 0.3"),
        Score("lost lines, IoU", lines_score(maps, truth), "near 1"),
        Score("non-180° lamellae, IoU", lamella_score(maps, truth), "towards 1"),
        *_latent_scores(folder, truth),
    ]


def _latent_scores(folder: Path, truth: xr.Dataset) -> Iterator[Score]:
    """R² of the true descriptors, predicted from the latents of a run."""
    sites = store.open_store(folder / "result.zarr")
    window = store.open_store(folder / "descriptors.zarr").sizes[dims.PATCH_Y]
    answers = describe_sites(
        truth_maps(truth),
        sites,
        window=window,
        config=AnalyseConfig(field="positive"),
        compute=ComputeConfig(workers=1),
    )
    latents = sites["content"].transpose(dims.SITE, ...).to_numpy()
    places = np.column_stack([sites[name].to_numpy() for name in (dims.Y, dims.X)])
    for name in ("switching_degree", "wall_curvature"):
        words = name.replace("_", " ")
        for kind, value in held_out_r2(
            latents, answers[name].to_numpy(), places, gap=window
        ).items():
            yield Score(f"{words} from latents, R² ({kind})", value, "towards 1, held-out strips")


def truth_maps(truth: xr.Dataset) -> xr.Dataset:
    """The truth of a simulated recording, labelled as the maps of the describe stage."""
    bad = truth["scar"] | truth["tip_loss"]
    return xr.Dataset(
        {
            "polarization": truth["polarization"],
            "wall": truth["wall"].astype(np.uint8) * np.uint8(WALL_180),
            "valid": (~bad).broadcast_like(truth["wall"]).transpose(*dims.IMAGE),
            "drift": truth["drift"],
        }
    )


def wall_f1(
    found: np.ndarray, true: np.ndarray, *, tolerance: float, judged: np.ndarray | None = None
) -> float:
    """F1 of wall pixels: a pixel is correct if a pixel of the other mask lies within `tolerance` [px]; 1 without walls.

    Args:
        found: (frame, y, x), bool.
        true: (frame, y, x), bool.
        tolerance: [px].
        judged: pixels that count; None for all.
    """
    judged = np.ones(true.shape, bool) if judged is None else judged
    right_found = right_true = n_found = n_true = 0
    for here, there, counted in zip(found, true, judged, strict=True):
        right_found += int((_within(there, tolerance) & here & counted).sum())
        right_true += int((_within(here, tolerance) & there & counted).sum())
        n_found += int((here & counted).sum())
        n_true += int((there & counted).sum())
    if n_found == 0 or n_true == 0:
        return float(n_found == n_true)
    precision, recall = right_found / n_found, right_true / n_true
    return 2 * precision * recall / max(precision + recall, np.finfo(float).tiny)


def _within(mask: np.ndarray, distance: float) -> np.ndarray:
    """Pixels within a distance of a mask (y, x) [px]."""
    if not mask.any():
        return mask
    return np.asarray(ndi.distance_transform_edt(~mask)) <= distance


def wall_score(maps: xr.Dataset, truth: xr.Dataset) -> float:
    """F1 of the 180-degree walls at 2 px, over valid scan lines."""
    return wall_f1(
        maps["wall"].to_numpy() == WALL_180,
        truth["wall"].to_numpy(),
        tolerance=WALL_TOLERANCE,
        judged=truth_maps(truth)["valid"].to_numpy(),
    )


def drift_error(found: xr.DataArray, true: xr.DataArray) -> np.ndarray:
    """Error of the drift in every frame but the first, (frame) [px]."""
    found, true = (drift.transpose(dims.FRAME, dims.AXIS) for drift in (found, true))
    difference = found.to_numpy() - true.to_numpy()
    length = np.hypot(*difference.T)
    return length[1:] if len(length) > 1 else length


def lines_score(maps: xr.Dataset, truth: xr.Dataset) -> float:
    """IoU of masked pixels and pixels of lost lines."""
    return mask_iou(~maps["valid"].to_numpy(), ~truth_maps(truth)["valid"].to_numpy())


def lamella_score(maps: xr.Dataset, truth: xr.Dataset) -> float:
    """IoU of the insides of lamellae, over valid scan lines; NaN without lamellae, or if the run has no areas of them."""
    true = truth["non180"].to_numpy()
    if not true.any() or "lamella" not in maps:
        return float("nan")
    judged = truth_maps(truth)["valid"].to_numpy()
    return mask_iou(maps["lamella"].to_numpy() & judged, true & judged)


def mask_iou(found: np.ndarray, true: np.ndarray) -> float:
    """Pixels in both masks over pixels in either; 1 if both are empty."""
    either = int((found | true).sum())
    return int((found & true).sum()) / either if either else 1.0


def auc(values: np.ndarray, true: np.ndarray) -> float:
    """Probability that a true pixel has a higher value than another; NaN values are left out."""
    known = np.isfinite(values)
    if len(np.unique(true[known])) < 2:
        return float("nan")
    return float(roc_auc_score(true[known], values[known]))


def held_out_r2(
    latents: np.ndarray,
    target: np.ndarray,
    places: np.ndarray,
    *,
    gap: float,
    group: np.ndarray | None = None,
) -> dict[str, float]:
    """R² of a descriptor predicted from latents, by nearest neighbours and by linear regression, on held-out strips.

    A strip of the image is held out in all frames, and sites of the fit keep a distance of `gap` from it, so that patches of
    the fit share no pixel with held-out patches. With groups (movies), whole groups are held out instead.

    Args:
        latents: (site, latent).
        target: (site), NaN where unknown.
        places: (site, axis) [px].
        gap: side of a patch [px].
        group: (site), the movie of a site.
    """
    known = np.isfinite(target) & np.isfinite(latents).all(axis=1)
    latents, target, places = latents[known], target[known], places[known]
    folds = _strips(places, gap=gap) if group is None else _groups(group[known])
    judged = [(learn, judge) for learn, judge in folds if learn.sum() >= MIN_SITES]
    models = {
        "kNN": make_pipeline(StandardScaler(), KNeighborsRegressor(N_NEIGHBOURS)),
        "linear": LinearRegression(),
    }
    scores = {}
    for name, model in models.items():
        predicted = np.full(len(target), np.nan)
        for learn, judge in judged:
            predicted[judge] = model.fit(latents[learn], target[learn]).predict(latents[judge])
        seen = np.isfinite(predicted)
        enough = seen.sum() >= MIN_SITES and np.ptp(target[seen]) > 0
        scores[name] = float(r2_score(target[seen], predicted[seen])) if enough else float("nan")
    return scores


def _strips(places: np.ndarray, *, gap: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sites of the fit and held-out sites, for strips across the longer side of the image."""
    if not len(places):
        return
    along = places[:, int(np.argmax(np.ptp(places, axis=0)))]
    edges = np.quantile(along, np.linspace(0, 1, N_STRIPS + 1))
    for low, high in pairwise(edges):
        judge = (along >= low) & (along <= high)
        yield (along < low - gap) | (along > high + gap), judge


def _groups(group: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for one in np.unique(group):
        yield group != one, group == one
