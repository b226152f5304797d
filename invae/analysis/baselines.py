"""What one finds without a model: linear, independent and non-negative components, k-means, mixtures, UMAP.

Every method answers as a model does: coordinates of each site, its class, and how much of the patch they leave over.
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
from invae.config.results import Baseline
from invae.descriptors.layout import EMPTY
from invae.errors import ConfigError, InputError
from invae.storage import store

FITTED = 4000
"""Sites that a method is fitted to, evenly chosen; the rest is placed."""
BLOCK_BYTES = 64 << 20
"""Patches placed at once [B]."""
PASSES = 400
"""Most iterations of a method."""


@dataclass(frozen=True)
class Seen:
    """Some sites in both ways in which methods look at them."""

    rows: np.ndarray
    """(site, pixel); masked pixels hold the mean patch."""
    scores: np.ndarray
    """(site, component), of principal components."""


@dataclass(frozen=True)
class Task:
    """What every method is asked for, and the principal components that some of them start from."""

    n_components: int
    n_classes: int
    seed: int
    pictures: np.ndarray
    """(component, pixel)."""
    mean: np.ndarray
    """(pixel)."""
    lowest: np.ndarray | None = None
    """Patch of a pattern without electrons (pixel), where patches are patterns on a scale that goes below zero."""

    def redraw(self, scores: np.ndarray) -> np.ndarray:
        """Patches (site, pixel) made of the first principal components."""
        return scores @ self.pictures[: scores.shape[1]] + self.mean


@dataclass(frozen=True)
class Fitted:
    """A method after it has seen data."""

    place: Callable[[Seen], np.ndarray]
    """Coordinates (site, latent)."""
    redraw: Callable[[Seen], np.ndarray] | None = None
    """Patches (site, pixel) as the method draws them again; nothing where it cannot."""
    sort: Callable[[Seen], np.ndarray] | None = None
    """Class of each site; by a mixture on the coordinates when empty."""


def _pca(seen: Seen, task: Task) -> Fitted:
    def first(sites: Seen) -> np.ndarray:
        return sites.scores[:, : task.n_components]

    return Fitted(first, lambda sites: task.redraw(first(sites)))


def _ica(seen: Seen, task: Task) -> Fitted:
    """Independent components of the first principal ones, which is where whitening of the pixels ends."""
    first = _pca(seen, task)
    turned = FastICA(whiten="unit-variance", max_iter=PASSES, random_state=task.seed)
    turned.fit(first.place(seen))
    return Fitted(lambda sites: turned.transform(first.place(sites)), first.redraw)


def _nmf(seen: Seen, task: Task) -> Fitted:
    """Non-negative parts; of patterns counted from the one without electrons, so that what was taken off stands in their way no more.

    Residuals of counts n are (n − m)/√m and n is never negative: parts are those of n/√m, counts in units of their noise. The
    offset is put back after drawing, so errors are of the patches themselves.
    """
    made = NMF(init="nndsvda", max_iter=PASSES, random_state=task.seed)
    made.set_params(n_components=task.n_components).fit(_not_negative(seen.rows, task.lowest))
    offset = 0.0 if task.lowest is None else task.lowest

    def place(sites: Seen) -> np.ndarray:
        return made.transform(_not_negative(sites.rows, task.lowest))

    return Fitted(place, lambda sites: place(sites) @ made.components_ + offset)


def _not_negative(rows: np.ndarray, lowest: np.ndarray | None) -> np.ndarray:
    if lowest is not None:  # interpolation may undercut it by a little
        return np.maximum(rows - lowest, 0.0)
    if rows.min() < 0:
        raise InputError(
            f"patches have negative values ({rows.min():.3g}), which nmf does not allow; "
            "remove it from analyse.baselines"
        )
    return rows


def _kmeans(seen: Seen, task: Task) -> Fitted:
    made = KMeans(task.n_classes, max_iter=PASSES, random_state=task.seed)
    made.set_params(n_init=N_STARTS).fit(seen.rows)

    def sort(sites: Seen) -> np.ndarray:
        return np.asarray(made.predict(sites.rows))

    return Fitted(_pca(seen, task).place, lambda sites: made.cluster_centers_[sort(sites)], sort)


def _gmm(seen: Seen, task: Task) -> Fitted:
    """A Gaussian mixture on all principal components kept."""
    made = mixture(seen.scores, n_classes=task.n_classes, seed=task.seed)
    means = np.asarray(made.means_)

    def sort(sites: Seen) -> np.ndarray:
        return np.asarray(made.predict(sites.scores))

    return Fitted(_pca(seen, task).place, lambda sites: task.redraw(means[sort(sites)]), sort)


def _umap(seen: Seen, task: Task) -> Fitted:
    made = import_module("umap").UMAP(n_components=2, random_state=task.seed, n_jobs=1)
    made.fit(seen.rows)
    return Fitted(lambda sites: made.transform(sites.rows))


METHODS: Mapping[Baseline, Callable[[Seen, Task], Fitted]] = {
    "pca": _pca,
    "ica": _ica,
    "nmf": _nmf,
    "kmeans": _kmeans,
    "gmm": _gmm,
    "umap": _umap,
}
"""Methods by name; a new one is a function and a line here."""


def refuse_missing(methods: Sequence[Baseline]) -> None:
    """Stop a method whose package is not there.

    Raises:
        ConfigError: umap is asked for and not installed.
    """
    if "umap" in methods and importlib.util.find_spec("umap") is None:
        raise ConfigError(
            "analyse.baselines names umap, which is not installed; "
            "run `pip install umap-learn`, or remove it"
        )


def beside(
    patches: Path,
    components: xr.Dataset,
    *,
    methods: Sequence[Baseline],
    n_components: int,
    n_classes: int,
    seed: int,
) -> xr.Dataset:
    """`content (baseline, site, latent)`, `cluster (baseline, site)`, `reconstruction_error (baseline, site)`.

    Coordinates that a method has not, and errors of one that cannot draw, are NaN.

    Args:
        patches: a store with `patch` and `valid` (site, channel, patch_y, patch_x).
        components: principal components of the same patches, with `component`, `mean_patch` and `pca (site, …)`.
        methods: names.
        n_components: coordinates of each site.
        n_classes: classes of each method.
        seed: of everything drawn by chance.

    Raises:
        ConfigError: a method is not installed.
        InputError: patches are negative where a method cannot take that.
    """
    refuse_missing(methods)
    pictures = components["component"].to_numpy()
    scores = components["pca"].to_numpy().astype(np.float64)
    task = Task(
        n_components=min(n_components, scores.shape[1]),
        n_classes=max(1, min(n_classes, len(scores) // 2)),
        seed=seed % 2**32,
        pictures=pictures.reshape(len(pictures), -1).astype(np.float64),
        mean=components["mean_patch"].to_numpy().reshape(-1).astype(np.float64),
        lowest=_lowest(patches),
    )
    look = _Look(patches, task.mean, scores)
    chosen = even(len(scores), FITTED)
    # One thread: the order in which threads add up changes the last digits, and busy cores wait for each other.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = [_answers(METHODS[name], look, chosen, task) for name in methods]
    return _labelled(methods, found)


def _lowest(patches: Path) -> np.ndarray | None:
    """The patch of a pattern without electrons (pixel), where the store says what it is."""
    if not (patches / EMPTY / "zarr.json").is_file():
        return None
    return store.open_store(patches, group=EMPTY)["empty_patch"].to_numpy().reshape(-1)


@dataclass(frozen=True)
class _Look:
    """Sites of a store, as methods see them."""

    path: Path
    mean: np.ndarray
    scores: np.ndarray

    def at(self, sites: np.ndarray) -> tuple[Seen, np.ndarray]:
        """Some ascending sites, and where their pixels are valid."""
        opened = store.open_store(self.path)[["patch", "valid"]].isel({dims.SITE: sites})
        valid = opened["valid"].to_numpy().reshape(len(sites), -1)
        values = opened["patch"].to_numpy().astype(np.float64).reshape(valid.shape)
        return Seen(np.where(valid, values, self.mean), self.scores[sites]), valid


def _answers(
    fit: Callable[[Seen, Task], Fitted], look: _Look, chosen: np.ndarray, task: Task
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates, classes and errors of all sites."""
    fitted = fit(look.at(chosen)[0], task)
    length = max(1, BLOCK_BYTES // (8 * len(task.mean)))
    placed, sorted_, errors = [], [], []
    for block in store.blocks(len(look.scores), length):
        seen, valid = look.at(np.arange(block.start, block.stop))
        placed.append(fitted.place(seen))
        if fitted.sort is not None:
            sorted_.append(fitted.sort(seen))
        errors.append(_errors(fitted, seen, valid))
    coordinates = np.concatenate(placed)
    if sorted_:
        return coordinates, np.concatenate(sorted_), np.concatenate(errors)
    scaled = standardised(coordinates)
    label = mixture(scaled[chosen], n_classes=task.n_classes, seed=task.seed).predict(scaled)
    return coordinates, label, np.concatenate(errors)


def _errors(fitted: Fitted, seen: Seen, valid: np.ndarray) -> np.ndarray:
    if fitted.redraw is None:
        return np.full(len(valid), np.nan)
    left = np.where(valid, seen.rows - fitted.redraw(seen), 0.0)
    return np.sqrt((left**2).sum(axis=1) / np.maximum(valid.sum(axis=1), 1))


def _labelled(
    methods: Sequence[Baseline], found: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> xr.Dataset:
    width = max((coordinates.shape[1] for coordinates, _, _ in found), default=1)
    content = [
        np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=np.nan)
        for values, _, _ in found
    ]
    return xr.Dataset(
        {
            "content": (
                ("baseline", dims.SITE, dims.LATENT),
                np.stack(content).astype(np.float32),
                dims.attrs("latent coordinates of the site by a method without invariance"),
            ),
            "cluster": (
                ("baseline", dims.SITE),
                np.stack([label for _, label, _ in found]).astype(np.int32),
                dims.attrs("cluster of the site by that method"),
            ),
            "reconstruction_error": (
                ("baseline", dims.SITE),
                np.stack([errors for _, _, errors in found]).astype(np.float32),
                dims.attrs("rms residual over valid pixels"),
            ),
        },
        coords={"baseline": list(methods)},
    )
