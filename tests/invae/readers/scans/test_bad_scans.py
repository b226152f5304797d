"""Broken scans: cut short, without their companions, not what their headers say; refused in one line with the remedy."""

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from invae.config import IngestConfig
from invae.errors import InputError, InvaeError
from invae.readers import Scan, files_of, open_recording
from invae.readers.formats.raw_frames import Frames
from invae.readers.ingest import ingest
from invae.readers.raw import Key
from tests.invae.readers.broken_inputs import broken_inputs

WriteScan = Callable[..., Path]
TABLE, bad = broken_inputs()
UNTOLD = ("tvips", "mrc")
"""Formats that do not hold the shape of the scan."""


def cut(path: Path, n_bytes: int) -> Path:
    """The file without its last bytes."""
    path.write_bytes(path.read_bytes()[:-n_bytes])
    return path


def changed(path: Path, place: int, new: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[place : place + len(new)] = new
    path.write_bytes(bytes(data))
    return path


# ---- Merlin


@bad(r"scan.mib: has 3042 bytes: 5 frames of 512 bytes and 482 more; it is incomplete")
def a_mib_that_ends_in_a_frame(write: WriteScan) -> Path:
    return cut(write("mib"), 30)


@bad(r"scan.mib: has 5 frames, but scan.hdr declares 6; it is incomplete .*set ingest.scan_shape")
def a_mib_without_its_last_frame(write: WriteScan) -> Path:
    return cut(write("mib"), 512)


@bad(
    r"scan.mib: has 6 frames, but scan.hdr declares 4; use the .hdr of this file.*ingest.scan_shape"
)
def a_mib_with_the_settings_of_another(write: WriteScan) -> Path:
    path = write("mib")
    settings = path.with_suffix(".hdr")
    settings.write_text(settings.read_text().replace("(Number):\t6", "(Number):\t4"))
    return path


@bad(r"scan.mib: holds 6 patterns, .*\(scan.hdr is missing.*set ingest.scan_shape to rows and columns, such as 2 × 3")  # fmt: skip
def a_mib_without_its_hdr(write: WriteScan) -> Path:
    path = write("mib")
    path.with_suffix(".hdr").unlink()
    return path


@bad(r"scan.mib: has 384 bytes, but one frame needs 512; wait until it is written")
def a_mib_of_no_frame(write: WriteScan) -> Path:
    return cut(write("mib"), 3072 - 384)


@bad(r"scan.mib: its frames are stored as R64; .*U08, U16 or U32")
def a_mib_of_raw_data(write: WriteScan) -> Path:
    return changed(write("mib"), 30, b"R64")


@bad(r"scan.mib: its header declares frames of 0 × 8 pixels")
def a_mib_without_rows(write: WriteScan) -> Path:
    return changed(write("mib"), 25, b"0000")


# ---- block files, TVIPS, EMPAD


@bad(r"scan.blo: has 4322 bytes, but its header \(2 × 3\) requires 4354; it is incomplete or still")
def a_block_file_that_ends_too_early(write: WriteScan) -> Path:
    return cut(write("blo"), 32)


@bad(r"scan.blo: its header declares 2 × 0 × 6 frames, .*record again")
def a_block_file_without_columns(write: WriteScan) -> Path:
    return changed(write("blo"), 24, b"\0\0")


@bad(r"scan.blo: has 20 bytes, fewer than its header; copy it again")
def a_block_file_of_half_a_header(write: WriteScan) -> Path:
    path = write("blo")
    return cut(path, path.stat().st_size - 20)


@bad(r"scan_000.tvips: has 802 bytes: 2 frames of 192 bytes and 162 more; it is incomplete")
def a_stream_that_ends_in_a_frame(write: WriteScan) -> Path:
    return cut(write("tvips"), 30)


@bad(r"scan_000.tvips: part scan_001.tvips of the stream is missing, ")
def a_stream_without_its_second_part(write: WriteScan) -> Path:
    path = write("tvips", parts=3)
    path.with_name("scan_001.tvips").unlink()
    return path


@bad(r"scan_001.tvips: is part 001 of a stream; give the first, scan_000.tvips")
def the_second_part_of_a_stream(write: WriteScan) -> Path:
    return write("tvips").replace(write("tvips").with_name("scan_001.tvips"))


@bad(r"stream.tvips: .*NAME_000.tvips")
def a_stream_of_another_name(write: WriteScan) -> Path:
    path = write("tvips", parts=1)
    return path.rename(path.with_name("stream.tvips"))


@bad(r"scan.raw: no .xml in its folder describes it; copy the .xml")
def an_empad_without_its_xml(write: WriteScan) -> Path:
    path = write("empad")
    path.with_name("acquisition.xml").unlink()
    return path


@bad(r"acquisition.xml: its pixels scan.raw are missing; copy them")
def an_empad_without_its_raw(write: WriteScan) -> Path:
    path = write("empad")
    path.unlink()
    return path.with_name("acquisition.xml")


@bad(r"acquisition.xml: names '../scan.raw' as its pixels")
def an_xml_that_points_elsewhere(write: WriteScan) -> Path:
    path = write("empad").with_name("acquisition.xml")
    path.write_text(path.read_text().replace("scan.raw", "../scan.raw"))
    return path


@bad(
    r"scan.raw: has 399260 bytes, but acquisition.xml \(6 patterns\) requires 399360; it is incomplete"
)
def an_empad_that_ends_too_early(write: WriteScan) -> Path:
    return cut(write("empad"), 100)


@bad(r"scan.raw: has 399360 bytes, but acquisition.xml \(4 patterns\) requires 266240; ")
def an_empad_with_the_xml_of_another(write: WriteScan) -> Path:
    path = write("empad")
    other = path.with_name("acquisition.xml")
    other.write_text(other.read_text().replace("<pix_x>3", "<pix_x>2"))
    return path


# ---- stacks and stores


@bad(
    r"scan.mrc: has 1762 bytes, but its header \(6 × 8 × 8\) requires 1792; it is incomplete or still"
)
def a_stack_that_ends_too_early(write: WriteScan) -> Path:
    return cut(write("mrc"), 30)


@bad(r"scan.mrc: its header declares 0 × 8 × 8 pixels of mode 6, which cannot be read")
def a_stack_without_frames(write: WriteScan) -> Path:
    return changed(write("mrc"), 8, bytes(4))


@bad(r"scan.mrc: its header declares 6 × 8 × 8 pixels of mode 4, which cannot be read")
def a_stack_of_complex_numbers(write: WriteScan) -> Path:
    return changed(write("mrc"), 12, b"\x04")


@bad(r"scan.app5: pattern 2 of 5 is missing; export the scan again when it is finished")
def an_export_that_lacks_a_pattern(write: WriteScan) -> Path:
    path = write("app5")
    with h5py.File(path, "a") as file:
        del file["a0dba950-15bf-4a74-a81c-9cea8560c2c8/2"]
    return path


@bad(r"scan.emd: holds no pattern; record again")
def a_datacube_without_rows(write: WriteScan) -> Path:
    path = write("emd")
    with h5py.File(path, "a") as file:
        group = file["datacube_root/datacube"]
        assert isinstance(group, h5py.Group)
        del group["data"]
        group["data"] = np.empty((0, 3, 8, 8), "u2")
    return path


@bad(r"scan.emd: holds no EMD group with patterns, images or spectra; save the datacube in it")
def an_emd_of_points(write: WriteScan) -> Path:
    path = write("emd")
    with h5py.File(path, "a") as file:
        group = file["datacube_root/datacube"]
        assert isinstance(group, h5py.Group)
        del group["data"]
        group["data"] = np.arange(7.0)
    return path


@bad(r"scan.emd: /datacube_root/datacube/data .*another file, which is refused")
def a_datacube_in_another_file(write: WriteScan) -> Path:
    path = write("emd")
    with h5py.File(path, "a") as file:
        group = file["datacube_root/datacube"]
        assert isinstance(group, h5py.Group)
        del group["data"]
        group.create_dataset("data", (2, 3, 8, 8), "u2", external=[("/etc/hostname", 0, 768)])
    return path


@bad(r"scan.hspy: /Experiments/a scan does not describe axis 2; save it again")
def a_signal_without_an_axis(write: WriteScan) -> Path:
    path = write("hspy")
    with h5py.File(path, "a") as file:
        del file["Experiments/a scan/axis-2"]
    return path


@pytest.mark.parametrize("name", TABLE)
def test_a_broken_scan_is_refused_in_one_line(
    name: str, write_scan: WriteScan, refused: Callable[[list[Path]], str]
) -> None:
    make, message = TABLE[name]
    path = make(write_scan)
    assert isinstance(path, Path)
    line = refused([path])
    assert re.search(message, line), line


@pytest.mark.parametrize(
    "name", ["mib", "blo", "tvips", "empad", "mrc", "hspy", "emd", "fpd", "app5", "dm4", "npy"]
)
@pytest.mark.parametrize("part", [0.01, 0.3, 0.6, 0.97])
def test_a_scan_that_ends_anywhere_is_refused(
    name: str, part: float, write_scan: WriteScan
) -> None:
    path = write_scan(name)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(InvaeError) as caught:
        open_recording(path, scan=Scan((2, 3) if name in UNTOLD else None)).load()
    assert path.name in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["mib", "hspy", "emd", "fpd", "mrc", "app5"])
