"""The ledger of a search: one line for every event, on the disk before the next proposal. It is the truth; all else follows from it."""

import base64
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from invae.active.history import Observation
from invae.errors import StoreError

MEASURED, EXCLUDED, TARGET, STOPPED, STARTED, DRIFT = (
    "measured",
    "excluded",
    "target",
    "stopped",
    "started",
    "drift",
)
"""Events."""


def append(path: Path, event: str, values: Mapping[str, Any]) -> None:
    """Add an event and wait until the disk has it; an incomplete last line of a killed process is removed before."""
    line = json.dumps({"event": event, **values}).encode() + b"\n"
    with path.open("ab+") as file:
        _cut_incomplete_line(file)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _cut_incomplete_line(file: Any) -> None:
    size = file.seek(0, os.SEEK_END)
    if size:
        file.seek(size - 1)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
    file.seek(0, os.SEEK_END)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """All complete events in order; none if there is no ledger.

    Raises:
        StoreError: A complete line cannot be read.
    """
    if not path.exists():
        return
    content = path.read_bytes()
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise StoreError(
                f"{path}: line {number} is damaged; restore the file, or start again with another --out"
            ) from error


def as_event(one: Observation) -> dict[str, Any]:
    """An observation as values of an event; spectra as base64 of float64."""
    values = dict(vars(one))
    spectrum = values.pop("spectrum")
    if spectrum is not None:
        values["spectrum"] = base64.b64encode(np.asarray(spectrum, "<f8").tobytes()).decode()
    return values


def as_observation(event: Mapping[str, Any]) -> Observation:
    """The observation of an event."""
    values = {k: v for k, v in event.items() if k not in ("event", "spectrum", "axis")}
    text = event.get("spectrum")
    spectrum = None if text is None else np.frombuffer(base64.b64decode(text), "<f8").copy()
    return Observation(**values, spectrum=spectrum)
