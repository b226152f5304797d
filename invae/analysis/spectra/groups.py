"""The part of an analysis that belongs to spectra: maps over the grid, the mean spectrum, and the spectra that are no sites."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.clusters import even
from invae.analysis.inputs import Inputs
from invae.analysis.kind import Analysis, Scalars
from invae.latent_table import LATENTS
from invae.storage import store

GRID = (dims.Y, dims.X)
PLACE = ("grid_row", "grid_column")
MAPPED = {
    "content": "content_map",
    "shift": "shift_map",
    **{name: f"{name}_map" for name, row in LATENTS.items() if row.mapped},
    "cluster": "cluster_map",
    "class": "class_map",
    "reconstruction_error": "error_map",
}
"""Variable of the sites → name of its map."""
LINEAR = ("pca", "nmf")
"""Methods without invariance whose coordinates become maps."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
UNEVEN = 1e-3
"""Largest deviation of a grid from even spacing, as share of its extent."""
SAMPLED = 4000
"""Number of spectra from which quantiles are taken, evenly chosen."""


def add_groups(inputs: Inputs, groups: dict[str, xr.Dataset]) -> None:
    """Add `spectra`, `excluded` and, on a grid, `map`.

    Args:
        inputs: the stores of earlier stages.
        groups: groups of the result so far; the sites are "".
    """
    patches = store.open_store(inputs.patches)
    names = ("spectrum", "spectrum_axis", "spectrum_units", "n_recorded", "n_excluded")
    told = {name: patches.attrs[name] for name in names}
    groups[""] = groups[""].assign_attrs(told)
    groups["spectra"] = quantiles(patches)
    left_out = store.open_store(inputs.patches, group="excluded").load()
    groups["excluded"] = left_out
    shape = _shape(patches, groups[""])
    if shape is not None:
        groups["map"] = _maps(inputs, groups, shape, left_out)


def quantiles(patches: xr.Dataset) -> xr.Dataset:
    """`quantile_spectrum (quantile, channel, patch_y, patch_x)` of the valid spectra."""
    chosen = even(patches.sizes[dims.SITE], SAMPLED)
    values = patches["patch"].isel({dims.SITE: chosen}).to_numpy()
    words = dims.attrs("quantile of the values over the spectra", patches.attrs["spectrum_units"])
    level = ("quantile", np.array(QUANTILES), dims.attrs("share of spectra below"))
    return xr.Dataset(
        {
            "quantile_spectrum": (
                ("quantile", *dims.PATCH[1:]),
                np.quantile(values, QUANTILES, axis=0).astype(np.float32),
                words,
            )
        },
        coords={"quantile": level},
    )


def _shape(patches: xr.Dataset, sites: xr.Dataset) -> tuple[int, int] | None:
    """Rows and columns of the grid, also of points in one image that form a grid; None if there is no grid."""
    if "grid_shape" in patches.attrs:
        rows, columns = patches.attrs["grid_shape"]
        return int(rows), int(columns)
    if not {*PLACE} <= {*sites.variables} or int(sites["frame"].max()) > int(sites["frame"].min()):
        return None
    rows, columns = (int(sites[name].max()) + 1 for name in PLACE)
    return rows, columns


def _maps(
    inputs: Inputs,
    groups: Mapping[str, xr.Dataset],
    shape: tuple[int, int],
    left_out: xr.Dataset,
) -> xr.Dataset:
    """The sites as maps over the grid, the reasons of the others, and the images of the grid."""
    sites = groups[""]
    maps = {name: raster(sites[own], sites, shape) for own, name in MAPPED.items() if own in sites}
    maps |= _linear_maps(groups, shape)
    maps["reason_map"] = _reasons(left_out, shape)
    recording = store.open_store(inputs.recording)
    coords = _calibrated(sites, shape)
    if all(recording.sizes.get(axis) == n for axis, n in zip(GRID, shape, strict=True)):
        coords = {axis: recording[axis].load().variable for axis in GRID if axis in recording}
        maps |= _images(recording, taken={*maps})
    if "shift_map" in maps:
        coords[dims.AXIS] = sites[dims.AXIS].variable
    return xr.Dataset(maps, coords=coords)


