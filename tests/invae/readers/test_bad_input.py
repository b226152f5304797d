"""Broken arrays, stacks, stores and series: refused in one line, and nothing is left behind."""

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import xarray as xr
import zarr

from tests.invae.readers.broken_inputs import broken_inputs

Write = Callable[..., Path]
Refused = Callable[[list[Path]], str]

IMAGE = np.arange(48.0).reshape(6, 8)
SERIES = np.arange(160.0).reshape(2, 8, 10)
TABLE, bad = broken_inputs()


# ---- NumPy


def npy(folder: Path, values: object, sidecar: object = None) -> Path:
    np.save(folder / "scan.npy", values, allow_pickle=True)  # type: ignore[arg-type]
    if sidecar is not None:
        text = sidecar if isinstance(sidecar, str) else json.dumps(sidecar)
        (folder / "scan.json").write_text(text)
    return folder / "scan.npy"


@bad(r"scan.npy: holds Python objects \(object\), which are never loaded; save numbers")
def pickled_objects(folder: Path, write: Write) -> Path:
    return npy(folder, np.array([[{}, []], ["a", 1]], dtype=object))


@bad(r"scan.npy: holds Python objects .*never loaded")
def a_structured_array(folder: Path, write: Write) -> Path:
    return npy(folder, np.zeros((6, 8), dtype=[("height", "f4"), ("phase", "f4")]))


@bad(r"scan.npy: has 400 bytes, .* 512; it is incomplete")
def an_array_that_ends_too_early(folder: Path, write: Write) -> Path:
    path = npy(folder, IMAGE)
    path.write_bytes(path.read_bytes()[:400])
    return path


@bad(r"scan.npy: has 540 bytes, .* 512; it is incomplete or was changed")
def an_array_that_goes_on_too_long(folder: Path, write: Write) -> Path:
    path = npy(folder, IMAGE)
    path.write_bytes(path.read_bytes() + bytes(28))
    return path


@bad(r"scan.npy: cannot be read")
def an_array_with_half_a_header(folder: Path, write: Write) -> Path:
    path = npy(folder, IMAGE)
    path.write_bytes(path.read_bytes()[:40])
    return path


@bad(r"scan.npy: (has shape \(-6, 8\)|cannot be read)")
def an_array_with_a_negative_length(folder: Path, write: Write) -> Path:
    path = npy(folder, IMAGE)
    path.write_bytes(path.read_bytes().replace(b"(6, 8), ", b"(-6, 8),"))
    return path


@bad(r"scan.npy: channel signal has axes axis_0; an image")
def an_array_of_one_axis(folder: Path, write: Write) -> Path:
    return npy(folder, np.arange(5.0))


@bad(r"scan.npy: channel signal has axes none; an image")
def a_number(folder: Path, write: Write) -> Path:
    return npy(folder, np.float64(3))


@bad(r"scan.npy: channel signal has axes axis_0, axis_1, axis_2, axis_3, axis_4; an image")
def an_array_of_five_axes(folder: Path, write: Write) -> Path:
    return npy(folder, np.zeros((2, 2, 2, 2, 2)))


@bad(r"scan.npy: channel signal holds <U4; .*64 bit")
def an_array_of_words(folder: Path, write: Write) -> Path:
    return npy(folder, np.full((4, 4), "wall"))


@bad(r"scan.npy: channel signal holds (float128|longdouble|float96); .*64 bit")
def an_array_of_long_doubles(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE.astype(np.longdouble))


@bad(r"scan.npy: signal has 0 items along frame")
def a_series_without_frames(folder: Path, write: Write) -> Path:
    return npy(folder, np.zeros((0, 8, 10)))


@bad(r"scan.json: .*not JSON \(.*\); correct it")
def a_calibration_that_is_no_json(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE, '{"pixel_size": 2')


@bad(r"scan.json: the calibration is a list; .*object")
def a_calibration_that_is_a_list(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE, [2, 3])


@bad(r"scan.json: pixel_size is -2; .*positive")
def a_negative_pixel_size(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE, {"pixel_size": -2})


@bad(r"scan.json: field_of_view_x is '9 nm'; .*positive")
def a_field_of_view_that_is_a_word(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE, {"field_of_view_y": 9, "field_of_view_x": "9 nm"})


@bad(r"scan.json: frame_interval is 0; .*positive")
def frames_at_the_same_time(folder: Path, write: Write) -> Path:
    return npy(folder, SERIES, {"frame_interval": 0})


