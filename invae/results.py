"""What `result.zarr` holds: names, dims and units; how it is checked, described and handed to other people's tools."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import xarray as xr

from invae import dims, store
from invae.errors import InputError, StoreError
from invae.provenance import Receipt, versions
from invae.readers import open_recording

Format = Literal["netcdf", "hyperspy", "csv"]
SUFFIXES: Mapping[str, str] = {"netcdf": ".nc", "hyperspy": ".hspy", "csv": ".csv"}
HYPERSPY_VERSION = "3.3"
"""Version of HyperSpy's HDF5 layout that is written."""
PIXELS = (dims.CHANNEL, dims.PATCH_Y, dims.PATCH_X)
GRID = (dims.FRAME, "grid_y", "grid_x")
NODES = ("latent_1", "latent_2")
PAIR = ("feature", "descriptor")
ENDS = ("", "_low", "_high")
BY_KNOWN = ("angle_raw", "angle_symmetric", "angle_by_class", "angle_certainty", "symmetry")


@dataclass(frozen=True)
class Field:
    """One variable of a group."""

    dims: tuple[str, ...]
    units: str | None = None
    """CF units; not checked when empty: flags, and what keeps the recording's own units."""
    required: bool = False


def _site(units: str | None = None, *, required: bool = False) -> Field:
    return Field((dims.SITE,), units, required)


def _image(units: str | None = None, *, required: bool = False) -> Field:
    return Field(dims.IMAGE, units, required)


