"""Opening a result and checking it against the schema."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr

from invae.config.kinds import Kind, kind_named, recorded_kind
from invae.errors import InputError, StoreError
from invae.results.schema import SCHEMA, required_groups, schema_for
from invae.storage import manifest, store
from invae.storage.json_text import parsed


def open_result(path: Path) -> dict[str, xr.Dataset]:
    """The groups of a result by name, lazily; the root group is "".

    Raises:
        StoreError: there is no finished result at `path`.
    """
    groups = {
        name: store.open_store(path, group=name) for name in groups_of(path) if name in SCHEMA
    }
    needed = required_groups(kind_of(groups))
    missing = [name or "root" for name in needed if name not in groups]
    if missing:
        raise StoreError(
            f"{path} is not a result: groups {', '.join(missing)} are missing; run `invae analyse`"
        )
    return groups


def kind_of(groups: Mapping[str, xr.Dataset]) -> Kind:
    """The kind of recording of a result.

    Args:
        groups: groups of the result by name; the root group is "".

    Raises:
        ConfigError: the kind in the result does not exist in this version.
    """
    attrs = groups[""].attrs
    if "recording_kind" in attrs:
        return kind_named(str(attrs["recording_kind"]))
    return recorded_kind(attrs.get("receipt", {}).get("config", {}))  # results of earlier versions


def open_groups(path: Path, names: Sequence[str] = ()) -> dict[str, xr.Dataset]:
    """Groups of any store by name, lazily; all of them when no name is given. The root group is "".

    Raises:
        StoreError: there is no store at `path`.
        InputError: the store lacks one of the groups.
    """
    there = groups_of(path)
    wanted = ["" if name == "root" else name for name in names]
    missing = [name for name in wanted if name not in there]
    if missing:
        raise InputError(
            f"{path} has no group {', '.join(missing)}; it has "
            + ", ".join(name or "root" for name in there)
        )
    return {name: store.open_store(path, group=name) for name in wanted or there}


def groups_of(path: Path) -> list[str]:
    """Names of the groups of a store, the root group first.

    Raises:
        StoreError: there is no store at `path`.
    """
    if not (path / "zarr.json").is_file():
        raise StoreError(f"{path} is not a finished Zarr store; run its stage again")
    inner = [
        file.parent.name
        for file in sorted(path.glob("*/zarr.json"))
        if file.parent.name != manifest.GROUP
        and parsed(file.read_text()).get("node_type") == "group"
    ]
    return ["", *inner]


def validate(path: Path) -> None:
    """Check a result against `SCHEMA`.

    Raises:
        StoreError: a variable is missing, or has other dims or units than in the schema.
    """
    groups = open_result(path)
    schema = schema_for(kind_of(groups))
    for group, dataset in groups.items():
        for name, field in schema.get(group, {}).items():
            place = f"{path}: {group}/{name}"
            if name not in dataset.variables:
                if field.required:
                    raise StoreError(f"{place} is missing; run `invae analyse` again")
                continue
            variable = dataset[name]
            if not field.fits(variable.dims):
                raise StoreError(f"{place} has dims {variable.dims}, not {field.dims}")
            units = variable.attrs.get("units")
            if field.units is not None and units != field.units:
                raise StoreError(f"{place} has units {units!r}, not {field.units!r}")
