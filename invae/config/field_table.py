"""The applied field of every frame, from a table of the user."""

import csv
import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

Rows = tuple[tuple[int, float], ...]
"""Frame and field."""


def read(value: Any) -> Any:
    """The rows of a CSV file (frame, field) if a path is given; other values as they are.

    The configuration holds the rows, not the path, so that a result depends on the content of the file.

    Raises:
        ValueError: the file cannot be read, a row is not a frame and a field, or a frame occurs twice.
    """
    rows = _of_file(Path(value)) if isinstance(value, str) else value
    frames = [row[0] for row in rows]
    twice = sorted({frame for frame in frames if frames.count(frame) > 1})
    if twice:
        raise ValueError(f"the table of fields names frame {twice[0]} twice; name it once")
    return rows


def _of_file(path: Path) -> list[tuple[int, float]]:
    try:
        lines = [line for line in csv.reader(path.read_text("utf-8-sig").splitlines()) if line]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the table of fields {path} cannot be read: {error}") from None
    first = 0 if lines and _row(lines[0]) else 1
    rows = [_row(line) for line in lines[first:]]
    if not rows or None in rows:
        number = first + 1 + rows.index(None) if rows else 1
        raise ValueError(
            f"line {number} of {path} is no frame and field; write one frame, such as 12,-3.5, per line"
        )
    return [row for row in rows if row is not None]


def _row(cells: list[str]) -> tuple[int, float] | None:
    try:
        frame, field = int(cells[0]), float(cells[1])
    except (ValueError, IndexError):
        return None
    return (frame, field) if frame >= 0 and math.isfinite(field) else None


FieldTable = Annotated[Rows, BeforeValidator(read)]
"""Rows of frame and field, or the path of a CSV file with them."""
