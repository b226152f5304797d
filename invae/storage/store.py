"""Stores in folders or on object stores: lay out sharded Zarr, write it block by block, publish it whole or not at all.

A store grows under a hidden name, `.<name>.<key>.partial`, and gets its own name when it is complete. A block covers whole
shards; it is the unit of writing and of resuming, and a block that exists is not written again. An object store cannot
rename: there a complete store is copied within the bucket, and its `MARKERS`, without which it is no store, are copied last.
"""

import errno
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
import zarr
import zarr.storage
from zarr.codecs import BloscCodec, ZstdCodec

from invae.errors import NoRoom, NotWritable, StoreError
from invae.storage import checksum, location, machine, manifest
from invae.storage.checksum import CHECKSUM
from invae.storage.json_text import parsed, parsed_object
from invae.storage.location import ObjectPath
from invae.storage.provenance import Receipt

# zarr 3.1 compares every chunk with the fill value before writing it. Without the comparison writing is 2.4 times as fast,
# and every shard is a file, by which a resumed run sees that it was written. The option per array is lost on reopening.
zarr.config.set({"array.write_empty_chunks": True})
checksum.register()

CHUNK_BYTES = 1 << 20
COMPRESSOR = BloscCodec(cname="lz4", clevel=5, shuffle="shuffle")
COUNTS_COMPRESSOR = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle")
"""For counts, whose upper bits are equal: files of sparse patterns are half as large as with a shuffle of bytes, and are
written in three quarters of the time."""
RECEIPT_FILE = "receipt.json"
"""File with the receipt in a folder that is not a Zarr group."""
MARKERS = ("zarr.json", RECEIPT_FILE)
"""Without one of these objects, a prefix on an object store is not a finished store."""


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Replace errors of the disk by errors of one line that name the store.

    Raises:
        NoRoom: If the disk is full.
        NotWritable: If writing is not allowed.
    """
    try:
        with location.explaining_errors(path) if isinstance(path, ObjectPath) else nullcontext():
            yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise NoRoom(
                f"{path}: no room left to write it ({error.strerror}); free some space, or write to another disk"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise NotWritable(
                f"{path}: cannot be written ({error.strerror}); choose a writable folder"
            ) from error
        raise


@dataclass(frozen=True)
class Variable:
    """Layout of an array; its values are written later, block by block along its first dimension."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | type
    attrs: Mapping[str, Any] = field(default_factory=dict)
    chunks: tuple[int, ...] | None = None
    """Chunk shape of an array that is written tile by tile (see `scan_tile`), not along its first dimension."""
    tile: tuple[int, int] | None = None
    """Items along the first two dimensions in one file."""

    @property
    def item_bytes(self) -> int:
        """Bytes of one item along the first dimension."""
        return math.prod(self.shape[1:]) * np.dtype(self.dtype).itemsize


