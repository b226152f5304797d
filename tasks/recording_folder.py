"""The folder of one recording: one run at a time, and the record of what ran."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from invae.errors import InvaeError
from invae.storage import store
from invae.storage.location import ObjectPath, place
from tasks.lease import Busy, is_leased, leased

RUN_FILE = "run.json"

_held: set[Path] = set()
"""Folders locked by this process; the flow may enter what the command holds."""


@contextmanager
def exclusive(folder: str | Path) -> Iterator[None]:
    """One run at a time on a recording's folder; the kernel frees it when the holder dies, however it dies.

    The lock lies beside the folder, so that a recording that turns out to be unreadable leaves no folder behind. On an
    object store it is a lease.

    Raises:
        Busy: if another run has it.
    """
    path = place(folder)
    key = path.resolve()
    if key in _held:
        yield
        return
    with leased(path) if isinstance(path, ObjectPath) else _locked(path):
        _held.add(key)
        try:
            yield
        except InvaeError:
            _leave_no_trace(path)
            raise
        finally:
            _held.discard(key)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock_of(path)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def is_worked_on(folder: Path) -> bool:
    """Whether a run, in whatever process, is at work on a recording's folder."""
    if isinstance(folder, ObjectPath):
        return is_leased(folder)
    try:
        descriptor = os.open(_lock_of(folder), os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _leave_no_trace(folder: Path) -> None:
    """Remove the folder of a recording of which not even the first stage could be made."""
    if folder.is_dir() and all(entry.name.startswith(".") for entry in folder.iterdir()):
        store.remove(folder)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        raise Busy(
            f"{folder} is being worked on by process {holder}; wait for it, or give another --out or --name"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def read_record(folder: Path) -> dict[str, Any]:
    """What `run.json` of a recording says; nothing if it is not there or not whole."""
    try:
        return dict(json.loads((folder / RUN_FILE).read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def write_record(folder: Path, values: Mapping[str, Any]) -> None:
    """Replace `run.json` whole."""
    hidden = folder / f".{RUN_FILE}"
    hidden.write_text(json.dumps(values, indent=1))
    hidden.replace(folder / RUN_FILE)
