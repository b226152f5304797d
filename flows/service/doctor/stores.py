"""Whether stores lie as they were laid out: whole shards, published, nothing left behind.

Only the small JSON files of the arrays are read.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from flows.service.doctor.check import Check, fail, ok, warn

SHARDED = "sharding_indexed"


def check_shards(out: Path) -> list[Check]:
    """Whether every shard holds whole chunks, so that no two writers share a file."""
    arrays = wrong = 0
    first = ""
    for store in sorted(out.glob("*/*.zarr")):
        for place, misfit in _misfits(store):
            arrays += 1
            wrong += bool(misfit)
            first = first or (f"{place}: {misfit}" if misfit else "")
    if wrong:
        remedy = "it was not written by invae; make it again with `invae run`"
        return [fail("shards", f"{wrong} of {arrays} arrays: {first}", remedy)]
    return [ok("shards", f"{arrays} arrays, all of whole chunks in whole shards")]


def check_leftovers(out: Path) -> list[Check]:
    """What runs that were killed have left, which the same command takes up again."""
    left = sorted(out.glob("*/.*.partial"))
    if not left:
        return [ok("unfinished", "no unfinished store lies about")]
    names = sorted({path.parent.name for path in left})
    found = f"{len(left)} unfinished stores, of {', '.join(names[:3])}{' …' * (len(names) > 3)}"
    return [warn("unfinished", found, "run it again, it goes on; or remove the .partial folders")]


def _misfits(store: Path) -> Iterator[tuple[Path, str]]:
    """Every array of a store, and what is wrong with it; nothing if all is well."""
    for file in sorted(store.rglob("zarr.json")):
        try:
            values = json.loads(file.read_bytes())
        except (json.JSONDecodeError, OSError) as error:
            yield file, f"cannot be read ({error})"
            continue
        if values.get("node_type") == "array":
            yield file.parent, misfit(values)


def misfit(array: dict) -> str:
    """What is wrong with the layout of an array, by its metadata; nothing if all is well."""
    shard = array["chunk_grid"]["configuration"]["chunk_shape"]
    for codec in array["codecs"]:
        if codec["name"] == SHARDED:
            chunk = codec["configuration"]["chunk_shape"]
            return "" if _divides(chunk, shard) else f"chunks of {chunk} in shards of {shard}"
    return ""


def _divides(chunk: Sequence[int], shard: Sequence[int]) -> bool:
    return all(outer % inner == 0 for inner, outer in zip(chunk, shard, strict=True))
