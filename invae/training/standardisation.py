"""Scale of the data: level and spread of every channel and variable, taken from some training sites into the model."""

import warnings

import numpy as np
import torch

from invae.errors import InputError
from invae.models.batch import Patches, StandardiseNumbers
from invae.models.signals import IMAGE, SignalParts
from invae.models.vae import VAE
from invae.training.signal_sources import SignalSource
from invae.training.split import thin

SAMPLED_SITES = 2000
"""Sites from which scales and the range of the content are taken."""
COMPARED_SITES = 500
"""Sites with which every patch is compared, to find foreign objects."""


def set_scale(model: VAE, source: SignalSource, sites: np.ndarray) -> None:
    """Set the model's offset and scale of every channel of every signal; a likelihood with a unit of its own keeps the values unscaled.

    Raises:
        InputError: A signal is constant.
    """
    loaded, places = source.load(thin(sites, SAMPLED_SITES))
    batch = loaded.take(places)
    for name in model.names:
        _set_scale_of_signal(model.parts(name), batch[name], name=name)
    annotations = source.known.of(sites)
    _set_number_scale(model.standardise_target, annotations.target)
    _set_number_scale(model.standardise_condition, annotations.condition)


def _set_scale_of_signal(parts: SignalParts, patches: Patches, *, name: str) -> None:
    first = float(patches.values.flatten()[0])
    if (patches.values == first).all():
        what = "patches" if name == IMAGE else f"values of {name}"
        raise InputError(f"all {what} are constant ({first:g}); there is nothing to learn")
    noise = None if parts.generator is None else parts.generator.noise
    for channel in range(parts.geometry.n_channels):
        values = patches.values[:, channel]
        if patches.valid is not None:  # by NumPy: torch makes 24 bytes of indices for every pixel
            values = torch.from_numpy(values.numpy()[patches.valid[:, channel].numpy()])
        if values.numel() == 0:
            continue
        if noise is None or noise.standardised:
            parts.standardise.start(values, channel=channel)
        if noise is not None:
            noise.start(values, channel=channel)
    if parts.foreign is not None:
        some = torch.from_numpy(thin(np.arange(len(patches)), COMPARED_SITES))
        parts.foreign.start(parts.standardise(patches.take(some)))


def _set_number_scale(standard: StandardiseNumbers, values: np.ndarray | None) -> None:
    """Set offset and scale of the variables of sites; variables that are only 0 or 1 stay unscaled."""
    if values is None or len(standard.offset) == 0 or np.isin(values, (0, 1)).all():
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a variable that is unknown for all sites
        mean, sd = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    standard.offset.copy_(torch.from_numpy(np.nan_to_num(mean)))
    standard.scale.copy_(torch.from_numpy(np.where(sd > 0, sd, 1.0)))
