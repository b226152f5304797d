"""Kinds of sites in 4D-STEM of graphene with a silicon atom: classes without labels, independent of rotation, compared with the true structure."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from benchmarks.scores import accuracy, matched, rand_index
from benchmarks.trial import Goal, Scores, Training, Trial, shortened, train
from benchmarks.trials.fourd import NEAR, SCAN, described, rotated
from invae.config.named import load
from invae.storage import store
from invae.synthetic import graphene
from invae.synthetic.crystal import BOND, along

UNSEEN = 30_000
"""Added to a trial's seed: scans that no other trial uses."""
KINDS = ("carbon", "hollow", "silicon")
"""Nearest structure to a probe: a carbon atom, the centre of a hexagon, or the silicon atom within half a bond."""
NEIGHBOURS = 120
"""Neighbour whose distance says how far a probe is from the others: there are fewer probes at the silicon atom."""
STARTS = 10
"""Number of starts of k-means and of the mixture; the best is used."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A model trained on the patches of one scan, and the truth of its probes."""

    training: Training
    latents: xr.Dataset
    kinds: np.ndarray
    maps: xr.Dataset
    patches: np.ndarray
    n_components: int
    """Content variables and the angle."""


def trained(trial: Trial, seed: int, *, quick: bool) -> Trained:
    """A shipped configuration on a scan that no other trial uses."""
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
    return Trained(training, latents, kinds, maps, values, model["latent_dim"] + 1)


def run(trial: Trial, seed: int, quick: bool) -> Scores:
    """Classes of a shipped configuration and of clustering methods, with as many classes as kinds."""
    scan = trained(trial, seed, quick=quick)
    classes = {"model": scan.latents["class"].to_numpy().astype(int)}
    classes |= _clustered(scan.patches, scan.maps, n_components=scan.n_components, seed=seed)
    return _scored(classes, scan.kinds) | scan.training.cost


def silicon(trial: Trial, seed: int, quick: bool) -> Scores:
    """ROC-AUC of the probes at the silicon atom by the content, and by the centre of mass of single patterns."""
    scan = trained(trial, seed, quick=quick)
    near = scan.kinds == KINDS.index("silicon")
    com = np.stack([scan.maps[f"com_{axis}"].to_numpy().ravel() for axis in "yx"], axis=1)
    scores = {}
    for name, values in {"content": scan.latents["content"].to_numpy(), "com": com}.items():
        scores[f"supervised_{name}"], scores[f"novelty_{name}"] = _aucs(values, near)
    return scores | scan.training.cost


def _aucs(values: np.ndarray, near: np.ndarray) -> tuple[float, float]:
    """ROC-AUC of a quadratic classifier on held-out fifths of the probes, and of the distance to the 120th neighbour."""
    standard = StandardScaler().fit_transform(values)
    classifier = make_pipeline(
        PolynomialFeatures(2),
        StandardScaler(),
        LogisticRegression(class_weight="balanced", max_iter=1000),
    )
    decided = cross_val_predict(classifier, standard, near, cv=5, method="decision_function")
    n_near = min(NEIGHBOURS, len(standard))
    distance = NearestNeighbors(n_neighbors=n_near).fit(standard).kneighbors(standard)[0][:, -1]
    return float(roc_auc_score(near, decided)), float(roc_auc_score(near, distance))


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
            Goal(f"{score}_{name}", words, "–", 0.85 if score == "accuracy" else None)
            if name == "model"
            else Goal(f"{score}_{name}", f"{words}: {method}")
            for score, words in SCORES.items()
            for name, method in {"model": "", **BASELINES}.items()
        ),
        chapter="microscopy",
        n_seeds=5,
        remark="Three kinds, as many as classes: probes nearest to a carbon atom (two in three), to the centre of a hexagon (one in three), and those within half a bond of "
        "the silicon atom (one in sixty). Each class is matched to the kind with which it shares most probes, one to one. PCA has as many components as the "
        "model has content variables and angles.",
    ),
    Trial(
        name="silicon",
        words="`fourd-rvae` on the same scans: the silicon atom by the content of single probes",
        run=silicon,
        settings={
            "scan": {**SCAN, "structure": "silicon", "dose": 1000.0},
            "config": "fourd-rvae",
        },
        goals=(
            Goal(
                "supervised_content",
                "ROC-AUC of a quadratic classifier of the content, on unseen probes",
                "–",
                0.95,
            ),
            Goal(
                "novelty_content", "ROC-AUC of the distance to the 120th neighbour, without labels"
            ),
            Goal("supervised_com", "the classifier on the centre of mass of single patterns"),
            Goal("novelty_com", "the distance in the centre of mass"),
        ),
        chapter="microscopy",
        n_seeds=3,
    ),
)
