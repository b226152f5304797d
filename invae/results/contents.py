"""The contents of a path as lines of text."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xarray as xr

from invae.errors import InputError, StoreError
from invae.readers import open_recording
from invae.results.reading import groups_of
from invae.storage import store
from invae.storage.json_text import parsed_object
from invae.storage.provenance import Receipt
from invae.verdict.findings import verdict_in


def info(path: Path) -> str:
    """The contents of a file, store, model or result as lines of text: dims, units and provenance.

    Raises:
        InputError: `path` does not exist, or no reader reads it.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path")
    if (path / "zarr.json").is_file():
        lines = [line for group in groups_of(path) for line in _group_lines(path, group)]
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
    if (verdict := verdict_in(dataset.attrs)) is not None:
        yield from (f"  {line}" for line in verdict.lines())


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
        for name, value in _card(model).items():
            yield f"  {name}: {json.dumps(value)}"


def _card(file: Path) -> dict[str, Any]:
    """The description of a model.

    Raises:
        StoreError: if the file is damaged.
    """
    try:
        return parsed_object(file.read_text())
    except ValueError as error:
        raise StoreError(f"{file} is damaged ({error}); train the model again") from error


def _provenance_lines(receipt: Receipt | None) -> Iterator[str]:
    if receipt is None:
        return
    yield "[provenance]"
    yield f"  made by: {receipt.stage} of {receipt.recording}, {receipt.created}"
    for source in receipt.sources:
        yield f"  source: {source.name} ({source.n_bytes:,} bytes) sha256 {source.sha256}"
    named = f"{receipt.config.get('name', '')}@{receipt.config.get('version', '')}"
    yield f"  configuration: {named} {receipt.config_hash}"
    yield f"  seed: {receipt.seed}"
    yield f"  code: {receipt.code}"
    yield "  versions: " + ", ".join(f"{name} {v}" for name, v in receipt.versions.items())
