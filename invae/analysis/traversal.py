"""The latent manifold: what the decoder draws where the data live."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import xarray as xr

from invae import dims

OUTER = 0.025
"""Share of the sites left outside the traversal at either end of a dimension."""
AXES = ("latent_1", "latent_2")


class Decode(Protocol):
    """Content (n, latent) to images (n, channel, y, x); upright, centred and of the first class unless said otherwise."""

    def __call__(self, content: np.ndarray, /, given: Mapping[str, np.ndarray] = ...) -> np.ndarray:
        """Draw; `given` holds `angle` [rad], `shift` [pixel], `scale`, `shear`, `class` (joint state), `target`, `condition`."""
        ...


@dataclass(frozen=True)
class Member:
    """Sites that share a class or a condition, and have a manifold of their own."""

    name: str
    sites: np.ndarray
    """Which they are (site), bool."""
    given: Mapping[str, np.ndarray] = field(default_factory=dict)
    """What the decoder is told: `class` or `condition`, one row."""


def liveliest(content: xr.DataArray, content_sd: xr.DataArray | None = None) -> list[int]:
    """The (at most two) content dimensions that say most, in their own order.

    A dimension says much if it varies more between sites than it is uncertain at one.
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
    """Decoded images on a grid over the quantiles of the two liveliest content dimensions, for every class.

    Images are NaN where no site of the class lies nearest to the node; `n_sites (class, latent_1, latent_2)` counts them.
    The other dimensions stay at their median.

    Args:
        content: (site, latent) [1].
        decode: the model's decoder, without pose.
        steps: images along each axis.
        channels: names of the channels that come back from the decoder.
        content_sd: (site, latent), the posterior's uncertainty; used to find the liveliest dimensions.
        members: classes or conditions; all sites as one when empty.
    """
    values = np.asarray(content.transpose(dims.SITE, dims.LATENT), dtype=np.float64)
    members = members or [Member("all", np.ones(len(values), dtype=bool))]
    shown = liveliest(content, content_sd)
    levels = np.linspace(OUTER, 1 - OUTER, steps)
    nodes = [np.quantile(values[:, d], levels) for d in shown]
    full = [*nodes, np.zeros(1)][: len(AXES)]
    counts = [_census(values[member.sites][:, shown], nodes) for member in members]
    shape = [len(axis) for axis in full]
    grid = np.tile(np.median(values, axis=0), (shape[0] * shape[1], 1))
    for column, mesh in zip(shown, np.meshgrid(*full, indexing="ij"), strict=False):
        grid[:, column] = mesh.ravel()
    drawn = [np.asarray(decode(grid.astype(np.float32), member.given)) for member in members]
    images = np.stack([picture.reshape(*shape, *picture.shape[1:]) for picture in drawn])
    census = np.stack([count.reshape(shape) for count in counts])
    images = images.astype(np.float32)
    images[census == 0] = np.nan
    names = [member.name for member in members]
    return _labelled(images, census, nodes=full, shown=shown, channels=channels, names=names)


def _census(values: np.ndarray, nodes: Sequence[np.ndarray]) -> np.ndarray:
    """How many sites lie nearest to each node of the grid, axis by axis."""
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
