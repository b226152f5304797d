"""Broken files of instruments, and what is no file: refused in one line, and nothing is left behind."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import gwyfile.objects
import h5py
import numpy as np
import pytest

from tests.invae.readers.broken_inputs import broken_inputs
from tests.invae.readers.conftest import change_wave

Write = Callable[..., Path]
Refused = Callable[[list[Path]], str]

IMAGE = np.arange(48.0).reshape(6, 8)
TABLE, bad = broken_inputs()


# ---- files that are none


@bad(r"nothing.ibw: does not exist; check the name")
def a_missing_file(folder: Path, write: Write) -> Path:
    return folder / "nothing.ibw"


@bad(r"empty.npz: is empty \(0 bytes\); wait until it is written")
def an_empty_file(folder: Path, write: Write) -> Path:
    (folder / "empty.npz").touch()
    return folder / "empty.npz"


@bad(r"scans.ibw: .*folder.*give the recordings in it")
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


@bad(r"letter.doc: .*b'Dear Sir'.* mib, blo")
def a_letter(folder: Path, write: Write) -> Path:
    (folder / "letter.doc").write_text("Dear Sirs, please find enclosed")
    return folder / "letter.doc"


@bad(r"scan.ibw: is not Asylum.*\.ibw.*'Dear Sir'; it is damaged, or has the wrong")
def a_letter_called_ibw(folder: Path, write: Write) -> Path:
    (folder / "scan.ibw").write_text("Dear Sirs, please find enclosed")
    return folder / "scan.ibw"


@bad(r"scan.tif: is a picture, which is not read; a picture has no measured values")
def a_png_called_tif(folder: Path, write: Write) -> Path:
    (folder / "scan.tif").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return folder / "scan.tif"


@bad(r"scan.zarr: is not Zarr.*\.zarr suggests")
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
    dataset = file[f"{name}/data"]
    assert isinstance(dataset, h5py.Dataset)
    scale = file.create_dataset(f"{name}/x", data=positions)
    scale.attrs["units"] = units
    scale.make_scale("x")
    dataset.dims[1].attach_scale(scale)


@bad(r"scan.h5: holds no array of two or more axes")
def hdf5_without_a_dataset(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: file.create_group("Measurement_000"))


@bad(r"scan.h5: holds several arrays; set ingest.dataset to one of /image .*, /other ")
def hdf5_with_several_arrays(folder: Path, write: Write) -> Path:
    def fill(file: h5py.File) -> None:
        file["image"], file["other"] = IMAGE, IMAGE

    return h5(folder, fill)


@bad(r"scan.h5: axis 1 of /height/data is called 'x'; give every axis a name of its own")
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


@bad(r"scan.h5: channel height holds object; .*64 bit")
def words_instead_of_values(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: main(file, values=[["a", "b"], ["c", "d"]]))


@bad(r"scan.h5: height has 0 items along y")
def an_image_without_lines(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: main(file, values=np.empty((0, 8))))


@bad(r"scan.h5: channel height has axes x;")
def a_single_line(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: main(file, values=np.arange(8.0), axes="x"))


@bad(r"scan.h5: x has 7 finite positions for 8 pixels")
def positions_that_are_too_few(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: scaled(file, np.arange(7) * 1e-9))


@bad(r"scan.h5: x has 8 finite positions")
def positions_that_are_not_finite(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: scaled(file, np.full(8, np.nan)))


@bad(r"scan.h5: the pixel size along x is 0 m, .*ingest.pixel_size")
def a_pixel_of_size_zero(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: scaled(file, np.zeros(8)))


@bad(r"scan.h5: pixels along x are 1e-09 to 5e-09 m apart; resample them")
def pixels_of_several_sizes(folder: Path, write: Write) -> Path:
    positions = np.array([0, 1, 2, 3, 4, 5, 6, 11]) * 1e-9
    return h5(folder, lambda file: scaled(file, positions))


@bad(r"scan.h5: the unit of x is 'furlong', .*length; set ingest.pixel_size")
def a_length_in_furlongs(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: scaled(file, np.arange(8.0), "furlong"))


@bad(r"scan.h5: the unit of x is 'V', .*length")
def a_length_in_volts(folder: Path, write: Write) -> Path:
    return h5(folder, lambda file: scaled(file, np.arange(8.0), "V"))


@bad(r"scan.h5: /phase/data ends at 1.4e-08 along x, the first channel at 7e-09")
def channels_of_two_areas(folder: Path, write: Write) -> Path:
    def fill(file: h5py.File) -> None:
        scaled(file, np.arange(8) * 1e-9)
        scaled(file, np.arange(8) * 2e-9, name="phase")

    return h5(folder, fill)


@bad(r"scan.h5: /height/data .*another file, which is refused")
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
    return change_wave(write("ibw", name="scan"), *changes, keep=keep)


@bad(r"scan.ibw: is not Asylum.*\.ibw suggests")
def a_wave_with_half_a_header(folder: Path, write: Write) -> Path:
    path = write("ibw", name="scan")
    path.write_bytes(path.read_bytes()[:200])
    return path


@bad(r"scan.ibw: has 500 bytes, .*1099; it is incomplete: copy it again")
def a_wave_that_ends_too_early(folder: Path, write: Write) -> Path:
    return ibw(write, keep=500)


@bad(r"scan.ibw: is not Asylum.*\.ibw suggests")
def a_wave_with_a_changed_header(folder: Path, write: Write) -> Path:
    path = write("ibw", name="scan")
    data = bytearray(path.read_bytes())
    data[133] ^= 1
    path.write_bytes(data)
    return path


@bad(r"scan.ibw: the wave is complex")
def a_complex_wave(folder: Path, write: Write) -> Path:
    return write("ibw", {"Height": IMAGE[np.newaxis].astype("c8")}, name="scan")


@bad(r"scan.ibw: cannot be read \(\(560, 140, 8, dtype\('<f8'\)\)\); it is damaged")
def a_wave_of_another_type_than_its_size(folder: Path, write: Write) -> Path:
    return ibw(write, (80, b"\x04\0"))


@bad(r"scan.ibw: its header declares 880 bytes of pixels and \d{10} of notes and labels, which no")
def a_wave_with_a_note_of_two_gigabytes(folder: Path, write: Write) -> Path:
    return ibw(write, (12, (2**31 - 1).to_bytes(4, "little")))


@bad(r"scan.ibw: its header declares -1 bytes of pixels")
def a_wave_with_less_than_no_pixels(folder: Path, write: Write) -> Path:
    return ibw(write, (4, b"\xff\xff\xff\xff"))


@bad(r"scan.ibw: the wave holds text")
def a_wave_of_text(folder: Path, write: Write) -> Path:
    return ibw(write, (80, b"\0\0"))


@bad(r"scan.ibw: the wave holds text")
def a_wave_with_the_places_of_its_words(folder: Path, write: Write) -> Path:
    return ibw(write, (80, b"\0\0"), (52, b"\x08\0\0\0"))


@bad(r"scan.ibw: the wave has shape \(10,\), .* \(force curves are not read\)")
def a_force_curve(folder: Path, write: Write) -> Path:
    return ibw(write, (136, bytes(8)))


@bad(r"scan.ibw: the wave has shape \(-10, 7, 2\)")
def a_wave_with_a_negative_length(folder: Path, write: Write) -> Path:
    return ibw(write, (132, (-10).to_bytes(4, "little", signed=True)))


@bad(r"scan.ibw: the pixel size along [xy] is 0 m, ")
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


@bad(r"scan.gwy: cannot be read \(\d+ bytes are needed, \d+ are available\)")
def a_gwyddion_file_that_ends_too_early(folder: Path, write: Write) -> Path:
    path = gwy(folder)
    path.write_bytes(path.read_bytes()[:-100])
    return path


@bad(r"scan.gwy: channel 0 should have 6 × 9 pixels, but holds 48 values; save it again")
def a_field_with_too_few_values(folder: Path, write: Write) -> Path:
    return gwy(folder, xres=9)


@bad(r"scan.gwy: channel 0 should have -6 × 8 pixels")
def a_field_with_a_negative_size(folder: Path, write: Write) -> Path:
    return gwy(folder, yres=-6)


@bad(r"scan.gwy: the pixel size along x is (-0|0) m, ")
def a_field_of_width_zero(folder: Path, write: Write) -> Path:
    return gwy(folder, xreal=0.0)


@bad(r"scan.gwy: holds no image; volume data and graphs are not read")
def a_gwyddion_file_without_an_image(folder: Path, write: Write) -> Path:
    tree = gwyfile.objects.GwyContainer()
    tree["/filename"] = "scan.gwy"
    tree.tofile(str(folder / "scan.gwy"))
    return folder / "scan.gwy"


@bad(r"scan.gwy: cannot be read \(maximum recursion depth exceeded.*\)")
def objects_without_end(folder: Path, write: Write) -> Path:
    content = b""
    for _ in range(1000):
        content = b"a\0oGwyContainer\0" + len(content).to_bytes(4, "little") + content
    return gwy_of(folder, content)


@bad(r"scan.gwy: cannot be read \(NotImplementedError\); it is damaged")
def a_component_of_unknown_type(folder: Path, write: Write) -> Path:
    path = gwy(folder)
    path.write_bytes(path.read_bytes().replace(b"xreal\0d", b"xreal\0z"))
    return path


def gwy_of(folder: Path, content: bytes) -> Path:
    """A file with these bytes as its components."""
    head = b"GWYPGwyContainer\0" + len(content).to_bytes(4, "little")
    (folder / "scan.gwy").write_bytes(head + content)
    return folder / "scan.gwy"


@bad(r"scan.gwy: cannot be read \(a text has no end\)")
def a_text_without_end(folder: Path, write: Write) -> Path:
    return gwy_of(folder, b"a\0sabc")


@bad(r"scan.gwy: cannot be read \(subsection not found\)")
def a_single_byte_in_place_of_components(folder: Path, write: Write) -> Path:
    return gwy_of(folder, b"s")


@bad(r"scan.gwy: cannot be read \(a text has no end\)")
def a_list_of_four_billion_texts(folder: Path, write: Write) -> Path:
    return gwy_of(folder, b"a\0S\xff\xff\xff\xffabc\0")


@bad(r"scan.gwy: the unit of y is 'parsec'")
def a_field_in_parsecs(folder: Path, write: Write) -> Path:
    return gwy(folder, si_unit_xy=gwyfile.objects.GwySIUnit(unitstr="parsec"))


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
