"""Broken grids and points of spectra: refused in one line, and nothing is left behind."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from tests.invae.readers.broken_inputs import broken_inputs
from tests.invae.readers.spectra.conftest import loops, write_3ds, write_sxm, write_usid

Refused = Callable[[list[Path]], str]
TABLE, bad = broken_inputs()


def grid(folder: Path, **how: object) -> Path:
    write_3ds(folder / "scan.3ds", **how)  # type: ignore[arg-type]
    return folder / "scan.3ds"


def image(folder: Path, **how: object) -> Path:
    write_sxm(folder / "scan.sxm", **how)  # type: ignore[arg-type]
    return folder / "scan.sxm"


def table(folder: Path, **how: object) -> Path:
    write_usid(folder / "scan.h5", **how)  # type: ignore[arg-type]
    return folder / "scan.h5"


def cut(path: Path, n_bytes: int) -> Path:
    path.write_bytes(path.read_bytes()[:n_bytes])
    return path


# ---- Nanonis


@bad(r"scan.3ds: its header has no end \(:HEADER_END:\); it is incomplete")
def a_grid_with_half_a_header(folder: Path) -> Path:
    return cut(grid(folder), 200)


@bad(r"scan.3ds: has 0 bytes after its header, but one spectrum needs 72; wait")
def a_grid_without_a_spectrum(folder: Path) -> Path:
    return grid(folder, n_written=0)


@bad(r"scan.3ds: has 876 bytes after its header, but 12 spectra need 864; export")
def a_grid_with_more_than_its_spectra(folder: Path) -> Path:
    path = grid(folder)
    path.write_bytes(path.read_bytes() + bytes(12))
    return path


@bad(r"scan.3ds: its header has no 'Points'; export it again")
def a_grid_without_a_length(folder: Path) -> Path:
    return grid(folder, entries={"Points": None})


@bad(r"scan.3ds: its header declares 7 parameters per spectrum, but names 6")
def a_grid_with_another_number_of_parameters(folder: Path) -> Path:
    return grid(folder, entries={"# Parameters (4 byte)": "7"})


@bad(r"scan.3ds: its header declares 44 bytes per spectrum, but 1 channels of 12 points have 48")
def a_grid_with_another_size(folder: Path) -> Path:
    return grid(folder, entries={"Experiment size (bytes)": "44"})


@bad(r"scan.3ds: its header declares a grid of '0 x 3'.*holds no spectrum")
def a_grid_of_no_columns(folder: Path) -> Path:
    return grid(folder, entries={"Grid dim": '"0 x 3"'})


@bad(r"scan.3ds: Grid settings are '0;0;0;0;0'; centre, width, height and angle are needed")
def a_grid_of_no_width(folder: Path) -> Path:
    return grid(folder, entries={"Grid settings": "0;0;0;0;0"})


@bad(r"scan.3ds: has no spectral axis \(Sweep Signal, Sweep Start and Sweep End\)")
def a_grid_without_a_sweep(folder: Path) -> Path:
    return grid(folder, entries={"Sweep Signal": None})


@bad(r"scan.3ds: was swept in several segments")
def a_grid_of_segments(folder: Path) -> Path:
    return grid(folder, entries={"Segment Start (V), Segment End (V)": '"0,1"'})


@bad(r"scan.3ds: the first spectrum runs from -1 to 1, the last from -2 to 2; spectra of one axis")
def a_grid_of_differing_sweeps(folder: Path) -> Path:
    return grid(folder, sweeps_of=lambda n: (-2.0, 2.0) if n else (-1.0, 1.0))


@bad(r"scan.3ds: the unit of voltage is 'Hz', but must be V")
def a_bias_in_hertz(folder: Path) -> Path:
    return grid(folder, signal="Bias (Hz)")


@bad(r"scan.3ds: nothing to analyse: channel current holds no finite number")
def a_grid_of_nan(folder: Path) -> Path:
    return grid(folder, spectra={"Current (A)": loops() * np.nan})


@bad(r"scan.3ds: 2 spectra have the same position \(.*\) nm in frame 0; average them")
def a_cloud_with_a_point_twice(folder: Path) -> Path:
    path = grid(folder, spectra={"Current (A)": loops(1, 2)}, entries={"Filetype": "Cloud"})
    content = path.read_bytes()
    start = content.index(b":HEADER_END:\r\n") + 14
    path.write_bytes(content[:start] + content[start : start + 72] * 2)
    return path


@bad(r"scan.sxm: its header has no end \(:SCANIT_END:\)")
def an_image_with_half_a_header(folder: Path) -> Path:
    return cut(image(folder), 300)


@bad(r"scan.sxm: has \d+ bytes, but its header requires \d+; it is incomplete")
def an_image_that_ends_too_early(folder: Path) -> Path:
    path = image(folder)
    return cut(path, path.stat().st_size - 4)


@bad(r"scan.sxm: has \d+ bytes, but its header requires \d+; export it again")
def an_image_that_goes_on_too_long(folder: Path) -> Path:
    path = image(folder)
    path.write_bytes(path.read_bytes() + bytes(4))
    return path


@bad(r"scan.sxm: its header has no 'SCAN_RANGE'")
def an_image_without_a_size(folder: Path) -> Path:
    return image(folder, entries={"SCAN_RANGE": None})


@bad(r"scan.sxm: SCAN_PIXELS is '4', but 2 numbers are needed")
def an_image_of_one_number(folder: Path) -> Path:
    return image(folder, entries={"SCAN_PIXELS": "4"})


@bad(r"scan.sxm: its header has no table DATA_INFO of channels")
def an_image_without_channels(folder: Path) -> Path:
    return image(folder, entries={"DATA_INFO": None})


# ---- USID


@bad(r"scan.h5: 2 rows have the same position \(1, 0\); average them")
def rows_at_one_position(folder: Path) -> Path:
    positions = np.array([[0, 0], [1, 0], [0, 1], [0, 1]])
    return table(folder, values=loops(1, 4)[0], positions=positions)


@bad(r"scan.h5: positions have the dimensions X, Y, Z; select one grid")
def positions_of_three_dimensions(folder: Path) -> Path:
    positions = np.indices((2, 2, 2)).reshape(3, -1).T
    return table(
        folder, values=loops(2, 4).reshape(8, 12), positions=positions, labels=("X", "Y", "Z")
    )


@bad(r"scan.h5: /Measurement_000/Raw_Data_group/Raw_Data has 12 rows, but its table has 11")
def a_table_that_is_too_short(folder: Path) -> Path:
    path = table(folder)
    with h5py.File(path, "a") as file:
        main = file["Measurement_000/Raw_Data_group/Raw_Data"]
        old = file["Measurement_000/Raw_Data_group/Position_Indices"]
        assert isinstance(old, h5py.Dataset)
        short = file.create_dataset("short", data=old[:-1])
        short.attrs.update(dict(old.attrs))
        main.attrs["Position_Indices"] = short.ref
    return path


@bad(r"scan.h5: the unit of voltage is 's', but must be V")
def a_bias_in_seconds(folder: Path) -> Path:
    return table(folder, steps={"DC_Offset": ("s", np.arange(12.0))})


@bad(r"scan.h5: nothing to analyse: channel piezoresponse holds no finite number")
def a_table_of_nan(folder: Path) -> Path:
    return table(folder, values=loops() * np.nan)


# ---- arrays and stores


def points(folder: Path, **coords: object) -> Path:
    made = xr.Dataset(
        {"spectrum": (("point", "energy"), loops(1, 3)[0])},
        coords={
            "energy": ("energy", np.arange(12.0), {"units": "eV"}),
            "point_y_nm": ("point", [0.0, 1.0, 2.0], {"units": "nm"}),
            "point_x_nm": ("point", [0.0, 0.0, 0.0], {"units": "nm"}),
        },
    )
    made.assign_coords(coords).to_netcdf(folder / "scan.nc", engine="h5netcdf")
    return folder / "scan.nc"


@bad(r"scan.nc: 2 spectra have the same position \(1, 0\) nm in frame 0")
def points_at_one_position(folder: Path) -> Path:
    return points(folder, point_y_nm=("point", [0.0, 1.0, 1.0], {"units": "nm"}))


@bad(r"scan.nc: point_x_nm has 2 finite values for 3 points")
def points_without_a_position(folder: Path) -> Path:
    return points(folder, point_x_nm=("point", [0.0, np.nan, 0.0], {"units": "nm"}))


@bad(r"scan.nc: the unit of point_x_nm is 'V', but must be a length")
def points_in_volts(folder: Path) -> Path:
    return points(folder, point_x_nm=("point", [0.0, 1.0, 2.0], {"units": "V"}))


@bad(r"scan.nc: the unit of energy is 'nm', but must be eV")
def energies_in_nanometres(folder: Path) -> Path:
    return points(folder, energy=("energy", np.arange(12.0), {"units": "nm"}))


@bad(r"scan.npz: has points, but no spectral axis; add an array voltage, energy")
def points_without_an_axis(folder: Path) -> Path:
    place = np.arange(3.0)
    np.savez(folder / "scan.npz", spectrum=loops(1, 3)[0], point_y_nm=place, point_x_nm=place)
    return folder / "scan.npz"


@bad(r"scan.npz: holds spectra at 3 points, but not point_x_nm; add the position")
def points_with_half_a_position(folder: Path) -> Path:
    np.savez(
        folder / "scan.npz",
        spectrum=loops(1, 3)[0],
        point_y_nm=np.arange(3.0),
        energy=np.arange(12.0),
    )
    return folder / "scan.npz"


@bad(r"scan.json: the axis energy has 11 values for 12 items")
def an_axis_that_is_too_short(folder: Path) -> Path:
    return annotated(folder, {"values": list(range(11)), "units": "eV"})


@bad(r"scan.json: the axis energy is \{'units': 'eV'\}; give values, or offset and step")
def an_axis_without_values(folder: Path) -> Path:
    return annotated(folder, {"units": "eV"})


def annotated(folder: Path, axis: object) -> Path:
    np.save(folder / "scan.npy", loops())
    annotations = {"dims": ["y", "x", "energy"], "axes": {"energy": axis}}
    (folder / "scan.json").write_text(json.dumps(annotations))
    return folder / "scan.npy"


def test_the_table_is_long() -> None:
    assert len(TABLE) >= 30


@pytest.mark.parametrize("row", TABLE)
def test_a_broken_input_is_refused_in_one_line(row: str, tmp_path: Path, refused: Refused) -> None:
    make, message = TABLE[row]
    broken = make(tmp_path)
    assert isinstance(broken, Path)
    line = refused([broken])
    assert re.search(message, line), line
