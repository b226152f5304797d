"""A model: a patch becomes a posterior over named latents, and named latents a likelihood of patches."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from invae.errors import InputError
from invae.models.batch import Geometry, Known, Patches, Standardise, StandardiseNumbers
from invae.models.generators import Evidence, Generator, Picture
from invae.models.inference import Inference, Noise, Recogniser
from invae.models.latents import Latents, Prior
from invae.models.pose_search.search import Looking, Search


class VAE(nn.Module):
    """A recogniser and a generator that speak of the same latents; no mathematics of its own."""

    def __init__(
        self,
        recogniser: Recogniser,
        generator: Generator,
        *,
        priors: Mapping[str, Prior],
        poses: Sequence[str],
        drawn: Mapping[str, int],
        n_targets: int,
        n_conditions: int,
        geometry: Geometry,
        search: Search | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            recogniser: Patches to posteriors.
            generator: Latents to likelihoods.
            priors: Of every latent, by name.
            poses: Names of the latents that place the pattern (see `invae.latent_table`).
            drawn: Number of components of every latent that is drawn from an encoder's posterior.
            n_targets: Number of variables that are known for some patches.
            n_conditions: Number of variables given with every patch.
            geometry: Shape of the patches.
            search: For the poses, if the recogniser leaves them out.
        """
        super().__init__()
        self.standardise = Standardise(geometry.n_channels)
        self.standardise_target = StandardiseNumbers(n_targets)
        self.standardise_condition = StandardiseNumbers(n_conditions)
        self.recogniser, self.generator, self.search = recogniser, generator, search
        self.priors, self.drawn, self.geometry = dict(priors), dict(drawn), geometry
        self.poses = tuple(poses)

    def infer(self, patches: Patches, noise: Noise | None = None) -> Inference:
        """Posteriors of the encoded latents, and values drawn with `noise`, or the means without."""
        known = self._known(patches)
        standard = self.standardise(patches)
        seen = replace(self.generator.noise.seen(standard), known=known)
        if self.search is None:
            found = self.recogniser(seen, noise)
        else:
            found = self.search(Looking(seen, standard, self.recogniser, self.generator), noise)
        if known.condition is None:
            return found
        return Inference(found.posterior, {**found.latents, "condition": known.condition})

    def evidence(self, latents: Latents, patches: Patches) -> Evidence:
        """How well latents explain patches [nats, of densities in the data's own units]."""
        found = self.generator.likelihood(latents).evidence(self.standardise(patches))
        volume = self.standardise.log_volume(patches)
        return Evidence(found.log_likelihood + volume, found.posterior)

    def decode(self, latents: Latents) -> Picture:
        """Expected patches in the data's own units, and where the decoder speaks."""
        picture = self.generator.picture(latents)
        return Picture(self.standardise.undo(picture.mean), picture.support)

    def _known(self, patches: Patches) -> Known:
        """What is known beside the pixels, as the parts take it."""
        known, n_conditions = patches.known, len(self.standardise_condition.offset)
        given = 0 if known.condition is None else known.condition.shape[-1]
        if given != n_conditions:
            raise InputError(
                f"the model takes {n_conditions} conditions with every patch, {given} were given"
            )
        condition = None if not n_conditions else self.standardise_condition(known.condition)
        # What a family without target variables is told of them is there for penalties.
        unread = known.target is None or not len(self.standardise_target.offset)
        target = None if unread else self.standardise_target(known.target)
        return replace(known, condition=condition, target=target)

    def noise(self, n_patches: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Standard normal values for every drawn latent, on the generator's device."""
        return {
            name: torch.randn(n_patches, size, generator=generator, device=generator.device)
            for name, size in self.drawn.items()
        }
