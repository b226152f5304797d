"""Merlin (Medipix) detectors: .mib, a text header before every frame, with the settings in a .hdr of the same name.

Values are big-endian; the lowest row of the detector comes first. No file holds the shape of the scan: it follows from the frames
per trigger, or from the longer pauses between frames at the end of a row.

Source: the text headers themselves; rosettasciio (reader `quantumdetector`) for the order of the rows.
"""

import re
from datetime import datetime
from pathlib import Path

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers.formats.raw_frames import STOPPED, Frames, Part, Present, present_frames
from invae.readers.raw import Channel, Raw, Reader

MAGIC = b"MQ1,"
TYPES = {"U08": ">u1", "U16": ">u2", "U32": ">u4", "U64": ">u8"}
ERRORS = (ValueError, IndexError, KeyError, UnicodeDecodeError)
"""What damaged headers raise."""
ENOUGH_HEADS = 4096
"""Number of frames whose times are compared to detect the pauses between rows."""
_FRAMES, _PER_TRIGGER = "Frames in Acquisition (Number)", "Frames per Trigger (Number)"
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?")


def _recognises(path: Path, head: bytes) -> bool:
    return head.startswith(MAGIC)


def _companions(path: Path) -> tuple[Path, ...]:
    settings = path.with_suffix(".hdr")
    return (settings,) if path.suffix.lower() == ".mib" and settings.is_file() else ()


def _read(path: Path) -> Raw:
    head, frames, present = _layout(path)
    settings = _settings(path)
    shape, remark = _scan_shape(path, frames, settings) if settings else (None, "")
    missing = "" if settings else f"{path.stem}.hdr is missing in the same folder"
    channel = Channel("pattern", frames.pixels(path, ERRORS), (dims.FRAME, dims.K_Y, dims.K_X),
                      "count")  # fmt: skip
    return Raw(
        (channel,),
        metadata={**settings, "exposure_s": _exposure(head), "detector": head[7].strip()},
        acquired=_time_of(head),
        notes=(*present.notes, *((f"{missing}; the settings are unknown",) if missing else ())),
        scan_shape=shape,
        scan_remark=missing or remark,
        unfinished=present.message or _unfinished(path, frames, settings),
    )


def _unfinished(path: Path, frames: Frames, settings: dict[str, str]) -> str:
    """A message if the file has another number of frames than its .hdr declares; empty if they agree."""
    n_declared = int(settings.get(_FRAMES, "0") or 0)
    if n_declared in (0, frames.n_frames):
        return ""
    reason = (
        STOPPED
        if n_declared > frames.n_frames
        else "use the .hdr of this file, or, if frames were recorded behind the end of the scan, set "
        "ingest.scan_shape to the rows and columns of the scan, and its whole rows are read"
    )
    return (
        f"{path}: has {frames.n_frames} frames, but {path.stem}.hdr declares {n_declared}; {reason}"
    )


def _layout(path: Path) -> tuple[list[str], Frames, Present]:
    """The words of the first frame's header, the positions of the frames in the file, and how it ends."""
    with path.open("rb") as file:
        start = file.read(64).decode("ascii").split(",")
        file.seek(0)
        n_head = int(start[2])
        head = file.read(n_head).decode("ascii").split(",")
    if head[6] not in TYPES:
        raise InputError(
            f"{path}: its frames are stored as {head[6]}; switch raw data off, or save them as U08, "
            "U16 or U32"
        )
    shape, dtype = (int(head[5]), int(head[4])), np.dtype(TYPES[head[6]])
    if n_head < len(MAGIC) or min(shape) < 1:
        raise InputError(
            f"{path}: its header declares frames of {shape[0]} × {shape[1]} pixels after {n_head} "
            "bytes; it is damaged: copy it again"
        )
    stride = n_head + shape[0] * shape[1] * dtype.itemsize
    present = present_frames(path, head=0, stride=stride)
    part = Part(path, present.n_frames, n_head)
    return head, Frames((part,), shape, dtype, stride, upwards=True), present


def _settings(path: Path) -> dict[str, str]:
    """The settings in the .hdr, by its own names; empty without a .hdr."""
    lines = [
        line.partition("\t")
        for settings in _companions(path)
        for line in settings.read_text("latin-1").splitlines()
    ]
    pairs = {key.rstrip(": "): value.strip() for key, _, value in lines}
    return {key: value for key, value in pairs.items() if key not in ("HDR,", "End", "")}


def _scan_shape(
    path: Path, frames: Frames, settings: dict[str, str]
) -> tuple[tuple[int, int] | None, str]:
    """Rows and columns, and a remark on their origin; none where they are unknown."""
    n_frames, per_trigger = frames.n_frames, int(settings.get(_PER_TRIGGER, "0") or 0)
    if per_trigger > 1 and n_frames == per_trigger * (per_trigger + 1):
        return None, (
            f"{n_frames} frames and {per_trigger} per trigger are {per_trigger + 1} rows of {per_trigger}, or "
            f"{per_trigger} rows with a skipped frame at the end of each: then set scan_shape="
            f"[{per_trigger},{per_trigger + 1}] and flyback=1"
        )
    if per_trigger > 1 and n_frames % per_trigger == 0:
        return (n_frames // per_trigger, per_trigger), ""
    times = _times(path, frames)
    pauses = np.flatnonzero(np.diff(times) > np.diff(times).mean()) + 1 if len(times) > 2 else []
    columns = int(pauses[0]) if len(pauses) else 0
    regular = columns > 1 and np.array_equal(pauses, np.arange(columns, len(times), columns))
    if not regular or n_frames % columns:
        return None, "the pauses between the frames show no rows"
    note = (
        f"rows of {columns} positions, from the pauses between the frames (set scan_shape if wrong)"
    )
    return (n_frames // columns, columns), note


def _times(path: Path, frames: Frames) -> np.ndarray:
    """Acquisition times of the first frames [s]; empty if one of them has none."""
    n_head = frames.parts[0].offset
    times = []
    with path.open("rb") as file:
        for number in range(min(frames.n_frames, ENOUGH_HEADS)):
            file.seek(number * frames.stride)
            time = _time_of(file.read(n_head).decode("ascii").split(","))
            if time is None:
                return np.empty(0)
            times.append(time.timestamp())
    return np.array(times)


def _time_of(head: list[str]) -> datetime | None:
    match = next((match for word in head if (match := _TIME.match(word))), None)
    return None if match is None else datetime.fromisoformat(match[0][:26])


def _exposure(head: list[str]) -> float:
    """Exposure time of a frame [s]."""
    nanoseconds = [word[:-2] for word in head if word.lower().endswith("ns")]
    return float(nanoseconds[-1]) * 1e-9 if nanoseconds else float(head[10])


READER = Reader(
    name="mib",
    extensions=(".mib",),
    description="Merlin (Medipix) frames, with the settings in a .hdr of the same name",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
    companions=_companions,
)
