"""The images of a result as signals of HyperSpy."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from invae import dims
from invae.provenance import versions

HYPERSPY_VERSION = "3.3"
"""Version of HyperSpy's HDF5 layout that is written."""
HYPERSPY_SIGNALS = (
    ("maps", ("polarization", "amplitude", "phase", "height")),
    ("grid", ("content_map", "angle_map", "error_map")),
    ("traversal", ("manifold",)),
    ("baseline", ("component",)),
)
"""What becomes a signal of its own; the last two image axes are the signal, the others navigate."""
IMAGE_AXES = {dims.Y, dims.X, "grid_y", "grid_x", dims.PATCH_Y, dims.PATCH_X}


def write_hyperspy(groups: Mapping[str, xr.Dataset], file: Path) -> None:
    """Write what `HYPERSPY_SIGNALS` names, each as an experiment of the file."""
    with h5py.File(file, "w") as root:
        root.attrs["file_format"] = "HyperSpy"
        root.attrs["file_format_version"] = HYPERSPY_VERSION
        experiments = root.create_group("Experiments")
        for group, names in HYPERSPY_SIGNALS:
            for name in names:
                if group in groups and name in groups[group]:
                    _write_signal(experiments, name, groups[group][name], groups[""].attrs)


def _write_signal(
    experiments: h5py.Group, name: str, values: xr.DataArray, attrs: Mapping[str, Any]
) -> None:
    navigating = [dim for dim in values.dims if dim not in IMAGE_AXES]
    values = values.transpose(*navigating, ...)
    place = experiments.create_group(name)
    place.attrs["package"] = "invae"
    place.attrs["package_version"] = versions()["invae"]
    place.create_dataset("data", data=values.to_numpy(), compression="gzip", shuffle=True)
    for index, dim in enumerate(values.dims):
        axis = place.create_group(f"axis-{index}")
        axis.attrs.update(_axis(values, str(dim), navigate=dim in navigating))
    metadata = place.create_group("metadata")
    general = metadata.create_group("General")
    general.attrs["title"] = name
    signal = metadata.create_group("Signal")
    signal.attrs["signal_type"] = ""
    signal.attrs["quantity"] = (
        f"{values.attrs.get('long_name', name)} ({values.attrs.get('units', '')})"
    )
    original = place.create_group("original_metadata").create_group("invae")
    original.attrs["receipt"] = json.dumps(attrs.get("receipt", {}))


def _axis(values: xr.DataArray, dim: str, *, navigate: bool) -> dict[str, Any]:
    """An axis as HyperSpy describes it; positions that are not evenly spaced are numbered."""
    size, units, offset, scale = values.sizes[dim], "", 0.0, 1.0
    if dim in values.coords and values[dim].dtype.kind in "iuf" and size > 1:
        steps = np.diff(values[dim].to_numpy())
        if np.allclose(steps, steps[0], rtol=1e-6) and steps[0] != 0:
            offset, scale = float(values[dim][0]), float(steps[0])
            units = str(values[dim].attrs.get("units", ""))
    return {
        "_type": "UniformDataAxis",
        "name": dim,
        "size": size,
        "offset": offset,
        "scale": scale,
        "units": "" if units == "1" else units,
        "navigate": navigate,
        "is_binned": False,
    }
