"""Which files of a watched folder form one recording; links that leave the folder are refused."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

from invae.config import WatchConfig
from invae.errors import InputError
from invae.readers import all_readers, files_of
from invae.readers.own_files import refuse_foreign
from invae.stages import stages

STORE_MARKS = ("zarr.json", ".zgroup", ".zattrs")


@dataclass(frozen=True)
class Arrival:
    """The files of one recording in the watched folder."""

    name: str
    """Name of the recording, made of its file's name and of the folders between it and the watched one."""
    sources: tuple[Path, ...]
    """Input of a run: the file, or the files of a series in order."""
    files: tuple[Path, ...]
    """The sources and their companions; the first file identifies the recording."""
    is_series: bool = False
    fault: str = ""
    """Why it is refused without being opened; empty if it is not."""

    @property
    def key(self) -> str:
        """Identifies the recording: its first file."""
        return str(self.files[0])


def arrivals(config: WatchConfig) -> list[Arrival]:
    """All recordings in the watched folder, by name.

    Raises:
        InputError: if the folder does not exist.
    """
    root = Path(config.folder).resolve()
    if not root.is_dir():
        raise InputError(f"{config.folder} is not a folder; give the one that recordings arrive in")
    entries = sorted(_entries(root, Path(config.out).resolve(), _suffixes(config)))
    companions = {entry: _companions(entry, root) for entry in entries}
    all_companions = {file for files in companions.values() for file in files}
    sources = [entry for entry in entries if entry not in all_companions]
    return [
        _arrival(root, name, group, companions, is_series=is_series)
        for name, group, is_series in _grouped(sources, config.series)
    ]


def _suffixes(config: WatchConfig) -> frozenset[str]:
    return frozenset(config.suffixes) or _known_suffixes()


@cache
def _known_suffixes() -> frozenset[str]:
    return frozenset(extension for reader in all_readers() for extension in reader.extensions)


def _entries(root: Path, out: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    """Files and stores that may be recordings, except hidden ones and the output folder."""
    for folder, folders, files in os.walk(root):
        parent, inside = Path(folder), []
        for name in folders:
            path = parent / name
            if name.startswith(".") or path == out:
                continue
            if path.suffix.lower() in suffixes or any((path / m).exists() for m in STORE_MARKS):
                yield path
            elif not path.is_symlink():
                inside.append(name)
        folders[:] = inside
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                yield parent / name


def _companions(entry: Path, root: Path) -> tuple[Path, ...]:
    """The companion files of a source; empty if it must not be opened, or vanishes meanwhile."""
    if _fault((entry,), root):
        return ()
    try:
        return files_of(entry)[1:]
    except OSError:
        return ()


def _grouped(
    entries: Sequence[Path], rule: str | None
) -> Iterator[tuple[str, tuple[Path, ...], bool]]:
    """Name and files of each recording, and whether they form a series."""
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
    companions: dict[Path, tuple[Path, ...]],
    *,
    is_series: bool,
) -> Arrival:
    files = (*sources, *(file for source in sources for file in companions[source]))
    folders = sources[0].parent.relative_to(root).parts
    full_name = stages.safe_name("_".join([*folders, name])) if folders else name
    return Arrival(full_name, sources, files, is_series=is_series, fault=_fault(files, root))


def _fault(files: Sequence[Path], root: Path) -> str:
    """Why the files must not be opened; empty if they may be."""
    for file in files:
        shown = str(file).encode(errors="backslashreplace").decode()
        if shown != str(file):
            return f"{shown}: its name is not valid UTF-8; rename it"
        try:
            refuse_foreign([file], folder=root)
        except InputError as error:
            return str(error)
    return ""
