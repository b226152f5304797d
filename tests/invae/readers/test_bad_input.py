"""Broken inputs: each is refused in one line that names the file, and nothing is left in the target's folder."""

import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import gwyfile.objects
import h5py
import numpy as np
import pytest
import tifffile
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from invae.config import IngestConfig
from invae.errors import InvaeError
from invae.provenance import Receipt
from invae.readers import formats, open_recording
from invae.readers.ingest import ingest

Write = Callable[..., Path]
Make = Callable[[Path, Write], Path | list[Path]]

FORMATS = [reader.name for reader in formats()]
IMAGE = np.arange(48.0).reshape(6, 8)
SERIES = np.arange(96.0).reshape(2, 6, 8)
TABLE: dict[str, tuple[Make, str]] = {}
"""How to make each broken input, and what the message must say."""


def bad(message: str) -> Callable[[Make], Make]:
    """A row of the table: the function makes the input, `message` is what must be said."""

    def register(make: Make) -> Make:
        TABLE[make.__name__] = (make, message)
        return make

    return register


# ---- files that are none


@bad(r"nothing.ibw: does not exist; check the name")
def a_missing_file(folder: Path, write: Write) -> Path:
    return folder / "nothing.ibw"


@bad(r"empty.npz: is empty \(0 bytes\); wait until it is written")
def an_empty_file(folder: Path, write: Write) -> Path:
    (folder / "empty.npz").touch()
    return folder / "empty.npz"


@bad(r"scans.ibw: is a folder and no Zarr store; give the recordings in it")
def a_folder(folder: Path, write: Write) -> Path:
    (folder / "scans.ibw").mkdir()
    return folder / "scans.ibw"


@bad(r"loop.h5: cannot be read \(Too many levels of symbolic links\); check links")
def a_loop_of_links(folder: Path, write: Write) -> Path:
    (folder / "loop.h5").symlink_to(folder / "pool.h5")
    (folder / "pool.h5").symlink_to(folder / "loop.h5")
    return folder / "loop.h5"


@bad(r"dangling.h5: does not exist")
def a_link_to_nothing(folder: Path, write: Write) -> Path:
    (folder / "dangling.h5").symlink_to(folder / "gone.h5")
    return folder / "dangling.h5"


@bad(r"pipe.npy: is a device or pipe, not a file")
def a_pipe(folder: Path, write: Write) -> Path:
    os.mkfifo(folder / "pipe.npy")
    return folder / "pipe.npy"


@bad(r"cannot be read \(.*null.*\); check links")
def a_name_that_is_no_name(folder: Path, write: Write) -> Path:
    return folder / "scan\0.ibw"


@bad(r"letter.doc: no reader knows this file \(it begins with b'Dear Sir'\); known are nsid, ibw")
def a_letter(folder: Path, write: Write) -> Path:
    (folder / "letter.doc").write_text("Dear Sirs, please find enclosed")
    return folder / "letter.doc"


@bad(r"scan.ibw: is not what .ibw stands for \(Asylum.*'Dear Sir'; it is damaged, or has the wrong")
def a_letter_called_ibw(folder: Path, write: Write) -> Path:
    (folder / "scan.ibw").write_text("Dear Sirs, please find enclosed")
    return folder / "scan.ibw"


@bad(r"scan.tif: is not what .tif stands for")
def a_png_called_tif(folder: Path, write: Write) -> Path:
    (folder / "scan.tif").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return folder / "scan.tif"


@bad(r"scan.zarr: is not what .zarr stands for")
def a_file_called_zarr(folder: Path, write: Write) -> Path:
    (folder / "scan.zarr").write_text("no store")
    return folder / "scan.zarr"


# ---- NSID


def h5(folder: Path, fill: Callable[[h5py.File], object]) -> Path:
    with h5py.File(folder / "scan.h5", "w") as file:
        fill(file)
    return folder / "scan.h5"


