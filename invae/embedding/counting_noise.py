"""Counting noise of 4D-STEM in the latents, measured: standard deviations from two halves of the electrons of the same probes.

The posterior of one patch does not know that look-alike patterns were summed, that the choice of them depends on noise too, and that
the network bends what it gets. Patches of two halves of the electrons (`invae.descriptors.diffraction.halves`) go through all of it.
With latents a of all electrons, and h₁, h₂ of the halves, the variance of a is (h₁ − h₂)²/4; more noise moves the mean as well, by
(h₁ + h₂)/2 − a, of which half is taken to remain at the full dose. Both are averaged over the probes of nearly the same content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from invae import dims
from invae.models.signals import IMAGE
from invae.training.signal_sources import ArraySource, SignalArray

if TYPE_CHECKING:
    from collections.abc import Callable

    from invae.training.annotations import SiteAnnotations

GROUP = "halves"
N_NEAR = 50
"""Probes of nearly the same content over which squares are averaged."""
REMAINING = 0.5
"""Share of the shift of the mean that is taken to remain at the full dose."""
APART = 1e3
"""Distance of two classes among contents of sd 1: neighbours are of one class."""
LEAST = 1e-12

Values = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class CountingNoise:
    """Variances of some probes, from which those of all sites are interpolated."""

    places: np.ndarray
    """Content and class of the probes (probe, number)."""
    content: np.ndarray
    """(probe, latent)."""
    angle: np.ndarray | None
    """(probe,) [rad²]; none for models without rotation."""
    scale: np.ndarray
    """Sd of the content over the probes (latent,)."""

    def applied(self, values: Values) -> dict[str, np.ndarray]:
        """Values of sites with `content_sd` and `angle_resultant` that are at least as uncertain as counting noise makes them."""
        from sklearn.neighbors import NearestNeighbors

        near = NearestNeighbors(n_neighbors=min(N_NEAR, len(self.places))).fit(self.places)
        index = near.kneighbors(_places(values, self.scale), return_distance=False)
        sd = np.sqrt(self.content[index].mean(1)).astype(np.float32)
        answer = {**values, "content_sd": np.maximum(values["content_sd"], sd)}
        if self.angle is not None:
            resultant = np.exp(-self.angle[index].mean(1) / 2).astype(np.float32)
            answer["angle_resultant"] = np.minimum(values["angle_resultant"], resultant)
        return answer


def counting_noise(
    patches: Path,
    encode: Callable[[ArraySource], Values],
    known: SiteAnnotations,
) -> CountingNoise | None:
    """The counting noise in the latents of a model; none if the store has no halves, as for values that are no counts.

    Args:
        patches: The store of descriptors.
        encode: Latents of the sites of a source, by name.
        known: Annotations of the sites of the store.
    """
    from invae.storage import store

    if GROUP not in store.open_group(patches, mode="r"):
        return None
    dataset, halves = store.open_store(patches), store.open_store(patches, group=GROUP)
    number = halves["number"].to_numpy()
    part = dataset[["patch", "valid"]].isel({dims.SITE: number}).load()
    valid, whole = part["valid"].to_numpy(), part["patch"].to_numpy()

    def latents(values: np.ndarray) -> Values:
        signals = {IMAGE: SignalArray(np.where(valid, values, 0), valid)}
        return encode(ArraySource.of_signals(signals, known=known.of(number)))

    first, second = (latents(half) for half in halves["patch"].to_numpy())
    return _from_latents(latents(whole), first, second)


def _from_latents(whole: Values, first: Values, second: Values) -> CountingNoise | None:
    if "content_sd" not in whole:
        return None
    content = _variance(
        first["content"] - second["content"],
        (first["content"] + second["content"]) / 2 - whole["content"],
    )
    angle = None
    if "angle" in whole:
        turns = [np.exp(1j * values["angle"]) for values in (whole, first, second)]
        apart, middle = np.angle(turns[1] / turns[2]), np.angle((turns[1] + turns[2]) / turns[0])
        angle = _variance(apart, middle)
    scale = np.maximum(whole["content"].std(0), LEAST)
    return CountingNoise(_places(whole, scale), content, angle, scale)


def _variance(apart: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """The square of the expected deviation, from the difference of the halves and the shift of their mean."""
    return apart**2 / 4 + (REMAINING * moved) ** 2


def _places(values: Values, scale: np.ndarray) -> np.ndarray:
    columns = [values["content"] / scale]
    if "class" in values:
        columns.append(APART * values["class"][:, None])
    return np.concatenate(columns, axis=1)
