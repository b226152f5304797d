"""What a surrogate believes of the target at every candidate."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from invae.regression.measures import Axis

Draw = Callable[[np.random.Generator], Float[np.ndarray, " site"]]


@dataclass(frozen=True)
class Data:
    """Measured candidates, in the order of their measurement."""

    sites: np.ndarray
    """Indices among the candidates."""
    values: Float[np.ndarray, " measured"]
    """Target, in any unit."""
    sd: Float[np.ndarray, " measured"]
    """Known sd of the noise of each value; 0 where it is unknown."""

    def __len__(self) -> int:
        return len(self.sites)

    def first(self, n: int) -> "Data":
        """The earliest measurements."""
        return Data(self.sites[:n], self.values[:n], self.sd[:n])

    def with_values(self, sites: np.ndarray, values: np.ndarray) -> "Data":
        """The data and supposed values at other candidates."""
        sd = np.zeros(len(sites))
        return Data(np.r_[self.sites, sites], np.r_[self.values, values], np.r_[self.sd, sd])


@dataclass(frozen=True)
class Measured:
    """What a surrogate learns from: the target of some candidates, and their spectra if it predicts these."""

    data: Data
    spectra: Float[np.ndarray, "measured energy"]
    """Without columns where only numbers are known."""
    scalarise: Callable[[np.ndarray, Axis | None], np.ndarray]
    """Spectra (site, energy) to the target (site,); over the axis of the measured ones if none is given."""

    def first(self, n: int) -> "Measured":
        """The earliest measurements."""
        return Measured(self.data.first(n), self.spectra[:n], self.scalarise)

    def with_values(self, sites: np.ndarray, values: np.ndarray) -> "Measured":
        """The measurements and supposed ones, whose spectra are like that of the nearest value."""
        spectra = self.spectra
        if spectra.size:
            nearest = np.abs(values[:, None] - self.data.values).argmin(1)
            spectra = np.concatenate([spectra, spectra[nearest]])
        return Measured(self.data.with_values(sites, values), spectra, self.scalarise)


@dataclass(frozen=True)
class Belief:
    """Mean and sd of the target at every candidate."""

    mean: Float[np.ndarray, " site"]
    sd: Float[np.ndarray, " site"]
    """What the measurements leave open, without the noise of a further measurement."""
    noise: float
    """Sd of the noise of a typical measurement, with what the features do not determine."""
    draw: Draw
    """One function that agrees with the measurements, at every candidate."""
    left_out_values: Float[np.ndarray, " measured"]
    """Measured values."""
    left_out_mean: Float[np.ndarray, " measured"]
    """Every measurement as the others predict it."""
    left_out_sd: Float[np.ndarray, " measured"]
    """Sd of such a prediction, with noise."""

    @property
    def sd_of_measurement(self) -> Float[np.ndarray, " site"]:
        """Sd of a further measurement."""
        return np.hypot(self.sd, self.noise)


NORMAL_90 = 1.6448536269514722
"""Half width of the 90 % interval of a standard Normal."""


def coverage(mean: np.ndarray, sd: np.ndarray, values: np.ndarray) -> float:
    """Share of the values inside their 90 % intervals; NaN without values."""
    if not len(values):
        return float("nan")
    return float((np.abs(values - mean) <= NORMAL_90 * sd).mean())
