"""What a program reads of a file: values with their axes; and the difference of two such readings in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

LENGTHS = {
    "m": 1e9, "cm": 1e7, "mm": 1e6, "µm": 1e3, "um": 1e3, "nm": 1.0, "Å": 0.1, "A": 0.1, "pm": 1e-3,
}  # fmt: skip
"""Units of length [nm]."""
SCALES = {
    **{unit: (factor, "nm") for unit, factor in LENGTHS.items()},
    **dict.fromkeys(("A^-1", "1/Å", "1/A", "1/angstrom"), (10.0, "1/nm")),
}
"""Units of axes: factor to the unit in which they are compared, and that unit."""
ALIKE = {"deg": "degree", "counts": "count", "": "1", "a.u.": "1", "generic": "1"}
"""Other spellings of a unit."""
PLAIN = ("", "1", "pixel", "px", "frame", "generic", "None", "<undefined>")
"""Units of an axis without calibration."""
CLOSE = 1e-5
"""Values and steps that differ by less, relative to the largest, are equal."""


@dataclass(frozen=True)
class Reading:
    """One array of a file."""

    name: str
    values: np.ndarray
    axes: tuple[tuple[str, float, str], ...]
    """Name, step and unit, axis by axis."""
    unit: str


@dataclass(frozen=True)
class Difference:
    """What another program reads otherwise than invae; empty words if nothing differs."""

    values: str
    axes: str
    unit: str


def compare(ours: Sequence[Reading], other: Reading) -> Difference | None:
    """The difference to that array of invae which has the same values; none if no array has them."""
    for mine in ours:
        rows = _in_rows(mine, other)
        values = _orientation(mine.values, rows.values)
        if values is not None:
            turned = "transposed" in values or "turned by 90" in values or "270" in values
            axes = _axes(mine, rows, turned=turned)
            return Difference(
                values if rows is other else "in a sequence", axes, _unit(mine.unit, other)
            )
    return None


def _in_rows(mine: Reading, other: Reading) -> Reading:
    """Patterns in a sequence, in the rows of our scan; other arrays as they are."""
    shape = mine.values.shape
    is_sequence = len(shape) == 4 and other.values.ndim == 3 and shape[2:] == other.values.shape[1:]
    if not is_sequence or mine.values.size != other.values.size:
        return other
    return replace(
        other,
        values=other.values.reshape(shape),
        axes=(mine.axes[0], mine.axes[1], *other.axes[1:]),
    )


def _orientation(mine: np.ndarray, theirs: np.ndarray) -> str | None:
    """How the other array lies: empty if as ours; none if it is another array."""
    for words, turned in _ways(np.squeeze(theirs)):
        own = np.squeeze(mine)
        if turned.shape == own.shape and _equal(own, turned):
            return words
    return None


def _ways(values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The array as it is, and turned and mirrored in the plane of its first two axes."""
    yield "", values
    if values.ndim < 2:
        return
    for n in (1, 2, 3):
        yield f"turned by {90 * n}°", np.rot90(values, n)
    yield "transposed", np.swapaxes(values, 0, 1)
    yield "upside down", values[::-1]
    yield "mirrored left to right", values[:, ::-1]
    yield "transposed and turned by 180°", np.swapaxes(values, 0, 1)[::-1, ::-1]


def _equal(mine: np.ndarray, theirs: np.ndarray) -> bool:
    allowed = CLOSE * max(float(np.nanmax(np.abs(mine), initial=0)), 1e-300)
    return np.allclose(mine, theirs, rtol=0, atol=allowed, equal_nan=True)


def _axes(mine: Reading, other: Reading, *, turned: bool) -> str:
    """Steps that differ, with the names of our axes."""
    own = [axis for axis in mine.axes if mine.values.shape[mine.axes.index(axis)] > 1]
    theirs = [a for a, n in zip(other.axes, other.values.shape, strict=True) if n > 1]
    if turned:
        theirs[:2] = theirs[1::-1]
    found = [words for a, b in zip(own, theirs, strict=False) if (words := _step(a, b))]
    return "; ".join(dict.fromkeys(found))


def _step(mine: tuple[str, float, str], other: tuple[str, float, str]) -> str:
    (name, step, unit), (_, other_step, other_unit) = mine, other
    if unit in PLAIN and other_unit in PLAIN:
        return ""
    ours, theirs = (_scaled(s, u) for s, u in ((step, unit), (other_step, other_unit)))
    if ours[1] == theirs[1] and np.isclose(abs(ours[0]), abs(theirs[0]), rtol=1e-4):
        return ""
    return f"{name} {step:.5g} {unit}, there {other_step:.5g} {other_unit or 'without unit'}"


def _scaled(step: float, unit: str) -> tuple[float, str]:
    """A step in the unit in which it is compared."""
    factor, base = SCALES.get(unit.replace(" ", ""), (1.0, unit.replace(" ", "")))
    return step * factor, base


def _unit(mine: str, other: Reading) -> str:
    theirs = ALIKE.get(other.unit, other.unit)
    return "" if ALIKE.get(mine, mine) == theirs else f"{mine}, there {theirs}"


def words(found: Mapping[str, Difference | None]) -> tuple[str, str, str]:
    """Cells of the table: values, axes, unit, over all arrays of a file."""
    missing = [name for name, difference in found.items() if difference is None]
    others = [difference for difference in found.values() if difference is not None]
    if not others:
        return "none equal", "–", "–"
    n_equal = f"{len(others)} of {len(found)} arrays equal" if missing else "equal"
    values = "; ".join(dict.fromkeys(d.values for d in others if d.values))
    cells = (
        f"{n_equal}, there {values}" if values else n_equal,
        "; ".join(dict.fromkeys(d.axes for d in others if d.axes)) or "equal",
        "; ".join(dict.fromkeys(d.unit for d in others if d.unit)) or "equal",
    )
    return cells
