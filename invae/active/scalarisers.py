"""Scalarisers: a spectrum becomes one number with its sd and unit. One row each; `module:function` adds one of your own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from jaxtyping import Float

from invae.errors import ConfigError
from invae.regression.measures import Axis, band, peak

Spectra = Float[np.ndarray, "site energy"]
Values = Float[np.ndarray, " site"]
RELATIVE_STEP = 1e-4
"""Step of numerical derivatives, relative to the largest magnitude of a spectrum."""


@dataclass(frozen=True)
class Scalariser:
    """A number of a spectrum."""

    label: str
    compute: Callable[[Spectra, Axis], Values]
    units: Callable[[Axis], str]


def height(spectra: Spectra, axis: Axis) -> Values:
    """Largest value."""
    return spectra.max(1)


def centre(spectra: Spectra, axis: Axis) -> Values:
    """Centre of mass along the axis, of the magnitude of the values."""
    weight = np.abs(spectra)
    return (weight @ axis.values) / np.maximum(weight.sum(1), 1e-300)


def area(spectra: Spectra, axis: Axis) -> Values:
    """Area inside the loop that the spectrum describes over its axis, which goes forth and back."""
    steps = np.roll(axis.values, -1) - np.roll(axis.values, 1)
    return np.abs(0.5 * spectra @ steps)


def offset(spectra: Spectra, axis: Axis) -> Values:
    """Mean value."""
    return spectra.mean(1)


def coercive(spectra: Spectra, axis: Axis) -> Values:
    """Half the distance along the axis between the outermost crossings of the mean."""
    centred = spectra - spectra.mean(1, keepdims=True)
    after = np.roll(centred, -1, axis=1)
    crosses = centred * after < 0
    crosses[:, -1] &= (
        abs(axis.values[0] - axis.values[-1]) <= 2 * np.abs(np.diff(axis.values)).max()
    )
    step = np.roll(axis.values, -1) - axis.values
    share = centred / np.where(crosses, centred - after, 1.0)
    where = axis.values + share * step
    last = np.where(crosses, where, -np.inf).max(1)
    first = np.where(crosses, where, np.inf).min(1)
    return np.where(crosses.any(1), (last - first) / 2, 0.0)


SCALARISERS: Mapping[str, Scalariser] = {
    "band": Scalariser("integral over the axis", band, lambda axis: axis.band_units),
    "height": Scalariser("largest value", height, lambda axis: axis.value_units),
    "peak": Scalariser("position of the maximum", peak, lambda axis: axis.units),
    "centre": Scalariser("centre of mass", centre, lambda axis: axis.units),
    "area": Scalariser("area of the loop", area, lambda axis: axis.band_units),
    "offset": Scalariser("mean value", offset, lambda axis: axis.value_units),
    "coercive": Scalariser("half width of the loop", coercive, lambda axis: axis.units),
}
"""By name. A new one is a row here."""


def scalariser(name: str) -> Scalariser:
    """The scalariser of a name, or of `module:function`, whose function takes spectra (site, energy) and an `Axis`.

    Raises:
        ConfigError: There is none.
    """
    if name in SCALARISERS:
        return SCALARISERS[name]
    module, colon, function = name.partition(":")
    if not colon:
        raise ConfigError(
            f"target {name!r} is no scalariser; give {', '.join(SCALARISERS)} or module:function"
        )
    try:
        compute = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"target {name!r} cannot be imported: {error}") from error
    return Scalariser(function, compute, lambda axis: str(getattr(compute, "units", "1")))


def within(
    spectra: Spectra, axis: Axis, bounds: tuple[float, float] | None
) -> tuple[Spectra, Axis]:
    """The part of spectra inside bounds of their axis.

    Raises:
        ConfigError: Fewer than two channels are inside.
    """
    if bounds is None:
        return spectra, axis
    inside = (axis.values >= bounds[0]) & (axis.values <= bounds[1])
    if inside.sum() < 2:
        raise ConfigError(
            f"target_range {bounds[0]:g} to {bounds[1]:g} holds {inside.sum()} channels; "
            f"the axis runs from {axis.values.min():g} to {axis.values.max():g} {axis.units}"
        )
    return spectra[:, inside], Axis(axis.name, axis.values[inside], axis.units, axis.value_units)


def value_with_sd(
    one: Scalariser, spectrum: Float[np.ndarray, " energy"], axis: Axis, spectrum_sd: float
) -> tuple[float, float]:
    """The number of a spectrum, and its sd from independent noise of its channels; 0 where that is unknown.

    The sd follows from numerical derivatives by every channel.
    """
    value = float(one.compute(spectrum[None], axis)[0])
    if not spectrum_sd > 0:
        return value, 0.0
    step = max(RELATIVE_STEP * float(np.abs(spectrum).max()), 1e-3 * spectrum_sd)
    moved = spectrum + step * np.eye(len(spectrum))
    slope = (one.compute(moved, axis) - value) / step
    return value, spectrum_sd * float(np.linalg.norm(slope))
