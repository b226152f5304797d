"""Figures of a trained model for notebooks: manifold, latent plane, history, reconstructions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from invae.training.history import Epoch

COLOURS = "viridis"
SIDE = 4.0
"""Side of a panel [inch]."""


def manifold(images: xr.DataArray) -> Figure:
    """Decoded patches over the first two content dimensions, a panel for each class.

    Args:
        images: Of `InvariantVAE.traversal`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIDE * images.shape[0], SIDE), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, images.shape[0]))
    first = images.isel(channel=0)
    for number, axis in enumerate(axes):
        grid = first.isel({"class": number}).to_numpy()
        if grid.ndim == 3:
            grid = grid[:, None]
        # latent_1 to the right, latent_2 upwards
        rows = np.swapaxes(grid, 0, 1)[::-1]
        axis.imshow(np.block([list(row) for row in rows]), cmap=COLOURS)
        axis.set(xlabel="content 1", ylabel="content 2", xticks=[], yticks=[])
        if images.shape[0] > 1:
            axis.set_title(f"class {number + 1}")
    return figure


def latent_plane(latents: xr.Dataset) -> Figure:
    """The first two content dimensions of all sites, coloured by class where there are classes.

    Args:
        latents: Of `InvariantVAE.encode`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIDE, SIDE), layout="constrained")
    axis = figure.subplots()
    content = latents["content"].to_numpy()
    second = content[:, 1] if content.shape[1] > 1 else np.zeros(len(content))
    label = latents["class"].to_numpy() if "class" in latents else np.zeros(len(content), int)
    for number in np.unique(label):
        of_class = label == number
        axis.scatter(content[of_class, 0], second[of_class], s=6, label=f"class {number + 1}")
    axis.set(xlabel="content 1", ylabel="content 2")
    if "class" in latents:
        axis.legend()
    return figure


def history(epochs: list[Epoch]) -> Figure:
    """The ELBO of training and held-out sites by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 * SIDE, SIDE), layout="constrained")
    axis = figure.subplots()
    numbers = [epoch.epoch + 1 for epoch in epochs]
    axis.plot(numbers, [epoch.training["elbo"] for epoch in epochs], label="training")
    held_out = [epoch.held_out.get("elbo", np.nan) for epoch in epochs]
    if np.isfinite(held_out).any():
        axis.plot(numbers, held_out, label="held out")
    axis.set(xlabel="epoch", ylabel="ELBO [nat per patch]")
    axis.legend()
    return figure


def reconstructions(patches: np.ndarray, decoded: np.ndarray) -> Figure:
    """Patches above their reconstructions, each pair on one scale.

    Args:
        patches: (site, y, x).
        decoded: Of the same shape.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIDE / 3 * len(patches), 2 * SIDE / 3), layout="constrained")
    axes = figure.subplots(2, len(patches), squeeze=False)
    for column, pair in enumerate(zip(patches, decoded, strict=True)):
        low, high = np.nanmin(pair[0]), np.nanmax(pair[0])
        for axis, image in zip(axes[:, column], pair, strict=True):
            axis.imshow(image, cmap=COLOURS, vmin=low, vmax=high)
            axis.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("patch")
    axes[1, 0].set_ylabel("reconstruction")
    return figure
