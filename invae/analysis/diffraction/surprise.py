"""How unusual what is found around a probe is, given all the others.

One pattern of few electrons says little. What a model says of neighbouring probes is therefore averaged, as are the products of its
contents: where a lattice repeats itself these averages are the same everywhere, whatever the place in the cell and the turn of the
lattice; where an atom is missing they are not. Beside it stands what the neighbourhood lacks of the lattice that the maps of the scan show
(`scan_lattice`), which fewer electrons tell. What single probes tell of the lattice says how far the model's word is taken.
"""

import numpy as np
import scipy.ndimage as ndi
import xarray as xr
from sklearn.covariance import MinCovDet

from invae import dims
from invae.analysis.clusters import even, standardised
from invae.analysis.diffraction.lattice import MAD_TO_SD, Left, left_of_lattice

FITTED = 1000
"""Probes from which the usual is learned, evenly chosen."""
USUAL_SHARE = 0.8
"""Least share of probes that are taken to be usual."""
LEAST_TOLD = 0.1
"""Share of a content's variance that must be differences between sites rather than doubt about each."""
FEWEST = 50
"""Of fewer probes nothing is known to be usual; none is surprising."""


FIELDS = {"com_y": False, "com_x": False, "haadf": True}
"""Maps of a scan in which a lattice is looked for, and whether they are 0 where nothing is."""


def surprise(
    sites: xr.Dataset, shape: tuple[int, int], *, radius: float, maps: xr.Dataset | None = None
) -> xr.DataArray:
    """How unusual the neighbourhood of each probe is (site), as a robust z-score.

    Two scores, each with its median at 0 and its spread among all probes, from the median absolute deviation, at 1: what the lattice of
    the maps lacks around the probe, and the distance of Mahalanobis of what the model says from the usual. Their squares are
    added, the model's (and that of more than the usual lattice) in the measure in which single probes tell of the lattice. Without
    maps, or where these have no lattice, the model's alone.

    Args:
        sites: `content`, `log_likelihood`, and the probes' places `y` and `x` [scan step].
        shape: probes of the scan, (y, x).
        radius: sd of the Gaussian over which what the model says is averaged [scan step].
        maps: some of `com_y`, `com_x` and `haadf` (scan_y, scan_x).
    """
    unlike = unlike_usual(sites, shape, radius=radius)
    left = None if maps is None else _left_of(maps)
    if left is not None and unlike.any():
        missing = left.missing[places(sites)]
        others = np.maximum(unlike, 0) ** 2 + np.minimum(missing, 0) ** 2
        unlike = np.sqrt(np.maximum(missing, 0) ** 2 + left.told**2 * others)
    words = "surprise: how unusual the neighbourhood of the probe is (robust z-score)"
    return xr.DataArray(unlike.astype(np.float32), dims=dims.SITE, attrs=dims.attrs(words))


def places(sites: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every site's probe."""
    y, x = (np.rint(sites[name].to_numpy()).astype(int) for name in (dims.Y, dims.X))
    return y, x


def _left_of(maps: xr.Dataset) -> Left | None:
    """What neighbourhoods show of the lattice of those maps that may have one."""
    names = [name for name in FIELDS if name in maps]
    values = [maps[name].transpose(dims.SCAN_Y, dims.SCAN_X).to_numpy() for name in names]
    from_zero = np.array([FIELDS[name] for name in names])
    return left_of_lattice(np.stack(values, axis=-1), from_zero=from_zero)


def unlike_usual(sites: xr.Dataset, shape: tuple[int, int], *, radius: float) -> np.ndarray:
    """How far what a model says of each neighbourhood lies from the usual (site,), as a robust z-score; 0 of too few.

    The distance is that of Mahalanobis under the covariance of the usual probes.

    Source: Rousseeuw & Van Driessen 1999, doi:10.1080/00401706.1999.10485670 (minimum covariance determinant).
    """
    features = _averaged(_features(sites), sites, shape, radius=radius)
    features = features[:, features.std(0) > 0]
    if len(features) < FEWEST or features.shape[1] == 0:
        return np.zeros(len(features))
    features = _independent(features)
    usual = MinCovDet(support_fraction=USUAL_SHARE, random_state=0)
    usual.fit(features[even(len(features), FITTED)])
    distance = np.sqrt(usual.mahalanobis(features))
    middle = np.median(distance)
    spread = MAD_TO_SD * np.median(np.abs(distance - middle))
    return (distance - middle) / max(float(spread), 1e-12)


def _features(sites: xr.Dataset) -> np.ndarray:
    """Content, its products, and how well the pattern is explained, each of mean 0 (site, feature)."""
    lively = _lively(sites)
    content = standardised(lively) if lively.shape[1] else lively
    first, second = np.triu_indices(content.shape[1])
    explained = sites["log_likelihood"].to_numpy().astype(np.float64)[:, None]
    return standardised(
        np.concatenate((content, content[:, first] * content[:, second], explained), axis=1)
    )


def _lively(sites: xr.Dataset) -> np.ndarray:
    """The contents that tell sites apart: the others are noise, which must not count like a signal."""
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy().astype(np.float64)
    if "content_sd" not in sites:
        return content
    doubt = sites["content_sd"].transpose(dims.SITE, dims.LATENT).to_numpy()
    lively = content.var(0) > LEAST_TOLD * (content.var(0) + (doubt**2).mean(0))
    return content[:, lively]


def _averaged(
    values: np.ndarray, sites: xr.Dataset, shape: tuple[int, int], *, radius: float
) -> np.ndarray:
    """Values (site, feature) averaged over neighbouring probes; what lies beyond the scan counts as usual."""
    y, x = places(sites)
    columns = []
    for column in values.T:
        image = np.zeros(shape)
        image[y, x] = column
        columns.append(ndi.gaussian_filter(image, radius, mode="constant")[y, x])
    return np.stack(columns, axis=1)


def _independent(features: np.ndarray) -> np.ndarray:
    """The features' principal directions, those without any spread left out."""
    scaled = standardised(features)
    values, vectors = np.linalg.eigh(np.cov(scaled.T, ddof=0).reshape(scaled.shape[1], -1))
    kept = values > 1e-9 * values.max()
    return scaled @ vectors[:, kept] / np.sqrt(values[kept])
