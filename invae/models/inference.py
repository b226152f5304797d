"""Recognisers: patches to posteriors over named latent variables, and values drawn from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from invae.models.batch import Patches
from invae.models.latents import Encoded, Latents, Posterior
from invae.models.networks.encoders import Encoder, Features

Noise = Mapping[str, Tensor]
"""Standard normal values for every drawn latent variable, by name."""


@dataclass(frozen=True)
class Inference:
    """Posteriors of a batch from encoders and searches, and values drawn from them."""

    posterior: Mapping[str, Posterior]
    latents: Latents


class OnePass(nn.Module):
    """All latent variables from one pass of an encoder."""

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
    """Two passes: the first infers the shift, the second infers the other latent variables from the patch centred by it."""

    def __init__(self, localiser: nn.Module, describer: OnePass) -> None:
        super().__init__()
        self.localiser, self.describer = localiser, describer

    def forward(self, patches: Patches, noise: Noise | None) -> Inference:
        first = self.localiser(patches, noise)
        # The second pass must not move the centre, and gradients through the sampling of the patch are expensive.
        second = self.describer(patches, noise, centre=first.latents["shift"].detach())
        return Inference(
            {**first.posterior, **second.posterior}, {**first.latents, **second.latents}
        )


@runtime_checkable
class Recogniser(Protocol):
    """Patches to posteriors and values drawn from them; a module."""

    def __call__(self, patches: Patches, noise: Noise | None, /) -> Inference: ...


def _draw(posterior: Mapping[str, Encoded], noise: Noise | None) -> dict[str, Tensor]:
    return {name: q.draw(None if noise is None else noise[name]) for name, q in posterior.items()}
