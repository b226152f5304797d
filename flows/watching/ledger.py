"""What a watcher knows of the recordings that arrived: `<out>/.invae/ledger.jsonl`, a line for every change.

The ledger saves work and is what people are shown; it decides nothing. If it is lost, the same recordings find the runs
that they have on the server. Lines are appended under a lock, so that two watchers at once lose nothing; of several lines
about one recording the last one counts, and a line that was not written to its end is none.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from tasks.locks import kernel_lock

FOLDER = ".invae"
FILE, LOCK = "ledger.jsonl", "ledger.lock"

SMALLEST_REWRITE = 1 << 20
"""Below this size [bytes] the file is left to grow; above, it is written anew when half of it is history."""

State = Literal["settling", "waiting", "running", "done", "set aside"]


@dataclass(frozen=True)
class Entry:
    """One recording that arrived, and how far it is."""

    recording: str
    """Its name, that of its folder in `out`."""
    files: tuple[str, ...]
    """Absolute paths; the first one is what the recording is known by."""
    digest: str
    """SHA-256 of the content of all its files; empty while they settle."""
    state: State
    since: str
    """When it came into this state: UTC, ISO 8601."""
    flow_run: str = ""
    """Id of its last run."""
    reason: str = ""
    """Why it is set aside, what it waits for, or which recording it is a copy of."""
    traceback: str = ""
    config: str = ""
    """NAME@VERSION of the configuration that it is processed with."""
    fingerprint: str = ""
    """Of sizes, times and samples of the files: whether they are what they were."""
    due: str = ""
    """Not to be tried again before: UTC, ISO 8601; empty if it may be tried at once."""
    attempts: int = 0
    """Runs that the machine failed."""
    asked: bool = False
    """Whether somebody asked that it be tried again, and nobody has done so yet."""

    @property
    def key(self) -> str:
        """What the recording is known by."""
        return self.files[0]


def instant() -> str:
    """The time in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def place(out: Path) -> Path:
    """The file that holds the ledger of an output folder."""
    return out / FOLDER / FILE


def read(out: Path) -> list[Entry]:
    """All recordings known, in the order of their arrival; none if nothing was ever watched."""
    return list(_entries(place(out)).values())


def write(out: Path, entries: Sequence[Entry]) -> None:
    """Note the states of some recordings, in place of what was noted about them before."""
    _append(out, [asdict(entry) for entry in entries])


def forget(out: Path, keys: Sequence[str]) -> None:
    """Drop recordings, by the first of their files."""
    _append(out, [{"files": [key], "state": "gone"} for key in keys])


def _append(out: Path, lines: Sequence[dict[str, Any]]) -> None:
    if not lines:
        return
    path = place(out)
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    with kernel_lock(path.with_name(LOCK), waits=True):
        with path.open("ab+") as file:
            if file.tell() and not _ends_whole(file.fileno(), file.tell()):
                text = b"\n" + text
            file.write(text)
        _rewrite_if_long(path)


def _ends_whole(descriptor: int, size: int) -> bool:
    """Whether the last line was written to its end; a process may have been killed in it."""
    return os.pread(descriptor, 1, size - 1) == b"\n"


def _rewrite_if_long(path: Path) -> None:
    """Write the file anew without its history; the lock's file holds the size that it had then [bytes]."""
    lock = path.with_name(LOCK)
    before = int(lock.read_text() or "0")
    if path.stat().st_size < max(SMALLEST_REWRITE, 2 * before):
        return
    hidden = path.with_name(f".{path.name}")
    lines = [json.dumps(asdict(entry)) + "\n" for entry in _entries(path).values()]
    hidden.write_text("".join(lines))
    hidden.replace(path)
    lock.write_text(str(path.stat().st_size))


def _entries(path: Path) -> dict[str, Entry]:
    """The last word on every recording, by the first of its files."""
    found: dict[str, Entry] = {}
    with suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            values = _values(line)
            if values is None:
                continue
            if values["state"] == "gone":
                found.pop(values["files"][0], None)
            else:
                found[values["files"][0]] = Entry(**{**values, "files": tuple(values["files"])})
    return found


_NAMES = {field.name for field in fields(Entry)}
_STATES = {*get_args(State), "gone"}


def _values(line: bytes) -> dict[str, Any] | None:
    """What a line says; nothing if it is not whole, or of a version that says other things."""
    try:
        values = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    if not isinstance(values, dict) or values.get("state") not in _STATES:
        return None
    gone = values["state"] == "gone"
    fits = bool(values.get("files")) and (gone or _NEEDED <= values.keys() <= _NAMES)
    return values if fits else None


_NEEDED = {"recording", "files", "digest", "state", "since"}
