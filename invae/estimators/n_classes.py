"""A guide to the number of classes, from the overlap of groups of sites that are merged one by one."""

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from sklearn.metrics import adjusted_rand_score

from invae import dims
from invae.estimators.invariant_vae import InvariantVAE
from invae.training.batches import Batches
from invae.training.device import one_thread
from invae.training.initialisation import patterns_of
from invae.training.mixture_merging import merge, parts_of
from invae.training.signal_sources import ArraySource

BATCH = 512
"""Patches encoded at a time."""
FLOOR = 1e-4
"""Overlap below which two groups count as separate."""


@one_thread()
def guide(
    vae: InvariantVAE,
    patches: np.ndarray,
    *,
    most: int = 10,
    seeds: Sequence[int] = (0, 1, 2),
) -> xr.Dataset:
    """`overlap (n_classes)`, `stability (n_classes)`, and the recommended number in `attrs["recommended"]`.

    The overlap at n is the probability that a site is assigned to the wrong one of the two groups that are merged from n to n − 1
    classes. It is high while parts of one class are merged, and low if separate classes would be merged. The recommended number is
    the one at which it falls by the largest factor. The stability is the adjusted Rand index of the classes between mixtures of different seeds.

    Args:
        vae: A trained model without classes, whose content has room for them (four dimensions are enough for most).
        patches: (site, y, x) or (site, channel, y, x).
        most: Largest number of classes considered.
        seeds: Seeds of the mixtures; the overlap is the geometric mean over them.

    Raises:
        InputError: There are too few patches.
    """
    values = np.asarray(patches)
    source = ArraySource(values[:, None] if values.ndim == 3 else values)
    batches = Batches(source, np.arange(len(source)), BATCH, torch.device(vae.device))
    patterns = patterns_of(vae.trained.model, batches, seed=seeds[0])
    parts = [parts_of(patterns, seed=seed) for seed in seeds]
    numbers = np.arange(2, min(most, *(p.shape[1] - 1 for p in parts)) + 1)
    # The last merge of a mixture joined down to one class goes from 2 to 1, the one before from 3 to 2.
    curves = [merge(p, 1).overlap[::-1] for p in parts]
    overlap = np.exp(np.mean([np.log(np.maximum(c, FLOOR)) for c in _even(curves)], axis=0))
    classes = [[merge(p, int(n)).probability.argmax(1) for p in parts] for n in numbers]
    stability = [
        np.mean([adjusted_rand_score(each[0], other) for other in each[1:]]) if each[1:] else 1.0
        for each in classes
    ]
    falls = np.log(overlap[numbers - 1]) - np.log(overlap[numbers - 2])
    return xr.Dataset(
        {
            "overlap": (
                "n_classes",
                overlap[numbers - 2],
                dims.attrs("probability of being taken for the class that would be joined next"),
            ),
            "stability": ("n_classes", stability, dims.attrs("adjusted Rand index between seeds")),
        },
        coords={"n_classes": numbers},
        attrs={"recommended": int(numbers[falls.argmax()])},
    )


def _even(curves: Sequence[np.ndarray]) -> np.ndarray:
    """Curves cut to the length of the shortest."""
    shortest = min(map(len, curves))
    return np.stack([curve[:shortest] for curve in curves])
