"""Nanonis: the spectrum of one point (.dat), a text header of names and values, `[DATA]`, and columns with units.

Several files are the spectra of several points. Columns of the backward sweep run along the forward axis; here they follow the forward
sweep as measured. Of repeated sweeps the average is read.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import spectra
from invae.readers.raw import Axis, Channel, Coordinate, Key, Pixels, Raw, Reader

DATA = "[DATA]"
NM = 1e9
"""Nanometres in a metre, the unit of the places in the header."""
ERRORS = (ValueError, IndexError, KeyError)
_COLUMN = re.compile(r"(?P<name>.*?)\s*(?:\((?P<unit>[^()]*)\))?\s*")
_SWEEP, _BACKWARD = re.compile(r"\s*\[\d+\]"), re.compile(r"\s*\[bwd\]", re.IGNORECASE)
_AVERAGE = re.compile(r"\s*\[AVG\]", re.IGNORECASE)


def _recognises(path: Path, head: bytes) -> bool:
    return head.startswith((b"Experiment\t", b"Saved Date\t"))


def _read(path: Path) -> Raw:
    texts, columns, values = _parts(path)
    first = columns[0]
    name, unit = _named(first)
    if unit != "V" or not name.lower().startswith("bias"):
        raise InputError(
            f"{path}: its first column is {first!r}; only sweeps of the bias are read: export the bias first"
        )
    forward, backward = _by_sweep(columns[1:])
    notes = ["of repeated sweeps the average is read"] if any(map(_SWEEP.search, columns)) else []
    axis, coordinates = values[:, 0], _place(texts, path)
    if forward and forward.keys() == backward.keys():
        coordinates["direction"] = spectra.direction(len(axis), len(axis), "voltage")
        rows = {
            label: np.concatenate([values[:, 1 + n], values[::-1, 1 + backward[label]]])
            for label, n in forward.items()
        }
        axis = np.concatenate([axis, axis[::-1]])
    else:
        rows = {label: values[:, 1 + n] for label, n in forward.items()}
        rows |= {f"{label} backward": values[:, 1 + n] for label, n in backward.items()}
    units = {_named(column)[0]: _named(column)[1] for column in columns}
    channels = tuple(
        Channel(label, _pixels(path, row), (dims.POINT, "voltage"), units.get(label.removesuffix(" backward"), ""))
        for label, row in rows.items()
    )  # fmt: skip
    return Raw(
        channels,
        {"voltage": Axis(axis, "V")},
        texts,
        _time(texts.get("Start time") or texts.get("Saved Date", "")),
        modality="STS",
        notes=tuple(notes),
        coordinates=coordinates,
    )


def _parts(path: Path) -> tuple[dict[str, str], list[str], np.ndarray]:
    """Entries of the header, names of the columns, and the values (step, column)."""
    lines = path.read_text("latin-1").splitlines()
    start = next((n for n, line in enumerate(lines) if line.strip() == DATA), None)
    if start is None or start + 1 >= len(lines):
        raise InputError(f"{path}: has no {DATA} with values; it is incomplete: copy it again")
    entries = (line.split("\t") for line in lines[:start])
    texts = {entry[0].strip(): entry[1].strip() for entry in entries if len(entry) > 1 and entry[0]}
    columns = [column.strip() for column in lines[start + 1].split("\t") if column.strip()]
    rows = [line.split("\t")[: len(columns)] for line in lines[start + 2 :] if line.strip()]
    if not rows or len(columns) < 2 or any(len(row) != len(columns) for row in rows):
        raise InputError(
            f"{path}: has {len(columns)} columns and {len(rows)} rows of values that do not fit them; export it again"
        )
    return texts, columns, np.array(rows, dtype=np.float64)


def _named(column: str) -> tuple[str, str]:
    """Name and unit of a column, without the words for sweeps."""
    match = _COLUMN.fullmatch(column)
    assert match is not None
    name = match["name"]
    for words in (_SWEEP, _BACKWARD, _AVERAGE):
        name = words.sub("", name)
    return name.strip(), match["unit"] or ""


def _by_sweep(columns: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Number of every column after the first, by name: those of the forward and of the backward sweep."""
    found: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for number, column in enumerate(columns):
        if not _SWEEP.search(column):
            found[bool(_BACKWARD.search(column))][_named(column)[0]] = number
    if not any(found):
        raise InputError(f"columns {', '.join(columns)} are single sweeps; export their average")
    return found


def _place(texts: Mapping[str, str], path: Path) -> dict[str, Coordinate]:
    """Place of the spectrum [nm], y down, in the coordinates of the instrument."""
    missing = [name for name in ("X (m)", "Y (m)") if name not in texts]
    if missing:
        raise InputError(
            f"{path}: its header has no {missing[0]}; export the place of the spectrum too"
        )
    return {
        name: spectra.along([factor * float(texts[entry])], dims.POINT, long_name=entry[0], units="nm")
        for name, entry, factor in ((spectra.POINT_Y, "Y (m)", -NM), (spectra.POINT_X, "X (m)", NM))
    }  # fmt: skip


def _pixels(path: Path, row: np.ndarray) -> Pixels:
    return Pixels(path, (1, len(row)), row.dtype, partial(_part_of, row[None]), ERRORS)


def _part_of(row: np.ndarray, key: Key) -> np.ndarray:
    return row[key]


def _time(text: str) -> datetime | None:
    """The instrument's clock from `04.06.2016 20:13:23`."""
    try:
        return datetime.strptime(" ".join(text.split()), "%d.%m.%Y %H:%M:%S")
    except ValueError:
        return None


READER = Reader(
    name="dat",
    extensions=(".dat",),
    description="Nanonis: spectra of the bias at points, one file each",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
)
