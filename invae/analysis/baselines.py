"""Methods without invariance: PCA, ICA, NMF, k-means, Gaussian mixture, UMAP.

Every method gives latent coordinates, a cluster and a reconstruction error for each site, as a model does.
"""

import importlib.util
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import xarray as xr
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, FastICA
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from invae import dims
from invae.analysis.clusters import N_STARTS, even, mixture, standardised
from invae.config import ComputeConfig
from invae.config.results import Baseline
from invae.descriptors.layout import EMPTY
from invae.errors import ConfigError, InputError
from invae.storage import store
from invae.storage.blocks import map_blocks

FITTED = 4000
"""Number of sites that a method is fitted to, evenly chosen; the others are transformed."""
BLOCK_BYTES = 64 << 20
"""Size of a block of patches in memory [B]."""
PASSES = 400
"""Most iterations of a method."""


Applied = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Coordinates, clusters and errors of sites, by one method."""


@dataclass(frozen=True)
class Sample:
    """Inputs of the methods for some sites."""

    rows: np.ndarray
    """(site, pixel); masked pixels hold the mean patch."""
    scores: np.ndarray
    """(site, component), scores of principal components."""


@dataclass(frozen=True)
class Task:
    """Settings of all methods, and the principal components that some of them use."""

    n_components: int
    n_classes: int
    seed: int
    components: np.ndarray
    """(component, pixel)."""
    mean: np.ndarray
    """(pixel)."""
    lowest: np.ndarray | None = None
    """Patch of a pattern without electrons (pixel), if patches are patterns with negative values."""

    def reconstruct(self, scores: np.ndarray) -> np.ndarray:
        """Patches (site, pixel) reconstructed from the first principal components."""
        return scores @ self.components[: scores.shape[1]] + self.mean


@dataclass(frozen=True)
class Fitted:
    """A fitted method."""

    transform: Callable[[Sample], np.ndarray]
    """Coordinates (site, latent)."""
    reconstruct: Callable[[Sample], np.ndarray] | None = None
    """Reconstructed patches (site, pixel); None if the method has no reconstruction."""
    assign: Callable[[Sample], np.ndarray] | None = None
    """Cluster of each site; None to use a Gaussian mixture on the coordinates."""


def _pca(sample: Sample, task: Task) -> Fitted:
    def first(sites: Sample) -> np.ndarray:
        return sites.scores[:, : task.n_components]

    return Fitted(first, lambda sites: task.reconstruct(first(sites)))


def _ica(sample: Sample, task: Task) -> Fitted:
    """Independent components of the first principal components, which are the whitened pixels."""
    pca = _pca(sample, task)
    ica = FastICA(whiten="unit-variance", max_iter=PASSES, random_state=task.seed)
    ica.fit(pca.transform(sample))
    return Fitted(lambda sites: ica.transform(pca.transform(sites)), pca.reconstruct)


def _nmf(sample: Sample, task: Task) -> Fitted:
    """Non-negative components; patterns are shifted by the pattern without electrons, which adds the subtracted background back.

    Patches are residuals (n − m)/√m of counts n ≥ 0: components are fitted to n/√m, counts in units of their noise. The offset is
    subtracted again after reconstruction, so errors refer to the patches themselves.
    """
    nmf = NMF(init="nndsvda", max_iter=PASSES, random_state=task.seed)
    nmf.set_params(n_components=task.n_components).fit(_not_negative(sample.rows, task.lowest))
    offset = 0.0 if task.lowest is None else task.lowest

    def transform(sites: Sample) -> np.ndarray:
        return nmf.transform(_not_negative(sites.rows, task.lowest))

    return Fitted(transform, lambda sites: transform(sites) @ nmf.components_ + offset)


def _not_negative(rows: np.ndarray, lowest: np.ndarray | None) -> np.ndarray:
    if lowest is not None:  # interpolation may give slightly lower values
        return np.maximum(rows - lowest, 0.0)
    if rows.min() < 0:
        raise InputError(
            f"patches have negative values ({rows.min():.3g}), which nmf does not allow; "
            "remove it from analyse.baselines"
        )
    return rows


def _kmeans(sample: Sample, task: Task) -> Fitted:
    kmeans = KMeans(task.n_classes, max_iter=PASSES, random_state=task.seed)
    kmeans.set_params(n_init=N_STARTS).fit(sample.rows)

    def assign(sites: Sample) -> np.ndarray:
        return np.asarray(kmeans.predict(sites.rows))

    return Fitted(
        _pca(sample, task).transform, lambda sites: kmeans.cluster_centers_[assign(sites)], assign
    )


def _gmm(sample: Sample, task: Task) -> Fitted:
    """A Gaussian mixture on all principal components."""
    gmm = mixture(sample.scores, n_classes=task.n_classes, seed=task.seed)
    means = np.asarray(gmm.means_)

    def assign(sites: Sample) -> np.ndarray:
        return np.asarray(gmm.predict(sites.scores))

    return Fitted(
        _pca(sample, task).transform, lambda sites: task.reconstruct(means[assign(sites)]), assign
    )


def _umap(sample: Sample, task: Task) -> Fitted:
    reducer = import_module("umap").UMAP(n_components=2, random_state=task.seed, n_jobs=1)
    reducer.fit(sample.rows)
    return Fitted(lambda sites: reducer.transform(sites.rows))


METHODS: Mapping[Baseline, Callable[[Sample, Task], Fitted]] = {
    "pca": _pca,
    "ica": _ica,
    "nmf": _nmf,
    "kmeans": _kmeans,
    "gmm": _gmm,
    "umap": _umap,
}
"""Methods by name; a new method is a function and a line here."""


def refuse_missing(methods: Sequence[Baseline]) -> None:
    """Refuse methods whose package is not installed.

    Raises:
        ConfigError: umap is selected and not installed.
    """
    if "umap" in methods and importlib.util.find_spec("umap") is None:
        raise ConfigError(
            "analyse.baselines names umap, which is not installed; "
            "run `pip install umap-learn`, or remove it"
        )


def compare_methods(
    patches: Path,
    components: xr.Dataset,
    *,
    methods: Sequence[Baseline],
    n_components: int,
    n_classes: int,
    seed: int,
    compute: ComputeConfig,
) -> xr.Dataset:
    """`content (baseline, site, coordinate)`, `cluster (baseline, site)`, `reconstruction_error (baseline, site)`.

    Coordinates that a method does not have, and errors of a method without reconstruction, are NaN.

    Args:
        patches: a store with `patch` and `valid` (site, channel, patch_y, patch_x).
        components: principal components of the same patches, with `component`, `mean_patch` and `pca (site, …)`.
        methods: names of the methods.
        n_components: number of coordinates.
        n_classes: number of clusters.
        seed: of all random numbers.
        compute: number of methods that are fitted in parallel.

    Raises:
        ConfigError: a method is not installed.
        InputError: patches are negative, and a method does not allow that.
    """
    refuse_missing(methods)
    images = components["component"].to_numpy()
    scores = components["pca"].to_numpy().astype(np.float64)
    task = Task(
        n_components=min(n_components, scores.shape[1]),
        n_classes=max(1, min(n_classes, len(scores) // 2)),
        seed=seed % 2**32,
        components=images.reshape(len(images), -1).astype(np.float64),
        mean=components["mean_patch"].to_numpy().reshape(-1).astype(np.float64),
        lowest=_lowest(patches),
    )
    samples = _Patches(patches, task.mean, scores)
    chosen = even(len(scores), FITTED)
    sample = samples.at(chosen)[0]

    def fit(name: Baseline) -> Fitted:
        # One thread: the order in which threads sum changes the last digits, and busy cores wait for each other.
        with threadpool_limits(1):
            return METHODS[name](sample, task)

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = map_blocks(fit, methods, compute=ComputeConfig(workers=compute.workers))
        answers = _applied(fitted, samples, chosen, task)
    return _labelled(methods, answers)


def _lowest(patches: Path) -> np.ndarray | None:
    """The patch of a pattern without electrons (pixel), if the store has one."""
    if not (patches / EMPTY / "zarr.json").is_file():
        return None
    return store.open_store(patches, group=EMPTY)["empty_patch"].to_numpy().reshape(-1)


@dataclass(frozen=True)
class _Patches:
    """Sites of a store, as inputs of the methods."""

    path: Path
    mean: np.ndarray
    scores: np.ndarray

    def at(self, sites: np.ndarray) -> tuple[Sample, np.ndarray]:
        """Inputs of some sites (ascending indices), and their valid pixels."""
        opened = store.open_store(self.path)[["patch", "valid"]].isel({dims.SITE: sites})
        valid = opened["valid"].to_numpy().reshape(len(sites), -1)
        values = opened["patch"].to_numpy().astype(np.float64).reshape(valid.shape)
        return Sample(np.where(valid, values, self.mean), self.scores[sites]), valid


def _applied(
    fitted: Sequence[Fitted], patches: _Patches, chosen: np.ndarray, task: Task
) -> list[Applied]:
    """All sites by every method; the patches are read once."""
    length = max(1, BLOCK_BYTES // (8 * len(task.mean)))
    blocks: list[list[Applied]] = [[] for _ in fitted]
    for block in store.blocks(len(patches.scores), length):
        sample, valid = patches.at(np.arange(block.start, block.stop))
        for of_method, method in zip(blocks, fitted, strict=True):
            of_method.append(_applied_to(method, sample, valid))
    return [_with_clusters(_joined(of_method), chosen, task) for of_method in blocks]


def _joined(blocks: Sequence[Applied]) -> Applied:
    coordinates, clusters, errors = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return coordinates, clusters, errors


def _applied_to(fitted: Fitted, sample: Sample, valid: np.ndarray) -> Applied:
    """Some sites by one method; no clusters if it has none."""
    clusters = np.zeros(0, int) if fitted.assign is None else fitted.assign(sample)
    return fitted.transform(sample), clusters, _errors(fitted, sample, valid)


def _with_clusters(applied: Applied, chosen: np.ndarray, task: Task) -> Applied:
    """With clusters by a Gaussian mixture on the coordinates, if the method has none."""
    coordinates, clusters, errors = applied
    if len(clusters) == 0:
        scaled = standardised(coordinates)
        label = mixture(scaled[chosen], n_classes=task.n_classes, seed=task.seed)
        clusters = label.predict(scaled)
    return coordinates, clusters, errors


def _errors(fitted: Fitted, sample: Sample, valid: np.ndarray) -> np.ndarray:
    if fitted.reconstruct is None:
        return np.full(len(valid), np.nan)
    residual = np.where(valid, sample.rows - fitted.reconstruct(sample), 0.0)
    return np.sqrt((residual**2).sum(axis=1) / np.maximum(valid.sum(axis=1), 1))


def _labelled(
    methods: Sequence[Baseline], answers: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> xr.Dataset:
    width = max((coordinates.shape[1] for coordinates, _, _ in answers), default=1)
    content = [
        np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=np.nan)
        for values, _, _ in answers
    ]
    return xr.Dataset(
        {
            "content": (
                ("baseline", dims.SITE, "coordinate"),
                np.stack(content).astype(np.float32),
                dims.attrs("latent coordinates of the site by a method without invariance"),
            ),
            "cluster": (
                ("baseline", dims.SITE),
                np.stack([label for _, label, _ in answers]).astype(np.int32),
                dims.attrs("cluster of the site by that method"),
            ),
            "reconstruction_error": (
                ("baseline", dims.SITE),
                np.stack([errors for _, _, errors in answers]).astype(np.float32),
                dims.attrs("rms residual over valid pixels"),
            ),
        },
        coords={"baseline": list(methods)},
    )
