"""What a model that was trained on other specimens says of the candidates."""

from pathlib import Path

import numpy as np
import xarray as xr

from invae.active.candidates import Candidates
from invae.active.surrogates import Foreknowledge
from invae.errors import InputError
from invae.estimators.encoder_decoder import EncoderDecoder
from invae.pairs.data import SPECTRUM
from invae.regression.measures import Axis

AT_ONCE = 1024
"""Candidates of which a model predicts together."""


def foreknowledge_of(
    model: EncoderDecoder | Foreknowledge | str | Path, candidates: Candidates
) -> Foreknowledge:
    """Predicted spectra and latent variables of the candidates.

    Args:
        model: A trained `EncoderDecoder`, its folder, or what one has said already.
        candidates: With patches like those of the training.

    Raises:
        InputError: The model predicts no spectra, or patches have another shape than those of its training.
    """
    if isinstance(model, Foreknowledge):
        return model
    if isinstance(model, str | Path):
        model = EncoderDecoder.load(model, device="cpu")
    if model.target != SPECTRUM:
        raise InputError("the model makes images of spectra; give one that predicts spectra")
    spectra, latents, axis = [], [], None
    for start in range(0, len(candidates), AT_ONCE):
        patches = candidates.patches[start : start + AT_ONCE]
        mean = model.predict(patches)["mean"]
        spectra.append(mean.to_numpy())
        axis = axis or _axis_of(mean)
        if model.config.n_members:
            latents.append(model.encode(patches)["content"].to_numpy())
    known = np.concatenate(latents).astype(float) if latents else None
    assert axis is not None  # there is at least one candidate
    return Foreknowledge(np.concatenate(spectra).astype(float), known, axis)


def _axis_of(mean: xr.DataArray) -> Axis:
    name = str(mean.dims[-1])
    along = mean[name]
    units = (str(one.attrs.get("units", "1")) for one in (along, mean))
    return Axis(name, along.to_numpy().astype(float), *units)
