"""Named signals: a batch has several signals of the same sites, and a model has separate parts for each.

A signal is *seen* if the model has a recogniser for it, *explained* if it has a generator and with it a likelihood, or both. A model of
patches has one signal, `image`, that is both. An image-to-spectrum model sees `image` and explains `spectrum`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import nn

from invae.errors import InputError
from invae.models.batch import Annotations, Geometry, Patches, Standardise
from invae.models.foreign_objects import ForeignObjects
from invae.models.generators import Evidence, Generator, Picture
from invae.models.inference import Inference, Noise, Recogniser
from invae.models.latents import Latents
from invae.models.pose_search.search import Search, SearchInput

Value = TypeVar("Value")

IMAGE = "image"
"""Name of the signal of patches."""


@dataclass(frozen=True)
class Signals:
    """A batch: signals by name, and annotations of the same sites."""

    patches: Mapping[str, Patches]
    """Values and mask of every signal, in the data's own units; where a site lacks a signal, all of its mask is False."""
    known: Annotations = field(default_factory=Annotations)

    @classmethod
    def of_image(cls, patches: Patches) -> "Signals":
        """A batch of the one signal `image`, with the annotations that its patches carry."""
        return cls({IMAGE: patches}, patches.known)

    def __len__(self) -> int:
        return len(next(iter(self.patches.values())))

    def __iter__(self) -> Iterator[str]:
        return iter(self.patches)

    def __contains__(self, name: object) -> bool:
        return name in self.patches

    def __getitem__(self, name: str) -> Patches:
        """One signal, with the annotations.

        Raises:
            InputError: The batch lacks it.
        """
        if name not in self.patches:
            raise InputError(f"the batch has no signal {name!r}, only {', '.join(self.patches)}")
        return replace(self.patches[name], known=self.known)

    def to(self, place: Any) -> "Signals":
        """The same batch on another device (a name or a device)."""
        return Signals({k: v.to(place) for k, v in self.patches.items()}, self.known.to(place))

    def take(self, sites: Any) -> "Signals":
        """Some of the sites."""
        return Signals({k: v.take(sites) for k, v in self.patches.items()}, self.known.take(sites))

    def pin(self) -> "Signals":
        """The same batch in memory from which a GPU can fetch it while it works."""
        return Signals({k: v.pin() for k, v in self.patches.items()}, self.known.pin())

    def annotated(self, known: Annotations) -> "Signals":
        """The same signals with other annotations."""
        return replace(self, known=known)


class SignalParts(nn.Module):
    """The parts of a model for one signal: its scale, its recogniser and its generator."""

    def __init__(
        self,
        geometry: Geometry,
        *,
        recogniser: Recogniser | None = None,
        generator: Generator | None = None,
        search: Search | None = None,
        foreign: ForeignObjects | None = None,
        private: Mapping[str, str] | None = None,
    ) -> None:
        """Combine the parts of one signal.

        Args:
            geometry: Shape of the signal at one site.
            recogniser: From the signal to posteriors; without one the signal is not seen.
            generator: From latents to likelihoods of the signal; without one it is not explained.
            search: Infers the poses if the recogniser does not.
            foreign: Finds pixels that do not count; none are looked for when empty.
            private: Names in the model of latents that belong to this signal alone, by their names inside these parts.
        """
        super().__init__()
        self.geometry, self.private = geometry, dict(private or {})
        self.standardise = Standardise(geometry.n_channels)
        self.recogniser, self.generator, self.search = recogniser, generator, search
        self.foreign = foreign

    @property
    def seen(self) -> bool:
        """Whether latents are inferred from the signal by an encoder or a search."""
        return self.recogniser is not None

    @property
    def explained(self) -> bool:
        """Whether the signal has a likelihood."""
        return self.generator is not None

    def cleared(self, patches: Patches) -> Patches:
        """The patches with foreign objects filled and hidden [in the data's own units]."""
        if self.foreign is None or patches.hidden is not None:
            return patches
        hidden = self.foreign(self.standardise(patches))
        usual = self.standardise.undo(self.foreign.usual.expand_as(patches.values))
        return replace(patches, values=torch.where(hidden, usual, patches.values), hidden=hidden)

    def infer(self, patches: Patches, known: Annotations, noise: Noise | None) -> Inference:
        """Posteriors of the encoded latents, and values drawn with `noise`, or the means without.

        Args:
            patches: The signal in the data's own units.
            known: The annotations as the parts take them.
            noise: Standard normal values by the model's names of latents.
        """
        assert self.recogniser is not None
        standard = self.standardise(patches)
        filled = replace(standard, hidden=None)
        shown = filled if self.generator is None else self.generator.noise.seen(filled)
        shown, own = replace(shown, known=known), None if noise is None else self.inside(noise)
        if self.search is None or self.generator is None:
            inference = self.recogniser(shown, own)
        else:
            batch = SearchInput(shown, standard.counted, self.recogniser, self.generator)
            inference = self.search(batch, own)
        return Inference(self._outside(inference.posterior), self._outside(inference.latents))

    def evidence(self, latents: Latents, patches: Patches) -> Evidence:
        """Log-likelihood of the signal given latents [nats, of densities in the data's own units]."""
        assert self.generator is not None
        likelihood = self.generator.likelihood(self.inside(latents))
        evidence = likelihood.evidence(self.standardise(patches).counted)
        volume = self.standardise.log_volume(patches)
        return Evidence(evidence.log_likelihood + volume, self._outside(evidence.posterior))

    def decode(self, latents: Latents) -> Picture:
        """The expected signal in the data's own units, and where the decoder describes it."""
        assert self.generator is not None
        picture = self.generator.picture(self.inside(latents))
        return Picture(self.standardise.undo(picture.mean), picture.support)

    def inside(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Values by the names of latents inside these parts; names of other signals do not change."""
        plain = {public: name for name, public in self.private.items()}
        return {plain.get(name, name): value for name, value in values.items()}

    def _outside(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Values by the names of latents in the model."""
        return {self.private.get(name, name): value for name, value in values.items()}
