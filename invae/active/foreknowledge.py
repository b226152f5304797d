"""What a model that was trained on other specimens says of the candidates."""

from pathlib import Path

import numpy as np

from invae.active.candidates import Candidates
from invae.active.surrogates import Foreknowledge
from invae.errors import InputError
from invae.estimators.encoder_decoder import EncoderDecoder
from invae.pairs.data import SPECTRUM

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
    spectra, latents = [], []
    for start in range(0, len(candidates), AT_ONCE):
        patches = candidates.patches[start : start + AT_ONCE]
        spectra.append(model.predict(patches)["mean"].to_numpy())
        if model.config.n_members:
            latents.append(model.encode(patches)["content"].to_numpy())
    known = np.concatenate(latents).astype(float) if latents else None
    return Foreknowledge(np.concatenate(spectra).astype(float), known)
