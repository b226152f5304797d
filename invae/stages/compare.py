"""Compare the values in two folders of a recording, array by array and weight by weight."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from safetensors.numpy import load

from invae.results.reading import groups_of
from invae.stages import stages
from invae.storage import manifest, store
from invae.storage.json_text import parsed

BLOCK_BYTES = 64e6
"""Size of the parts in which arrays are compared."""


UNCOMPARED = (store.RECEIPT_FILE, manifest.FILE)
"""Files of a folder that differ between equal models."""
COMPARED = tuple(stage.output for name, stage in stages.STAGES.items() if name != "report")
"""Outputs whose values can be compared; a report consists of pictures."""


@dataclass(frozen=True)
class Difference:
    """One array, weight or file that differs between two folders."""

    name: str
    """Store, group and name: `result.zarr/traversal/manifold`."""
    what: str
    """The difference in words."""
    n_values: int = 0
    """Number of values that differ."""
    largest: float = np.nan
    """The largest difference, in the array's units; NaN if it has none."""


def differences(old: Path, new: Path, *, outputs: Sequence[str]) -> list[Difference]:
    """All differences between two folders.

    Args:
        old: a folder of a recording.
        new: another one.
        outputs: names of the stores and model folders to compare.
    """
    result: list[Difference] = []
    for name in outputs:
        first, second = old / name, new / name
        missing = [str(path) for path in (first, second) if not path.exists()]
        if missing:
            result.append(Difference(name, f"{missing[0]} is missing"))
        elif (first / "zarr.json").is_file():
            result += _of_stores(first, second)
        else:
            result += _of_folders(first, second)
    return result


def digest_of(path: Path) -> str:
    """SHA-256 of all values of a store, or of the weights and texts of a model: equal values have equal digests.

    Names, types and shapes count; receipts, attributes and chunks do not.
    """
    digest = hashlib.sha256()
    if (path / "zarr.json").is_file():
        for group in sorted(groups_of(path)):
            dataset = store.open_store(path, group=group)
            for name in sorted(map(str, dataset.variables)):
                _add(digest, dataset[name].variable, f"{group}/{name}")
        return digest.hexdigest()
    for file in sorted(path.iterdir()):
        if file.suffix == ".safetensors":
            for name, values in sorted(load(file.read_bytes()).items()):
                _add(digest, xr.Variable(_axes(values), values), f"{file.name}/{name}")
        elif file.suffix == ".json" and file.name not in UNCOMPARED:
            text = json.dumps(_text(file), sort_keys=True)
            digest.update(f"{file.name}\0{text}\0".encode())
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", variable: xr.Variable, name: str) -> None:
    is_text = variable.dtype.kind not in "biuf"
    kind = "text" if is_text else variable.dtype.newbyteorder("<").str
    digest.update(f"{name}\0{kind}\0{_shape(variable)}\0".encode())
    for part in _parts(variable):
        values = variable[part].to_numpy()
        if is_text:
            digest.update("\0".join(map(str, values.ravel())).encode())
        else:
            digest.update(np.ascontiguousarray(values, dtype=kind).tobytes())


def _of_stores(old: Path, new: Path) -> Iterator[Difference]:
    groups = [set(groups_of(path)) for path in (old, new)]
    for group in sorted(groups[0] ^ groups[1]):
        yield Difference(f"{old.name}/{group}", _only(group in groups[0]))
    for group in sorted(groups[0] & groups[1]):
        first, second = (store.open_store(path, group=group) for path in (old, new))
        path = "/".join(filter(None, (old.name, group)))
        for name in sorted(map(str, first.variables.keys() ^ second.variables.keys())):
            yield Difference(f"{path}/{name}", _only(name in first.variables))
        for name in sorted(map(str, first.variables.keys() & second.variables.keys())):
            yield from _of_arrays(first[name].variable, second[name].variable, f"{path}/{name}")


def _of_folders(old: Path, new: Path) -> Iterator[Difference]:
    """Compare weights by value, and texts."""
    files = [{p.name for p in path.glob("*.safetensors")} for path in (old, new)]
    for name in sorted(files[0] ^ files[1]):
        yield Difference(f"{old.name}/{name}", _only(name in files[0]))
    for name in sorted(files[0] & files[1]):
        first, second = (load((path / name).read_bytes()) for path in (old, new))
        for weight in sorted(first.keys() ^ second.keys()):
            yield Difference(f"{old.name}/{weight}", _only(weight in first))
        for weight in sorted(first.keys() & second.keys()):
            values = [xr.Variable(_axes(one[weight]), one[weight]) for one in (first, second)]
            yield from _of_arrays(values[0], values[1], f"{old.name}/{weight}")
    for name in sorted({p.name for path in (old, new) for p in path.glob("*.json")}):
        if name not in UNCOMPARED and _text(old / name) != _text(new / name):
            yield Difference(f"{old.name}/{name}", "its text differs")


