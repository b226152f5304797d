"""Whether stores have whole shards and nothing is left of interrupted runs; reads only the metadata of arrays."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from flows.service.doctor.check import Check, fail, ok, warn
from invae.errors import StoreError
from invae.progress import Progress, silent
from invae.redaction import one_line
from invae.stages import stages
from invae.storage import manifest
from invae.storage.json_text import parsed_object
from tasks.recording_folder import is_busy

SHARDED = "sharding_indexed"


def check_shards(out: Path) -> list[Check]:
    """Whether every shard holds whole chunks, so that two writers never share a file."""
    n_arrays = n_wrong = 0
    first = ""
    for path in sorted(out.glob("*/*.zarr")):
        for place, misfit in _misfits(path):
            n_arrays += 1
            n_wrong += bool(misfit)
            first = first or (f"{place}: {misfit}" if misfit else "")
    if n_wrong:
        remedy = "it was not written by invae; run `invae run` again"
        return [fail("shards", f"{n_wrong} of {n_arrays} arrays: {first}", remedy)]
    return [ok("shards", f"{n_arrays} arrays, all with whole chunks in whole shards")]


def check_leftovers(out: Path) -> list[Check]:
    """Unfinished stores of interrupted runs, which the same command continues."""
    found = sorted(out.glob("*/.*.partial"))
    busy = {folder for folder in {path.parent for path in found} if is_busy(folder)}
    partial = [path for path in found if path.parent not in busy]
    if not partial:
        running = f"; {len(busy)} recordings are being worked on" if busy else ""
        return [ok("unfinished", f"no unfinished stores{running}")]
    names = sorted({path.parent.name for path in partial})
    words = f"{len(partial)} unfinished stores of {', '.join(names[:3])}{' …' * (len(names) > 3)}"
    return [
        warn(
            "unfinished",
            words,
            "run the same command again to continue, or remove the .partial folders",
        )
    ]


def check_bytes(out: Path, *, progress: Progress = silent) -> list[Check]:
    """Whether every byte of every finished store, model and report is as it was written.

    Args:
        out: Output folder of the recordings.
        progress: Called with stores.
    """
    outputs = [stage.output for stage in stages.STAGES.values()]
    places = [path for name in outputs for path in sorted(out.glob(f"*/{name}"))]
    places = [path for path in places if not is_busy(path.parent)]
    damaged: list[str] = []
    n_files = n_without = 0
    for number, place in enumerate(places):
        try:
            n_here = manifest.check_bytes(place)
        except StoreError as error:
            damaged.append(str(error))
        else:
            n_files, n_without = n_files + n_here, n_without + (n_here == 0)
        progress(number + 1, len(places))
    if damaged:
        return [fail("bytes", text.partition("; ")[0], text.partition("; ")[2]) for text in damaged]
    older = f"; {n_without} of earlier versions have no manifest" if n_without else ""
    return [
        ok("bytes", f"{n_files} files of {len(places)} outputs are as they were written{older}")
    ]


def _misfits(zarr: Path) -> Iterator[tuple[Path, str]]:
    """Every array of a store with its problem; empty if there is none."""
    for file in sorted(zarr.rglob("zarr.json")):
        try:
            values = parsed_object(file.read_bytes())
            found = misfit(values) if values.get("node_type") == "array" else None
        except (ValueError, OSError, LookupError, TypeError, ArithmeticError) as error:
            yield file, f"is not readable ({one_line(str(error))})"
            continue
        if found is not None:
            yield file.parent, found


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
