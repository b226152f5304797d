"""Empty patches: where there is nothing, there is no spectrum. Pairs of them tell a network what a Gaussian process has built in."""

import numpy as np
from jaxtyping import Float

BACKGROUND = 2.0
"""Percentile of the pixels of a channel that is the level of an empty patch [%]."""
NEGATIVE = 0.02
"""Share of the maximum by which the mean spectrum may be negative and still counts as not negative."""


DARKEST = 0.05
"""Share of the patches, those that show least, whose spectra are looked at."""
SURPLUS = 0.25
"""Most that their spectra may have, of a mean spectrum, beyond what they show, of a mean patch: simulated particles have 0.01, a film 0.5."""


def nowhere_negative(spectra: Float[np.ndarray, "site energy"]) -> bool:
    """Whether the mean spectrum is nowhere negative, as energy losses and extinction are; loops and derivatives are not."""
    mean = spectra.mean(0)
    return bool(mean.min() >= -NEGATIVE * mean.max())


def empty_is_nothing(
    patches: Float[np.ndarray, "site channel y x"], spectra: Float[np.ndarray, "site energy"]
) -> bool:
    """Whether an empty patch has an empty spectrum: spectra are nowhere negative, and weak where a patch shows little.

    A film has core losses also at its darkest places, which are no vacuum. With spectra from 0 there, R² was −650 instead of .2.
    """
    if not nowhere_negative(spectra):
        return False
    level = background(patches)[:, None, None]
    sd = np.maximum(patches.std(axis=(0, 2, 3)), 1e-300)[:, None, None]
    strength = np.sqrt((((patches - level) / sd) ** 2).mean(axis=(1, 2, 3)))
    total = spectra.sum(axis=1)
    dark = np.argsort(strength, kind="stable")[: max(3, round(DARKEST * len(patches)))]
    left = total[dark].mean() / total.mean()
    return bool(left <= strength[dark].mean() / max(float(strength.mean()), 1e-300) + SURPLUS)


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
