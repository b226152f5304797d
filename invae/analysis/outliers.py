"""Sites unlike the others of their class: brighter or dimmer, elsewhere, or not explained by the model."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from scipy.spatial import KDTree

from invae import dims

NEIGHBOURS = 24
"""Sites of the same class, the nearest ones, whose median is the usual value: dirt and thickness change slowly."""
FEWEST = 12
"""A class of fewer sites has no usual value."""
ALONE = 10
"""A content is unlike others if so many of its class are far away."""
USUAL: Mapping[str, float] = {
    "intensity": 3.0,
    "width": 4.5,
    "mean_distance": 5.0,
    "unlikeness": 5.0,
    "reconstruction_error": 4.0,
}
"""Deviation that is still usual, in robust standard deviations of the class: heights are as good as normal, the
others have tails of their own."""
MOST = 200
"""Outliers that are kept, the strongest first."""
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
    "unlikeness": (REASONS[6], None),
    "reconstruction_error": (REASONS[7], None),
}
"""What is looked at → what it is called when it is too large, and when it is too small."""


def find_outliers(sites: xr.Dataset, *, label: np.ndarray) -> tuple[xr.DataArray, xr.Dataset]:
    """How unusual every site is among its likes near by `(site)`, and the unusual ones, strongest first.

    Usual is the median of the nearest sites of the same class and frame; what deviates from it is measured in
    robust standard deviations of the class. A definition of ours.

    Args:
        sites: `content`, `reconstruction_error`, coords `frame`, `y`, `x`, and of atoms what was measured.
        label: class of each site.
    """
    values = {name: sites[name].to_numpy().astype(float) for name in MEASURES if name in sites}
    values["unlikeness"] = _unlikeness(sites, label)
    near = _likes(sites, label)
    signed = np.stack([_deviation(v, near, label) / USUAL[name] for name, v in values.items()])
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
    """The unusual sites: which, where, how much and why."""
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


def _unlikeness(sites: xr.Dataset, label: np.ndarray) -> np.ndarray:
    """Logarithm of the distance of the tenth nearest content of the class (site,): large where a site stands alone;
    NaN in small classes.
    """
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy().astype(float)
    content = content / np.maximum(content.std(axis=0), 1e-9)
    distance = np.full(len(content), np.nan)
    for number in np.unique(label):
        here = label == number
        if here.sum() > FEWEST:
            apart = np.asarray(KDTree(content[here]).query(content[here], k=ALONE + 1)[0])[:, -1]
            distance[here] = np.log(np.maximum(apart, 1e-9))
    return distance


def _likes(sites: xr.Dataset, label: np.ndarray) -> np.ndarray:
    """Positions (site, neighbour) of the nearest sites of the same class and frame; the site itself where there are
    too few.
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
        found = np.asarray(KDTree(places).query(places, k=count + 1)[1])[:, 1:]
        near[here] = here[np.resize(found.T, (NEIGHBOURS, len(here))).T]
    return near


def _deviation(values: np.ndarray, near: np.ndarray, label: np.ndarray) -> np.ndarray:
    """How far each value is from the median of its likes, in robust spreads of its class; 0 where that is unknown."""
    apart = values - np.median(values[near], axis=1)
    answer = np.zeros(len(values))
    for number in np.unique(label):
        here = (label == number) & np.isfinite(apart)
        if here.sum() >= FEWEST:
            spread = NORMAL * np.median(np.abs(apart[here]))
            answer[here] = apart[here] / spread if spread > 0 else 0
    return answer
