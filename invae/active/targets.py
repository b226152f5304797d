"""The target of a search: from observations to the numbers that are maximised, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from invae.active.belief import Data, Measured
from invae.active.history import NAN, Observation, sites_of
from invae.active.scalarisers import scalariser, value_with_sd, within
from invae.config.search import SearchConfig
from invae.errors import InputError
from invae.regression.measures import Axis


@dataclass(frozen=True)
class Target:
    """A number of a spectrum, or a measured number."""

    config: SearchConfig
    axis: Axis | None
    """Of the spectra; none where only numbers are measured."""

    @property
    def units(self) -> str:
        """Unit of the target."""
        return "1" if self.axis is None else scalariser(self.config.target).units(self.axis)

    def of_spectra(self, spectra: np.ndarray, axis: Axis | None = None) -> np.ndarray:
        """Target of spectra (site,), over the axis of the measured ones if none is given."""
        over = axis or self.axis
        assert over is not None
        kept, axis = within(np.asarray(spectra, float), over, self.config.target_range)
        return np.asarray(scalariser(self.config.target).compute(kept, axis), float)

    def value(self, one: Observation) -> tuple[float, float]:
        """Target of an observation and its sd; NaN of an invalid one."""
        if not one.valid:
            return NAN, 0.0
        if one.spectrum is None or self.axis is None:
            return one.value, one.sd
        kept, axis = within(one.spectrum[None].astype(float), self.axis, self.config.target_range)
        return value_with_sd(scalariser(self.config.target), kept[0], axis, one.sd)


@dataclass(frozen=True)
class Scale:
    """From the target to the number that is maximised, and back."""

    sign: float
    unit: float | None
    """Of arcsinh; linear without one."""

    def forth(self, values: np.ndarray) -> np.ndarray:
        """Numbers that are maximised."""
        return self.sign * (values if self.unit is None else np.arcsinh(values / self.unit))

    def back(self, numbers: np.ndarray) -> np.ndarray:
        """Values of the target."""
        signed = self.sign * np.asarray(numbers)
        return signed if self.unit is None else self.unit * np.sinh(signed)

    def sd_forth(self, values: np.ndarray, sd: np.ndarray) -> np.ndarray:
        """Sd of the numbers."""
        return sd if self.unit is None else sd / np.hypot(values, self.unit)


def scale_of(values: np.ndarray, config: SearchConfig) -> Scale:
    """The scale of a search; that of arcsinh is fixed by the first valid values.

    Args:
        values: Valid values in the order of their measurement.
        config: Of the search.
    """
    sign = 1.0 if config.direction == "largest" else -1.0
    if config.scale == "linear" or not len(values):
        return Scale(sign, None)
    unit = float(np.median(np.abs(values[: config.initial])))
    return Scale(sign, unit if unit > 0 else 1.0)


def measured_of(
    history: Sequence[Observation], values: np.ndarray, sd: np.ndarray, target: Target
) -> tuple[Measured, Scale]:
    """The valid measurements as a surrogate takes them, and the scale of their numbers."""
    valid = np.isfinite(values)
    scale = scale_of(values[valid], target.config)
    numbers = scale.forth(values[valid])
    data = Data(sites_of(history)[valid], numbers, scale.sd_forth(values[valid], sd[valid]))
    spectra = [one.spectrum for one, ok in zip(history, valid, strict=True) if ok]
    known = [one for one in spectra if one is not None]
    stacked = np.stack(known) if known and len(known) == len(spectra) else np.zeros((len(data), 0))
    return Measured(data, stacked, lambda s, axis: scale.forth(target.of_spectra(s, axis))), scale


def refuse_other_axis(known: Axis, axis: Axis) -> None:
    """Refuse spectra over another axis than those before.

    Raises:
        InputError: Name, unit or values differ.
    """
    if known.units != axis.units or known.name != axis.name:
        raise InputError(
            f"spectra are over {axis.name} [{axis.units}], earlier ones over {known.name} [{known.units}]; convert them"
        )
    if len(known.values) != len(axis.values) or not np.allclose(
        known.values, axis.values, rtol=1e-6, atol=1e-6 * float(np.ptp(known.values))
    ):
        raise InputError(
            f"spectra have {len(axis.values)} channels from {axis.values[0]:g} to {axis.values[-1]:g} {axis.units}, "
            f"earlier ones {len(known.values)} from {known.values[0]:g} to {known.values[-1]:g}; measure all on one axis"
        )


def axis_words(axis: Axis) -> dict[str, Any]:
    """An axis as JSON values."""
    return {**vars(axis), "values": axis.values.tolist()}


def axis_of(words: Mapping[str, Any]) -> Axis:
    """The axis of `axis_words`."""
    return Axis(**{**words, "values": np.array(words["values"], float)})
