"""Measurements as they come: checked, judged by the gate, and turned into observations."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from invae import dims
from invae.active.candidates import CANDIDATE
from invae.active.history import NAN, Observation
from invae.config.spectra import GateConfig
from invae.descriptors.spectra.quality import assess
from invae.errors import InputError
from invae.regression.measures import Axis

if TYPE_CHECKING:
    import xarray as xr

JUDGED = 8
"""Valid spectra from which the gate judges: how many spikes are usual is not known before."""
GATED = "gated"
"""Attribute of a Dataset whose instrument has judged the spectra itself."""
SPECTRUM = "spectrum"


@dataclass(frozen=True)
class Measurement:
    """What came back for some sites."""

    values: np.ndarray
    """(site,); NaN where spectra are measured."""
    spectra: np.ndarray | None
    """(site, energy)"""
    sd: np.ndarray
    valid: np.ndarray
    axis: Axis | None

    def observations(self, sites: "xr.Dataset", target: str) -> list[Observation]:
        """One observation per site, with what was believed before."""
        n = len(self.values)
        columns = {
            name: _column(sites, name, n)
            for name in ("predicted", "lower", "upper", "expected_gain")
        }
        reasons = sites["reason"].to_numpy() if "reason" in sites else ["chosen by hand"] * n
        return [
            Observation(
                candidate=int(sites[CANDIDATE][k]),
                valid=bool(self.valid[k]),
                value=float(self.values[k]),
                sd=float(self.sd[k]),
                spectrum=None if self.spectra is None else self.spectra[k],
                reason=str(reasons[k]),
                target=str(sites.attrs.get("target", target)),
                **{name: float(column[k]) for name, column in columns.items()},
            )
            for k in range(n)
        ]


def _column(sites: "xr.Dataset", name: str, n: int) -> np.ndarray:
    return sites[name].to_numpy() if name in sites else np.full(n, NAN)


def measurements_of(
    sites: "xr.Dataset",
    spectra: Any,
    *,
    values: Any,
    sd: Any,
    valid: Any,
    axis: Any,
    known: np.ndarray,
    gate: GateConfig,
) -> Measurement:
    """Checked measurements of sites; the arguments are those of `Search.observe`.

    Args:
        sites: As proposed.
        spectra: See there.
        values: See there.
        sd: See there.
        valid: See there.
        axis: See there.
        known: Valid spectra so far (measured, energy).
        gate: Judges spectra that no instrument has judged.

    Raises:
        InputError: There is nothing, something of another number of sites, or another site.
    """
    import xarray as xr

    n = sites.sizes.get(dims.SITE, 0)
    if (spectra is None) == (values is None):
        raise InputError("give spectra or values, one of them")
    if values is not None:
        numbers = _of_length(values, n, "values")
        ok = np.isfinite(numbers) & _flags(valid, n)
        return Measurement(numbers, None, _sd(sd, n), ok, None)
    judged = False
    if isinstance(spectra, xr.Dataset):
        _refuse_another_place(sites, spectra)
        judged = bool(spectra.attrs.get(GATED, False))
        valid = spectra["valid"].to_numpy() if valid is None and "valid" in spectra else valid
        sd = spectra["spectrum_sd"].to_numpy() if sd is None and "spectrum_sd" in spectra else sd
        spectra = spectra[SPECTRUM]
    given = np.asarray(spectra, float)
    if given.ndim != 2 or len(given) != n or given.shape[1] < 2:
        raise InputError(
            f"spectra have shape {given.shape} for {n} sites; (site, energy) is needed"
        )
    ok = np.isfinite(given).all(1) & _flags(valid, n)
    if not judged:
        given, ok = _gated(given, ok, known, gate)
    return Measurement(np.full(n, NAN), given, _sd(sd, n), ok, _axis_of(spectra, axis, given))


def _gated(
    spectra: np.ndarray, valid: np.ndarray, known: np.ndarray, gate: GateConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Spectra without spikes, and which of them can be used, judged beside those before."""
    if len(known) < JUDGED or known.shape[1] != spectra.shape[1]:
        return spectra, valid
    found = assess(
        np.concatenate([known, spectra]),
        threshold=gate.threshold,
        most_spikes=gate.most_spikes,
        most_amplitude=gate.most_amplitude,
    )
    new = slice(len(known), None)
    return found.cleaned[new], valid & found.valid[new]


def _refuse_another_place(sites: "xr.Dataset", measured: "xr.Dataset") -> None:
    """Refuse an instrument that answers other sites than those that were asked for."""
    if CANDIDATE in measured.coords and not np.array_equal(measured[CANDIDATE], sites[CANDIDATE]):
        raise InputError(
            f"the instrument answers candidate {measured[CANDIDATE].to_numpy().tolist()} instead of "
            f"{sites[CANDIDATE].to_numpy().tolist()}; nothing was recorded"
        )


def _axis_of(spectra: Any, axis: Any, values: np.ndarray) -> Axis:
    import xarray as xr

    if isinstance(spectra, xr.DataArray):
        name = str(spectra.dims[-1])
        units = str(spectra.attrs.get("units", "1"))
        if name in spectra.coords:
            along = spectra[name]
            return Axis(
                name, along.to_numpy().astype(float), str(along.attrs.get("units", "1")), units
            )
        return Axis(name, np.arange(values.shape[1], dtype=float), "1", units)
    if isinstance(axis, Axis):
        return axis
    along = np.arange(values.shape[1], dtype=float) if axis is None else np.asarray(axis, float)
    if len(along) != values.shape[1]:
        raise InputError(f"axis has {len(along)} values, spectra have {values.shape[1]} channels")
    return Axis("energy", along, "1", "1")


def _of_length(given: Any, n: int, name: str) -> np.ndarray:
    values = np.atleast_1d(np.asarray(given, float))
    if values.shape != (n,):
        raise InputError(f"{name} have shape {values.shape} for {n} sites; ({n},) is needed")
    return values


def _sd(given: Any, n: int) -> np.ndarray:
    if given is None:
        return np.zeros(n)
    sd = np.broadcast_to(np.asarray(given, float), n)
    return np.where(np.isfinite(sd) & (sd > 0), sd, 0.0)


def _flags(valid: Any, n: int) -> np.ndarray:
    return np.ones(n, bool) if valid is None else np.broadcast_to(np.asarray(valid, bool), n)