@bad(r"scan.npy: the unit of y is 'cubits', .*length")
def a_pixel_size_in_cubits(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE, {"pixel_size": 2, "pixel_size_units": "cubits"})


@bad(r"scan.json: dims is y, x, energy, but the array has 2 axes")
def more_names_than_axes(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE, {"dims": ["y", "x", "energy"]})


@bad(r"scan.json: dims are y, y; give every axis a name of its own")
def the_same_name_for_both_axes(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE, {"dims": ["y", "y"]})


@bad(r"scan.npy: an array of shape 16 × 12 × 3 may be an image .*dims=\[y,x,channel\].*ingest.dims")
def an_image_with_its_channels_last(folder: Path, write: Write) -> Path:
    return npy(folder, np.ones((16, 12, 3)))


@bad(r"scan.npy: an array of shape 9 × 9 × 64 may be 9 frames of 9 × 64 .*grid of 9 × 9 spectra")
def a_grid_of_spectra_or_a_series(folder: Path, write: Write) -> Path:
    return npy(folder, np.ones((9, 9, 64)))


@bad(
    r"scan.npy: an array of shape 5 × 16 × 12 × 3 may be 5 frames .*channels last.*; a scan of 5 × 16"
)
def frames_with_their_channels_last(folder: Path, write: Write) -> Path:
    return npy(folder, np.ones((5, 16, 12, 3)))


@bad(
    r"scan.npy: an array of shape 5 × 3 × 16 × 12 may be 5 frames .*channels second.*; a scan of 5"
)
def frames_with_their_channels_second(folder: Path, write: Write) -> Path:
    return npy(folder, np.ones((5, 3, 16, 12)))


@bad(r"scan.npy: an array of shape 500 × 3 may be an image of 500 × 3 pixels .*set ingest.dims")
def a_table_of_three_columns(folder: Path, write: Write) -> Path:
    return npy(folder, np.ones((500, 3)))


# ---- archives