def main(file: h5py.File, name: str = "height", values: object = IMAGE, axes: str = "yx") -> None:
    dataset = file.create_dataset(f"{name}/data", data=values)
    dataset.attrs.update({"quantity": name, "units": "m"})
    for axis, label in enumerate(axes):
        dataset.dims[axis].label = label


def scaled(file: h5py.File, positions: np.ndarray, units: str = "m", name: str = "height") -> None:
    main(file, name)
    scale = file.create_dataset(f"{name}/x", data=positions)
    scale.attrs["units"] = units
    scale.make_scale("x")
    file[f"{name}/data"].dims[1].attach_scale(scale)


@bad(r"scan.h5: no dataset with NSID's dimension scales and units in it; write it with pyNSID")
def hdf5_without_a_dataset(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: file.create_group("Measurement_000"))


@bad(r"scan.h5: no dataset with NSID's")
def hdf5_of_another_kind(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: file.create_dataset("image", data=IMAGE))


@bad(r"scan.h5: axis 1 of /height/data is called 'x'; every axis needs a name of its own")
def two_axes_of_one_name(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: main(file, axes="xx"))


@bad(r"scan.h5: axis 0 of /height/data is called ''")
def axes_without_names(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: main(file, axes=""))


@bad(r"scan.h5: channel height has axes u, v; an image \(y, x\)")
def axes_that_make_no_image(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: main(file, axes="uv"))


@bad(r"scan.h5: channel height is complex; store amplitude and phase as two channels")
def complex_values(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: main(file, values=IMAGE + 1j))


@bad(r"scan.h5: channel height holds object; numbers of at most 64 bit are read")
def words_instead_of_values(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: main(file, values=[["a", "b"], ["c", "d"]]))


@bad(r"scan.h5: height has 0 items along y")
def an_image_without_lines(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: main(file, values=np.empty((0, 8))))


@bad(r"scan.h5: channel height has axes x;")
def a_single_line(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: main(file, values=np.arange(8.0), axes="x"))


@bad(r"scan.h5: channels differ in shape: height has 6 items along y, phase has 5")
def channels_of_two_shapes(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: (main(file), main(file, "phase", IMAGE[:5])))


@bad(r"scan.h5: x has 7 finite positions for 8 pixels")
def positions_that_are_too_few(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: scaled(file, np.arange(7) * 1e-9))


@bad(r"scan.h5: x has 8 finite positions")
def positions_that_are_not_finite(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: scaled(file, np.full(8, np.nan)))


@bad(r"scan.h5: the size of a pixel along x is 0 m; it must be positive: set ingest.pixel_size")
def a_pixel_of_size_zero(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: scaled(file, np.zeros(8)))


@bad(r"scan.h5: pixels along x are 1e-09 to 5e-09 m apart; resample them")
def pixels_of_several_sizes(folder: Path, write: Write) -> Path:
    positions = np.array([0, 1, 2, 3, 4, 5, 6, 11]) * 1e-9
    return h5(folder, lambda file: scaled(file, positions))


@bad(r"scan.h5: the unit of x is 'furlong', which is not known as a length; set ingest.pixel_size")
def a_length_in_furlongs(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: scaled(file, np.arange(8.0), "furlong"))


@bad(r"scan.h5: the unit of x is 'V', which is not known as a length")
def a_length_in_volts(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: scaled(file, np.arange(8.0), "V"))


@bad(r"scan.h5: /phase/data has other positions along x than the first channel \(to 1.4e-08, not")
def channels_of_two_areas(folder: Path, write: Write) -> Path:
    def fill(file: h5py.File) -> None:
        scaled(file, np.arange(8) * 1e-9)
        scaled(file, np.arange(8) * 2e-9, name="phase")

    return h5(folder, fill)


@bad(r"scan.h5: /height/data keeps its values in another file, which is refused")
def values_in_another_file(folder: Path, write: Write) -> Path:
    def fill(file: h5py.File) -> None:
        (folder / "values.bin").write_bytes(IMAGE.tobytes())
        dataset = file.create_dataset(
            "height/data", (6, 8), "f8", external=[(str(folder / "values.bin"), 0, 384)]
        )
        dataset.attrs.update({"quantity": "height", "units": "m"})
        dataset.dims[0].label, dataset.dims[1].label = "y", "x"

    return h5(folder, fill)


