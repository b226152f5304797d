"""Readings of two programs are compared by values, axes and units."""

import numpy as np
import pytest

from benchmarks.formats.__main__ import WRITERS, generated, table
from benchmarks.formats.reading import Reading, compare, words

VALUES = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
AXES = (("y", 2.0, "nm"), ("x", 1.0, "nm"))
OURS = [Reading("other", VALUES[::-1] * 3, AXES, "V"), Reading("height", VALUES, AXES, "m")]


def told(values: np.ndarray, axes=AXES, unit: str = "m") -> tuple[str, str, str]:
    return words({"one": compare(OURS, Reading("", values, axes, unit))})


def test_the_same_values_axes_and_unit_are_equal():
    assert told(VALUES) == ("equal", "equal", "equal")
    metres = (("y", 2e-9, "m"), ("x", 1e-9, "m"))
    assert told(VALUES, metres) == ("equal", "equal", "equal")


@pytest.mark.parametrize(
    ("values", "where"),
    [
        (VALUES.T, "transposed"),
        (VALUES[::-1], "upside down"),
        (VALUES[:, ::-1], "mirrored left to right"),
        (np.rot90(VALUES, 3), "turned by 90°"),
        (np.rot90(VALUES), "turned by 270°"),
    ],
)
def test_another_orientation_is_named(values, where):
    turned = values.shape != VALUES.shape
    assert told(values, AXES[::-1] if turned else AXES) == (
        f"equal, there {where}",
        "equal",
        "equal",
    )


def test_other_steps_units_and_values_are_named():
    assert told(VALUES, (("y", 2.5, "nm"), AXES[1]))[1] == "y 2 nm, there 2.5 nm"
    assert told(VALUES, (("y", 2.0, "deg"), AXES[1]))[1] == "y 2 nm, there 2 deg"
    assert told(VALUES, unit="V")[2] == "m, there V"
    assert told(VALUES + 1)[0] == "none equal"


def test_files_of_another_program_are_read_alike(tmp_path):
    rows = list(generated(tmp_path))
    assert len(rows) == len(WRITERS)
    assert {row.format: row.values for row in rows if row.format != "EMD of NCEM"} == {
        "HyperSpy": "equal",
        "TIFF": "equal",
    }
    assert table(rows).count("\n") == 2 + len(rows)
