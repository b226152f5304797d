"""Drift between proposals: a new image of the field is registered on the image from which the candidates are."""

from typing import Any

import numpy as np

from invae.errors import InputError

UPSAMPLING = 20
"""Steps per pixel of the registration."""


def shift_of(reference: np.ndarray, image: np.ndarray) -> np.ndarray:
    """How far the field has moved (y, x) [px]: what was at p in the reference is at p + shift in the image.

    Raises:
        InputError: The images have different shapes.
    """
    from skimage.registration import phase_cross_correlation

    if reference.shape != image.shape:
        raise InputError(
            f"the image to register has {image.shape[0]} × {image.shape[1]} px, the reference {reference.shape[0]} × {reference.shape[1]}"
        )
    # without normalisation: that of the phase weighs the noise of smooth images like their content
    options: dict[str, Any] = {"upsample_factor": UPSAMPLING, "normalization": None}
    moved, _, _ = phase_cross_correlation(reference, image, **options)
    return -np.asarray(moved, float)