# ---- Asylum


def ibw(write: Write, *changes: tuple[int, bytes], keep: int | None = None) -> Path:
    """A good file with some bytes of its header replaced and the checksum made good again."""
    path = write("ibw", name="scan")
    data = bytearray(path.read_bytes())[:keep]
    for offset, value in changes:
        data[offset : offset + len(value)] = value
    data[2:4] = bytes(2)
    total = int(np.frombuffer(bytes(data[:384]), "<u2").sum())
    data[2:4] = (-total % 65536).to_bytes(2, "little")
    path.write_bytes(data)
    return path


@bad(r"scan.ibw: is not what .ibw stands for")
def a_wave_with_half_a_header(folder: Path, write: Write) -> Path:
    path = write("ibw", name="scan")
    path.write_bytes(path.read_bytes()[:200])
    return path


@bad(r"scan.ibw: has 500 bytes, its header promises 944 or more; it is incomplete: copy it again")
def a_wave_that_ends_too_early(folder: Path, write: Write) -> Path:
    return ibw(write, keep=500)


@bad(r"scan.ibw: is not what .ibw stands for")
def a_wave_with_a_changed_header(folder: Path, write: Write) -> Path:
    path = write("ibw", name="scan")
    data = bytearray(path.read_bytes())
    data[133] ^= 1
    path.write_bytes(data)
    return path


@bad(r"scan.ibw: the wave is complex")
def a_complex_wave(folder: Path, write: Write) -> Path:
    return ibw(write, (80, b"\x03\0"))


@bad(r"scan.ibw: the wave holds text \(type 0\); an image is needed")
def a_wave_of_text(folder: Path, write: Write) -> Path:
    return ibw(write, (80, b"\0\0"))


@bad(r"scan.ibw: the wave has shape \(10,\); .* \(force curves are not read\)")
def a_force_curve(folder: Path, write: Write) -> Path:
    return ibw(write, (136, bytes(8)))


@bad(r"scan.ibw: the wave has shape \(-10, 7, 2\)")
def a_wave_with_a_negative_length(folder: Path, write: Write) -> Path:
    return ibw(write, (132, (-10).to_bytes(4, "little", signed=True)))


@bad(r"scan.ibw: the size of a pixel along [xy] is 0 m; it must be positive")
def a_wave_with_pixels_of_size_zero(folder: Path, write: Write) -> Path:
    return ibw(write, (148, bytes(16)))


@bad(r"scan.ibw: x has 10 finite positions")
def a_wave_with_pixels_of_no_size(folder: Path, write: Write) -> Path:
    return ibw(write, (148, np.array([np.nan, np.inf]).tobytes()))


# ---- Gwyddion


def gwy(folder: Path, *, values: np.ndarray = IMAGE, **changes: object) -> Path:
    field = gwyfile.objects.GwyDataField(values, xreal=1e-6, yreal=1e-6, si_unit_xy="m")
    field.update(changes)
    tree = gwyfile.objects.GwyContainer()
    tree["/0/data"] = field
    tree.tofile(str(folder / "scan.gwy"))
    return folder / "scan.gwy"


@bad(r"scan.gwy: written by Gwyddion 1.x; open and save it with Gwyddion 2")
def a_file_of_gwyddion_1(folder: Path, write: Write) -> Path:
    (folder / "scan.gwy").write_bytes(b"GWYO" + bytes(60))
    return folder / "scan.gwy"


@bad(r"scan.gwy: cannot be read \(GwyContainer promises \d+ bytes, \d+ are left\)")
def a_gwyddion_file_that_ends_too_early(folder: Path, write: Write) -> Path:
    path = gwy(folder)
    path.write_bytes(path.read_bytes()[:-100])
    return path


@bad(r"scan.gwy: channel 0 should have 6 × 9 pixels and holds 48 values; save it again")
def a_field_with_too_few_values(folder: Path, write: Write) -> Path:
    return gwy(folder, xres=9)


