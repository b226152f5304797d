"""The axis of spectra: name, values and unit. A model takes spectra on the axis of its training alone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from invae import dims
from invae.errors import InputError

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class SpectralAxis:
    """The axis of spectra."""

    name: str
    values: np.ndarray
    units: str = "1"

    def refuse_other(self, other: "SpectralAxis") -> None:
        """Refuse spectra on another axis.

        Raises:
            InputError: Name, unit or values differ.
        """
        same = len(self.values) == len(other.values) and np.allclose(
            self.values, other.values, rtol=1e-6, atol=1e-9
        )
        if not same or self.units != other.units:
            raise InputError(f"spectra have the axis {other}, the model has {self}; give the same")

    def __str__(self) -> str:
        low, high = self.values[0], self.values[-1]
        return f"{self.name} {low:g}–{high:g} {self.units} in {len(self.values)} channels"

    def card(self) -> dict[str, Any]:
        """As JSON values."""
        return {"name": self.name, "values": self.values.tolist(), "units": self.units}


def axis_from(card: dict[str, Any] | None) -> SpectralAxis | None:
    """An axis from JSON values; none from none."""
    if card is None:
        return None
    return SpectralAxis(card["name"], np.array(card["values"]), card["units"])


def spectral_axis_of(dataset: "xr.Dataset") -> SpectralAxis | None:
    """The axis of the spectra in a descriptor store; none where patches are images."""
    name = str(dataset.attrs.get("spectrum_axis", ""))
    if not name:
        return None
    axis = dataset[name if name in dataset.coords else dims.PATCH_X]
    return SpectralAxis(name, axis.to_numpy().astype(float), str(axis.attrs.get("units", "1")))
