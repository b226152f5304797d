"""Train pyroVED's rVAE, jrVAE or VED on the arrays of a request; run by the interpreter of pyroVED's own environment."""

# pyright: reportMissingImports=false

from contextlib import suppress
from typing import Any

import numpy as np
import torch
from pyroved.models import VED, iVAE, jiVAE
from pyroved.trainers import SVItrainer
from pyroved.utils import init_dataloader

from benchmarks.peers.watch import Latents, Request, TimeIsUp, Watch, answer, named


def train(request: Request, images: np.ndarray, probe: np.ndarray) -> Latents:
    """The latent variables of the probe images, during the training and after it."""
    translation, n_classes = request["translation"], request["n_classes"]
    options = {
        "invariances": ["r", "t"] if translation else ["r"],
        "seed": request["seed"],
        "dx_prior": request["translation_prior"],
        "sampler_d": request["sampler"],
        "sigmoid_d": request["sampler"] != "gaussian",
    }
    size, latent_dim = images.shape[1:], request["latent_dim"]
    if n_classes:
        model: Any = jiVAE(size, latent_dim, n_classes, **options)
    else:
        model = iVAE(size, latent_dim, **options)
    trainer = SVItrainer(model, enumerate_parallel=bool(n_classes), seed=request["seed"])
    loader = init_dataloader(torch.from_numpy(images), batch_size=request["batch_size"])

    def encode() -> Latents:
        mean, sd, *classes = model.encode(torch.from_numpy(probe))
        one_hot = torch.nn.functional.one_hot(classes[0], n_classes) if classes else None
        return named(mean, sd, one_hot, translation=translation)

    watch = Watch(request, encode)
    with suppress(TimeIsUp):
        for epoch in range(request["epochs"]):
            trainer.step(loader, scale_factor=scale(epoch, joint=bool(n_classes)))
            watch.epoch()
    return watch.answer()


def scale(epoch: int, *, joint: bool) -> float | list[float]:
    """Weight of the KL divergence: that of pyroVED's own example for joint models, otherwise 1."""
    if not joint:
        return 1.0
    return [40.0 if epoch < 10 else max(3.0, 40 - 37 * (epoch - 10) / 39), 3.0]


def train_pairs(
    request: Request, images: np.ndarray, spectra: np.ndarray, probe: np.ndarray
) -> Latents:
    """Spectra of the probe images by VED, after each length of the training."""
    model: Any = VED(
        images.shape[1:],
        spectra.shape[1:],
        latent_dim=request["latent_dim"],
        sampler_d=request["sampler"],
        sigmoid_d=request["sampler"] != "gaussian",
        decoder_sig=request["decoder_sd"],
        seed=request["seed"],
    )
    trainer = SVItrainer(model, seed=request["seed"])
    images, spectra, probe = (values[:, None] for values in (images, spectra, probe))
    pairs = (torch.from_numpy(images), torch.from_numpy(spectra))
    loader = init_dataloader(*pairs, batch_size=request["batch_size"])

    def predict() -> Latents:
        with torch.random.fork_rng():  # a prediction is the mean over drawn latents
            mean, _ = model.predict(torch.from_numpy(probe))
        return {"spectra": mean.numpy()[:, 0]}

    watch = Watch(request, predict)
    with suppress(TimeIsUp):
        for _ in range(request["epochs"]):
            trainer.step(loader)
            watch.epoch()
    return watch.answer_spectra(len(images))


if __name__ == "__main__":
    answer(train, train_pairs)
