"""Kinds of sites in 4D-STEM of graphene with a silicon atom: found without labels, whatever their turn, against what is under each probe."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from benchmarks.scores import accuracy, matched, rand_index
from benchmarks.trial import Goal, Scores, Trial, shortened, train
from benchmarks.trials.fourd import NEAR, SCAN, described, turned
from invae.config.named import load
from invae.storage import store
from invae.synthetic import graphene
from invae.synthetic.crystal import BOND, along

UNSEEN = 30_000
"""Added to a trial's seed: scans that no other trial draws."""
KINDS = ("carbon", "hollow", "silicon")
"""What is nearest to a probe: a carbon atom, the middle of a hexagon, or the foreign atom within half a bond."""
STARTS = 10
"""Of k-means and of the mixture; the best is kept."""


def run(trial: Trial, seed: int, quick: bool) -> Scores:
    """Classes of a shipped configuration and of clusters beside it, with as many classes as there are kinds."""
    settings = dict(trial.settings["scan"]) | ({"n_scan_y": 16, "n_scan_x": 16} if quick else {})
    process = load(trial.settings["config"])
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "scan.zarr"
        graphene.simulate(made, config=turned(settings, seed=UNSEEN + seed), seed=UNSEEN + seed)
        recording, patches = described(made, process)
        model = process.model.model_dump(mode="json", exclude_unset=True)
        model["training"] = process.training.model_dump(mode="json", exclude_unset=True)
        training = train(shortened(model, quick=quick), patches, seed=seed)
        kinds = kinds_of(store.open_store(made, group="truth").load())
        latents = training.model.encode(patches)
        maps = store.open_store(recording, group="maps").load()
        values = store.open_store(patches)["patch"].to_numpy()
    found = {"model": latents["class"].to_numpy().astype(int)}
    found |= _beside(values, maps, n_numbers=model["latent_dim"] + 1, seed=seed)
    return _scored(found, kinds) | training.cost


def kinds_of(truth: xr.Dataset) -> np.ndarray:
    """Which of `KINDS` is under every probe (site,)."""
    place = np.stack([truth[f"folded_{axis}_nm"].to_numpy().ravel() for axis in "yx"], axis=1)
    hollow = BOND * along(np.deg2rad(150.0))
    kinds = (np.linalg.norm(place - hollow, axis=1) < np.linalg.norm(place, axis=1)).astype(int)
    kinds[truth["distance"].to_numpy().ravel() < NEAR] = KINDS.index("silicon")
    return kinds


def _beside(
    values: np.ndarray, maps: xr.Dataset, *, n_numbers: int, seed: int
) -> dict[str, np.ndarray]:
    """Classes by k-means and by a Gaussian mixture, of principal components of the same patches and of the centre of mass."""
    spaces = {
        "pca": PCA(n_numbers, random_state=seed).fit_transform(values.reshape(len(values), -1)),
        "com": np.stack([maps[f"com_{axis}"].to_numpy().ravel() for axis in "yx"], axis=1),
    }
    found = {}
    for name, space in spaces.items():
        means = KMeans(len(KINDS), random_state=seed).set_params(n_init=STARTS)
        mixture = GaussianMixture(len(KINDS), n_init=STARTS, random_state=seed)
        found |= {
            f"{name}_kmeans": means.fit_predict(space),
            f"{name}_mixture": mixture.fit_predict(space),
        }
    return found


def _scored(found: dict[str, np.ndarray], kinds: np.ndarray) -> Scores:
    """Share of probes in the right class, the mean of that over kinds, and the adjusted Rand index."""
    scores: dict[str, Any] = {}
    for name, classes in found.items():
        named = matched(classes, kinds)
        scores[f"accuracy_{name}"] = accuracy(classes, kinds)
        recall = [float((named[kinds == kind] == kind).mean()) for kind in np.unique(kinds)]
        scores[f"recall_{name}"] = float(np.mean(recall))
        scores[f"ari_{name}"] = rand_index(classes, kinds)
    return scores


BESIDE = {
    "pca_kmeans": "k-means on principal components of the same patches",
    "pca_mixture": "Gaussian mixture on them",
    "com_kmeans": "k-means on the centre of mass of single patterns",
    "com_mixture": "Gaussian mixture on it",
}
SCORES = {
    "accuracy": "share of probes in the class of their kind",
    "recall": "mean of that share over kinds",
    "ari": "adjusted Rand index",
}

TRIALS = (
    Trial(
        name="sites",
        words="`fourd-jrvae` on 4D-STEM of graphene with a silicon atom, 1000 electrons per pattern; classes without labels",
        run=run,
        settings={
            "scan": {**SCAN, "structure": "silicon", "dose": 1000.0},
            "config": "fourd-jrvae",
            "kinds": list(KINDS),
        },
        goals=tuple(
            Goal(f"{score}_{name}", words if name == "model" else f"{words}: {method}")
            for score, words in SCORES.items()
            for name, method in {"model": "", **BESIDE}.items()
        ),
        chapter="microscopy",
        n_seeds=3,
        remark="Three kinds, as many as classes: probes nearest to a carbon atom (two in three), to the middle of a hexagon (one in three), and those within half a bond of "
        "the silicon atom (one in sixty). A class is matched to the kind with which it shares most probes, one to one. Principal components: as many as the "
        "model has contents and angles.",
    ),
)