def archive(folder: Path, **members: bytes | np.ndarray) -> Path:
    with zipfile.ZipFile(folder / "scan.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content if isinstance(content, bytes) else as_npy(content))
    return folder / "scan.npz"


def as_npy(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=True)
    return stream.getvalue()


@bad(r"scan.npz: member '../../evil.npy' has a path in its name, which is refused; write .*savez")
def a_member_that_climbs_out(folder: Path, write: Write) -> Path:
    return archive(folder, **{"../../evil.npy": IMAGE})


@bad(r"scan.npz: member '/etc/evil.npy' has a path in its name, which is refused")
def a_member_with_an_absolute_path(folder: Path, write: Write) -> Path:
    return archive(folder, **{"/etc/evil.npy": IMAGE})


@bad(r"scan.npz: member .*evil.npy' has a path in its name")
def a_member_with_backslashes(folder: Path, write: Write) -> Path:
    return archive(folder, **{"..\\evil.npy": IMAGE})


@bad(r"scan.npz: member 'run.exe' is not an array; use numpy.savez")
def a_member_that_is_no_array(folder: Path, write: Write) -> Path:
    return archive(folder, **{"height.npy": IMAGE, "run.exe": b"MZ"})


@bad(r"scan.npz: holds Python objects")
def a_member_with_pickled_objects(folder: Path, write: Write) -> Path:
    return archive(folder, **{"height.npy": np.array([[{}, 1]], dtype=object)})


@bad(r"scan.npz: height.npy has 500 bytes, .* 512; write the archive again")
def a_member_that_ends_too_early(folder: Path, write: Write) -> Path:
    return archive(folder, **{"height.npy": as_npy(IMAGE)[:500]})


@bad(r"scan.npz: member 'height' occurs twice")
@pytest.mark.filterwarnings("ignore:Duplicate name")
def a_member_twice(folder: Path, write: Write) -> Path:
    path = archive(folder, **{"height.npy": IMAGE, "hEight.npy": IMAGE})
    path.write_bytes(path.read_bytes().replace(b"hEight.npy", b"height.npy"))
    return path


@bad(r"scan.npz: holds no channel with pixels; export the measured data with it")
def an_archive_without_images(folder: Path, write: Write) -> Path:
    return archive(folder, **{"x.npy": np.arange(5.0)})


@bad(r"scan.npz: (cannot be read|is not NumPy)")
def an_archive_without_members(folder: Path, write: Write) -> Path:
    return archive(folder)


@bad(r"scan.npz: the calibration is not JSON")
def an_archive_with_a_broken_calibration(folder: Path, write: Write) -> Path:
    return archive(folder, **{"height.npy": IMAGE, "meta.npy": np.array("{pixel_size: 2}")})


@bad(r"scan.npz: cannot be read \((Bad CRC|Error -3|Error -5).*\); it is damaged")
def an_archive_with_changed_bytes(folder: Path, write: Write) -> Path:
    values = np.random.default_rng(0).normal(size=(60, 80))
    path = archive(folder, **{"height.npy": values})
    data = bytearray(path.read_bytes())
    data[20_000:20_020] = bytes(20)
    path.write_bytes(data)
    return path


@bad(r"scan.npz: x has 5 finite positions for 8 pixels")
def an_archive_with_too_few_positions(folder: Path, write: Write) -> Path:
    meta = np.array('{"units": {"x": "nm"}}')
    return archive(folder, **{"height.npy": IMAGE, "x.npy": np.arange(5.0), "meta.npy": meta})


# ---- TIFF


@bad(r"scan.tif: its pages have shapes 4 × 4, 6 × 8; save frames of one shape")
def pages_of_two_shapes(folder: Path, write: Write) -> Path:
    with tifffile.TiffWriter(folder / "scan.tif") as file:
        file.write(np.ones((4, 4), "u2"), photometric="minisblack")
        file.write(np.ones((6, 8), "u2"), photometric="minisblack")
    return folder / "scan.tif"


@bad(r"scan.tif: is a colour image; export the measured values, not their picture")
def a_colour_picture(folder: Path, write: Write) -> Path:
    tifffile.imwrite(folder / "scan.tif", np.ones((6, 8, 3), "u1"), photometric="rgb")
    return folder / "scan.tif"


@bad(r"scan.tif: has \d+ bytes, .*beyond them; it is incomplete")
def a_stack_without_its_last_pages(folder: Path, write: Write) -> Path:
    values = np.random.default_rng(0).integers(0, 999, (5, 32, 32)).astype("u2")
    path = folder / "scan.tif"
    tifffile.imwrite(path, values, photometric="minisblack", compression="zlib", metadata=None)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return path


@bad(r"scan.tif: the pixel size along [xy] is 0 um, ")
def a_stack_without_a_resolution(folder: Path, write: Write) -> Path:
    path = folder / "scan.tif"
    tifffile.imwrite(
        path, IMAGE.astype("f4"), imagej=True, resolution=((0, 1), (0, 1)), metadata={"unit": "um"}
    )
    return path


@bad(r"scan.tif: has axes TZYX; save one series of frames")
def a_stack_of_stacks(folder: Path, write: Write) -> Path:
    values = np.ones((2, 3, 6, 8), "u2")
    tifffile.imwrite(folder / "scan.tif", values, imagej=True, metadata={"axes": "TZYX"})
    return folder / "scan.tif"


# ---- Zarr and NetCDF


def store_of(folder: Path, dataset: xr.Dataset) -> Path:
    dataset.to_zarr(folder / "scan.zarr", consolidated=False, zarr_format=3)
    return folder / "scan.zarr"


@bad(r"scan.zarr: is unfinished; run its ingest again")
def a_store_that_is_not_complete(folder: Path, write: Write) -> Path:
    return store_of(folder, xr.Dataset({"height": (("y", "x"), IMAGE)}, attrs={"complete": False}))


@bad(r".scan.zarr.0123.partial: .*being written; give the finished store")
def a_store_under_its_hidden_name(folder: Path, write: Write) -> Path:
    path = store_of(folder, xr.Dataset({"height": (("y", "x"), IMAGE)}))
    return path.rename(folder / ".scan.zarr.0123.partial")


@bad(r"scan.zarr: no variable has image axes, only spectrum \(energy\); name the axes y and x")
def a_store_without_an_image(folder: Path, write: Write) -> Path:
    return store_of(folder, xr.Dataset({"spectrum": ("energy", np.arange(5.0))}))


@bad(r"scan.zarr: cannot be read")
def a_store_that_is_one_array(folder: Path, write: Write) -> Path:
    zarr.create_array(folder / "scan.zarr", data=IMAGE)
    return folder / "scan.zarr"


@bad(r"scan.zarr: cannot be read")
def a_store_with_broken_metadata(folder: Path, write: Write) -> Path:
    path = store_of(folder, xr.Dataset({"height": (("y", "x"), IMAGE)}))
    (path / "height" / "zarr.json").write_text('{"zarr_format": 3, "node_type"')
    return path


@bad(r"scan.zarr: cannot be read")
def a_store_with_half_a_chunk(folder: Path, write: Write) -> Path:
    path = store_of(folder, xr.Dataset({"height": (("y", "x"), IMAGE)}))
    chunk = path / "height" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:20])
    return path


