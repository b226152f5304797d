"""The spectra of a recording, one after the other: on a grid or at points, cropped and binned along their axis."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from invae.config.spectra import SpectrumConfig
from invae.descriptors.offset import offset_of, without_offset
from invae.dims import FRAME, POINT, SITE, X, Y, attrs
from invae.errors import ConfigError, InputError
from invae.storage import store

TRUTH = "truth_"
"""Prefix of what a simulation knows."""
GRID_ROW, GRID_COLUMN = "grid_row", "grid_column"
POINT_Y, POINT_X, POINT_FRAME, SPECIMEN = "point_y_nm", "point_x_nm", "point_frame", "specimen"
FEWEST = 4
"""Smallest number of values of a spectrum."""


@dataclass(frozen=True)
class Spectra:
    """One spectral channel of a recording."""

    recording: Path
    name: str
    """The channel."""
    axis: str
    shape: tuple[int, ...]
    """(row, column) of a grid, or (point)."""
    kept: np.ndarray
    """Indices along the axis that are kept, a multiple of `n_bin` of them."""
    n_bin: int
    normalise: str
    others: tuple[str, ...]
    """Other spectral channels."""

    @property
    def on_grid(self) -> bool:
        """Whether the spectra lie on a grid."""
        return len(self.shape) == 2

    def __len__(self) -> int:
        return int(np.prod(self.shape))

    @property
    def n_steps(self) -> int:
        """Number of values of a stored spectrum."""
        return len(self.kept) // self.n_bin

    @property
    def truth(self) -> str | None:
        """The channel with the noise-free spectra, if the recording has one."""
        dataset = store.open_store(self.recording)
        name = f"{TRUTH}{self.name}"
        same = name in dataset and dataset[name].dims == dataset[self.name].dims
        return name if same else None

    def read(self, block: slice, name: str | None = None) -> np.ndarray:
        """Values of successive spectra without the offset of the channel (spectrum, step), cropped."""
        dataset = store.open_store(self.recording)
        return without_offset(
            self._recorded(dataset[name or self.name], block), offset_of(dataset[self.name])
        )

    def _recorded(self, channel: xr.DataArray, block: slice) -> np.ndarray:
        values = channel.transpose(..., self.axis)
        if not self.on_grid:
            return values[block].to_numpy()[:, self.kept]
        width = self.shape[1]
        first, last = block.start // width, -(-block.stop // width)
        rows = values[first:last].to_numpy().reshape(-1, values.shape[-1])
        return rows[block.start - first * width : block.stop - first * width, self.kept]

    def true_spectra(self, chosen: np.ndarray, truth: str) -> np.ndarray:
        """Noise-free spectra (spectrum, step), cropped and binned, of ascending indices."""
        everything = slice(int(chosen[0]), int(chosen[-1]) + 1)
        return self.binned(self.read(everything, truth)[chosen - chosen[0]].astype(np.float64))

    def binned(self, values: np.ndarray) -> np.ndarray:
        """Means of successive values (spectrum, step)."""
        return values.reshape(len(values), self.n_steps, self.n_bin).mean(axis=-1)

    def scale(self, spectra: np.ndarray) -> np.ndarray:
        """The number by which each binned spectrum is divided (spectrum,)."""
        if self.normalise == "none":
            return np.ones(len(spectra))
        magnitude = np.abs(spectra)
        if self.normalise == "max":
            size = magnitude.max(axis=1)
        else:
            places = self.coordinates()[self.axis].to_numpy().astype(float)
            size = (magnitude * np.abs(np.gradient(places))).sum(axis=1)
        return np.where(size > 0, size, 1.0)

    def coordinates(self) -> dict[str, xr.Variable]:
        """The axis, and what else changes along it (cycle, direction), binned as the spectra are."""
        dataset = store.open_store(self.recording)
        axis = dataset[self.axis] if self.axis in dataset.coords else None
        found = {} if axis is None else {self.axis: axis.variable.load()}
        if axis is None:
            number = np.arange(dataset.sizes[self.axis], dtype=float)
            found = {self.axis: xr.Variable(self.axis, number, attrs(self.axis, "1"))}
        for name, coordinate in dataset.coords.items():
            if coordinate.dims == (self.axis,) and name != self.axis:
                found[str(name)] = coordinate.variable.load()
        return {name: self._along(variable) for name, variable in found.items()}

    def _along(self, variable: xr.Variable) -> xr.Variable:
        values = variable.to_numpy()[self.kept].reshape(self.n_steps, self.n_bin)
        is_code = "flag_meanings" in variable.attrs
        chosen = values[:, 0] if is_code or self.n_bin == 1 else values.mean(axis=1)
        return xr.Variable(self.axis, chosen, variable.attrs)

    def value_attrs(self) -> dict[str, object]:
        """Attributes of the stored values: quantity and unit."""
        dataset = store.open_store(self.recording)
        units = str(dataset[self.name].attrs.get("units", "1"))
        if self.normalise == "max":
            return attrs(f"{self.name} relative to its largest magnitude")
        if self.normalise == "area":
            along = str(self.coordinates()[self.axis].attrs.get("units", "1"))
            return attrs(f"{self.name} relative to its area", "1" if along == "1" else f"1/{along}")
        return attrs(self.name.replace("_", " "), units)

    def remarks(self) -> list[str]:
        """Lines for the report."""
        lines = []
        if self.others:
            lines.append(
                f"spectra are those of channel {self.name}; the recording also has "
                f"{', '.join(self.others)} (describe.spectrum)"
            )
        return lines


def survey(recording: Path, *, config: SpectrumConfig) -> Spectra:
    """The spectral channel that the configuration chooses, and the kept part of its axis.

    Raises:
        InputError: the recording has no spectra.
        ConfigError: the channel does not exist, or the range or the bins leave too few values.
    """
    dataset = store.open_store(recording)
    there = spectral_channels(dataset)
    if not there:
        shapes = sorted({" ".join(map(str, v.dims)) for v in dataset.data_vars.values()})
        raise InputError(
            f"{recording.parent.name}: holds no spectra (y, x, axis) or (point, axis) but "
            f"{', '.join(shapes) or 'nothing'}; choose another kind of describe"
        )
    name = config.spectrum or next(iter(there))
    if name not in there:
        raise ConfigError(f"describe.spectrum names {name!r}; the recording has {', '.join(there)}")
    axis = there[name]
    sizes = dataset[name].sizes
    shape = (sizes[POINT],) if POINT in sizes else (sizes[Y], sizes[X])
    kept = _kept(dataset, axis, config=config)
    others = tuple(other for other in there if other != name)
    return Spectra(
        recording, name, axis, shape, kept, config.axis_bin, config.normalise, others
    )  # fmt: skip


def spectral_channels(dataset: xr.Dataset) -> dict[str, str]:
    """Channel → axis of every measured spectral channel, in alphabetical order; those in the unit of the axis last.

    A channel in the unit of the axis is the measured axis, such as the bias of a tunnelling spectrum.
    """
    found = {}
    for name, variable in sorted(dataset.data_vars.items(), key=lambda item: str(item[0])):
        others = [str(dim) for dim in variable.dims if dim not in (Y, X, POINT)]
        places = {str(dim) for dim in variable.dims} - {*others}
        spectral = len(others) == 1 and places in ({Y, X}, {POINT}) and others[0] != FRAME
        if spectral and not str(name).startswith(TRUTH):
            found[str(name)] = others[0]
    return dict(sorted(found.items(), key=lambda item: _measures_axis(dataset, *item)))


def _measures_axis(dataset: xr.Dataset, name: str, axis: str) -> bool:
    """Whether a channel has the unit of its axis."""
    units = [dataset[n].attrs.get("units", "1") for n in (name, axis) if n in dataset.variables]
    return len(units) == 2 and units[0] == units[1] != "1"


def _kept(dataset: xr.Dataset, axis: str, *, config: SpectrumConfig) -> np.ndarray:
    """Indices along the axis in the configured range, in whole bins."""
    n = dataset.sizes[axis]
    kept = np.arange(n)
    if config.axis_range is not None:
        low, high = config.axis_range
        places = dataset[axis].to_numpy().astype(float)
        kept = np.flatnonzero((places >= low) & (places <= high))
        units = dataset[axis].attrs.get("units", "") if axis in dataset.coords else ""
        if len(kept) < FEWEST:
            raise ConfigError(
                f"describe.axis_range {low:g} to {high:g} keeps {len(kept)} of {n} values; {axis} runs "
                f"from {places.min():g} to {places.max():g} {units}".rstrip()
            )
    n_steps = len(kept) // config.axis_bin
    if n_steps < FEWEST:
        raise ConfigError(
            f"describe.axis_bin {config.axis_bin} leaves {n_steps} of {len(kept)} values along {axis}; "
            f"at least {FEWEST} are needed"
        )
    return kept[: n_steps * config.axis_bin]


def places_of(dataset: xr.Dataset, spectra: Spectra) -> xr.Dataset:
    """Where the spectra are, and all that the recording knows of each, over `site`.

    `frame`, `specimen`; on a grid `grid_row` and `grid_column`; further coordinates of points, and the truth of the frame.
    """
    coords: dict[str, xr.Variable] = {}
    if spectra.on_grid:
        index = np.indices(spectra.shape, np.int32).reshape(2, -1)
        words = ("row of the spectrum in its grid", "column of the spectrum in its grid")
        for name, values, word in zip((GRID_ROW, GRID_COLUMN), index, words, strict=True):
            coords[name] = xr.Variable(SITE, values, attrs(word))
        frame = np.zeros(len(spectra), np.int32)
    else:
        frame = _of_points(dataset, POINT_FRAME, np.zeros(len(spectra))).astype(np.int32)
        coords |= _others_of_points(dataset)
    coords |= _truth_of_frames(dataset, frame)
    specimen = _of_points(dataset, SPECIMEN, frame).astype(np.int32)
    told = dataset[SPECIMEN].attrs if SPECIMEN in dataset.coords else {}
    names = {key: value for key, value in told.items() if str(key).startswith("flag_")}
    coords[SPECIMEN] = xr.Variable(SITE, specimen, attrs("specimen of the spectrum") | names)
    return xr.Dataset(coords=coords).assign_coords(frame=(SITE, frame))


def _of_points(dataset: xr.Dataset, name: str, otherwise: np.ndarray) -> np.ndarray:
    return dataset[name].to_numpy() if name in dataset.coords else otherwise


def _others_of_points(dataset: xr.Dataset) -> dict[str, xr.Variable]:
    """All coordinates of points but their place and specimen."""
    known = {POINT, POINT_FRAME, SPECIMEN, POINT_Y, POINT_X}
    return {
        str(name): xr.Variable(SITE, coordinate.to_numpy(), coordinate.attrs)
        for name, coordinate in dataset.coords.items()
        if coordinate.dims == (POINT,) and name not in known
    }


def _truth_of_frames(dataset: xr.Dataset, frame: np.ndarray) -> dict[str, xr.Variable]:
    return {
        str(name): xr.Variable(SITE, coordinate.to_numpy()[frame], coordinate.attrs)
        for name, coordinate in dataset.coords.items()
        if coordinate.dims == (FRAME,) and str(name).startswith(TRUTH)
    }