def test_a_shape_that_does_not_fit_is_named_with_those_that_do(
    name: str, write_scan: WriteScan
) -> None:
    with pytest.raises(
        InvaeError,
        match=r"scan_shape 4 × 4 has 16 positions, but the file holds 6 patterns; use 2 × 3, 3 × 2",
    ):
        open_recording(write_scan(name), scan=Scan((4, 4)))


def test_a_mib_without_its_hdr_is_read_when_the_shape_is_told(write_scan: WriteScan) -> None:
    path = write_scan("mib")
    path.with_suffix(".hdr").unlink()
    recording = open_recording(path, scan=Scan((2, 3)))
    assert recording.sizes["scan_x"] == 3
    assert any("scan.hdr" in note and "missing" in note for note in recording.attrs["notes"])


def test_a_scan_that_grows_while_it_is_read_is_refused(
    write_scan: WriteScan, tmp_path: Path, receipt_for: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = write_scan("mib")
    pixels = Frames.pixels

    def growing(frames: Frames, path: Path, errors: tuple[type[Exception], ...]) -> object:
        made = pixels(frames, path, errors)
        read = made.read

        def read_and_grow(key: Key) -> np.ndarray:
            with path.with_suffix(".hdr").open("a") as file:
                file.write("Note:\tlate\n")
            return read(key)

        return type(made)(made.path, made.shape, made.dtype, read_and_grow, made.errors)

    monkeypatch.setattr(Frames, "pixels", growing)
    target = tmp_path / "out" / "recording.zarr"
    with pytest.raises(InputError, match=r"scan.hdr: changed while it was read .* wait until"):
        ingest([path], target, config=IngestConfig(), receipt=receipt_for(path))  # type: ignore[arg-type]
    assert not target.exists()


def test_links_beside_a_recording_are_not_followed_blindly(write_scan: WriteScan) -> None:
    path = write_scan("mib")
    path.with_suffix(".hdr").unlink()
    path.with_suffix(".hdr").symlink_to(path.with_name("gone.hdr"))
    assert files_of(path) == (path,)