def shard_length(variables: Mapping[str, Variable], *, shard_bytes: float) -> int:
    """Items along the first dimension in one shard, so that the largest variable's shard has at most `shard_bytes`."""
    largest = max(variable.item_bytes for variable in variables.values())
    length = max(v.shape[0] for v in variables.values())
    return max(1, min(length, int(shard_bytes // max(largest, 1))))


def blocks(length: int, shard: int) -> list[slice]:
    """Slices of whole shards that cover `length` items."""
    return [slice(start, min(start + shard, length)) for start in range(0, length, shard)]


def lay_out(
    path: Path,
    variables: Mapping[str, Variable],
    *,
    shard: int,
    coords: xr.Dataset | None = None,
    group: str = "",
) -> None:
    """Create the arrays of a store, without values, and write the small coordinates; existing arrays stay as they are."""
    with writing(path):
        root = open_group(path, mode="a")
        parent = root.require_group(group) if group else root
        for name, variable in variables.items():
            if name in parent:
                continue
            chunks = variable.chunks or _chunks(variable, shard)
            shards = (_multiple(shard, chunks[0]), *map(_multiple, variable.shape[1:], chunks[1:]))
            if variable.tile is not None:
                shards = (*variable.tile, *shards[2:])
            parent.create_array(
                name,
                shape=variable.shape,
                dtype=np.dtype(variable.dtype),
                chunks=chunks,
                shards=shards,
                compressors=(_compressor(np.dtype(variable.dtype)), CHECKSUM),
                dimension_names=variable.dims,
                attributes=dict(variable.attrs),
            )
        if coords is not None:
            write_dataset(path, coords, group=group)


def _compressor(dtype: np.dtype) -> BloscCodec:
    return COUNTS_COMPRESSOR if dtype.kind in "iu" and dtype.itemsize > 1 else COMPRESSOR


def _multiple(length: int, chunk: int) -> int:
    return math.ceil(length / chunk) * chunk


def _chunks(variable: Variable, shard: int) -> tuple[int, ...]:
    """Chunks of about `CHUNK_BYTES`: several whole items if they are small, otherwise parts of one item."""
    item = max(variable.item_bytes, 1)
    if item <= CHUNK_BYTES:
        per_chunk = max(1, min(shard, CHUNK_BYTES // item))
        while shard % per_chunk:  # a shard holds whole chunks
            per_chunk -= 1
        return (per_chunk, *(max(1, n) for n in variable.shape[1:]))
    chunk = [1, *variable.shape[1:]]
    while math.prod(chunk) * np.dtype(variable.dtype).itemsize > CHUNK_BYTES and max(chunk) > 1:
        axis = int(np.argmax(chunk))
        chunk[axis] = math.ceil(chunk[axis] / 2)
    return tuple(chunk)


def scan_tile(
    shape: tuple[int, ...], *, item_bytes: int, tile_bytes: float
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Probe positions of a scan in one chunk of about `CHUNK_BYTES`, and in one file, the unit of writing.

    A file holds whole scan rows if they fit into `tile_bytes`, otherwise part of a few rows.

    Args:
        shape: Of the scan, (scan_y, scan_x).
        item_bytes: Size of one pattern.
        tile_bytes: Size of a file before compression.
    """
    side = 1
    while (2 * side) ** 2 * item_bytes <= min(1.25 * CHUNK_BYTES, tile_bytes / 8):
        side *= 2
    rows, columns = (_side(n, side) for n in shape)
    across = _multiple(shape[1], columns)
    deep = int(tile_bytes // (across * item_bytes)) // rows * rows
    if deep < rows:
        deep, across = rows, int(tile_bytes // (rows * item_bytes)) // columns * columns
    return (rows, columns), (min(deep, _multiple(shape[0], rows)), max(across, columns))


def _side(n: int, side: int) -> int:
    """A chunk length that divides `n`, if there is one near `side`: zarr copies the data of a file that ends inside a chunk."""
    divisors = [length for length in range(1, min(n, side) + 1) if n % length == 0]
    return divisors[-1] if 2 * divisors[-1] >= min(n, side) else min(n, side)


def tiles(shape: tuple[int, ...], tile: tuple[int, int]) -> list[tuple[slice, slice]]:
    """Rows and columns of the tiles that cover a scan."""
    return [
        (rows, columns)
        for rows in blocks(shape[0], tile[0])
        for columns in blocks(shape[1], tile[1])
    ]


def write_tile(
    path: Path, name: str, values: np.ndarray, *, tile: tuple[slice, slice], group: str = ""
) -> None:
    """Write one tile of an array, which is one file."""
    with writing(path):
        target = open_group(path, group=group, mode="r+")[name]
        assert isinstance(target, zarr.Array)
        for part, length, n in zip(
            tile, target.shards or target.chunks, target.shape[:2], strict=False
        ):
            if part.start % length or (part.stop % length and part.stop != n):
                raise StoreError(
                    f"{path}/{name}: {part.start}:{part.stop} does not cover whole tiles of {length}"
                )
        target[tile] = values


def tile_is_written(path: Path, name: str, *, tile: tuple[slice, slice], group: str = "") -> bool:
    """Whether the file of a tile exists."""
    array = open_group(path, group=group, mode="r")[name]
    assert isinstance(array, zarr.Array)
    lengths = array.shards or array.chunks
    index = [str(part.start // n) for part, n in zip(tile, lengths, strict=False)]
    return (path / group / name).joinpath("c", *index, *["0"] * (array.ndim - 2)).exists()


def write_dataset(path: Path, dataset: xr.Dataset, *, group: str = "") -> None:
    """Write a Dataset that fits into memory; text becomes variable-length strings."""
    with writing(path):
        texts = {
            name: variable.astype(np.dtypes.StringDType())
            for name, variable in dataset.variables.items()
            if variable.dtype.kind in "UO"
        }
        written = dataset.assign(
            {k: v for k, v in texts.items() if k in dataset.data_vars}
        ).assign_coords({k: v for k, v in texts.items() if k in dataset.coords})
        new = [name for name in dataset.variables if not (path / group / str(name)).exists()]
        written.to_zarr(
            _zarr(path),
            group=group or None,
            mode="a",
            consolidated=False,
            zarr_format=3,
            encoding={name: {"compressors": (ZstdCodec(level=0), CHECKSUM)} for name in new},
        )


def write_block(
    path: Path, arrays: Mapping[str, np.ndarray], *, start: int, shard: int, group: str = ""
) -> None:
    """Write one block of whole shards, `arrays` by name, at `start` along the first dimension."""
    with writing(path):
        parent = open_group(path, group=group, mode="r+")
        for name, values in arrays.items():
            target = parent[name]
            assert isinstance(target, zarr.Array)
            stop = start + len(values)
            if start % shard or (stop % shard and stop != target.shape[0]):
                raise StoreError(
                    f"{path}/{name}: block {start}:{stop} does not cover whole shards of {shard} items"
                )
            target[start:stop] = values


def block_is_written(
    path: Path, names: Sequence[str], *, start: int, shard: int, group: str = ""
) -> bool:
    """Whether the shards of all variables exist for the block that begins at `start`."""
    for name in names:
        folder = path / group / name
        rank = len(parsed((folder / "zarr.json").read_text())["shape"])
        first = folder.joinpath("c", str(start // shard), *["0"] * (rank - 1))
        if not first.exists():
            return False
    return True


def open_store(path: str | Path, *, group: str = "") -> xr.Dataset:
    """A store's group as a lazy Dataset."""
    path = location.as_path(path)
    if not (path / group / "zarr.json").is_file():
        name = f"{path}/{group}" if group else str(path)
        raise StoreError(f"{name} is not a Zarr store, or an unfinished one; make it again")
    manifest.check_sizes(path)
    return xr.open_zarr(
        _zarr(path), group=group or None, chunks=None, consolidated=False, decode_timedelta=False
    )


def attributes_of(path: Path) -> dict[str, Any]:
    """Attributes of the root of a store, read without opening its arrays."""
    return parsed_object((path / "zarr.json").read_bytes()).get("attributes", {})


def open_group(path: Path, *, group: str = "", mode: Literal["r", "r+", "a"]) -> zarr.Group:
    """A store's Zarr group, to read (`r`), to change (`r+`), or to change or create (`a`)."""
    return zarr.open_group(
        _zarr(path), path=group, mode=mode, zarr_format=3, use_consolidated=False
    )


def _zarr(path: Path) -> Any:
    """The path in the form that Zarr takes."""
    if not isinstance(path, ObjectPath):
        return path
    # rooted at the store itself: Zarr writes a group into every folder above an array
    return zarr.storage.ObjectStore(location.objects_at(str(path)))


def begin(target: Path, key: str) -> Path:
    """Create the hidden folder in which `target` grows, or continue it under the same key; those of other keys are removed."""
    with writing(target):
        recover(target)
        partial = partial_path(target, key)
        for other in target.parent.glob(f".{target.name}.*.partial"):
            if other != partial:
                remove(other)
        partial.mkdir(parents=True, exist_ok=True)
        return partial


def partial_path(target: Path, key: str) -> Path:
    """The hidden folder in which `target` grows under this key."""
    return target.with_name(f".{target.name}.{key[:16]}.partial")


def publish(partial: Path, target: Path, receipt: Receipt) -> None:
    """Write the receipt of a complete store and give the store its name; an older one is replaced at the same moment."""
    with writing(target):
        write_receipt(partial, receipt)
        manifest.write(partial)
        if isinstance(partial, ObjectPath):
            _publish_objects(partial, target)
            return
        _flush(partial)
        _give_name(partial, target)


def share(source: Path, target: Path) -> None:
    """Put a finished store also at `target`: hard links to the same files, or copies if links are impossible.

    Files of a finished store are never written again, only replaced, so that neither store can change the other.

    Raises:
        StoreError: if `source` is not a finished store.
    """
    receipt = read_receipt(source)
    if receipt is None:
        raise StoreError(
            f"{source} is missing or unfinished, so it cannot be reused; make it again"
        )
    if is_current(target, receipt.key):
        return
    before = _identity(source)
    with writing(target):
        if isinstance(target, ObjectPath):
            remove(target)
            location.copy(source, target, last=MARKERS)
            return
        partial = begin(target, receipt.key)
        shutil.rmtree(partial)  # a killed copy may have left an incomplete file
        if isinstance(source, ObjectPath):
            location.fetch(source, partial)
            _flush(partial)
        else:
            shutil.copytree(source, partial, copy_function=_link)
        if _identity(source) != before:
            shutil.rmtree(partial)
            raise StoreError(
                f"{source} was made anew while it was copied; run the same command again"
            )
        _give_name(partial, target)


def _identity(path: Path) -> object:
    """What changes when a store is published anew under the same name."""
    return None if isinstance(path, ObjectPath) else path.stat().st_ino


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK):
            raise
        shutil.copy2(source, target)


def _give_name(partial: Path, target: Path) -> None:
    retired = target.with_name(f".{target.name}.retired")
    if retired.exists():
        shutil.rmtree(retired)
    if target.exists():
        target.rename(retired)
    partial.rename(target)
    if retired.exists():
        shutil.rmtree(retired)


def _publish_objects(partial: ObjectPath, target: Path) -> None:
    """Copy a store to its name; a process killed meanwhile leaves no store at `target`, and all of it at `partial`."""
    assert isinstance(target, ObjectPath)
    remove(target)
    location.copy(partial, target, last=MARKERS)
    remove(partial)


def remove(path: Path) -> None:
    """Delete a store or folder with its content."""
    if isinstance(path, ObjectPath):
        location.remove(path, first=MARKERS)
    else:
        shutil.rmtree(path)


def recover(target: Path) -> None:
    """Undo a `publish` that was killed between its two renames."""
    if isinstance(target, ObjectPath):
        return
    retired = target.with_name(f".{target.name}.retired")
    if retired.exists() and not target.exists():
        retired.rename(target)


def write_receipt(path: Path, receipt: Receipt) -> None:
    """Write a receipt into the root attributes of a Zarr group, or into a file of another folder, with the machine of this process."""
    receipt = replace(receipt, machine=machine.description())
    if (path / "zarr.json").exists():
        open_group(path, mode="r+").attrs.update(receipt.to_attrs())
    else:
        (path / RECEIPT_FILE).write_text(json.dumps(receipt.to_json(), indent=1))


def read_receipt(path: Path) -> Receipt | None:
    """The receipt of a finished store or folder; None if it is missing or unfinished. It changes nothing."""
    try:
        if (path / "zarr.json").exists():
            values = parsed((path / "zarr.json").read_bytes())["attributes"]["receipt"]
        else:
            values = parsed((path / RECEIPT_FILE).read_bytes())
        return Receipt.from_json(values)
    except (FileNotFoundError, NotADirectoryError, KeyError, TypeError, ValueError):
        return None


def is_current(path: Path, key: str) -> bool:
    """Whether `path` was finished under this key, or in place of what this key requested, and no file of it is missing."""
    receipt = read_receipt(path)
    if receipt is None or key not in (receipt.key, receipt.asked):
        return False
    return manifest.is_whole(path)


def is_ours(path: Path) -> bool:
    """Whether a store or folder was published by this package, even if it is damaged."""
    return (
        read_receipt(path) is not None
        or manifest.file_of(path).exists()
        or (path / manifest.GROUP).exists()
    )


def _flush(folder: Path) -> None:
    """Flush every file to the disk before the store gets its name; Zarr's local store does not."""
    for file in folder.rglob("*"):
        if not file.is_file():
            continue
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
                raise
        finally:
            os.close(descriptor)
