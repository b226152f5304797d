"""Train AtomAI's rVAE or jrVAE on the arrays of a request; run by the interpreter of AtomAI's own environment."""

import tempfile
from contextlib import suppress
from typing import Any

import numpy as np
from atomai.models import jrVAE, rVAE

from benchmarks.peers.watch import Latents, Request, TimeIsUp, Watch, answer, named


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


if __name__ == "__main__":
    answer(train)