SCHEMA: Mapping[str, Mapping[str, Field]] = {
    "": {
        "content": Field((dims.SITE, dims.LATENT), "1", required=True),
        "content_sd": Field((dims.SITE, dims.LATENT), "1"),
        "angle": _site("rad"),
        "angle_resultant": _site("1"),
        "shift": Field((dims.SITE, dims.AXIS), "pixel"),
        "shift_sd": Field((dims.SITE, dims.AXIS), "pixel"),
        "scale": _site("1"),
        "scale_sd": _site("1"),
        "shear": _site("rad"),
        "shear_sd": _site("rad"),
        "class": _site(),
        "joint_class": _site(),
        "class_probability": Field((dims.SITE, dims.CLASS), "1"),
        "target": Field((dims.SITE, dims.VARIABLE), "1"),
        "target_sd": Field((dims.SITE, dims.VARIABLE), "1"),
        "condition": Field((dims.SITE, "condition_name"), None),
        "log_likelihood": _site(),
        "elbo": _site(),
        "reconstruction_error": _site(required=True),
        "held_out": _site(),
        "cluster": _site(required=True),
        "cluster_probability": Field((dims.SITE, "cluster_name"), "1", required=True),
        "pca": Field((dims.SITE, "component_index"), "1", required=True),
        "pca_error": _site("1", required=True),
        "wall_normal": _site("rad"),
        "wall_count": _site(),
        "switching_degree": _site("1"),
        "wall_curvature": _site("1/pixel"),
        "wall_curvature_nm": _site("1/nm"),
        "domain_convexity": _site("1"),
        "switch_significance": _site("1"),
    },
    "maps": {
        "polarization": _image("1", required=True),
        "valid": _image(required=True),
        "wall": _image(),
        "invalid_reason": _image(),
        "amplitude": _image(),
        "phase": _image(),
        "height": _image(),
        "transition": _image(),
        "pinning": Field((dims.Y, dims.X), "1"),
        "wall_frames": Field((dims.Y, dims.X), "1"),
    },
    "walls": {
        "y": Field(("point",), "pixel", required=True),
        "x": Field(("point",), "pixel", required=True),
        "contour": Field(("point",), required=True),
        "frame": Field(("point",), required=True),
        "nearest_site": Field(("point",), required=True),
        "normal_velocity": Field(("point",), "pixel"),
    },
    "grid": {
        "content_map": Field((*GRID, dims.LATENT), "1", required=True),
        "angle_map": Field(GRID, "rad"),
        "cluster_map": Field(GRID),
        "error_map": Field(GRID),
    },
    "frames": {
        "drift": Field((dims.FRAME, dims.AXIS), "pixel"),
        "drift_sd": Field((dims.FRAME, dims.AXIS), "pixel"),
        "phase_offset": Field((), "rad"),
        "amplitude_scale": Field((dims.FRAME,)),
        "masked_share": Field((dims.FRAME,), "1", required=True),
        "switched_share": Field((dims.FRAME,), "1", required=True),
        "n_sites": Field((dims.FRAME,), "1", required=True),
    },
    "traversal": {
        "manifold": Field((dims.CLASS, *NODES, *PIXELS), required=True),
        "n_sites": Field((dims.CLASS, *NODES), "1", required=True),
    },
    "clusters": {
        "mean_patch": Field(("cluster_name", *PIXELS), required=True),
        "decoded": Field(("cluster_name", *PIXELS), required=True),
        "mean_content": Field(("cluster_name", dims.LATENT), "1", required=True),
        "n_sites": Field(("cluster_name",), "1", required=True),
    },
    "examples": {
        "patch": Field(("example", *PIXELS), required=True),
        "reconstruction": Field(("example", *PIXELS), required=True),
        "valid": Field(("example", *PIXELS), required=True),
        "error": Field(("example",), required=True),
        "rank": Field(("example",), required=True),
        "site": Field(("example",), required=True),
    },
    "classes": {
        "mean_patch": Field((dims.CLASS, *PIXELS), required=True),
        "decoded": Field((dims.CLASS, *PIXELS), required=True),
        "n_sites": Field((dims.CLASS,), "1", required=True),
        "site": Field((dims.CLASS, "example"), "1", required=True),
        "patch": Field((dims.CLASS, "example", *PIXELS), required=True),
        "reconstruction": Field((dims.CLASS, "example", *PIXELS), required=True),
    },
    "angles": {
        "density": Field(("example", "turn"), "1/rad", required=True),
        "patch": Field(("example", *PIXELS), required=True),
        "site": Field(("example",), "1", required=True),
        "label": Field(("example",), "1", required=True),
    },
    "confusion": {
        "count": Field(("labelling", "found", "known"), "1", required=True),
        "match": Field(("labelling", "found"), "1", required=True),
        **{
            name: Field(("labelling",), "1", required=True)
            for name in ("accuracy", "adjusted_rand")
        },
    },
    "known": {name: Field(("known",), "1") for name in BY_KNOWN}
    | {name: Field(("space", "variable"), "1") for name in ("r2", "r2_by_class")},
    "baselines": {
        "content": Field(("baseline", dims.SITE, dims.LATENT), "1", required=True),
        "cluster": Field(("baseline", dims.SITE), "1", required=True),
        "reconstruction_error": Field(("baseline", dims.SITE), "1", required=True),
    },
    "training": {},
    "baseline": {
        "component": Field(("component_index", *PIXELS), "1", required=True),
        "mean_patch": Field(PIXELS, "1", required=True),
        "explained_variance": Field(("component_index",), "1", required=True),
        "explained_variance_ratio": Field(("component_index",), "1", required=True),
        "bic": Field(("n_classes",), "1", required=True),
    },
    "association": {
        **{f"rho{end}": Field(PAIR, "1", required=True) for end in ENDS},
        **{f"r2{end}": Field(("space", "descriptor"), "1", required=True) for end in ENDS},
    },
    "summary": {
        "n_frames": Field((), "1"),
        "n_sites": Field((), "1", required=True),
        "n_clusters": Field((), "1", required=True),
    },
}
"""Group → variable → dims and units. A result may hold more; groups without a line of answer may be absent."""

REQUIRED_GROUPS = ("", "traversal", "clusters", "examples", "baseline", "summary")
"""Groups of every result; those of frames are absent where patches are single images."""


