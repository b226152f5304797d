"""Surprise: how unusual the neighbourhood of a probe is, compared with all others.

One pattern of few electrons has little information. The content of neighbouring probes, and its products, are therefore averaged: in a
periodic lattice these averages are equal everywhere, for any position in the cell and any orientation of the lattice; at a missing atom
they differ. A second score is the missing signal of the lattice in the maps of the scan (`lattice.py`), which needs fewer electrons. The
information of single probes about the lattice is the weight of the model's score.
"""

import numpy as np
import scipy.ndimage as ndi
import xarray as xr
from sklearn.covariance import MinCovDet

from invae import dims
from invae.analysis.clusters import even, standardised
from invae.analysis.diffraction.lattice import MAD_TO_SD, Deviation, deviations_from_lattice

FITTED = 1000
"""Number of probes that define the normal state, evenly chosen."""
USUAL_SHARE = 0.8
"""Smallest share of probes that count as normal."""
LEAST_INFORMATIVE = 0.1
"""Smallest share of the variance between sites in the total variance of a content dimension, posterior variance included."""
FEWEST = 50
"""With fewer probes, no probe is surprising."""


FIELDS = {"com_y": False, "com_x": False, "haadf": True}
"""Maps of a scan in which a lattice is searched, and whether they are 0 in vacuum."""


def surprise(
    sites: xr.Dataset, shape: tuple[int, int], *, radius: float, maps: xr.Dataset | None = None
) -> xr.DataArray:
    """Surprise of each probe (site), as a robust z-score.

    Two scores, each with median 0 and a spread (from the median absolute deviation) of 1 over all probes: the missing signal of the
    lattice of the maps, and the Mahalanobis distance of the model's averages from the normal state. Their squares are added; the
    model's score (and that of more lattice signal than normal) is weighted by the information of single probes about the lattice.
    Without maps, or without a lattice in them, the surprise is the model's score.

    Args:
        sites: `content`, `log_likelihood`, and positions of the probes `y` and `x` [scan step].
        shape: probes of the scan, (y, x).
        radius: sd of the Gaussian average over neighbouring probes [scan step].
        maps: some of `com_y`, `com_x` and `haadf` (scan_y, scan_x).
    """
    unusual = model_surprise(sites, shape, radius=radius)
    lattice = None if maps is None else _deviations(maps)
    if lattice is not None and unusual.any():
        missing = lattice.missing[places(sites)]
        others = np.maximum(unusual, 0) ** 2 + np.minimum(missing, 0) ** 2
        unusual = np.sqrt(np.maximum(missing, 0) ** 2 + lattice.information**2 * others)
    words = "surprise: how unusual the neighbourhood of the probe is (robust z-score)"
    return xr.DataArray(unusual.astype(np.float32), dims=dims.SITE, attrs=dims.attrs(words))


def places(sites: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the probe of every site."""
    y, x = (np.rint(sites[name].to_numpy()).astype(int) for name in (dims.Y, dims.X))
    return y, x


def _deviations(maps: xr.Dataset) -> Deviation | None:
    """Deviations from the lattice of those maps that may have one."""
    names = [name for name in FIELDS if name in maps]
    values = [maps[name].transpose(dims.SCAN_Y, dims.SCAN_X).to_numpy() for name in names]
    from_zero = np.array([FIELDS[name] for name in names])
    return deviations_from_lattice(np.stack(values, axis=-1), from_zero=from_zero)


def model_surprise(sites: xr.Dataset, shape: tuple[int, int], *, radius: float) -> np.ndarray:
    """Distance of the averaged features of each neighbourhood from the normal state (site,), as a robust z-score; 0 with too few probes.

    It is the Mahalanobis distance under the covariance of normal probes.

    Source: Rousseeuw & Van Driessen 1999, doi:10.1080/00401706.1999.10485670 (minimum covariance determinant).
    """
    features = _averaged(_features(sites), sites, shape, radius=radius)
    features = features[:, features.std(0) > 0]
    if len(features) < FEWEST or features.shape[1] == 0:
        return np.zeros(len(features))
    features = _independent(features)
    normal = MinCovDet(support_fraction=USUAL_SHARE, random_state=0)
    normal.fit(features[even(len(features), FITTED)])
    distance = np.sqrt(normal.mahalanobis(features))
    middle = np.median(distance)
    spread = MAD_TO_SD * np.median(np.abs(distance - middle))
    return (distance - middle) / max(float(spread), 1e-12)


def _features(sites: xr.Dataset) -> np.ndarray:
    """Content, its products, and the log-likelihood, each of mean 0 (site, feature)."""
    lively = _informative(sites)
    content = standardised(lively) if lively.shape[1] else lively
    first, second = np.triu_indices(content.shape[1])
    explained = sites["log_likelihood"].to_numpy().astype(np.float64)[:, None]
    return standardised(
        np.concatenate((content, content[:, first] * content[:, second], explained), axis=1)
    )


def _informative(sites: xr.Dataset) -> np.ndarray:
    """Content dimensions that distinguish sites: the others are noise and must not count as a signal."""
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy().astype(np.float64)
    if "content_sd" not in sites:
        return content
    doubt = sites["content_sd"].transpose(dims.SITE, dims.LATENT).to_numpy()
    lively = content.var(0) > LEAST_INFORMATIVE * (content.var(0) + (doubt**2).mean(0))
    return content[:, lively]


def _averaged(
    values: np.ndarray, sites: xr.Dataset, shape: tuple[int, int], *, radius: float
) -> np.ndarray:
    """Values (site, feature) averaged over neighbouring probes; probes beyond the scan count as normal."""
    y, x = places(sites)
    columns = []
    for column in values.T:
        image = np.zeros(shape)
        image[y, x] = column
        columns.append(ndi.gaussian_filter(image, radius, mode="constant")[y, x])
    return np.stack(columns, axis=1)


def _independent(features: np.ndarray) -> np.ndarray:
    """Principal directions of the features, without those of zero variance."""
    scaled = standardised(features)
    values, vectors = np.linalg.eigh(np.cov(scaled.T, ddof=0).reshape(scaled.shape[1], -1))
    kept = values > 1e-9 * values.max()
    return scaled @ vectors[:, kept] / np.sqrt(values[kept])
