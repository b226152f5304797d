"""The state of every recording that arrived: `<out>/.invae/ledger.jsonl`, one line for every change.

The ledger saves work and is shown to people; whether a recording has a run is decided by the server alone. If the ledger is
lost, the same recordings find their runs on the server. Lines are appended under a lock, so that two watchers lose nothing.
The last line about a recording counts; an incomplete line is ignored.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from invae.storage.json_text import parsed
from tasks.locks import kernel_lock

FOLDER = ".invae"
FILE, LOCK = "ledger.jsonl", "ledger.lock"

SMALLEST_REWRITE = 1 << 20
"""The file is rewritten without its history if it is larger than this [bytes] and half of it is history."""

State = Literal["settling", "waiting", "running", "done", "set aside"]
"""`set aside` is the stored name of quarantined recordings, see `word_of`."""


@dataclass(frozen=True)
class Entry:
    """One recording that arrived, and its state."""

    recording: str
    """Name of the recording and of its folder in `out`."""
    files: tuple[str, ...]
    """Absolute paths; the first file identifies the recording."""
    digest: str
    """SHA-256 of the content of all its files; empty while they settle."""
    state: State
    since: str
    """When it came into this state: UTC, ISO 8601."""
    flow_run: str = ""
    """Id of its last run."""
    reason: str = ""
    """Why it is in quarantine or waits, or which recording it is a copy of."""
    fingerprint: str = ""
    """Sizes, times and sampled content of the files, to see whether they have changed."""
    attempts: int = 0
    """Runs that failed because of the machine."""
    asked: bool = False
    """Whether a retry is requested and not started yet."""

    @property
    def key(self) -> str:
        """Identifies the recording: its first file."""
        return self.files[0]


def word_of(state: str) -> str:
    """The word for a state in messages."""
    return "quarantined" if state == "set aside" else state


def utc_now() -> str:
    """The time in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def path_of(out: Path) -> Path:
    """The file of an output folder's ledger."""
    return out / FOLDER / FILE


def read(out: Path) -> list[Entry]:
    """All recordings, in the order of their arrival; none if nothing was ever watched."""
    return list(_entries(path_of(out)).values())


def write(out: Path, entries: Sequence[Entry]) -> None:
    """Replace the entries of some recordings."""
    _append(out, [asdict(entry) for entry in entries])


def forget(out: Path, keys: Sequence[str]) -> None:
    """Remove recordings, by the first of their files."""
    _append(out, [{"files": [key], "state": "gone"} for key in keys])


def _append(out: Path, lines: Sequence[dict[str, Any]]) -> None:
    if not lines:
        return
    path = path_of(out)
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    with kernel_lock(path.with_name(LOCK), waits=True):
        with path.open("ab+") as file:
            if file.tell() and not _ends_whole(file.fileno(), file.tell()):
                text = b"\n" + text
            file.write(text)
        _rewrite_if_long(path)


def _ends_whole(descriptor: int, size: int) -> bool:
    """Whether the last line is complete; a process may have been killed while writing it."""
    return os.pread(descriptor, 1, size - 1) == b"\n"


def _rewrite_if_long(path: Path) -> None:
    """Rewrite a long file without its history; the lock's file holds its size after the last rewrite [bytes]."""
    lock = path.with_name(LOCK)
    text = lock.read_text(errors="replace").strip()
    before = int(text) if text.isdecimal() else 0
    if path.stat().st_size < max(SMALLEST_REWRITE, 2 * before):
        return
    hidden = path.with_name(f".{path.name}")
    lines = [json.dumps(asdict(entry)) + "\n" for entry in _entries(path).values()]
    hidden.write_text("".join(lines))
    hidden.replace(path)
    lock.write_text(str(path.stat().st_size))


def _entries(path: Path) -> dict[str, Entry]:
    """The last entry of every recording, by the first of its files."""
    entries: dict[str, Entry] = {}
    with suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            values = _values(line)
            if values is None:
                continue
            if values["state"] == "gone":
                entries.pop(values["files"][0], None)
            else:
                entries[values["files"][0]] = Entry(**{**values, "files": tuple(values["files"])})
    return entries


_NAMES = {field.name for field in fields(Entry)}
_TYPES = {
    **dict.fromkeys(("recording", "digest", "since", "flow_run", "reason", "fingerprint"), str),
    "attempts": int,
    "asked": bool,
}
_STATES = {*get_args(State), "gone"}


def _values(line: bytes) -> dict[str, Any] | None:
    """The fields of a line, without those of other versions; None if it is incomplete or lacks a field."""
    try:
        values = parsed(line)
    except ValueError:
        return None
    if not isinstance(values, dict) or str(values.get("state")) not in _STATES:
        return None
    required = {"files"} if values["state"] == "gone" else _REQUIRED
    if not values.get("files") or not required <= values.keys():
        return None
    found = {name: value for name, value in values.items() if name in _NAMES}
    return found if _is_sound(found) else None


def _is_sound(values: dict[str, Any]) -> bool:
    """Whether every field has the type with which it is written, and the time is one."""
    files = values["files"]
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        return False
    if any(type(values[name]) is not kind for name, kind in _TYPES.items() if name in values):
        return False
    try:
        return "since" not in values or datetime.fromisoformat(values["since"]).tzinfo is not None
    except ValueError:
        return False


_REQUIRED = {"recording", "files", "digest", "state", "since"}