def open_result(path: Path) -> dict[str, xr.Dataset]:
    """The groups of a result by name, lazily; the root group is "".

    Raises:
        StoreError: there is no finished result at `path`.
    """
    groups = {name: store.open_store(path, group=name) for name in _groups(path) if name in SCHEMA}
    missing = [name or "root" for name in REQUIRED_GROUPS if name not in groups]
    if missing:
        raise StoreError(
            f"{path} is no result: it lacks {', '.join(missing)}; make it with `invae analyse`"
        )
    return groups


def _groups(path: Path) -> list[str]:
    if not (path / "zarr.json").is_file():
        raise StoreError(f"{path} is not a Zarr store, or an unfinished one; make it again")
    inner = [
        file.parent.name
        for file in sorted(path.glob("*/zarr.json"))
        if json.loads(file.read_text()).get("node_type") == "group"
    ]
    return ["", *inner]


def validate(path: Path) -> None:
    """Check a result against `SCHEMA`.

    Raises:
        StoreError: on the first variable that is missing, or has other dims or units than it should.
    """
    for group, dataset in open_result(path).items():
        for name, field in SCHEMA[group].items():
            place = f"{path}: {group}/{name}"
            if name not in dataset.variables:
                if field.required:
                    raise StoreError(f"{place} is missing; make it again with `invae analyse`")
                continue
            variable = dataset[name]
            if variable.dims != field.dims:
                raise StoreError(f"{place} has dims {variable.dims}, not {field.dims}")
            units = variable.attrs.get("units")
            if field.units is not None and units != field.units:
                raise StoreError(f"{place} has units {units!r}, not {field.units!r}")


# --- what a path holds ----------------------------------------------------------------------------


