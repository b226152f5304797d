"""The latent manifold: decoded patches over the range of the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import xarray as xr

from invae import dims

OUTER = 0.025
"""Share of the sites beyond the traversal at either end of a dimension."""
AXES = ("latent_1", "latent_2")


class Decode(Protocol):
    """Content (n, latent) to images (n, channel, y, x); upright, centred and of the first class by default."""

    def __call__(self, content: np.ndarray, /, given: Mapping[str, np.ndarray] = ...) -> np.ndarray:
        """Decode; other latents may be given: `angle` [rad], `shift` [pixel], `scale`, `shear`, `class` (joint state), `target`, `condition`."""
        ...


@dataclass(frozen=True)
class Member:
    """Sites of one class or condition, which share a manifold."""

    name: str
    sites: np.ndarray
    """Whether a site belongs to them (site), bool."""
    given: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Input of the decoder: `class` or `condition`, one row."""


def most_informative(content: xr.DataArray, content_sd: xr.DataArray | None = None) -> list[int]:
    """The (at most two) most informative content dimensions, in ascending order.

    A dimension is informative if its variance over sites is large compared with its posterior variance.
    """
    spread = content.var(dims.SITE).to_numpy()
    if content_sd is not None:
        spread = spread / np.maximum((content_sd**2).mean(dims.SITE).to_numpy(), 1e-12)
    return sorted(np.argsort(-spread, kind="stable")[: len(AXES)].tolist())


def manifold(
    content: xr.DataArray,
    decode: Decode,
    *,
    steps: int,
    channels: Sequence[str],
    content_sd: xr.DataArray | None = None,
    members: Sequence[Member] = (),
) -> xr.Dataset:
    """Decoded images on a grid over the quantiles of the two most informative content dimensions, for every class.

    `n_sites (class, latent_1, latent_2)` counts the sites of the class nearest to each node; images of nodes without sites are NaN.
    The other dimensions stay at their median.

    Args:
        content: (site, latent) [1].
        decode: the model's decoder, without pose.
        steps: images along each axis.
        channels: names of the channels of decoded images.
        content_sd: (site, latent), standard deviation of the posterior; used to choose the dimensions.
        members: classes or conditions; empty for all sites together.
    """
    values = np.asarray(content.transpose(dims.SITE, dims.LATENT), dtype=np.float64)
    members = members or [Member("all", np.ones(len(values), dtype=bool))]
    shown = most_informative(content, content_sd)
    levels = np.linspace(OUTER, 1 - OUTER, steps)
    nodes = [np.quantile(values[:, d], levels) for d in shown]
    full = [*nodes, np.zeros(1)][: len(AXES)]
    counts = [_census(values[member.sites][:, shown], nodes) for member in members]
    shape = [len(axis) for axis in full]
    grid = np.tile(np.median(values, axis=0), (shape[0] * shape[1], 1))
    for column, mesh in zip(shown, np.meshgrid(*full, indexing="ij"), strict=False):
        grid[:, column] = mesh.ravel()
    decoded = [np.asarray(decode(grid.astype(np.float32), member.given)) for member in members]
    images = np.stack([picture.reshape(*shape, *picture.shape[1:]) for picture in decoded])
    census = np.stack([count.reshape(shape) for count in counts])
    images = images.astype(np.float32)
    images[census == 0] = np.nan
    names = [member.name for member in members]
    return _labelled(images, census, nodes=full, shown=shown, channels=channels, names=names)


def _census(values: np.ndarray, nodes: Sequence[np.ndarray]) -> np.ndarray:
    """Number of sites nearest to each node of the grid, axis by axis."""
    nearest = [
        np.abs(values[:, [axis]] - levels[None]).argmin(axis=1) for axis, levels in enumerate(nodes)
    ]
    counts = np.zeros([len(levels) for levels in nodes], dtype=np.int64)
    np.add.at(counts, tuple(nearest), 1)
    return counts


def _labelled(
    images: np.ndarray,
    counts: np.ndarray,
    *,
    nodes: Sequence[np.ndarray],
    shown: Sequence[int],
    channels: Sequence[str],
    names: Sequence[str],
) -> xr.Dataset:
    coords = {
        axis: (axis, values, _axis_attrs(shown, index))
        for index, (axis, values) in enumerate(zip(AXES, nodes, strict=True))
    }
    return xr.Dataset(
        {
            "manifold": (
                (dims.CLASS, *AXES, dims.CHANNEL, dims.PATCH_Y, dims.PATCH_X),
                images,
                dims.attrs("decoded patch, upright and centred; empty without sites"),
            ),
            "n_sites": ((dims.CLASS, *AXES), counts, dims.attrs("sites nearest to the node")),
        },
        coords={**coords, "class_name": (dims.CLASS, list(names)), dims.CHANNEL: list(channels)},
    )


def _axis_attrs(shown: Sequence[int], index: int) -> dict[str, object]:
    if index >= len(shown):
        return dims.attrs("unused: the content has one dimension")
    return dims.attrs(f"content dimension {shown[index] + 1}", content_dimension=shown[index])
