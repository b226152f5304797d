"""Partners found in the latent space that image and spectrum share, and the number of objects read from it."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from invae import dims
from invae.training.folds import folds_of

WITHIN = (1, 2, 5, 10, 20, 50, 100)
NUMBER = "truth_n_particles"
"""Coordinate of the sites with a number that is known of a simulation."""
N_NEAREST = 15
FEWEST = 4
"""Fewest sites of every number that is read."""


def found_partners(sites: xr.Dataset) -> xr.Dataset:
    """Share of partners among the nearest candidates, of the pairs that were held out together.

    Args:
        sites: The embedding, with `rank_of_image`, `rank_of_spectrum` and `candidates`.
    """
    among = sites["candidates"].to_numpy()
    within = [k for k in WITHIN if k <= among.max()]
    shares = {
        "images_found": ("rank_of_image", "share of spectra whose image is among the nearest"),
        "spectra_found": ("rank_of_spectrum", "share of images whose spectrum is among the nearest"),
    }  # fmt: skip
    found = {
        name: (
            "within",
            [float((sites[rank].to_numpy() < k).mean()) for k in within],
            dims.attrs(words),
        )
        for name, (rank, words) in shares.items()
    }
    chance = [float(np.minimum(k / among, 1).mean()) for k in within]
    return xr.Dataset(
        {**found, "by_chance": ("within", chance, dims.attrs("the same, if candidates are drawn"))},
        coords={"within": ("within", within, dims.attrs("nearest candidates"))},
        attrs={"fewest": int(among.min()), "most": int(among.max())},
    )


def read_numbers(sites: xr.Dataset, *, seed: int) -> xr.Dataset | None:
    """The number of objects, read from the latent variables of one signal by a reader that has seen those of the other one.

    The reader learns from images, and is asked for spectra of other sites; `from_image` is the same within one signal. Neither the network
    nor the reader has seen these sites.

    Args:
        sites: The embedding, with `content_unseen`, `fold` and the known number of a simulation.
        seed: Of the parts.

    Returns:
        `from_spectrum` and `from_image` (true, read): shares of every true number; none if the number is unknown or too rare.
    """
    if NUMBER not in sites.coords:
        return None
    number = sites[NUMBER].to_numpy().astype(int)
    names, inverse, count = np.unique(number, return_inverse=True, return_counts=True)
    if len(names) < 2 or count.min() < FEWEST:
        return None
    of_image, of_spectrum = np.moveaxis(sites["content_unseen"].to_numpy().astype(float), 1, 0)
    read = {"from_spectrum": np.zeros(len(number), int), "from_image": np.zeros(len(number), int)}
    for fold in np.unique(sites["fold"]):
        here = np.flatnonzero(sites["fold"].to_numpy() == fold)
        for split in folds_of(len(here), n_folds=2, seed=seed).splits:
            reader = _reader(of_image[here[split.training]], inverse[here[split.training]])
            asked = here[split.held_out]
            read["from_spectrum"][asked] = reader(of_spectrum[asked])
            read["from_image"][asked] = reader(of_image[asked])
    shares = {
        name: np.stack([np.bincount(values[inverse == k], minlength=len(names)) for k in range(len(names))]) / count[:, None]
        for name, values in read.items()
    }  # fmt: skip
    words = "share of sites with this true number that are read as another"
    return xr.Dataset(
        {name: (("true", "read"), value, dims.attrs(words)) for name, value in shares.items()},
        coords={"true": names, "read": names},
    )


def _reader(latents: np.ndarray, number: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The most frequent number of the nearest images; boundaries between classes carry over less well from images to spectra."""
    from sklearn.neighbors import KNeighborsClassifier

    n_nearest = min(N_NEAREST, len(latents))
    return KNeighborsClassifier(n_nearest).fit(latents, number).predict
