"""Patches decoded by a trained model, NaN where its decoder describes nothing."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from invae import dims
from invae.analysis.traversal import Decode
from invae.config import ModelConfig
from invae.latent_table import LATENTS, row_of
from invae.models.latents import ClassPrior
from invae.models.vae import VAE
from invae.training.device import device_of
from invae.training.model_folder import load

BATCH = 256
LEAST_SUPPORT = 0.5
"""A pixel with a smaller described share is NaN."""
MOST_DISCRETE = 9


def decoder_of(model: Path, *, device: str = "cpu") -> Decode:
    """The decoder of a saved model, on arrays; NaN outside its domain (the corners around a disc).

    Raises:
        StoreError: there is no model at `model`.
    """
    place = device_of(device)
    trained = load(model, device=place)
    return decoder(trained.model, trained.config, place)


def decoder(vae: VAE, config: ModelConfig, place: torch.device) -> Decode:
    """The decoder of a trained model, as `decoder_of` gives it."""
    sizes = {name: row_of(name).size or 1 for name in vae.poses}
    sizes |= {"target": config.n_targets, "condition": config.n_conditions}
    at_rest, unit = _scales(vae, sizes)

    def draw(latents: dict[str, np.ndarray]) -> np.ndarray:
        picture = vae.decode({k: torch.from_numpy(v).to(place) for k, v in latents.items()})
        mean, support = picture.mean.cpu().numpy(), picture.support.cpu().numpy()
        return np.where(support[:, None] >= LEAST_SUPPORT, mean, np.nan)

    @torch.no_grad()
    def decode(content: np.ndarray, /, given: Mapping[str, np.ndarray] = {}) -> np.ndarray:
        n = len(content)
        latents = {"content": content}
        for name, size in sizes.items():
            if size:
                rest = at_rest[name]
                value = np.asarray(given.get(name, rest), dtype=np.float64)
                value = np.broadcast_to(value.reshape(-1, size), (n, size))
                plain = row_of(name).measure != "logarithm"
                latents[name] = (value - rest) / unit[name] if plain else np.log(value)
        if n_states := n_states_of(vae):
            state = np.asarray(given.get("class", 0)).astype(np.int64)
            latents["class"] = np.eye(n_states)[np.broadcast_to(state, n)]
        latents = {name: np.asarray(value, dtype=np.float32) for name, value in latents.items()}
        pieces = [
            draw({name: value[start : start + BATCH] for name, value in latents.items()})
            for start in range(0, n, BATCH)
        ]
        return np.concatenate(pieces)

    return decode


def _scales(
    vae: VAE, sizes: Mapping[str, int]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Neutral value of every latent, and its unit inside the model, in the units of an embedding."""
    at_rest = {name: np.full(size, row_of(name).at_rest) for name, size in sizes.items()}
    unit = {
        name: np.full(
            size, vae.main.geometry.half_side if row_of(name).measure == "half side" else 1.0
        )
        for name, size in sizes.items()
    }
    for name, standard in (
        ("target", vae.standardise_target),
        ("condition", vae.standardise_condition),
    ):
        at_rest[name], unit[name] = (
            part.cpu().numpy() for part in (standard.offset, standard.scale)
        )
    return at_rest, unit


def n_states_of(model: VAE) -> int:
    """Number of joint states of the model's classes; 0 without classes."""
    prior = model.priors.get("class")
    return prior.n_states if isinstance(prior, ClassPrior) else 0


def discrete_of(sites: xr.Dataset) -> dict[str, int]:
    """The discrete latents of the sites, `class`, `class_2`, …, and their numbers of classes."""
    return {
        name: sites[f"{name}_probability"].shape[1]
        for name in dims.class_names(MOST_DISCRETE)
        if name in sites.variables
    }


def states_of(sites: xr.Dataset) -> np.ndarray | None:
    """Joint state (site) of all discrete latents, the last one varying fastest; None without classes."""
    sizes = discrete_of(sites)
    if not sizes:
        return None
    index = tuple(sites[name].to_numpy().astype(np.int64) for name in sizes)
    return np.ravel_multi_index(index, tuple(sizes.values()))


def latents_of(sites: xr.Dataset) -> dict[str, np.ndarray]:
    """Inputs of a decoder, other than the content, with which it reconstructs these sites."""
    latents = {
        name: sites[name].transpose(dims.SITE, ...).to_numpy()
        for name, row in LATENTS.items()
        if (row.pose is not None or name in ("target", "condition")) and name in sites.variables
    }
    state = states_of(sites)
    return latents if state is None else {**latents, "class": state}
