"""Predictions as labelled datasets."""

import numpy as np
import xarray as xr

from invae import dims
from invae.pairs.data import Pairs
from invae.pairs.fitted import Fitted


def predicted(fitted: Fitted, given: Pairs) -> xr.Dataset:
    """Spectra of image patches: `mean`, `sd_noise`, `sd_model`, `lower` and `upper` (site, energy), in the unit of the spectra.

    Args:
        fitted: A model whose members predict spectra.
        given: The patches.

    Raises:
        InputError: The patches are not like those of the training.
    """
    fitted.refuse_other(given)
    said, coverage = fitted.predict(given.patches), fitted.config.coverage
    half = fitted.half_width(said.sd)
    level = f"{100 * coverage:g} %"
    values = {
        "mean": (said.mean, "predicted spectrum"),
        "sd_noise": (said.sd_noise, "sd of a spectrum about the prediction"),
        "sd_model": (said.sd_model, "sd of the prediction"),
        "lower": (said.mean - half, f"lower end of the {level} interval"),
        "upper": (said.mean + half, f"upper end of the {level} interval"),
    }
    over = (dims.SITE, fitted.axis.name)
    return xr.Dataset(
        {
            name: (over, value.astype(np.float32), dims.attrs(words, fitted.units))
            for name, (value, words) in values.items()
        },
        coords={**axis_of(fitted), **(given.coords or {})},
        attrs={"coverage": coverage, "held_out_by": fitted.by},
    )


def axis_of(fitted: Fitted) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
    """The axis of spectra as a coordinate."""
    axis = fitted.axis
    return {axis.name: (axis.name, axis.values, {"units": axis.units})}
