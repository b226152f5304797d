"""Kinds of sites in 4D-STEM of graphene with a silicon atom: classes without labels, independent of rotation, compared with the true structure."""

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
from benchmarks.trials.fourd import NEAR, SCAN, described, rotated
from invae.config.named import load
from invae.storage import store
from invae.synthetic import graphene
from invae.synthetic.crystal import BOND, along

UNSEEN = 30_000
"""Added to a trial's seed: scans that no other trial uses."""
KINDS = ("carbon", "hollow", "silicon")
"""Nearest structure to a probe: a carbon atom, the centre of a hexagon, or the silicon atom within half a bond."""
STARTS = 10
"""Number of starts of k-means and of the mixture; the best is used."""


def run(trial: Trial, seed: int, quick: bool) -> Scores:
    """Classes of a shipped configuration and of clustering methods, with as many classes as kinds."""
    settings = dict(trial.settings["scan"]) | ({"n_scan_y": 16, "n_scan_x": 16} if quick else {})
    process = load(trial.settings["config"])
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "scan.zarr"
        graphene.simulate(source, config=rotated(settings, seed=UNSEEN + seed), seed=UNSEEN + seed)
        recording, patches = described(source, process)
        model = process.model.model_dump(mode="json", exclude_unset=True)
        model["training"] = process.training.model_dump(mode="json", exclude_unset=True)
        training = train(shortened(model, quick=quick), patches, seed=seed)
        kinds = kinds_of(store.open_store(source, group="truth").load())
        latents = training.model.encode(patches)
        maps = store.open_store(recording, group="maps").load()
        values = store.open_store(patches)["patch"].to_numpy()
    classes = {"model": latents["class"].to_numpy().astype(int)}
    classes |= _clustered(values, maps, n_components=model["latent_dim"] + 1, seed=seed)
    return _scored(classes, kinds) | training.cost


def kinds_of(truth: xr.Dataset) -> np.ndarray:
    """Index in `KINDS` of the structure under every probe (site,)."""
    position = np.stack([truth[f"folded_{axis}_nm"].to_numpy().ravel() for axis in "yx"], axis=1)
    hollow = BOND * along(np.deg2rad(150.0))
    to_hollow = np.linalg.norm(position - hollow, axis=1)
    kinds = (to_hollow < np.linalg.norm(position, axis=1)).astype(int)
    kinds[truth["distance"].to_numpy().ravel() < NEAR] = KINDS.index("silicon")
    return kinds


def _clustered(
    values: np.ndarray, maps: xr.Dataset, *, n_components: int, seed: int
) -> dict[str, np.ndarray]:
    """Classes by k-means and by a Gaussian mixture, of principal components of the same patches and of the centre of mass."""
    spaces = {
        "pca": PCA(n_components, random_state=seed).fit_transform(values.reshape(len(values), -1)),
        "com": np.stack([maps[f"com_{axis}"].to_numpy().ravel() for axis in "yx"], axis=1),
    }
    classes = {}
    for name, space in spaces.items():
        means = KMeans(len(KINDS), random_state=seed).set_params(n_init=STARTS)
        mixture = GaussianMixture(len(KINDS), n_init=STARTS, random_state=seed)
        classes |= {
            f"{name}_kmeans": means.fit_predict(space),
            f"{name}_mixture": mixture.fit_predict(space),
        }
    return classes


def _scored(classes: dict[str, np.ndarray], kinds: np.ndarray) -> Scores:
    """Fraction of probes in the right class, its mean over kinds, and the adjusted Rand index."""
    scores: dict[str, Any] = {}
    for name, labels in classes.items():
        named = matched(labels, kinds)
        scores[f"accuracy_{name}"] = accuracy(labels, kinds)
        recall = [float((named[kinds == kind] == kind).mean()) for kind in np.unique(kinds)]
        scores[f"recall_{name}"] = float(np.mean(recall))
        scores[f"ari_{name}"] = rand_index(labels, kinds)
    return scores


BASELINES = {
    "pca_kmeans": "k-means on principal components of the same patches",
    "pca_mixture": "Gaussian mixture of them",
    "com_kmeans": "k-means on the centre of mass of single patterns",
    "com_mixture": "Gaussian mixture of it",
}
SCORES = {
    "accuracy": "fraction of probes in the class of their kind",
    "recall": "mean of that fraction over kinds",
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
            for name, method in {"model": "", **BASELINES}.items()
        ),
        chapter="microscopy",
        n_seeds=3,
        remark="Three kinds, as many as classes: probes nearest to a carbon atom (two in three), to the centre of a hexagon (one in three), and those within half a bond of "
        "the silicon atom (one in sixty). Each class is matched to the kind with which it shares most probes, one to one. PCA has as many components as the "
        "model has content variables and angles.",
    ),
)
