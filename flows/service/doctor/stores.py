"""Whether stores have whole shards and nothing is left of interrupted runs; reads only the metadata of arrays."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from flows.service.doctor.check import Check, fail, ok, warn

SHARDED = "sharding_indexed"


def check_shards(out: Path) -> list[Check]:
    """Whether every shard holds whole chunks, so that two writers never share a file."""
    n_arrays = n_wrong = 0
    first = ""
    for store in sorted(out.glob("*/*.zarr")):
        for place, misfit in _misfits(store):
            n_arrays += 1
            n_wrong += bool(misfit)
            first = first or (f"{place}: {misfit}" if misfit else "")
    if n_wrong:
        remedy = "it was not written by invae; run `invae run` again"
        return [fail("shards", f"{n_wrong} of {n_arrays} arrays: {first}", remedy)]
    return [ok("shards", f"{n_arrays} arrays, all with whole chunks in whole shards")]


def check_leftovers(out: Path) -> list[Check]:
    """Unfinished stores of interrupted runs, which the same command continues."""
    partial = sorted(out.glob("*/.*.partial"))
    if not partial:
        return [ok("unfinished", "no unfinished stores")]
    names = sorted({path.parent.name for path in partial})
    found = f"{len(partial)} unfinished stores of {', '.join(names[:3])}{' …' * (len(names) > 3)}"
    return [
        warn(
            "unfinished",
            found,
            "run the same command again to continue, or remove the .partial folders",
        )
    ]


def _misfits(store: Path) -> Iterator[tuple[Path, str]]:
    """Every array of a store with its problem; empty if there is none."""
    for file in sorted(store.rglob("zarr.json")):
        try:
            values = json.loads(file.read_bytes())
        except (json.JSONDecodeError, OSError) as error:
            yield file, f"is not readable ({error})"
            continue
        if values.get("node_type") == "array":
            yield file.parent, misfit(values)


def misfit(array: dict) -> str:
    """Problem of the layout of an array, from its metadata; empty if there is none."""
    shard = array["chunk_grid"]["configuration"]["chunk_shape"]
    for codec in array["codecs"]:
        if codec["name"] == SHARDED:
            chunk = codec["configuration"]["chunk_shape"]
            return "" if _divides(chunk, shard) else f"chunks of {chunk} in shards of {shard}"
    return ""


def _divides(chunk: Sequence[int], shard: Sequence[int]) -> bool:
    return all(outer % inner == 0 for inner, outer in zip(chunk, shard, strict=True))
