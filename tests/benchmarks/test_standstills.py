"""The table of standstills: every attack by a file is told in one line, and the verdicts can fail."""

import pytest

from benchmarks.standstills import files
from benchmarks.standstills.outcomes import Outcome, refused, table
from invae.errors import InputError


def fail(line: str) -> None:
    raise InputError(line)


def test_every_attack_by_a_file_has_a_row(tmp_path):
    rows = table(files.attacks(tmp_path, n_pages=20, n_groups=20), folder=tmp_path).splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == [
        "a configuration whose YAML aliases stand for 9⁹ values",
        "a TIFF file of 20 pages",
        "an HDF5 file of 20 groups with an image each",
    ]
    assert "`config aliases.yaml is not YAML: aliases (*name) are not allowed" in rows[0]
    assert "`opened: frame 20, y 8, x 8`" in rows[1]
    assert "`groups.h5: holds several arrays" in rows[2]


def test_a_goal_that_is_missed_is_said(tmp_path):
    text = table([Outcome("one", "a", 2.0, 2.0), Outcome("two", "b", 2.1, 2.0)], folder=tmp_path)
    assert text.splitlines()[2:] == [
        "| one | `a` | 2.0 s | ≤ 2 s |",
        "| two | `b` | 2.1 s | ≤ 2 s — **missed** |",
    ]


def test_long_names_and_lines_are_shortened_and_paths_left_out(tmp_path):
    told = f"{tmp_path}/{'n' * 360}.npy: is | `bad`"
    (row,) = table([Outcome("one", told, 0.0, 1.0)], folder=tmp_path).splitlines()[2:]
    assert row.split(" | ")[1] == f"`{'n' * 30}…{'n' * 25}.npy: is / 'bad'`"
    (row,) = table([Outcome("one", "word " * 900, 0.0, 1.0)], folder=tmp_path).splitlines()[2:]
    assert len(row) < 400


def test_two_lines_and_an_attack_that_succeeds_are_no_rows(tmp_path):
    with pytest.raises(ValueError, match="more than one line"):
        table([refused("one", lambda: fail("a\nb"), goal=1.0)], folder=tmp_path)
    with pytest.raises(ValueError, match="two: was not refused"):
        refused("two", lambda: None, goal=1.0)
