"""Features of the candidates: what an image patch shows, and where it is."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from invae.regression.invariants import harmonics, weighted_spectrum

N_COMPONENTS = 24
"""Most principal components of the content; they hold nearly all of its variance."""
WEIGHTS = ((0.0, 1.0), (0.0, 2.0), (1.0, 1.0), (2.0, 1.0), (4.0, 1.0), (6.0, 1.0))
"""Decay of the radius and power of the frequency of the variants of the content; the measurements decide between them."""


SPIKED = 4.0
"""Range of the pixels, over that of 98 % of them, from which a few pixels would decide all features."""


@dataclass(frozen=True)
class Feature:
    """One kind of feature of all candidates, in variants between which the measurements decide."""

    variants: tuple[Float[np.ndarray, "site value"], ...]
    """Centred, with a total variance of 1; places in units of the distance of neighbours."""
    lengths: tuple[float, ...]
    """Length scales that are tried."""
    linear: tuple[float, ...]
    """Weights of a linear kernel that are tried, relative to the Matérn kernel."""


def content(patches: Float[np.ndarray, "site channel y x"]) -> Feature:
    """What the patches show, independent of rotation and mirror images.

    Variants differ in the weight of outer shells and of high angular frequencies.
    """
    shown = harmonics(without_spikes(patches))
    variants = []
    for decay, power in WEIGHTS:
        products, means = weighted_spectrum(shown, decay=decay, power=power)
        # Products are quadratic in the image, means linear: each gets the same weight.
        variants.append(compressed(np.hstack([scaled(products), scaled(means)])))
    return Feature(tuple(variants), (0.25, 0.5, 1.0, 2.0, 4.0), (0.0, 0.3, 1.0, 3.0))


def without_spikes(
    patches: Float[np.ndarray, "site channel y x"],
) -> Float[np.ndarray, "site channel y x"]:
    """Patches whose channels with a few extreme pixels, as failed fits leave them, are compressed by arcsinh."""
    tamed = np.array(patches, float)
    for channel in range(tamed.shape[1]):
        values = tamed[:, channel]
        low, usual_low, middle, usual_high, high = np.percentile(values, (0, 1, 50, 99, 100))
        if high - low > SPIKED * (usual_high - usual_low) > 0:
            unit = float(np.median(np.abs(values - middle)))
            tamed[:, channel] = np.arcsinh((values - middle) / max(unit, 1e-300))
    return tamed


def place(yx: Float[np.ndarray, "site 2"], frame: np.ndarray) -> Feature:
    """Positions, in units of the distance of neighbours; different frames are far apart."""
    step = spacing(yx, frame)
    far = 1000.0 * (frame - frame.min())
    values = np.column_stack([(yx - yx.mean(0)) / step, far])
    return Feature((values,), (1.5, 3.0, 6.0, 12.0, 24.0), (0.0,))


def latents(values: Float[np.ndarray, "site latent"]) -> Feature:
    """Latent variables of a trained model."""
    return Feature((scaled(values),), (0.25, 0.5, 1.0, 2.0, 4.0), (0.0, 0.3, 1.0, 3.0))


def spacing(yx: Float[np.ndarray, "site 2"], frame: np.ndarray) -> float:
    """Median distance of the nearest neighbour in the same frame, in the unit of the positions."""
    from scipy.spatial import KDTree

    extent = float(np.ptp(yx, axis=0).max()) + 1.0
    places = np.column_stack([yx, 10 * extent * frame])
    nearest = KDTree(places).query(places, k=2)[0][:, 1]
    step = float(np.median(nearest))
    return step if step > 0 else 1.0


def scaled(values: Float[np.ndarray, "site value"]) -> Float[np.ndarray, "site value"]:
    """Centred values whose variances sum to 1; zeros if they are constant."""
    centred = values - values.mean(0)
    total = float(centred.var(0).sum())
    return centred / np.sqrt(total) if total > 0 else np.zeros_like(centred)


def compressed(values: Float[np.ndarray, "site value"]) -> Float[np.ndarray, "site value"]:
    """The first principal components, with a total variance of about 1."""
    _, vectors = np.linalg.eigh(np.cov(values, rowvar=False))
    return scaled(values @ vectors[:, ::-1][:, :N_COMPONENTS])
