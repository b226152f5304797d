"""Names of dimensions and coordinates, and the labels of variables.

Arrays are ordered (y, x), y down; the origin of a patch is its centre; angles are radians, positive as `np.rot90`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

FRAME, Y, X = "frame", "y", "x"
SCAN_Y, SCAN_X, K_Y, K_X = "scan_y", "scan_x", "k_y", "k_x"
POINT, SURVEY_Y, SURVEY_X = "point", "survey_y", "survey_x"
SITE, CHANNEL, PATCH_Y, PATCH_X = "site", "channel", "patch_y", "patch_x"
LATENT, CLASS, AXIS, EPOCH, VARIABLE = "latent", "class", "axis", "epoch", "variable"

IMAGE = (FRAME, Y, X)
MASK = "mask"
"""Signal of a recording that is no measurement: pixels that a person has marked."""
SPECTRAL = ("voltage", "energy", "wavelength", "field")
"""Axes of spectra: bias [V], energy [eV], wavelength [nm], magnetic field [T]. A grid of spectra is (y, x, axis), spectra at points are (point, axis)."""
PATCH = (SITE, CHANNEL, PATCH_Y, PATCH_X)
SITE_COORDS = ("frame", "y", "x", "y_nm", "x_nm", "kind", "source")
"""Coordinates of a site: frame, (y, x) in pixels and in nm, kind of site and source file."""

KINDS = ("wall", "grid", "atom", "pattern", "image")
"""The kinds of sites; an image is a whole frame. `kind` holds the index."""


def attrs(long_name: str, units: str = "1", **more: Any) -> dict[str, Any]:
    """The CF attributes of a variable; units as pint parses them, `pixel` for pixels."""
    return {"long_name": long_name, "units": units, **more}


def flags(meanings: Sequence[str], long_name: str) -> dict[str, Any]:
    """The CF attributes of an integer variable whose values index `meanings`."""
    return {
        "long_name": long_name,
        "flag_values": list(range(len(meanings))),
        "flag_meanings": " ".join(name.replace(" ", "_") for name in meanings),
    }


def class_names(n_latents: int) -> list[str]:
    """Names of the discrete latent variables: class, class_2, …"""
    return [CLASS, *(f"{CLASS}_{number}" for number in range(2, n_latents + 1))]


def meanings(variable_attrs: Mapping[str, Any]) -> list[str]:
    """The names of the values of a flag variable."""
    return str(variable_attrs["flag_meanings"]).split()
