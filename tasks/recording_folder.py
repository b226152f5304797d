"""The folder of one recording: one run at a time, and the record of what ran."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import Timeout

from invae.errors import InvaeError
from invae.storage import store
from invae.storage.json_text import parsed
from invae.storage.location import ObjectPath, as_path
from tasks.lease import Busy, is_leased, leased, lock_of
from tasks.locks import kernel_lock

RUN_FILE = "run.json"

_held: set[Path] = set()
"""Folders locked by this process: the flow may enter a folder that its command has locked."""


@contextmanager
def exclusive(folder: str | Path) -> Iterator[None]:
    """One run at a time on a recording's folder.

    The lock is a file next to the folder, so that an unreadable recording leaves no folder behind. On an object store it
    is a lease.

    Raises:
        Busy: if another run has the folder.
    """
    path = as_path(folder)
    key = path.resolve()
    if key in _held:
        yield
        return
    with leased(path) if isinstance(path, ObjectPath) else _locked(path):
        _held.add(key)
        try:
            yield
        except InvaeError:
            _remove_if_empty(path)
            raise
        finally:
            _held.discard(key)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    path = _lock_path(folder)
    lock = kernel_lock(path, waits=False, on_acquired=_write_process)
    try:
        lock.acquire()
    except Timeout as error:
        holder = path.read_text(errors="replace").strip() or "unknown"
        raise Busy(
            f"{folder} is being worked on by process {holder}; wait for it, or give another --out or --name"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _lock_path(folder: Path) -> Path:
    real = folder.resolve()  # one lock for all links to a folder
    return real.with_name(f".{real.name}.lock")


def _write_process(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def is_busy(folder: Path) -> bool:
    """Whether a run, in any process, is working on a recording's folder."""
    if isinstance(folder, ObjectPath):
        return is_leased(folder)
    path = _lock_path(folder)
    if not os.access(path, os.W_OK):  # no lock, or that of another user
        return False
    try:
        with kernel_lock(path, waits=False):
            return False
    except Timeout:
        return True


def is_left(folder: Path) -> bool:
    """Whether a run has worked on a recording's folder, and none does now: one that is said to run was stopped."""
    if isinstance(folder, ObjectPath):
        return lock_of(folder).exists() and not is_leased(folder)
    path = _lock_path(folder)
    return os.access(path, os.W_OK) and not is_busy(folder)


def _remove_if_empty(folder: Path) -> None:
    """Remove a recording's folder if not even its first stage was finished."""
    if folder.is_dir() and all(entry.name.startswith(".") for entry in folder.iterdir()):
        store.remove(folder)


def read_record(folder: Path) -> dict[str, Any]:
    """The content of a recording's `run.json`; empty if it is missing or damaged. Entries of another type than written are left out."""
    try:
        values = parsed((folder / RUN_FILE).read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict):
        return {}
    sound = {name: value for name, value in values.items() if _is_sound(name, value)}
    if "stages" in sound:
        stages = {name: line for name, line in sound["stages"].items() if _is_line(line)}
        sound["stages"] = stages
    return sound


def _is_sound(name: str, value: Any) -> bool:
    """Whether an entry has the type with which it is written."""
    if name in ("paths", "sources", "source_sha256"):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if name in ("stages", "config", "versions"):
        return isinstance(value, dict)
    return True


def _is_line(line: Any) -> bool:
    """Whether the entry of a stage has its time and its end."""
    if not isinstance(line, dict) or not isinstance(line.get("finished"), str):
        return False
    seconds = line.get("seconds")
    return isinstance(seconds, int | float) and not isinstance(seconds, bool)


def write_record(folder: Path, values: Mapping[str, Any]) -> None:
    """Replace `run.json` whole."""
    hidden = folder / f".{RUN_FILE}"
    hidden.write_text(json.dumps(values, indent=1))
    hidden.replace(folder / RUN_FILE)
