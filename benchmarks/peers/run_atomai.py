"""Train AtomAI's rVAE, jrVAE or ImSpec on the arrays of a request; run by the interpreter of AtomAI's own environment."""

# pyright: reportMissingImports=false

import tempfile
from collections import deque
from contextlib import suppress
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from atomai.models import ImSpec, jrVAE, rVAE
from atomai.utils import average_weights

from benchmarks.peers.watch import Latents, Request, TimeIsUp, Watch, answer, named

AVERAGED = 5
"""Last epochs whose weights ImSpec averages with `swa=True`, as in the example of its documentation."""


def train(request: Request, images: np.ndarray, probe: np.ndarray) -> Latents:
    """The latent variables of the probe images, during the training and after it."""
    translation = request["translation"]
    options = {"latent_dim": request["latent_dim"], "translation": translation}
    size, seed = images.shape[1:], request["seed"]
    if request["n_classes"]:
        model: Any = jrVAE(size, discrete_dim=[request["n_classes"]], seed=seed, **options)
    else:
        model = rVAE(size, seed=seed, **options)

    def encode() -> Latents:
        mean, log_sd, *weights = model.encode(probe)
        classes = weights[0] if weights else None
        return named(mean, np.exp(log_sd), classes, translation=translation)

    watch = Watch(request, encode)
    model.print_statistics = lambda epoch: watch.epoch()
    with tempfile.TemporaryDirectory() as folder, suppress(TimeIsUp):
        model.fit(
            images,
            training_cycles=request["epochs"],
            batch_size=request["batch_size"],
            rotation_prior=request["rotation_prior"],
            translation_prior=request["translation_prior"],
            filename=f"{folder}/model",
        )
    return watch.answer()


def train_pairs(
    request: Request, images: np.ndarray, spectra: np.ndarray, probe: np.ndarray
) -> Latents:
    """Spectra of the probe images by ImSpec, after each length of the training.

    Its learning rate is constant, so that one long training passes through every shorter one. The weights are averaged as `swa=True`
    does at the end of a training.
    """
    batch_size = request["batch_size"]
    size, n_energies = images.shape[1:], spectra.shape[1:]
    model: Any = ImSpec(size, n_energies, latent_dim=request["latent_dim"], seed=request["seed"])
    last: deque[Any] = deque(maxlen=AVERAGED)

    def predict() -> Latents:
        now = deepcopy(model.net.state_dict())
        model.net.load_state_dict(average_weights(dict(enumerate(last))))
        with torch.random.fork_rng():  # its predictor sets the seed of the training
            said = model.predict(probe, norm=False, verbose=False)
        model.net.load_state_dict(now)
        return {"spectra": said}

    watch = Watch(request, predict)

    def end_of_epoch(epoch: int) -> None:
        last.append(deepcopy(model.net.state_dict()))
        watch.epoch()

    model.print_statistics = end_of_epoch
    # It prints the loss of a test set, which must fill a batch; all pairs are for training.
    test = images[:batch_size], spectra[:batch_size]
    with tempfile.TemporaryDirectory() as folder, suppress(TimeIsUp):
        model.fit(
            images,
            spectra,
            *test,
            full_epoch=True,
            training_cycles=request["epochs"],
            batch_size=batch_size,
            plot_training_history=False,
            filename=f"{folder}/model",
        )
    return watch.answer_spectra(len(images) // batch_size * batch_size)


if __name__ == "__main__":
    answer(train, train_pairs)
