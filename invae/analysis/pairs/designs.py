"""Errors of images that were made for spectra, beside the nearest training pair and the true image."""

import numpy as np
import xarray as xr

from invae import dims
from invae.regression.scores import relative_error


def judged(
    made: xr.Dataset, patches: np.ndarray, measured: np.ndarray, predicted: np.ndarray
) -> xr.Dataset:
    """The group `designs` of a result: images, their spectra and errors.

    Args:
        made: The group `designs` of the embedding.
        patches: Of all sites (site, channel, y, x).
        measured: Spectra (site, energy).
        predicted: Spectra that the process predicts of the true images, held out (site, energy).
    """
    site = made["site"].to_numpy()
    wanted = measured[site]
    spectra = made["spectrum"].to_numpy()
    errors = {
        "error": (("wanted", "sample"), relative_error(spectra, wanted[:, None]), "of an image made for the wanted spectrum"),
        "error_best": ("wanted", relative_error(made["best_spectrum"].to_numpy(), wanted), "of the best image of all tries"),
        "error_nearest": ("wanted", relative_error(measured[made["nearest"].to_numpy()], wanted), "of the nearest training spectrum"),
        "error_true": ("wanted", relative_error(predicted[site], wanted), "of the true image: the error of the process itself"),
    }  # fmt: skip
    found = made.load().copy()
    for name, (over, values, words) in errors.items():
        attrs = dims.attrs(f"relative error of the predicted spectrum {words}")
        found[name] = (over, values.astype(np.float32), attrs)
    found["true_image"] = (
        ("wanted", *dims.PATCH[1:]),
        patches[site],
        dims.attrs("image that was recorded with the wanted spectrum"),
    )
    found["diversity"] = (
        "wanted",
        _diversity(made["image"].to_numpy()),
        dims.attrs("mean distance of two images made for a spectrum, relative to their spread over all spectra"),
    )  # fmt: skip
    return found


def _diversity(images: np.ndarray) -> np.ndarray:
    """Mean distance of two samples of one spectrum (wanted), relative to that of samples of different spectra."""
    flat = images.reshape(*images.shape[:2], -1).astype(float)
    n = flat.shape[1]
    within = 2 * flat.var(axis=1, ddof=1).sum(-1) if n > 1 else np.zeros(len(flat))
    overall = 2 * flat.reshape(-1, flat.shape[-1]).var(axis=0, ddof=1).sum()
    return np.sqrt(within / max(overall, 1e-30)).astype(np.float32)
