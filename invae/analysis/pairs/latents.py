"""The latent variables of a model of pairs in a plane, and the spectra along its directions."""

import numpy as np
import torch
import xarray as xr

from invae import dims
from invae.models.signals import IMAGE
from invae.pairs.fitted import Fitted
from invae.pairs.prediction import decoded

STEPS = 5
ENDS = (0.05, 0.95)
"""Quantiles at which the directions begin and end."""


def directions(fitted: Fitted, content: np.ndarray) -> tuple[xr.Dataset, np.ndarray]:
    """Decoded spectra along the first two principal components of the content, and the place of every site.

    Args:
        fitted: A model with networks; the first one decodes.
        content: (site, latent).

    Returns:
        The group `directions`: `decoded (direction, step, energy)`, `position (direction, step)`, `explained (direction)`.
        The place of every site (site, direction).
    """
    mean, components, size = principal(content)
    n = min(2, len(components))
    place = placed(content, content)
    positions = np.stack([_between(place[:, k]) for k in range(2)])
    network, spectra = fitted.networks[0], []
    for k in range(2):
        component = components[k] if k < n else np.zeros_like(mean)
        along = _on_device(fitted, (mean + positions[k][:, None] * component).astype(np.float32))
        spectra.append(decoded(network, network.across(along, source=IMAGE))[0])
    share = np.zeros(2)
    share[:n] = size[:n] ** 2 / max(float((size**2).sum()), 1e-12)
    axis = fitted.axis
    group = xr.Dataset(
        {
            "decoded": (("direction", "step", axis.name), np.stack(spectra), dims.attrs("decoded spectrum", fitted.units)),
            "position": (("direction", "step"), positions, dims.attrs("place along the direction")),
            "explained": ("direction", share, dims.attrs("share of the variance of the content")),
        },
        coords={axis.name: (axis.name, axis.values, dims.attrs(axis.name, axis.units))},
    )  # fmt: skip
    return group, place


def principal(content: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, principal components (component, latent) and singular values of latent variables (site, latent)."""
    mean = content.mean(0)
    _, size, components = np.linalg.svd(content - mean, full_matrices=False)
    return mean, components, size


def placed(content: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The first two principal components (site, 2) of latent variables, by the mean and the components of others."""
    mean, components, _ = principal(like)
    place = np.zeros((len(content), 2), np.float32)
    n = min(2, len(components))
    place[:, :n] = (content - mean) @ components[:n].T
    return place


def _on_device(fitted: Fitted, values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).to(next(fitted.networks[0].parameters()).device)


def _between(values: np.ndarray) -> np.ndarray:
    """Even steps between the quantiles of a direction."""
    low, high = (float(value) for value in np.quantile(values, ENDS))
    return np.linspace(low, high, STEPS)
