"""Recognisers: patches become posteriors over named latents, and values drawn from them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invae.models.batch import Patches
from invae.models.latents import Encoded, Latents, Posterior
from invae.models.networks.encoders import Encoder, Features

Noise = Mapping[str, Tensor]
"""Standard normal values for every latent that is drawn, by its name."""


@dataclass(frozen=True)
class Inference:
    """What encoders and searches say about a batch, and the values drawn from it."""

    posterior: Mapping[str, Posterior]
    latents: Latents


class OnePass(nn.Module):
    """All latents from one look at the patch."""

    def __init__(self, encoder: Encoder, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.encoder, self.heads = encoder, nn.ModuleDict(heads)

    def forward(
        self, patches: Patches, noise: Noise | None, centre: Tensor | None = None
    ) -> Inference:
        features = self.encoder(patches, centre)
        if patches.known.condition is not None:
            plain = torch.cat((features.plain, patches.known.condition), dim=-1)
            features = Features(plain, features.vectors)
        posterior = {name: head(features, patches.known) for name, head in self.heads.items()}
        return Inference(posterior, _draw(posterior, noise))


class TwoPass(nn.Module):
    """First where the pattern is, then, seen from there, what it is."""

    def __init__(self, localiser: nn.Module, describer: OnePass) -> None:
        super().__init__()
        self.localiser, self.describer = localiser, describer

    def forward(self, patches: Patches, noise: Noise | None) -> Inference:
        where = self.localiser(patches, noise)
        # What the patch shows must not pull the centre about; and the look back through the patch is dear.
        what = self.describer(patches, noise, centre=where.latents["shift"].detach())
        return Inference({**where.posterior, **what.posterior}, {**where.latents, **what.latents})


Recogniser = OnePass | TwoPass


def _draw(posterior: Mapping[str, Encoded], noise: Noise | None) -> dict[str, Tensor]:
    return {name: q.draw(None if noise is None else noise[name]) for name, q in posterior.items()}
