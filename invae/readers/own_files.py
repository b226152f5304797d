"""The files of a recording are its own: links in it that lead elsewhere, devices and pipes are refused, and none is swapped.

A user may name a link: that is a choice. What lies inside or beside a recording was chosen by whoever wrote it, who could
otherwise show any file that the reader may read.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from invae.errors import InputError


def refuse_foreign(files: Iterable[Path], *, folder: Path | None = None) -> None:
    """Refuse a recording of which a part lies elsewhere; nothing of it is opened.

    Args:
        files: The file or store, then its companion files.
        folder: The folder that all of it must lie in. Without one, the first file may be a link: the user has named it.

    Raises:
        InputError: If a link leads out, or a file is a device or pipe.
    """
    path, *beside = files
    if folder is not None:
        _refuse_outside(path, (_real(folder),), what=f"the folder {folder}")
    _refuse_special(path)
    if path.is_dir():
        _refuse_inside(path)
    homes = (_real(path.parent), _real(path).parent) if folder is None else (_real(folder),)
    for file in beside:
        _refuse_outside(file, homes, what=f"the folder of {path.name}")
        _refuse_special(file)


def _refuse_inside(store: Path) -> None:
    """Refuse links that leave a store, and entries of it that are neither files nor folders."""
    home = _real(store)
    try:
        for entry in _entries(home):
            if entry.is_symlink():
                _refuse_outside(Path(entry.path), (home,), what=f"the store {store.name}")
            if not (entry.is_dir() or entry.is_file()):
                _refuse_special(Path(entry.path))
    except FileNotFoundError:
        return  # it is being written or moved; whoever reads it finds out
    except OSError as error:
        raise InputError(
            f"{error.filename or store}: cannot be read ({error.strerror}); check its permissions"
        ) from error


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything in a folder at any depth, without following links to folders."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(Path(entry.path))


def _refuse_outside(file: Path, homes: tuple[Path, ...], *, what: str) -> None:
    target = _real(file)
    if not any(target.is_relative_to(home) for home in homes):
        raise InputError(f"{file}: is a link that leaves {what}, which is refused; copy the file")


def _real(path: Path) -> Path:
    """Where a path leads; loops of links and impossible names stay, the reader reports them."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:
        return path.absolute()


def _refuse_special(file: Path) -> None:
    try:
        mode = file.stat().st_mode
    except (OSError, ValueError):
        return  # missing, or a link to nothing: the reader reports it
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{file}: is a device or pipe, not a file; copy it to a file first")


@dataclass(frozen=True)
class Mark:
    """What a file, or all of a store, looked like; equal marks mean that nothing was written or swapped in between."""

    n_bytes: int
    digest: str
    """Of names, kinds, sizes and times. The time of the last change of an inode also tells a file that was moved away and back."""


def mark_of(path: Path) -> Mark:
    """The mark of a file or store; no content is read.

    Raises:
        OSError: If a file vanishes meanwhile.
    """
    inside = [Path(entry.path) for entry in _entries(path)] if path.is_dir() else []
    states = [(file, file.lstat()) for file in (path, *inside)]
    if path.is_symlink():
        states.append((_real(path), path.stat()))
    digest = hashlib.sha256()
    for file, state in states:
        kind, times = stat.S_IFMT(state.st_mode), (state.st_mtime_ns, state.st_ctime_ns)
        digest.update(repr((os.fspath(file), kind, state.st_size, times)).encode())
    n_bytes = sum(state.st_size for _, state in states if stat.S_ISREG(state.st_mode))
    return Mark(n_bytes, digest.hexdigest())