@bad(r"scan.gwy: channel 0 should have -6 × 8 pixels")
def a_field_with_a_negative_size(folder: Path, write: Write) -> Path:
    return gwy(folder, yres=-6)


@bad(r"scan.gwy: the size of a pixel along x is (-0|0) m; it must be positive")
def a_field_of_width_zero(folder: Path, write: Write) -> Path:
    return gwy(folder, xreal=0.0)


@bad(r"scan.gwy: holds no image; volume data and graphs are not read")
def a_gwyddion_file_without_an_image(folder: Path, write: Write) -> Path:
    tree = gwyfile.objects.GwyContainer()
    tree["/filename"] = "scan.gwy"
    tree.tofile(str(folder / "scan.gwy"))
    return folder / "scan.gwy"


@bad(r"scan.gwy: cannot be read \(objects are nested deeper than 16\)")
def objects_without_end(folder: Path, write: Write) -> Path:
    content = b""
    for _ in range(40):
        content = b"a\0oGwyContainer\0" + len(content).to_bytes(4, "little") + content
    head = b"GWYPGwyContainer\0" + len(content).to_bytes(4, "little")
    (folder / "scan.gwy").write_bytes(head + content)
    return folder / "scan.gwy"


@bad(r"scan.gwy: cannot be read \(a component of unknown type 'z'\)")
def a_component_of_unknown_type(folder: Path, write: Write) -> Path:
    path = gwy(folder)
    path.write_bytes(path.read_bytes().replace(b"xreal\0d", b"xreal\0z"))
    return path


@bad(r"scan.gwy: the unit of y is 'parsec'")
def a_field_in_parsecs(folder: Path, write: Write) -> Path:
    return gwy(folder, si_unit_xy=gwyfile.objects.GwySIUnit(unitstr="parsec"))


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


@bad(r"scan.npy: has 400 bytes, its header promises 512; it is incomplete")
def an_array_that_ends_too_early(folder: Path, write: Write) -> Path:
    path = npy(folder, IMAGE)
    path.write_bytes(path.read_bytes()[:400])
    return path


@bad(r"scan.npy: has 540 bytes, its header promises 512; it is incomplete or was changed")
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


@bad(r"scan.npy: channel signal holds <U4; numbers")
def an_array_of_words(folder: Path, write: Write) -> Path:
    return npy(folder, np.array([["wall", "site"]]))


@bad(r"scan.npy: channel signal holds (float128|longdouble|float96); numbers of at most 64 bit")
def an_array_of_long_doubles(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE.astype(np.longdouble))


@bad(r"scan.npy: signal has 0 items along frame")
def a_series_without_frames(folder: Path, write: Write) -> Path:
    return npy(folder, np.zeros((0, 6, 8)))


@bad(r"scan.json: the calibration is no JSON \(.*\); correct it")
def a_calibration_that_is_no_json(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE, '{"pixel_size": 2')


@bad(r"scan.json: the calibration is a list, not an object")
def a_calibration_that_is_a_list(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE, [2, 3])


@bad(r"scan.json: pixel_size is -2; it must be a number above 0")
def a_negative_pixel_size(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE, {"pixel_size": -2})


@bad(r"scan.json: field_of_view_x is '9 nm'; it must be a number above 0")
def a_field_of_view_that_is_a_word(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE, {"field_of_view_y": 9, "field_of_view_x": "9 nm"})


@bad(r"scan.json: frame_interval is 0; it must be a number above 0")
def frames_at_the_same_time(folder: Path, write: Write) -> Path:
    return npy(folder, SERIES, {"frame_interval": 0})


@bad(r"scan.npy: the unit of y is 'cubits', which is not known as a length")
def a_pixel_size_in_cubits(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE, {"pixel_size": 2, "pixel_size_units": "cubits"})


@bad(r"scan.json: dims is \['y', 'x', 'energy'\], the array has 2 axes")
def more_names_than_axes(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE, {"dims": ["y", "x", "energy"]})


