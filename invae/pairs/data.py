"""Pairs of image patch and spectrum, as a person gives them: mappings of arrays, datasets or stores."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.models.signals import IMAGE
from invae.training.signal_sources import NO_ANNOTATIONS, ArraySource, SignalArray
from invae.training.spectral_axis import SpectralAxis
from invae.training.split import Places

if TYPE_CHECKING:
    import xarray as xr

SPECTRUM = "spectrum"
PairData: TypeAlias = "Mapping[str, Any] | xr.Dataset | str | Path"
"""`image` (site, y, x) or (site, channel, y, x) and `spectrum` (site, energy); a Dataset or store has `patch` instead of `image`."""


@dataclass(frozen=True)
class Pairs:
    """Checked pairs."""

    patches: np.ndarray
    """(site, channel, y, x) float32."""
    spectra: np.ndarray | None
    """(site, energy) float32; none where only images were given."""
    axis: SpectralAxis | None
    units: str
    """Of the spectra."""
    specimen: np.ndarray | None = None
    places: Places | None = None
    coords: Mapping[str, Any] | None = None
    """Coordinates of the sites."""
    channels: tuple[str, ...] = ()
    """Names of the channels of the patches; empty where unknown."""
    pixel_size_nm: float | None = None

    def __len__(self) -> int:
        return len(self.patches)

    def take(self, sites: np.ndarray) -> "Pairs":
        """Some of the pairs."""
        places = self.places
        if places is not None:
            places = replace(
                places, frame=places.frame[sites], y=places.y[sites], x=places.x[sites]
            )
        return replace(
            self,
            patches=self.patches[sites],
            spectra=None if self.spectra is None else self.spectra[sites],
            specimen=None if self.specimen is None else self.specimen[sites],
            places=places,
            coords=None,
        )

    def source(self) -> ArraySource:
        """The two signals as a source of batches."""
        assert self.spectra is not None
        signals = {
            IMAGE: SignalArray(self.patches),
            SPECTRUM: SignalArray(self.spectra[:, None, None]),
        }
        return ArraySource.from_clean(signals, known=NO_ANNOTATIONS)


def pairs_of(data: PairData, *, needs_spectra: bool = True) -> Pairs:
    """Pairs from what was given.

    Raises:
        InputError: A signal is missing, has another number of sites, or holds values that are not finite.
    """
    import xarray as xr

    if isinstance(data, str | Path):
        from invae.storage import store

        data = store.open_store(Path(data))
    if isinstance(data, xr.Dataset):
        return _of_dataset(data, needs_spectra=needs_spectra)
    if not isinstance(data, Mapping):
        data = {IMAGE: data}
    if IMAGE not in data:
        raise InputError(f"pairs have {', '.join(data) or 'nothing'}; `image` is missing")
    if needs_spectra and SPECTRUM not in data:
        raise InputError("pairs have no `spectrum`; give spectra (site, energy) of the same sites")
    patches = _checked_patches(data[IMAGE])
    spectra, axis, units = None, None, "1"
    if data.get(SPECTRUM) is not None:
        spectra, axis, units = _checked_spectra(data[SPECTRUM], len(patches), data.get("axis"))
    specimen = data.get("specimen")
    if specimen is not None and len(specimen) != len(patches):
        raise InputError(f"specimen has {len(specimen)} values for {len(patches)} sites")
    specimen = None if specimen is None else np.asarray(specimen)
    return Pairs(patches, spectra, axis, units, specimen)


def _of_dataset(dataset: "xr.Dataset", *, needs_spectra: bool) -> Pairs:
    for name in ("patch", *((SPECTRUM,) if needs_spectra else ())):
        if name not in dataset:
            raise InputError(
                f"the dataset has no {name}; describe a recording of image and spectra with describe.kind=pairs"
            )
    patches = _checked_patches(dataset["patch"])
    spectra, axis, units = None, None, "1"
    if SPECTRUM in dataset:
        spectra, axis, units = _checked_spectra(dataset[SPECTRUM], len(patches), None)
    places = None
    if {dims.Y, dims.X, dims.FRAME} <= set(dataset.coords):
        frame, y, x = (dataset[name].to_numpy() for name in (dims.FRAME, dims.Y, dims.X))
        window = float(dataset.attrs.get("window", max(patches.shape[2:])))
        places = Places(frame, y, x, window)
    over_site = {
        str(name): value.variable
        for name, value in dataset.coords.items()
        if value.dims == (dims.SITE,)
    }
    specimen = dataset["specimen"].to_numpy() if "specimen" in dataset else None
    channels = dataset[dims.CHANNEL].to_numpy() if dims.CHANNEL in dataset.coords else ()
    size = dataset.attrs.get("pixel_size_nm")
    return Pairs(
        patches,
        spectra,
        axis,
        units,
        specimen,
        places,
        over_site,
        tuple(map(str, channels)),
        None if size is None else float(size),
    )


def _checked_patches(given: Any) -> np.ndarray:
    values = np.ascontiguousarray(np.asarray(given), dtype=np.float32)
    if values.ndim == 3:
        values = values[:, None]
    if values.ndim != 4 or min(values.shape) < 1:
        raise InputError(
            f"image has shape {values.shape}; (site, y, x) or (site, channel, y, x) is needed"
        )
    _refuse_not_finite("image", values)
    if values.max() == values.min():
        raise InputError(
            f"all images are constant ({values.max():g}); there is nothing to learn from"
        )
    return values


def _checked_spectra(given: Any, n_sites: int, axis: Any) -> tuple[np.ndarray, SpectralAxis, str]:
    import xarray as xr

    values = np.ascontiguousarray(np.asarray(given), dtype=np.float32)
    if values.ndim == 3 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 2 or values.shape[1] < 2:
        raise InputError(f"spectrum has shape {values.shape}; (site, energy) is needed")
    if len(values) != n_sites:
        raise InputError(
            f"{n_sites} images and {len(values)} spectra are no pairs; give one of each per site"
        )
    _refuse_not_finite("spectrum", values)
    name, places, units, own = "energy", np.arange(values.shape[1], dtype=float), "1", "1"
    if isinstance(given, xr.DataArray):
        name, own = str(given.dims[-1]), str(given.attrs.get("units", "1"))
        if name in given.coords:
            places = given[name].to_numpy().astype(float)
            units = str(given[name].attrs.get("units", "1"))
    elif axis is not None:
        places = np.asarray(axis, dtype=float)
        if len(places) != values.shape[1]:
            raise InputError(
                f"axis has {len(places)} values, spectra have {values.shape[1]} channels"
            )
    return values, SpectralAxis(name, places, units), own


def _refuse_not_finite(name: str, values: np.ndarray) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        site = int(np.argwhere(bad)[0, 0])
        raise InputError(
            f"{int(bad.sum())} values of {name} are NaN or infinite, the first at site {site}; leave these sites out"
        )
