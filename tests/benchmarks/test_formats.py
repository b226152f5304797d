"""Readings of two programs are compared by values, axes and units."""

import numpy as np
import pytest

from benchmarks.formats.__main__ import TESTED, WRITERS, generated, row, table, written_here
from benchmarks.formats.libraries import by_gwyfile, by_igor2
from benchmarks.formats.reading import Reading, compare, words
from tests.invae.readers.conftest import write_gwy, write_ibw

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


def test_steps_in_inverse_lengths_are_compared_by_their_size():
    ours = [Reading("pattern", VALUES, (("k_y", 0.5, "1/nm"), ("k_x", 0.5, "1/nm")), "")]
    theirs = Reading("", VALUES, (("Qx", 0.05, "A^-1"), ("Qy", 0.05, "A^-1")), "")
    assert words({"one": compare(ours, theirs)})[1] == "equal"


@pytest.mark.parametrize(
    ("suffix", "write", "read", "where"),
    [("ibw", write_ibw, by_igor2, ", there turned by 90°"), ("gwy", write_gwy, by_gwyfile, "")],
)
def test_the_library_of_a_format_reads_alike(suffix, write, read, where, tmp_path):
    file = tmp_path / f"scan.{suffix}"
    write(file, {"HeightRetrace": VALUES[None], "PhaseRetrace": VALUES[None] + 1})
    found = row(suffix, file, "", read)
    assert found.values == f"equal{where}"
    assert found.axes == "equal"


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # RosettaSciIO leaves an .mrc open
def test_scans_of_the_tests_are_read_alike(tmp_path):
    rows = list(written_here(tmp_path))
    assert len(rows) == len(TESTED)
    assert all(one.values in ("equal", "equal, there in a sequence") for one in rows)


def test_files_of_another_program_are_read_alike(tmp_path):
    rows = list(generated(tmp_path))
    assert len(rows) == len(WRITERS)
    assert {row.format: row.values for row in rows if row.format != "EMD of NCEM"} == {
        "HyperSpy": "equal",
        "TIFF": "equal",
    }
    assert table(rows).count("\n") == 2 + len(rows)