def info(path: Path) -> str:
    """What a file, store, model or result holds: dims, units and provenance, as lines of text.

    Raises:
        InputError: there is nothing at `path`, or no reader knows it.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path")
    if (path / "zarr.json").is_file():
        lines = [line for group in _groups(path) for line in _group_lines(path, group)]
    elif path.is_dir():
        lines = list(_folder_lines(path))
    else:
        lines = list(_dataset_lines(open_recording(path)))
    return "\n".join([str(path), *lines, *_provenance_lines(store.read_receipt(path))])


def _group_lines(path: Path, group: str) -> Iterator[str]:
    dataset = store.open_store(path, group=group)
    yield f"[{group}]" if group else "[root]"
    yield from _dataset_lines(dataset)


def _dataset_lines(dataset: xr.Dataset) -> Iterator[str]:
    sizes = ", ".join(f"{name} {size}" for name, size in dataset.sizes.items())
    yield f"  dims: {sizes or 'none'}"
    for name in [*sorted(map(str, dataset.coords)), *sorted(map(str, dataset.data_vars))]:
        variable = dataset.variables[name]
        shape = ", ".join(map(str, variable.dims))
        units = variable.attrs.get("units")
        unit = f" [{units}]" if units and units != "1" else ""
        long_name = variable.attrs.get("long_name", "")
        yield f"  {name} ({shape}) {variable.dtype}{unit}" + (f"  {long_name}" if long_name else "")
    for note in dataset.attrs.get("notes", []):
        yield f"  note: {note}"


def _folder_lines(path: Path) -> Iterator[str]:
    for file in sorted(path.iterdir()):
        if file.name.startswith("."):
            continue
        if file.is_dir():
            yield f"  {file.name}/"
        else:
            yield f"  {file.name} ({file.stat().st_size:,} bytes)"
    model = path / "model.json"
    if model.is_file():
        for name, value in json.loads(model.read_text()).items():
            yield f"  {name}: {json.dumps(value)}"


def _provenance_lines(receipt: Receipt | None) -> Iterator[str]:
    if receipt is None:
        return
    yield "[provenance]"
    yield f"  made by: {receipt.stage} of {receipt.recording}, {receipt.created}"
    for source in receipt.sources:
        yield f"  source: {source.name} ({source.n_bytes:,} bytes) sha256 {source.sha256}"
    yield f"  configuration: {receipt.config.get('name', '')} {receipt.config_hash}"
    yield f"  seed: {receipt.seed}"
    yield f"  code: {receipt.code}"
    yield "  versions: " + ", ".join(f"{name} {v}" for name, v in receipt.versions.items())


# --- for other people's tools ---------------------------------------------------------------------


def export(result: Path, *, to: Format, target: Path | None = None) -> Path:
    """Write a result for other tools, beside it unless `target` says where; the path of the file comes back.

    `netcdf`: all groups, NetCDF-4. `hyperspy`: images and manifolds as signals. `csv`: one line per site.

    Raises:
        StoreError: there is no finished result at `result`.
        InputError: the file cannot be written.
    """
    groups = open_result(result)
    file = target or result.with_suffix(SUFFIXES[to])
    partial = file.with_name(f".{file.name}.partial")
    write = {"netcdf": _write_netcdf, "hyperspy": _write_hyperspy, "csv": _write_csv}[to]
    try:
        partial.unlink(missing_ok=True)
        write(groups, partial)
        partial.rename(file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return file


def _write_netcdf(groups: Mapping[str, xr.Dataset], file: Path) -> None:
    for group, dataset in groups.items():
        plain = _with_plain_text(dataset.load())
        plain.attrs = {name: _plain_attribute(value) for name, value in plain.attrs.items()}
        mode = "a" if file.exists() else "w"
        plain.to_netcdf(file, mode=mode, group=group or None, engine="h5netcdf")


def _with_plain_text(dataset: xr.Dataset) -> xr.Dataset:
    """The same values; text as Python strings, no encoding left from Zarr."""
    dataset = dataset.drop_encoding()
    for name, variable in dataset.variables.items():
        if variable.dtype.kind == "T":
            text = variable.astype(object)
            where = dataset.assign_coords if name in dataset.coords else dataset.assign
            dataset = where({name: text})
    return dataset


def _plain_attribute(value: Any) -> Any:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    return json.dumps(value)


def _write_csv(groups: Mapping[str, xr.Dataset], file: Path) -> None:
    columns = dict(_columns(groups[""].load()))
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _columns(sites: xr.Dataset) -> Iterator[tuple[str, np.ndarray]]:
    """Header with units, and values, of everything that is known of each site."""
    leading = [name for name in dims.SITE_COORDS if name in sites.variables]
    order = [*leading, *(name for name in SCHEMA[""] if name in sites.variables)]
    order += sorted({str(name) for name in sites.variables} - set(order))
    for name in order:
        variable = sites.variables[name]
        if variable.dims[:1] != (dims.SITE,) or variable.ndim > 2:
            continue
        units = variable.attrs.get("units", "1")
        unit = f" [{units}]" if units != "1" else ""
        values = variable.to_numpy()
        if "flag_meanings" in variable.attrs:
            values = np.array(dims.meanings(variable.attrs))[values]
        if variable.ndim == 1:
            yield f"{name}{unit}", values
            continue
        labels = _labels(sites, str(variable.dims[1]))
        for label, column in zip(labels, values.T, strict=True):
            yield f"{name}_{label}{unit}", column


def _labels(dataset: xr.Dataset, dim: str) -> list[str]:
    if dim in dataset.coords and dataset[dim].dtype.kind in "UTO":
        return [str(label) for label in dataset[dim].to_numpy()]
    return [str(number) for number in range(1, dataset.sizes[dim] + 1)]


HYPERSPY_SIGNALS = (
    ("maps", ("polarization", "amplitude", "phase", "height")),
    ("grid", ("content_map", "angle_map", "error_map")),
    ("traversal", ("manifold",)),
    ("baseline", ("component",)),
)
"""What becomes a signal of its own; the last two image axes are the signal, the others navigate."""
IMAGE_AXES = {dims.Y, dims.X, "grid_y", "grid_x", dims.PATCH_Y, dims.PATCH_X}


def _write_hyperspy(groups: Mapping[str, xr.Dataset], file: Path) -> None:
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
