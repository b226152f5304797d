"""Clusters of sites: a Gaussian mixture on the standardised content; the BIC chooses the number of clusters."""

import warnings

import numpy as np
import xarray as xr
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from invae import dims
from invae.errors import InputError

MAX_FITTED = 20_000
"""Number of sites that the mixture is fitted to, evenly chosen; the others are assigned."""
SITES_PER_CLASS = 10
"""Numbers of clusters with fewer sites per cluster are not tested."""
N_STARTS = 3
"""Starts of the expectation maximisation; the most likely one is kept."""
FEWEST = 5
"""A mixture with a smaller cluster describes outliers and is not chosen."""
SPREAD_FLOOR = 1e-3
"""Added to the variance of every cluster, in units of the variance of the content: sites on a line must not become infinitely thin clusters."""
LOST_SD = 1e-6
"""A content dimension with a smaller sd, relative to the largest one, is unused."""


def classify(content: xr.DataArray, *, max_clusters: int, seed: int) -> xr.Dataset:
    """`cluster (site)`, `cluster_probability (site, cluster_name)`, `bic (n_classes)` and their reliability.

    Clusters are sorted by size, the largest first. `attrs["turns"]`: whether the BIC has a minimum below the largest tested
    number. `attrs["agreement"]`: adjusted Rand index between two seeds.

    Args:
        content: (site, latent) [1].
        max_clusters: largest tested number of clusters.
        seed: of the starts of the fit.

    Raises:
        InputError: there are no sites, or some content is not finite.
    """
    values = _checked(content)
    fitted = values[even(len(values), MAX_FITTED)]
    limit = max(1, min(max_clusters, len(fitted) // SITES_PER_CLASS))
    candidates = [mixture(fitted, n_classes=n, seed=seed) for n in range(1, limit + 1)]
    bic = np.array([candidate.bic(fitted) for candidate in candidates])
    accepted = np.array([_smallest(candidate, fitted) >= FEWEST for candidate in candidates])
    accepted[0] = True
    best = int(np.argmin(np.where(accepted, bic, np.inf)))
    repeated = mixture(fitted, n_classes=best + 1, seed=seed + 1)
    probability = candidates[best].predict_proba(values)
    sizes = np.bincount(probability.argmax(axis=1), minlength=best + 1)
    order = np.argsort(-sizes, kind="stable")
    agreement = adjusted_rand_score(candidates[best].predict(fitted), repeated.predict(fitted))
    return _labelled(
        probability[:, order],
        bic=bic,
        turns=bool(int(np.argmin(bic)) + 1 < limit or limit == 1),
        agreement=float(agreement),
    )


def _checked(content: xr.DataArray) -> np.ndarray:
    """The content, each dimension standardised; unused dimensions become zero."""
    values = np.asarray(content.transpose(dims.SITE, dims.LATENT), dtype=np.float64)
    if len(values) < 2:
        raise InputError(f"the embedding has {len(values)} site(s); clusters need at least 2")
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values).all(axis=1)).sum())
        raise InputError(f"content of {bad} of {len(values)} sites is not finite; train again")
    return standardised(values)


def standardised(values: np.ndarray) -> np.ndarray:
    """Values (site, number), each number of mean 0 and sd 1; unused numbers become zero."""
    sd = values.std(axis=0)
    used = sd > LOST_SD * max(float(sd.max()), np.finfo(float).tiny)
    return np.where(used, (values - values.mean(axis=0)) / np.where(used, sd, 1.0), 0.0)


def even(length: int, most: int) -> np.ndarray:
    """At most `most` indices, evenly spread over `length`."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(np.int64))


def mixture(values: np.ndarray, *, n_classes: int, seed: int) -> GaussianMixture:
    """A Gaussian mixture fitted to values (site, number), the most likely one of a few starts."""
    model = GaussianMixture(
        n_classes, n_init=N_STARTS, max_iter=300, reg_covar=SPREAD_FLOOR, random_state=seed % 2**32
    )
    # One thread: k-means sums in the order in which threads finish, and on busy cores they wait for each other.
    with warnings.catch_warnings(), threadpool_limits(1):
        # Too many components do not converge, nor do more components than distinct sites: the BIC penalises both.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(values)


def _smallest(model: GaussianMixture, values: np.ndarray) -> int:
    """Number of sites of the smallest cluster."""
    return int(np.bincount(model.predict(values), minlength=model.n_components).min())


def _labelled(
    probability: np.ndarray, *, bic: np.ndarray, turns: bool, agreement: float
) -> xr.Dataset:
    n_classes = probability.shape[1]
    names = [f"cluster_{index + 1}" for index in range(n_classes)]
    return xr.Dataset(
        {
            "cluster": (
                dims.SITE,
                probability.argmax(axis=1).astype(np.int32),
                dims.flags(names, "cluster of the site by its content, the largest cluster first"),
            ),
            "cluster_probability": (
                (dims.SITE, "cluster_name"),
                probability.astype(np.float32),
                dims.attrs("probability of each cluster, given the content"),
            ),
            "bic": (
                "n_classes",
                bic,
                dims.attrs("Bayesian information criterion of the mixture; lower is better"),
            ),
        },
        coords={
            "cluster_name": names,
            "n_classes": (
                "n_classes",
                np.arange(1, len(bic) + 1),
                dims.attrs("number of clusters"),
            ),
        },
        attrs={"turns": turns, "agreement": agreement, "n_classes": n_classes},
    )


def remarks(classes: xr.Dataset) -> list[str]:
    """Remarks on the reliability of the clusters."""
    n_tested, chosen = classes.sizes["n_classes"], classes.attrs["n_classes"]
    lines = []
    if not classes.attrs["turns"]:
        lines.append(
            f"the BIC still decreases at the largest tested number of clusters ({n_tested}): "
            "the content is continuous or has more clusters; raise analyse.max_clusters"
        )
    if classes.attrs["agreement"] < 0.8:
        lines.append(
            f"the {chosen} clusters depend on the seed "
            f"(adjusted Rand index {classes.attrs['agreement']:.2f} between two seeds)"
        )
    return lines
