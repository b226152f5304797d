"""`invae library find`: a table on standard output, a picture or a dataset, and refusals in one line."""

import struct

import pytest
import xarray as xr

from flows.cli import terminal
from flows.cli.main import execute
from tests.invae.results.library_runs import ENERGY, lorentzians, run_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("library") / "one")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setattr(terminal, "VERBOSITY", terminal.Verbosity())


def test_the_found_pairs_are_printed_the_nearest_first(folder, capsys):
    assert execute(["library", "find", str(folder), "--peak", "0.81", "--number", "3"]) == 0
    heads, units, *rows = capsys.readouterr().out.splitlines()
    names = "recording, site, frame, y, x, y, x, value, distance, predicted"
    assert heads.split() == names.split(", ")
    assert units.split() == ["px", "px", "nm", "nm", "eV", "eV", "eV"]
    assert len(rows) == 3
    cells = rows[0].split()
    assert cells[:7] == ["one", "12", "0", "22", "32", "55", "80"]
    assert float(cells[7]) == pytest.approx(0.807, abs=0.002)
    distances = [float(row.split()[8]) for row in rows]
    assert distances == sorted(distances)


@pytest.mark.parametrize("question", [["--peak", "0.81"], ["--band", "0.1"], ["--like", "w.csv"]])
def test_the_picture_shows_what_was_found(folder, monkeypatch, question, tmp_path):
    monkeypatch.chdir(tmp_path)
    rows = zip(ENERGY, lorentzians()[7], strict=True)
    (tmp_path / "w.csv").write_text("\n".join(f"{e},{v}" for e, v in rows))
    command = ["library", "find", str(folder), *question, "--number", "2", "--out", "found.png"]
    assert execute(command) == 0
    content = (tmp_path / "found.png").read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    assert (width, height) == (1000, 460)


def test_the_dataset_has_patches_spectra_and_places(folder, tmp_path):
    file = tmp_path / "found.nc"
    assert execute(["library", "find", str(folder), "--peak", "0.81", "--out", str(file)]) == 0
    with xr.open_dataset(file, engine="h5netcdf") as found:
        assert found["patch"].shape == (8, 1, 6, 6)
        assert found["measured"].dims == ("site", "energy")
        assert {"recording", "number", "frame", "y", "x", "y_nm", "x_nm"} <= set(found.coords)
        assert found["energy"].attrs["units"] == "eV"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--peak", "7"], "peak 7 eV is outside the axis energy 0.5–1.2 eV in 71 channels"),
        ([], "nothing is wanted; give one of"),
        (["--peak", "0.8", "--out", "found.jpg"], "found.jpg has no known suffix"),
        (["--peak", "0.8", "--number", "0"], "--number"),
        (["--like", "none.csv"], "none.csv does not exist"),
    ],
)
def test_a_refusal_is_one_line(folder, capsys, more, message):
    assert execute(["library", "find", str(folder), *more]) not in (0, None)
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    assert message in line


def test_a_file_that_exists_is_kept(folder, capsys, tmp_path):
    file = tmp_path / "found.nc"
    file.write_text("mine")
    assert execute(["library", "find", str(folder), "--peak", "0.8", "--out", str(file)]) == 1
    assert "exists; give another --out" in capsys.readouterr().err
    assert file.read_text() == "mine"
