"""The pairs of finished runs as a library: patches whose spectra are nearest to a wanted value or spectrum."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.errors import ConfigError, InputError, StoreError
from invae.regression.measures import Axis, band, is_monotonic, peak
from invae.regression.scores import relative_error
from invae.results.reading import kind_of, open_result
from invae.storage import store

RESULT, PATCHES = "result.zarr", "descriptors.zarr"
"""Stores in the folder of a run."""
WEAK = 25
"""Percent of the spectra, the weakest of a run, whose maximum is that of noise."""
PLACES = ("frame", "y", "x", "y_nm", "x_nm")
NAMES = ("spectrum", "mean")
"""Variables of a file that are taken if it has several spectra."""


@dataclass(frozen=True)
class Library:
    """The pairs of one run."""

    name: str
    sites: xr.Dataset
    spectra: xr.Dataset
    """`measured` and `predicted` (site, energy)."""
    patches: xr.DataArray
    """(site, channel, y, x), not read."""
    pixel_size_nm: float | None
    axis: Axis


@dataclass(frozen=True)
class Question:
    """The wanted value or spectrum of a search."""

    by: str
    """peak, band or like."""
    wanted: float = 0.0
    """In the unit of the axis, or of the integral; 0 for the relative error of `like`."""
    spectrum: xr.DataArray | None = None


def find(
    runs: Sequence[Path],
    *,
    peak: float | None = None,
    band: float | None = None,
    like: xr.DataArray | None = None,
    number: int = 8,
) -> xr.Dataset:
    """The pairs with the nearest measured spectra, the nearest first.

    Variables over `site`: `patch`, `measured`, `predicted` (held out), `value`, `predicted_value` and `distance`; recording,
    number of the site in it, and its place are coordinates. With `like`, values and distances are relative errors ‖p − s‖ / ‖s‖, s the wanted
    spectrum, and `wanted` is that spectrum.

    Args:
        runs: Folders of finished runs of pairs.
        peak: Wanted position of the maximum, in the unit of the axis. Weak spectra (the lowest quartile of a run) and spectra
            with their maximum at an end of the axis are left out: noise or background have these maxima.
        band: Wanted integral over the axis; of loops, their area.
        like: A wanted spectrum on the same axis.
        number: How many.

    Raises:
        ConfigError: None or several of `peak`, `band` and `like` are given.
        StoreError: A run is not finished.
        InputError: A run has no pairs; runs differ in axis, unit or patches; or the wanted value or spectrum does not fit them.
    """
    asked = [
        name for name, it in (("peak", peak), ("band", band), ("like", like)) if it is not None
    ]
    if len(asked) != 1:
        raise ConfigError(
            f"{' and '.join(asked) or 'nothing'} is wanted; give one of peak, band and like"
        )
    opened = [_opened(path) for path in runs]
    for other in opened[1:]:
        _refuse_differing(opened[0], other)
    wanted = peak if peak is not None else band if band is not None else 0.0
    question = Question(asked[0], float(wanted), like)
    _refuse_impossible(question, opened[0])
    found = xr.concat(
        [_nearest(run, question, number) for run in opened], dims.SITE, combine_attrs="override"
    )
    if not found.sizes[dims.SITE]:
        raise InputError("no spectrum has its maximum inside the axis; use band or like")
    order = np.argsort(found["distance"].to_numpy(), kind="stable")[:number]
    found = found.isel({dims.SITE: order})
    if like is not None:
        axis = opened[0].axis
        words = dims.attrs("wanted spectrum", axis.value_units)
        found["wanted"] = (axis.name, like.to_numpy().astype(np.float32), words)
    return found.assign_attrs(by=question.by, wanted_value=question.wanted)


def read_spectrum(file: Path) -> xr.DataArray:
    """The one spectrum of a file: NetCDF, Zarr, or CSV with the columns axis and value.

    Raises:
        InputError: The file cannot be read, or has not exactly one spectrum.
    """
    if not file.exists():
        raise InputError(f"{file} does not exist; check the path")
    if file.suffix == ".csv":
        return _spectrum_of_table(file)
    try:
        opened = (
            store.open_store(file) if file.is_dir() else xr.open_dataset(file, engine="h5netcdf")
        )
        variables = {str(n): v.squeeze(drop=True).load() for n, v in opened.data_vars.items()}
        opened.close()
    except (ValueError, OSError, StoreError) as error:
        raise InputError(f"{file} cannot be read as NetCDF, Zarr or CSV") from error
    spectra = {n: v for n, v in variables.items() if v.ndim == 1 and v.dims[0] in v.coords}
    named = [name for name in NAMES if name in spectra]
    if len(spectra) != 1 and not named:
        raise InputError(
            f"{file} has {len(spectra)} spectra ({', '.join(spectra) or 'no variable over one axis'}); give a file with one"
        )
    return spectra[named[0] if named else next(iter(spectra))]


def _spectrum_of_table(file: Path) -> xr.DataArray:
    rows = [row for row in csv.reader(file.read_text().splitlines()) if row]
    try:
        float(rows[0][0])
    except (ValueError, IndexError):
        rows = rows[1:]  # names of the columns
    try:
        places, values = np.array(rows, dtype=float).T
    except ValueError as error:
        raise InputError(f"{file} is no table of two columns, axis and value") from error
    return xr.DataArray(values, coords={"axis": places}, dims="axis")


def _opened(path: Path) -> Library:
    """The pairs of a run; patches are not read."""
    groups = open_result(path / RESULT)
    if (kind := kind_of(groups)).name != "pairs":
        raise InputError(
            f"{path} has no pairs but {kind.sites}; give runs with describe.kind=pairs"
        )
    sites, spectra = groups[""], groups["pairs"]
    described = store.open_store(path / PATCHES)
    if described.sizes[dims.SITE] != sites.sizes[dims.SITE]:
        raise StoreError(f"{path}: patches and result have other sites; run `invae run` again")
    name = str(sites.attrs["spectrum_axis"])
    told = spectra[name]
    axis = Axis(
        name,
        told.to_numpy().astype(float),
        str(told.attrs.get("units", "1")),
        str(spectra["measured"].attrs.get("units", "1")),
    )
    size = described.attrs.get("pixel_size_nm")
    return Library(
        path.name, sites, spectra, described["patch"], None if size is None else float(size), axis
    )


def _refuse_differing(first: Library, other: Library) -> None:
    one, two = first.axis, other.axis
    if one.name != two.name or one.units != two.units or not _same(one.values, two.values):
        raise InputError(
            f"{other.name} has the axis {_words(two)}, {first.name} has {_words(one)}; give runs with one axis"
        )
    if one.value_units != two.value_units:
        raise InputError(
            f"spectra of {other.name} are in {two.value_units}, those of {first.name} in {one.value_units}; give runs with one unit"
        )
    shapes = [run.patches.shape[1:] for run in (first, other)]
    if shapes[0] != shapes[1]:
        texts = [" × ".join(map(str, shape)) for shape in shapes]
        raise InputError(
            f"patches of {other.name} are {texts[1]} (channel, y, x), those of {first.name} {texts[0]}; give runs with one window"
        )


def _refuse_impossible(question: Question, run: Library) -> None:
    """Refuse what no spectrum on this axis can have."""
    axis = run.axis
    if not np.isfinite(question.wanted):
        raise InputError(f"{question.by} {question.wanted} is not a number")
    if question.by == "peak":
        if not is_monotonic(axis):
            raise InputError(
                f"spectra of {run.name} are loops ({axis.name} goes forth and back), which have no single maximum; use band or like"
            )
        if not axis.values.min() <= question.wanted <= axis.values.max():
            raise InputError(
                f"peak {question.wanted:g} {axis.units} is outside the axis {_words(axis)}"
            )
    spectrum = question.spectrum
    if spectrum is None:
        return
    (own,) = spectrum.dims
    units = spectrum[own].attrs.get("units", axis.units) if own in spectrum.coords else axis.units
    if own in spectrum.coords and not _same(spectrum[own].to_numpy().astype(float), axis.values):
        raise InputError(f"the wanted spectrum has another axis than {run.name}: {_words(axis)}")
    if len(spectrum) != len(axis.values) or units != axis.units:
        raise InputError(
            f"the wanted spectrum has {len(spectrum)} values over [{units}], {run.name} has {_words(axis)}"
        )
    if spectrum.attrs.get("units", axis.value_units) != axis.value_units:
        raise InputError(
            f"the wanted spectrum is in {spectrum.attrs['units']}, spectra of {run.name} are in {axis.value_units}"
        )
    if not np.isfinite(spectrum).all() or not np.any(spectrum):
        raise InputError("the wanted spectrum is 0, or has values that are no numbers")


def _nearest(run: Library, question: Question, number: int) -> xr.Dataset:
    """The nearest pairs of one run, with their patches."""
    measured, predicted = (
        run.spectra[name].to_numpy().astype(float) for name in ("measured", "predicted")
    )
    value, expected = (_values(spectra, run.axis, question) for spectra in (measured, predicted))
    distance = np.abs(value - question.wanted)
    if question.by == "peak":
        distance[~_has_own_maximum(measured)] = np.inf
    order = np.argsort(distance, kind="stable")[:number]
    order = order[np.isfinite(distance[order])]
    words, units = {
        "peak": ("position of the maximum", run.axis.units),
        "band": ("integral over the axis", run.axis.band_units),
        "like": ("relative error to the wanted spectrum", "1"),
    }[question.by]
    numbers = {
        "value": (value, f"{words}, measured"),
        "predicted_value": (expected, f"{words}, predicted"),
        "distance": (distance, "distance from the wanted value"),
    }
    over = (dims.SITE, run.axis.name)
    spectra = {
        name: (over, array[order].astype(np.float32), run.spectra[name].attrs)
        for name, array in (("measured", measured), ("predicted", predicted))
    }
    patch = run.patches.isel({dims.SITE: order}).load()
    kept = {name: c for name, c in patch.coords.items() if dims.SITE not in c.dims}
    places = {n: run.sites[n].variable[order] for n in PLACES if n in run.sites.coords}
    return xr.Dataset(
        {
            "patch": patch.variable,
            **spectra,
            **{n: (dims.SITE, v[order], dims.attrs(w, units)) for n, (v, w) in numbers.items()},
        },
        coords={
            **kept,
            **run.axis.coords(),
            **places,
            "recording": (dims.SITE, [run.name] * len(order)),
            "number": (dims.SITE, order, dims.attrs("number of the site in its recording")),
        },
        attrs={} if run.pixel_size_nm is None else {"pixel_size_nm": run.pixel_size_nm},
    )


def _values(spectra: np.ndarray, axis: Axis, question: Question) -> np.ndarray:
    """The compared values (site,)."""
    if question.by == "peak":
        return peak(spectra, axis)
    if question.by == "band":
        return band(spectra, axis)
    assert question.spectrum is not None
    return relative_error(spectra, question.spectrum.to_numpy()[None])


def _has_own_maximum(spectra: np.ndarray) -> np.ndarray:
    """Which spectra are strong and have their maximum inside the axis (site,)."""
    height, top, n = spectra.max(1), spectra.argmax(1), spectra.shape[1]
    return (height >= np.percentile(height, WEAK)) & (top > 0) & (top < n - 1)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-6, atol=1e-9)


def _words(axis: Axis) -> str:
    low, high = axis.values.min(), axis.values.max()
    return f"{axis.name} {low:g}–{high:g} {axis.units} in {len(axis.values)} channels"
