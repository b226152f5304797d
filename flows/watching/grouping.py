"""Which files of a watched folder make one recording; names of files are data, and links that leave the folder are refused."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

from invae.config import WatchConfig
from invae.errors import InputError
from invae.readers import all_readers, files_of
from invae.stages import stages

STORE_MARKS = ("zarr.json", ".zgroup", ".zattrs")


@dataclass(frozen=True)
class Arrival:
    """The files of one recording, as they lie in the folder now."""

    name: str
    """Of the recording: from its file, and from the folders between it and the watched one."""
    sources: tuple[Path, ...]
    """What a run is given: the file, or those of a series in their order."""
    files: tuple[Path, ...]
    """All files that count, companions too; the first is what the recording is known by."""
    is_series: bool = False
    fault: str = ""
    """Why it cannot be taken, whatever is in it."""

    @property
    def key(self) -> str:
        """What the recording is known by."""
        return str(self.files[0])


def arrivals(config: WatchConfig) -> list[Arrival]:
    """All recordings in the watched folder, by name.

    Raises:
        InputError: if there is no such folder.
    """
    root = Path(config.folder).resolve()
    if not root.is_dir():
        raise InputError(f"{config.folder} is no folder; give the one that recordings arrive in")
    entries = sorted(_entries(root, Path(config.out).resolve(), _suffixes(config)))
    beside = {entry: _beside(entry, root) for entry in entries}
    others = {other for files in beside.values() for other in files}
    singles = [entry for entry in entries if entry not in others]
    return [
        _arrival(root, name, group, beside, is_series=is_series)
        for name, group, is_series in _grouped(singles, config.series)
    ]


def _suffixes(config: WatchConfig) -> frozenset[str]:
    return frozenset(config.suffixes) or _known_suffixes()


@cache
def _known_suffixes() -> frozenset[str]:
    return frozenset(extension for reader in all_readers() for extension in reader.extensions)


def _entries(root: Path, out: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    """Files and stores that may be recordings; not what is hidden, and nothing of the output."""
    for place, folders, files in os.walk(root):
        here, inside = Path(place), []
        for name in folders:
            path = here / name
            if name.startswith(".") or path == out:
                continue
            if path.suffix.lower() in suffixes or any((path / m).exists() for m in STORE_MARKS):
                yield path
            elif not path.is_symlink():
                inside.append(name)
        folders[:] = inside
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                yield here / name


def _beside(entry: Path, root: Path) -> tuple[Path, ...]:
    """The companions of a file; none of one that must not be opened, or that goes away while we look."""
    if _fault((entry,), root):
        return ()
    try:
        return files_of(entry)[1:]
    except OSError:
        return ()


def _grouped(
    entries: Sequence[Path], rule: str | None
) -> Iterator[tuple[str, tuple[Path, ...], bool]]:
    """Name, files and whether they are a series."""
    if rule is None:
        yield from ((stages.name_of([entry]), (entry,), False) for entry in entries)
        return
    pattern = re.compile(rule)

    def series(entry: Path) -> tuple[Path, str]:
        match = pattern.fullmatch(entry.name)
        return entry.parent, "" if match is None else str(match["series"])

    for (_, name), group in groupby(sorted(entries, key=series), key=series):
        files = tuple(sorted(group, key=stages.natural))
        if name:
            yield stages.safe_name(name), files, True
        else:
            yield from ((stages.name_of([entry]), (entry,), False) for entry in files)


def _arrival(
    root: Path,
    name: str,
    sources: tuple[Path, ...],
    beside: dict[Path, tuple[Path, ...]],
    *,
    is_series: bool,
) -> Arrival:
    files = (*sources, *(other for source in sources for other in beside[source]))
    folders = sources[0].parent.relative_to(root).parts
    whole = stages.safe_name("_".join([*folders, name])) if folders else name
    return Arrival(whole, sources, files, is_series=is_series, fault=_fault(files, root))


def _fault(files: Sequence[Path], root: Path) -> str:
    """Why files must not be opened; empty if they may."""
    for file in files:
        shown = str(file).encode(errors="backslashreplace").decode()
        if shown != str(file):
            return f"{shown}: its name is no text in UTF-8; rename it"
        for one in (file, *(file.rglob("*") if file.is_dir() else ())):
            if one.is_symlink() and not one.resolve().is_relative_to(root):
                return f"{one}: is a link that leaves the watched folder; copy the file into it"
        if _is_odd(file):
            return f"{file}: is a device or pipe, not a file; copy it to a file"
    return ""


def _is_odd(file: Path) -> bool:
    try:
        mode = file.stat().st_mode
    except OSError:
        return False  # gone, or a link to nothing: found out when it is read
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
