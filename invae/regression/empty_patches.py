"""Empty patches: where there is nothing, there is no spectrum. Pairs of them tell a network what a Gaussian process has built in."""

import numpy as np
from jaxtyping import Float

BACKGROUND = 2.0
"""Percentile of the pixels of a channel that is the level of an empty patch [%]."""
NEGATIVE = 0.02
"""Share of the maximum by which the mean spectrum may be negative and still counts as not negative."""


def nowhere_negative(spectra: Float[np.ndarray, "site energy"]) -> bool:
    """Whether the mean spectrum is nowhere negative, as energy losses and extinction are; loops and derivatives are not."""
    mean = spectra.mean(0)
    return bool(mean.min() >= -NEGATIVE * mean.max())


def background(patches: Float[np.ndarray, "site channel y x"]) -> Float[np.ndarray, " channel"]:
    """Level of an empty patch, by channel."""
    by_channel = np.moveaxis(patches, 1, 0).reshape(patches.shape[1], -1)
    return np.percentile(by_channel, BACKGROUND, axis=1)


def empty_patches(
    patches: Float[np.ndarray, "site channel y x"], n: int, *, seed: int
) -> Float[np.ndarray, "empty channel y x"]:
    """Patches of the background and of the noise of other patches.

    The noise is that of neighbouring pixels: the median of their absolute differences, as a Normal has it.
    """
    differences = np.abs(np.diff(patches, axis=3)) / (np.sqrt(2) * 0.6745)
    sd = np.median(np.moveaxis(differences, 1, 0).reshape(patches.shape[1], -1), axis=1)
    rng = np.random.default_rng([seed, 14])
    noise = rng.normal(size=(n, *patches.shape[1:])) * sd[:, None, None]
    return (background(patches)[:, None, None] + noise).astype(np.float32)