@bad(r"scan.npy: channel signal has axes y, y; an image")
def the_same_name_for_both_axes(folder: Path, write: Write) -> Path:
    return npy(folder, IMAGE, {"dims": ["y", "y"]})


# ---- archives


def archive(folder: Path, **members: bytes | np.ndarray) -> Path:
    with zipfile.ZipFile(folder / "scan.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content if isinstance(content, bytes) else as_npy(content))
    return folder / "scan.npz"


def as_npy(values: np.ndarray) -> bytes:
    import io

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


@bad(r"scan.npz: member 'run.exe' is no array; use numpy.savez")
def a_member_that_is_no_array(folder: Path, write: Write) -> Path:
    return archive(folder, **{"height.npy": IMAGE, "run.exe": b"MZ"})


@bad(r"scan.npz: holds Python objects")
def a_member_with_pickled_objects(folder: Path, write: Write) -> Path:
    return archive(folder, **{"height.npy": np.array([[{}, 1]], dtype=object)})


@bad(r"scan.npz: height.npy has 500 bytes, its header promises 512; write the archive again")
def a_member_that_ends_too_early(folder: Path, write: Write) -> Path:
    return archive(folder, **{"height.npy": as_npy(IMAGE)[:500]})


@bad(r"scan.npz: member 'height' is there twice")
@pytest.mark.filterwarnings("ignore:Duplicate name")
def a_member_twice(folder: Path, write: Write) -> Path:
    path = archive(folder, **{"height.npy": IMAGE, "hEight.npy": IMAGE})
    path.write_bytes(path.read_bytes().replace(b"hEight.npy", b"height.npy"))
    return path


@bad(r"scan.npz: holds no channel with pixels; export the measured data with it")
def an_archive_without_images(folder: Path, write: Write) -> Path:
    return archive(folder, **{"x.npy": np.arange(5.0)})


@bad(r"scan.npz: (cannot be read|is not what)")
def an_archive_without_members(folder: Path, write: Write) -> Path:
    return archive(folder)


@bad(r"scan.npz: the calibration is no JSON")
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


@bad(r"scan.tif: is a colour picture; export the measured values, not its picture")
def a_colour_picture(folder: Path, write: Write) -> Path:
    tifffile.imwrite(folder / "scan.tif", np.ones((6, 8, 3), "u1"), photometric="rgb")
    return folder / "scan.tif"


@bad(r"scan.tif: has \d+ bytes and its pages go on beyond them; it is incomplete")
def a_stack_without_its_last_pages(folder: Path, write: Write) -> Path:
    values = np.random.default_rng(0).integers(0, 999, (5, 32, 32)).astype("u2")
    path = folder / "scan.tif"
    tifffile.imwrite(path, values, photometric="minisblack", compression="zlib", metadata=None)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return path


@bad(r"scan.tif: the size of a pixel along [xy] is 0 um; it must be positive")
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


@bad(r"scan.zarr: is unfinished; run the ingest that made it again")
def a_store_that_is_not_complete(folder: Path, write: Write) -> Path:
    return store_of(folder, xr.Dataset({"height": (("y", "x"), IMAGE)}, attrs={"complete": False}))


@bad(r".scan.zarr.0123.partial: is a store that is being written; give its finished one")
def a_store_under_its_hidden_name(folder: Path, write: Write) -> Path:
    path = store_of(folder, xr.Dataset({"height": (("y", "x"), IMAGE)}))
    return path.rename(folder / ".scan.zarr.0123.partial")


@bad(r"scan.zarr: no variable has image axes; found spectrum \(energy\); name the axes y and x")
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


@bad(r"scan.nc: no variable has image axes; found station \(n\)")
def a_netcdf_file_without_an_image(folder: Path, write: Write) -> Path:
    xr.Dataset({"station": ("n", ["a", "b"])}).to_netcdf(folder / "scan.nc", engine="h5netcdf")
    return folder / "scan.nc"


@bad(r"scan.nc: cannot be read")
def a_netcdf_file_that_ends_too_early(folder: Path, write: Write) -> Path:
    xr.Dataset({"height": (("y", "x"), IMAGE)}).to_netcdf(folder / "scan.nc", engine="scipy")
    data = (folder / "scan.nc").read_bytes()
    (folder / "scan.nc").write_bytes(data[: len(data) // 2])
    return folder / "scan.nc"


@bad(r"scan.nc: the unit of x is 'degrees_east', which is not known as a length")
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
    return npy(folder, np.full((3, 6, 8), 7))


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


@bad(r"grid.npy: has dims .* and no frames; only images make a series")
def a_series_of_grids_of_spectra(folder: Path, write: Write) -> list[Path]:
    path = npy(folder, np.ones((4, 5, 6)), {"dims": ["y", "x", "energy"]})
    for suffix in (".npy", ".json"):
        path.with_suffix(suffix).rename(folder / f"grid{suffix}")
    return [folder / "grid.npy", write("ibw", name="scan")]


@bad(r"no file was given; name at least one recording")
def no_file_at_all(folder: Path, write: Write) -> list[Path]:
    return []


def receipt() -> Receipt:
    return Receipt("ingest", "0123456789abcdef" * 4, "recording", (), {}, {}, "", 0, "")


def refused(sources: list[Path], folder: Path) -> str:
    """The one line with which an input is refused; nothing must have been made."""
    with pytest.raises(InvaeError) as caught:
        ingest(sources, folder / "out" / "recording.zarr", config=IngestConfig(), receipt=receipt())
    assert not (folder / "out").exists()
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    return line


def test_the_table_is_long() -> None:
    assert len(TABLE) >= 40


@pytest.mark.parametrize("row", TABLE)
def test_a_broken_input_is_refused_in_one_line(row: str, tmp_path: Path, write: Write) -> None:
    make, message = TABLE[row]
    made = make(tmp_path, write)
    line = refused(made if isinstance(made, list) else [made], tmp_path)
    assert re.search(message, line), line
    assert ";" in line or ":" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, write: Write) -> None:
    path = write("ibw", name="scan")
    path.chmod(0)
    assert "scan.ibw: cannot be read (Permission denied)" in refused([path], tmp_path)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_vanishes_after_opening_is_named(name: str, write: Write) -> None:
    path = write(name)
    recording = open_recording(path)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(InvaeError, match=f"{path.name}: cannot be read") as caught:
        next(iter(recording.data_vars.values())).load()
    assert len(str(caught.value).splitlines()) == 1


def complaint(path: Path) -> str:
    """The line with which a file is refused, when opened or when its pixels are read; empty if it is not."""
    try:
        open_recording(path).load()
    except InvaeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "zarr"])
