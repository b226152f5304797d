"""Outliers: sites that deviate from their class in intensity, distance, content or reconstruction error."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from scipy.spatial import KDTree

from invae import dims

NEIGHBOURS = 24
"""Number of nearest sites of the same class whose median is the expected value: contamination and thickness change slowly."""
FEWEST = 12
"""A class with fewer sites has no expected value."""
ALONE = 10
"""Isolation of a content is the distance of its neighbour of this rank."""
USUAL: Mapping[str, float] = {
    "intensity": 3.0,
    "width": 4.5,
    "mean_distance": 5.0,
    "isolation": 5.0,
    "reconstruction_error": 4.0,
}
"""Thresholds, in robust standard deviations of the class: intensities are nearly normally distributed, the other
quantities have heavier tails."""
MOST = 200
"""Largest number of outliers, the strongest first."""
NORMAL = 1.4826
"""Standard deviation of normal noise over its median absolute deviation."""
REASONS = (
    "brighter than its class",
    "dimmer than its class",
    "wider than its class",
    "narrower than its class",
    "neighbours too far",
    "neighbours too close",
    "unusual content",
    "poorly reconstructed",
)
MEASURES: Mapping[str, tuple[str, str | None]] = {
    "intensity": (REASONS[0], REASONS[1]),
    "width": (REASONS[2], REASONS[3]),
    "mean_distance": (REASONS[4], REASONS[5]),
    "isolation": (REASONS[6], None),
    "reconstruction_error": (REASONS[7], None),
}
"""Quantity → reason if it is too large, and if it is too small."""


def find_outliers(sites: xr.Dataset, *, label: np.ndarray) -> tuple[xr.DataArray, xr.Dataset]:
    """Outlier score of every site `(site)`, and the table of outliers, the strongest first.

    The expected value is the median of the nearest sites of the same class and frame; deviations are measured in robust
    standard deviations of the class. The definition is this project's own.

    Args:
        sites: `content`, `reconstruction_error`, coords `frame`, `y`, `x`, and measured properties of atoms.
        label: class of each site.
    """
    values = {name: sites[name].to_numpy().astype(float) for name in MEASURES if name in sites}
    values["isolation"] = _isolation(sites, label)
    neighbours = _neighbours(sites, label)
    signed = np.stack(
        [_deviation(v, neighbours, label) / USUAL[name] for name, v in values.items()]
    )
    both = np.array([[MEASURES[name][1] is not None] for name in values])
    size = np.where(both, np.abs(signed), np.maximum(signed, 0))
    worst, every = size.argmax(axis=0), np.arange(len(label))
    score = size[worst, every]
    words = "largest deviation from the nearest sites of the class, over the threshold"
    everywhere = xr.DataArray(score.astype(np.float32), dims=dims.SITE, attrs=dims.attrs(words))
    chosen = np.flatnonzero(score > 1)
    chosen = chosen[np.argsort(-score[chosen], kind="stable")][:MOST]
    names = [MEASURES[name] for name in values]
    reason = [
        REASONS.index(str(names[row][0 if signed[row, site] > 0 else 1]))
        for site, row in zip(chosen, worst[chosen], strict=True)
    ]
    return everywhere, _table(sites, chosen, score, np.array(reason, dtype=np.int8), label)


def _table(
    sites: xr.Dataset, chosen: np.ndarray, score: np.ndarray, reason: np.ndarray, label: np.ndarray
) -> xr.Dataset:
    """The table of outliers: site, position, score and reason."""
    where = {
        name: ("outlier", sites[name].to_numpy()[chosen], sites[name].attrs)
        for name in (dims.FRAME, "y", "x", "y_nm", "x_nm")
    }
    return xr.Dataset(
        {
            "site": ("outlier", chosen, dims.attrs("position along `site`")),
            "score": (
                "outlier",
                score[chosen],
                dims.attrs("deviation from the nearest sites of the class, over the threshold"),
            ),
            "reason": ("outlier", reason, dims.flags(REASONS, "reason")),
            "label": ("outlier", label[chosen].astype(np.int64), dims.attrs("class of the site")),
            **where,
        }
    )


def _isolation(sites: xr.Dataset, label: np.ndarray) -> np.ndarray:
    """Logarithm of the distance to the tenth nearest content of the class (site,): large for isolated sites; NaN in small
    classes.
    """
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy().astype(float)
    content = content / np.maximum(content.std(axis=0), 1e-9)
    distance = np.full(len(content), np.nan)
    for number in np.unique(label):
        here = label == number
        if here.sum() > FEWEST:
            far = np.asarray(KDTree(content[here]).query(content[here], k=ALONE + 1)[0])[:, -1]
            distance[here] = np.log(np.maximum(far, 1e-9))
    return distance


def _neighbours(sites: xr.Dataset, label: np.ndarray) -> np.ndarray:
    """Indices (site, neighbour) of the nearest sites of the same class and frame; the site itself if there are too
    few.
    """
    y, x, frame = (sites[name].to_numpy() for name in (dims.Y, dims.X, dims.FRAME))
    near = np.tile(np.arange(len(label))[:, None], (1, NEIGHBOURS))
    group = np.unique(np.column_stack([frame, label]), axis=0, return_inverse=True)[1].ravel()
    for number in range(group.max() + 1):
        here = np.flatnonzero(group == number)
        if len(here) < FEWEST:
            continue
        places = np.column_stack([y[here], x[here]])
        count = min(NEIGHBOURS, len(here) - 1)
        neighbours = np.asarray(KDTree(places).query(places, k=count + 1)[1])[:, 1:]
        near[here] = here[np.resize(neighbours.T, (NEIGHBOURS, len(here))).T]
    return near


def _deviation(values: np.ndarray, neighbours: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Deviation of each value from the median of its neighbours, in robust standard deviations of its class; 0 if unknown."""
    deviation = values - np.median(values[neighbours], axis=1)
    scaled = np.zeros(len(values))
    for number in np.unique(label):
        here = (label == number) & np.isfinite(deviation)
        if here.sum() >= FEWEST:
            spread = NORMAL * np.median(np.abs(deviation[here]))
            scaled[here] = deviation[here] / spread if spread > 0 else 0
    return scaled