def _axes(values: np.ndarray) -> list[str]:
    return [f"axis_{index}" for index in range(values.ndim)]


def _text(path: Path) -> Any:
    return parsed(path.read_text()) if path.is_file() else None


def _of_arrays(old: xr.Variable, new: xr.Variable, name: str) -> Iterator[Difference]:
    """At most one difference: of shape, of type, or of values."""
    if old.sizes != new.sizes:
        yield Difference(name, f"{_shape(old)} became {_shape(new)}")
        return
    if old.dtype != new.dtype:
        yield Difference(name, f"{old.dtype} became {new.dtype}")
        return
    n_values, largest = 0, 0.0
    for part in _parts(old):
        count, distance = _unequal(old[part].to_numpy(), new[part].to_numpy())
        n_values, largest = n_values + count, max(largest, distance)
    if n_values:
        what = f"{n_values:,} of {old.size:,} values differ"
        yield Difference(name, what, n_values, largest if old.dtype.kind in "fiu" else np.nan)


def _shape(variable: xr.Variable) -> str:
    return "(" + ", ".join(f"{name} {size}" for name, size in variable.sizes.items()) + ")"


def _parts(variable: xr.Variable) -> list[tuple[slice, ...]]:
    """Index keys of blocks along the first axis; a single empty one for a scalar."""
    if not variable.ndim:
        return [()]
    length = variable.shape[0]
    size = variable.size * variable.dtype.itemsize / max(length, 1)
    return [(block,) for block in store.blocks(length, max(1, int(BLOCK_BYTES // max(size, 1))))]


def _unequal(old: np.ndarray, new: np.ndarray) -> tuple[int, float]:
    """Number of values that differ, and the largest difference; two NaNs are equal."""
    differs = old != new
    if old.dtype.kind != "f":
        wide = old.dtype.kind in "iu" and differs.any()
        steps = old.astype(float) - new.astype(float) if wide else np.zeros(1)
        return int(np.count_nonzero(differs)), float(np.abs(steps).max())
    differs &= ~(np.isnan(old) & np.isnan(new))
    steps = np.abs(old[differs].astype(float) - new[differs].astype(float))
    steps = steps[np.isfinite(steps)]
    return int(np.count_nonzero(differs)), float(steps.max()) if steps.size else 0.0


def _only(old: bool) -> str:
    return "is missing" if old else "is new"


@dataclass(frozen=True)
class Change:
    """One number or digest before and now; None where there is none."""

    what: str
    """Description of a number, or name of the store of a digest."""
    before: float | str | None
    now: float | str | None
    units: str = ""

    @property
    def differs(self) -> bool:
        """Whether the two differ."""
        return self.before != self.now


def numbers(before: Path, now: Path) -> list[Change]:
    """The summary numbers of two folders of a recording, in the order of the new one."""
    old, new = _summary(before), _summary(now)
    changes = []
    for name in dict.fromkeys((*new, *old)):
        attrs = (new if name in new else old)[name].attrs
        first, second = (float(one[name]) if name in one else None for one in (old, new))
        words, units = str(attrs.get("long_name", name)), str(attrs.get("units", ""))
        changes.append(Change(words, first, second, units))
    return changes


def _summary(folder: Path) -> dict[str, xr.Variable]:
    """Summary numbers by the name of their variable: its long name may change from version to version."""
    path = folder / stages.STAGES["analyse"].output
    if store.read_receipt(path) is None or "summary" not in groups_of(path):
        return {}
    return {
        str(name): variable.variable
        for name, variable in store.open_store(path, group="summary").data_vars.items()
        if variable.ndim == 0
    }


def digests(before: Path, now: Path, *, outputs: Sequence[str] = COMPARED) -> Iterator[Change]:
    """SHA-256 of all values of every output, before and now; a reused output is read once."""
    for name in outputs:
        receipts = [store.read_receipt(folder / name) for folder in (before, now)]
        new = None if receipts[1] is None else digest_of(now / name)
        if receipts[0] is not None and receipts[0] == receipts[1]:
            yield Change(name, new, new)
        else:
            yield Change(name, None if receipts[0] is None else digest_of(before / name), new)
