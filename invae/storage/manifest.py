"""The manifest of a finished store: every file with its size and digest, by which damage is noticed.

It is written when a store is published: `manifest.json` in a folder, the attributes of the group `_manifest` in a Zarr store. Names, sizes and
the metadata of arrays are compared at every opening, all bytes by `check_bytes`. Stores of version 0.1.0 and foreign stores have no manifest,
and are not compared. An empty file `.listed` says that a manifest was written, so that a lost one is noticed. In a Zarr store it lies in the
folder of an array: programs that copy arrays with their attributes do not copy it, and their stores are foreign.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invae.errors import Damaged
from invae.progress import Progress, silent
from invae.storage.json_text import parsed
from invae.storage.location import ObjectPath

GROUP, FILE = "_manifest", "manifest.json"
"""Group of a Zarr store, or file of another folder, with the manifest."""
WITNESS = ".listed"
"""Name of the empty file that says that a manifest was written."""
REMEDY = "remove it and run the same command again"
SMALL = 1 << 22
"""Files up to this size have a SHA-256; larger ones a CRC-32C, which is four times as fast [bytes]."""
PIECE = 1 << 22
FRESH_SECONDS = 2.0
"""A store that was compared is not compared again for so long."""

_compared: dict[tuple[str, int, int], float] = {}


@dataclass(frozen=True)
class Entry:
    """A file of a store."""

    n_bytes: int
    digest: str
    """sha256: or crc32c: and the value; empty on an object store."""
    fields: Mapping[str, str]
    """Of a JSON object: digest of every value, by name."""


def file_of(folder: Path) -> Path:
    """The file with the manifest of a store."""
    if (folder / "zarr.json").exists():
        return folder / GROUP / "zarr.json"
    return folder / FILE


def write(folder: Path) -> None:
    """Write the manifest of a complete store, in place of an older one."""
    file = file_of(folder)
    own = file.relative_to(folder).as_posix()
    for place in _witness_folders(folder)[:1]:
        (place / WITNESS).write_bytes(b"")
    entries = {
        name: vars(_entry(folder, name, n_bytes))
        for name, n_bytes in sorted(_sizes(folder).items())
        if name != own
    }
    content: dict[str, Any] = {"files": entries, "sha256": _digest_of(entries)}
    if own.startswith(GROUP):
        content = {"zarr_format": 3, "node_type": "group", "attributes": content}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_as_text(content))


def read(folder: Path) -> Mapping[str, Entry] | None:
    """The manifest of a store; none if it has no manifest.

    Raises:
        Damaged: The manifest itself is damaged.
    """
    file = file_of(folder)
    try:
        text = file.read_bytes()
        content = parsed(text)
    except (FileNotFoundError, NotADirectoryError):
        _refuse_lost(folder)
        return None
    except (ValueError, OSError) as error:
        raise _damaged(folder, "its manifest cannot be read") from error
    if text != _as_text(content) and not _has_witness(folder):
        return None  # another program has copied all groups of a store with their attributes
    try:
        content = content["attributes"] if file.parent.name == GROUP else content
        if content["sha256"] != _digest_of(content["files"]):
            raise _damaged(folder, "its manifest is not as it was written")
        return {name: Entry(**entry) for name, entry in content["files"].items()}
    except (LookupError, TypeError, AttributeError) as error:
        raise _damaged(folder, "its manifest is not as it was written") from error


def check_sizes(folder: Path, *, again: bool = False) -> None:
    """Compare the names and sizes of all files with the manifest, and the metadata of arrays byte by byte.

    Args:
        folder: A finished store.
        again: Also if it was compared less than two seconds ago.

    Raises:
        Damaged: A file is missing or has another size.
    """
    if folder.name.endswith(".partial"):
        return  # it grows; its manifest, if a killed process has left one, is written anew
    try:
        state = file_of(folder).stat()
    except (FileNotFoundError, NotADirectoryError):
        _refuse_lost(folder)
        return
    mark = (str(folder), state.st_ino, state.st_mtime_ns)
    if not again and time.monotonic() - _compared.get(mark, -FRESH_SECONDS) < FRESH_SECONDS:
        return
    expected = read(folder) or {}
    there = _sizes(folder)
    for name, entry in expected.items():
        if name not in there:
            raise _damaged(folder, f"{name} is missing")
        if there[name] != entry.n_bytes:
            raise _damaged(folder, f"{name} has {there[name]} bytes instead of {entry.n_bytes}")
        if name.endswith("zarr.json") and entry.digest:
            _check_digest(folder, name, entry)
    _compared[mark] = time.monotonic()


def is_whole(folder: Path) -> bool:
    """Whether no file is missing or has another size."""
    try:
        check_sizes(folder, again=True)
    except Damaged:
        return False
    return True


def check_bytes(folder: Path, *, progress: Progress = silent) -> int:
    """Compare every byte with the manifest; returns the number of files that were compared.

    Args:
        folder: A finished store.
        progress: Called with bytes.

    Raises:
        Damaged: A file is missing or differs; of JSON files the first field that differs is named.
    """
    expected = read(folder)
    if expected is None:
        return 0
    check_sizes(folder, again=True)
    total, done = sum(entry.n_bytes for entry in expected.values()), 0
    for name, entry in expected.items():
        if entry.digest:
            _check_digest(folder, name, entry)
        done += entry.n_bytes
        progress(done, total)
    return len(expected)


def _refuse_lost(folder: Path) -> None:
    """Refuse a store without a manifest if one was written."""
    if _has_witness(folder):
        raise _damaged(folder, "its manifest is missing")


def _has_witness(folder: Path) -> bool:
    return any((place / WITNESS).exists() for place in _witness_folders(folder))


def _witness_folders(folder: Path) -> list[Path]:
    """Where a witness may lie: folders of the arrays of a Zarr store, or the folder itself."""
    if not (folder / "zarr.json").exists():
        return [folder]
    found: list[Path] = []
    for metadata in sorted(folder.glob("*/zarr.json")):
        try:
            is_array = parsed(metadata.read_bytes())["node_type"] == "array"
        except (OSError, ValueError, LookupError, TypeError):
            continue
        found += [metadata.parent] if is_array else _witness_folders(metadata.parent)
    return found


def _as_text(content: Any) -> bytes:
    return json.dumps(content, indent=0).encode()


def _damaged(folder: Path, what: str) -> Damaged:
    return Damaged(f"{folder} is damaged: {what}; {REMEDY}")


def _check_digest(folder: Path, name: str, entry: Entry) -> None:
    if _entry(folder, name, entry.n_bytes).digest != entry.digest:
        raise _damaged(folder, f"{name} is not as it was written{_field(folder, name, entry)}")


def _field(folder: Path, name: str, entry: Entry) -> str:
    """The field of a JSON file that differs, in words."""
    if not entry.fields:
        return ""
    now = _fields((folder / name).read_bytes())
    if not now:
        return " (no JSON object)"
    other = [key for key in {**entry.fields, **now} if entry.fields.get(key) != now.get(key)]
    return f" (field {other[0]})" if other else ""


def _entry(folder: Path, name: str, n_bytes: int) -> Entry:
    path = folder / name
    if isinstance(path, ObjectPath):
        return Entry(n_bytes, "", {})
    if n_bytes > SMALL:
        return Entry(n_bytes, f"crc32c:{_crc(path):08x}", {})
    content = path.read_bytes()
    fields = _fields(content) if name.endswith(".json") else {}
    return Entry(len(content), f"sha256:{hashlib.sha256(content).hexdigest()}", fields)


def _crc(path: Path) -> int:
    import google_crc32c

    value = 0
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            value = google_crc32c.extend(value, piece)
    return value


def _fields(content: bytes) -> dict[str, str]:
    try:
        values = parsed(content)
    except ValueError:
        return {}
    if not isinstance(values, dict):
        return {}
    return {name: _digest_of(value)[:16] for name, value in values.items()}


def _digest_of(values: Any) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _sizes(folder: Path) -> dict[str, int]:
    if isinstance(folder, ObjectPath):
        return folder.sizes()
    return {
        file.relative_to(folder).as_posix(): file.stat().st_size
        for file in folder.rglob("*")
        if file.is_file()
    }