def _calibrated(sites: xr.Dataset, shape: tuple[int, int]) -> dict[str, xr.Variable]:
    """Positions of rows and columns [nm], the first at 0, of points that form a grid; none if they are unknown."""
    coords = {}
    for axis, name, n in zip(GRID, PLACE, shape, strict=True):
        index, places = sites[name].to_numpy(), sites[f"{axis}_nm"].to_numpy()
        middle = np.array([np.median(places[index == k]) if (index == k).any() else np.nan for k in range(n)])  # fmt: skip
        if not np.isfinite(middle).all() or n < 2 or np.ptp(np.diff(middle)) > UNEVEN * np.ptp(middle):  # fmt: skip
            return {}
        words = dims.attrs(f"position of the {name.removeprefix('grid_')} of the grid", "nm")
        coords[axis] = xr.Variable(axis, middle - middle[0], words)
    return coords


def raster(values: xr.DataArray, sites: xr.Dataset, shape: tuple[int, int]) -> xr.Variable:
    """Values of sites (site, …) at their places (y, x, …); NaN, or −1, without a site."""
    more = [str(dim) for dim in values.dims if dim != dims.SITE]
    empty = -1 if values.dtype.kind == "i" else np.nan
    image = np.full((*shape, *(values.sizes[dim] for dim in more)), empty, dtype=values.dtype)
    row, column = (sites[name].to_numpy() for name in PLACE)
    image[row, column] = values.transpose(dims.SITE, *more).to_numpy()
    return xr.Variable((*GRID, *more), image, values.attrs)


def _linear_maps(
    groups: Mapping[str, xr.Dataset], shape: tuple[int, int]
) -> dict[str, xr.Variable]:
    """Maps of the coordinates of linear methods."""
    baselines = groups.get("baselines")
    if baselines is None:
        return {}
    maps = {}
    for name in LINEAR:
        if name in baselines["baseline"].to_numpy():
            content = baselines["content"].sel(baseline=name, drop=True)
            content = content.rename({"coordinate": f"{name}_index"})
            maps[f"{name}_map"] = raster(content, groups[""], shape)
    return maps


def _reasons(left_out: xr.Dataset, shape: tuple[int, int]) -> xr.Variable:
    """Why a place has no site; 0 where it has one."""
    image = np.zeros(shape, np.int8)
    if {*PLACE} <= {*left_out.variables}:
        row, column = (left_out[name].to_numpy() for name in PLACE)
        image[row, column] = left_out["reason"].to_numpy()
    return xr.Variable(GRID, image, left_out["reason"].attrs)


def _images(recording: xr.Dataset, *, taken: set[str]) -> dict[str, xr.Variable]:
    """The first frame of every image of the grid, without the chunks that it has in the recording."""
    found: dict[str, xr.Variable] = {}
    for name in sorted(map(str, recording.data_vars)):
        if recording[name].dims == dims.IMAGE:
            free = f"{name}_image" if name in taken else name
            found[free] = recording[name].isel({dims.FRAME: 0}).load().variable.drop_encoding()
    return found


def summarise(groups: Mapping[str, xr.Dataset]) -> Scalars:
    """Number of recorded spectra, and of those that are no sites."""
    n_excluded = groups["excluded"].sizes["excluded"]
    n_recorded = groups[""].sizes[dims.SITE] + n_excluded
    return {
        "n_recorded": (n_recorded, "recorded spectra", "1"),
        "n_excluded": (n_excluded, "spectra that cannot be used", "1"),
    }


ANALYSIS = Analysis(add_groups=add_groups, summarise=summarise)