@pytest.mark.parametrize("part", [0.02, 0.2, 0.5, 0.8, 0.95])
def test_a_file_that_ends_too_early_is_refused(name: str, part: float, write: Write) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (3, 40, 60)).astype("u1")
    channels = {"Height": noise[: 1 if name in ("ibw", "gwy") else 3]}
    path = write(name, channels)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    line = complaint(path)
    if not line:  # only labels and notes at the end of the file are missing
        recording = open_recording(path)
        np.testing.assert_array_equal(next(iter(recording.data_vars.values())), channels["Height"])
        return
    assert path.name in line
    assert len(line.splitlines()) == 1


# h5netcdf cannot clear away a file that it could not open, and says so
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "zarr"])
def test_no_damage_escapes_as_another_error(name: str, write: Write) -> None:
    path = write(name)
    whole = path.read_bytes()

    @settings(derandomize=True, max_examples=60, deadline=None, database=None)
    @given(
        changes=st.lists(
            st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=6
        ),
        length=st.just(len(whole)) | st.integers(1, len(whole)),
    )
    def damage(changes: list[tuple[int, int]], length: int) -> None:
        content = bytearray(whole)
        for place, value in changes:
            content[place] = value
        path.write_bytes(content[:length])
        assert len(complaint(path).splitlines()) <= 1

    damage()
