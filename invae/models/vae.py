"""A model: a patch becomes a posterior over named latents, and named latents a likelihood of patches."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from invae.models.generators import Evidence, Generator, Picture
from invae.models.latents import Latents, Prior
from invae.models.patches import Geometry, Patches, Standardise
from invae.models.recognisers import Inference, Noise, OnePass, TwoPass


class VAE(nn.Module):
    """A recogniser and a generator that speak of the same latents; no mathematics of its own."""

    def __init__(
        self,
        recogniser: OnePass | TwoPass,
        generator: Generator,
        *,
        priors: Mapping[str, Prior],
        poses: Sequence[str],
        drawn: Mapping[str, int],
        geometry: Geometry,
    ) -> None:
        """Put the parts together.

        Args:
            recogniser: Patches to posteriors.
            generator: Latents to likelihoods.
            priors: Of every latent, by name.
            poses: Names of the latents that place the pattern: `shift`, `angle`.
            drawn: Number of components of every latent that is drawn from an encoder's posterior.
            geometry: Shape of the patches.
        """
        super().__init__()
        self.standardise = Standardise(geometry.n_channels)
        self.recogniser, self.generator = recogniser, generator
        self.priors, self.drawn, self.geometry = dict(priors), dict(drawn), geometry
        self.poses = tuple(poses)

    def infer(self, patches: Patches, noise: Noise | None = None) -> Inference:
        """Posteriors of the encoded latents, and values drawn with `noise`, or the means without."""
        return self.recogniser(self.standardise(patches), noise)

    def evidence(self, latents: Latents, patches: Patches) -> Evidence:
        """How well latents explain patches [nats, of densities in the data's own units]."""
        found = self.generator.likelihood(latents).evidence(self.standardise(patches))
        volume = self.standardise.log_volume(patches)
        return Evidence(found.log_likelihood + volume, found.posterior)

    def decode(self, latents: Latents) -> Picture:
        """Expected patches in the data's own units, and where the decoder speaks."""
        picture = self.generator.picture(latents)
        return Picture(self.standardise.undo(picture.mean), picture.support)

    def noise(self, n_patches: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Standard normal values for every drawn latent, on the generator's device."""
        return {
            name: torch.randn(n_patches, size, generator=generator, device=generator.device)
            for name, size in self.drawn.items()
        }
