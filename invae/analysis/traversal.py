"""The latent manifold: what the decoder draws where the data live."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import xarray as xr

from invae import dims

OUTER = 0.025
"""Share of the sites left outside the traversal at either end of a dimension."""
AXES = ("latent_1", "latent_2")


class Decode(Protocol):
    """Content (n, latent) to images (n, channel, y, x); upright and centred without angle [rad] and shift [pixel]."""

    def __call__(
        self,
        content: np.ndarray,
        /,
        *,
        angle: np.ndarray | None = None,
        shift: np.ndarray | None = None,
    ) -> np.ndarray: ...


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
) -> xr.Dataset:
    """Decoded images on a grid over the quantiles of the two liveliest content dimensions.

    Images are NaN where no site lies nearest to the node; `n_sites (latent_1, latent_2)` counts them. The other
    dimensions stay at their median.

    Args:
        content: (site, latent) [1].
        decode: the model's decoder, without pose.
        steps: images along each axis.
        channels: names of the channels that come back from the decoder.
        content_sd: (site, latent), the posterior's uncertainty; used to find the liveliest dimensions.
    """
    values = np.asarray(content.transpose(dims.SITE, dims.LATENT), dtype=np.float64)
    shown = liveliest(content, content_sd)
    levels = np.linspace(OUTER, 1 - OUTER, steps)
    nodes = [np.quantile(values[:, d], levels) for d in shown]
    counts = _census(values[:, shown], nodes)
    if len(shown) == 1:
        nodes, counts = [*nodes, np.zeros(1)], counts[:, None]
    grid = np.tile(np.median(values, axis=0), (counts.size, 1))
    for column, mesh in zip(shown, np.meshgrid(*nodes, indexing="ij"), strict=False):
        grid[:, column] = mesh.ravel()
    images = np.asarray(decode(grid.astype(np.float32)), dtype=np.float32)
    images = images.reshape(*counts.shape, *images.shape[1:])
    images[counts == 0] = np.nan
    return _labelled(images, counts, nodes=nodes, shown=shown, channels=channels)


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
) -> xr.Dataset:
    coords = {
        axis: (axis, values, _axis_attrs(shown, index))
        for index, (axis, values) in enumerate(zip(AXES, nodes, strict=True))
    }
    return xr.Dataset(
        {
            "manifold": (
                (*AXES, dims.CHANNEL, dims.PATCH_Y, dims.PATCH_X),
                images,
                dims.attrs("decoded patch, upright and centred; empty where no site lies"),
            ),
            "n_sites": (AXES, counts, dims.attrs("sites nearest to the node")),
        },
        coords={**coords, dims.CHANNEL: list(channels)},
    )


def _axis_attrs(shown: Sequence[int], index: int) -> dict[str, object]:
    if index >= len(shown):
        return dims.attrs("unused axis: the content has one dimension")
    return dims.attrs(f"content dimension {shown[index] + 1}", content_dimension=shown[index])
