"""Train pyroVED's rVAE or jrVAE on the arrays of a request; run by the interpreter of pyroVED's own environment."""

from contextlib import suppress
from typing import Any

import numpy as np
import torch
from pyroved.models import iVAE, jiVAE
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


if __name__ == "__main__":
    answer(train)