@bad(r"scan.nc: no variable has image axes, only station \(n\)")
def a_netcdf_file_without_an_image(folder: Path, write: Write) -> Path:
    xr.Dataset({"station": ("n", ["a", "b"])}).to_netcdf(folder / "scan.nc", engine="h5netcdf")
    return folder / "scan.nc"


@bad(r"scan.nc: cannot be read")
def a_netcdf_file_that_ends_too_early(folder: Path, write: Write) -> Path:
    xr.Dataset({"height": (("y", "x"), IMAGE)}).to_netcdf(folder / "scan.nc", engine="scipy")
    data = (folder / "scan.nc").read_bytes()
    (folder / "scan.nc").write_bytes(data[: len(data) // 2])
    return folder / "scan.nc"


@bad(r"scan.nc: the unit of x is 'degrees_east', .*length")
def a_map_of_the_earth(folder: Path, write: Write) -> Path:
    coords = {"x": ("x", np.arange(8.0), {"units": "degrees_east"})}
    dataset = xr.Dataset({"height": (("y", "x"), IMAGE)}, coords=coords)
    dataset.to_netcdf(folder / "scan.nc", engine="h5netcdf")
    return folder / "scan.nc"


# ---- values and series


@bad(r"scan.npy: nothing to analyse: channel signal holds no finite number; record it again")
def nothing_but_nan(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE * np.nan)


@bad(r"scan.npy: nothing to analyse: channel signal holds no finite number")
def nothing_but_infinity(folder: Path, write: Write) -> Path:
    return npy(folder, np.full((6, 8), np.inf))


@bad(r"scan.npy: nothing to analyse: channel signal is constant \(7\)")
def the_same_value_everywhere(folder: Path, write: Write) -> Path:
    return npy(folder, np.full((3, 8, 10), 7))


@bad(r"scan.ibw: is in the series twice")
def the_same_file_twice(folder: Path, write: Write) -> list[Path]:
    return [write("ibw", name="scan")] * 2


@bad(r"link.ibw: is in the series twice \(as .*scan.ibw\); name it once")
def a_file_and_a_link_to_it(folder: Path, write: Write) -> list[Path]:
    path = write("ibw", name="scan")
    (folder / "link.ibw").symlink_to(path)
    return [path, folder / "link.ibw"]


@bad(r"nothing.ibw: does not exist")
def a_series_with_a_missing_file(folder: Path, write: Write) -> list[Path]:
    return [write("ibw", name="scan"), folder / "nothing.ibw"]


@bad(r"scan.npy: holds spectra, as grid.npy does; ingest each grid of spectra on its own")
def a_series_of_grids_of_spectra(folder: Path, write: Write) -> list[Path]:
    for value in (1.0, 2.0):
        path = npy(folder, np.full((4, 5, 6), value), {"dims": ["y", "x", "energy"]})
        if value == 1:
            for suffix in (".npy", ".json"):
                path.with_suffix(suffix).rename(folder / f"grid{suffix}")
    return [folder / "grid.npy", path]


@bad(r"scan.npy: has 3 frames, but one image can be beside a grid of spectra; select it")
def a_grid_of_spectra_with_a_movie(folder: Path, write: Write) -> list[Path]:
    path = npy(folder, np.ones((4, 5, 6)), {"dims": ["y", "x", "energy"]})
    for suffix in (".npy", ".json"):
        path.with_suffix(suffix).rename(folder / f"grid{suffix}")
    return [folder / "grid.npy", write("npy", name="scan")]


@bad(r"no file was given; name at least one recording")
def no_file_at_all(folder: Path, write: Write) -> list[Path]:
    return []


def test_the_table_is_long() -> None:
    assert len(TABLE) >= 40


@pytest.mark.parametrize("row", TABLE)
def test_a_broken_input_is_refused_in_one_line(
    row: str, tmp_path: Path, write: Write, refused: Refused
) -> None:
    make, message = TABLE[row]
    broken = make(tmp_path, write)
    line = refused(broken if isinstance(broken, list) else [broken])
    assert re.search(message, line), line
