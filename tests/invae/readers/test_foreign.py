"""What is not read is named by its maker, with what to do; TIFF pages that are no values are refused or mended."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from invae.errors import InputError, InvaeError
from invae.readers import open_recording

REST = bytes(600)


@pytest.mark.parametrize(
    ("name", "content", "maker"),
    [
        ("a.pfc", b"\\*Force file list\r\n", "Bruker NanoScope"),
        ("scan.001", b"?*File list\r\n", "Bruker NanoScope"),
        ("a.nid", b"[DataSet]\r\nVersion=2\r\n", "Nanosurf"),
        ("a.nhf", b"\x89HDF\r\n\x1a\n", "Nanosurf"),
        ("a.jpk-qi-data", b"PK\x03\x04", "JPK"),
        ("a.h5-jpk", b"\x89HDF\r\n\x1a\n", "JPK"),
        ("a.mdt", b"\x01\xb0\x93\xff", "NT-MDT"),
        ("a.stp", b"WSxM file copyright Nanotec\r\n", "WSxM"),
        ("a.Z_mtrx", b"ONTMATRX0101TLKB", "Omicron Matrix"),
        ("a.dat", b"[Paramet32]\r\n", "Createc"),
        ("a.sm4", b"\xaa\0S\0T\0i\0M\0a\0g\0e\0", "RHK"),
        ("a.emi", b"JK\x00\x02", "FEI TIA"),
        ("a.ndata", b"PK\x03\x04", "Nion Swift"),
        ("a.xlsx", b"PK\x03\x04", "a spreadsheet"),
        ("a.xls", b"\xd0\xcf\x11\xe0", "a spreadsheet"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "a picture"),
        ("a.dat", b"\xff\xd8\xff\xe0", "a picture"),
        ("a.pdf", b"%PDF-1.7", "a document"),
        ("a.zip", b"PK\x03\x04", "an archive"),
        ("a.pxp", b"\x00\x01", "Igor Pro"),
        ("a.csv", b"0.1,0.2\n0.3,0.4\n", "a table of text"),
        ("a.txt", b"# Channel: Phase\n0.1\t0.2\n", "a table of text"),
    ],
)
def test_the_maker_is_named_with_what_to_do(
    name: str, content: bytes, maker: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content + REST)
    with pytest.raises(InvaeError) as refused:
        open_recording(path)
    text = str(refused.value)
    assert f"is {maker}" in text or f"is a file of {maker}" in text
    assert any(word in text for word in ("save", "export", "give the files"))
    assert "\n" not in text


def test_an_unknown_file_is_still_unknown(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz1"
    path.write_bytes(b"\x07\x08\x09" + REST)
    with pytest.raises(InvaeError, match="no reader recognises this file"):
        open_recording(path)


IMAGE = np.arange(48, dtype=np.uint8).reshape(6, 8)


@pytest.mark.parametrize(("tag", "maker"), [(50434, "Park Systems"), (32848, "JPK")])
def test_pages_with_values_in_private_tags_are_refused(
    tag: int, maker: str, tmp_path: Path
) -> None:
    path = tmp_path / "scan.tiff"
    tifffile.imwrite(path, IMAGE, extratags=[(tag, "B", 64, bytes(64), True)])
    with pytest.raises(InputError, match=rf"is a scan of {maker}.*save it as \.gwy"):
        open_recording(path)


def test_a_palette_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    colours = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(path, IMAGE, photometric="palette", colormap=colours)
    with pytest.raises(InputError, match="picture in false colours"):
        open_recording(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_whose_0_is_white_is_inverted(dtype: type, tmp_path: Path) -> None:
    image = IMAGE.astype(dtype) * dtype(5)
    for name, photometric in (("white", "miniswhite"), ("black", "minisblack")):
        tifffile.imwrite(tmp_path / f"{name}.tif", image, photometric=photometric)
    black, white = (open_recording(tmp_path / f"{name}.tif") for name in ("black", "white"))
    np.testing.assert_array_equal(black["signal"][0], image)
    np.testing.assert_array_equal(white["signal"][0], np.iinfo(dtype).max - image)
    np.testing.assert_array_equal(
        white["signal"][0, 2:4, 1:7:2], (np.iinfo(dtype).max - image)[2:4, 1:7:2]
    )
    assert any("0 is white" in note for note in white.attrs["notes"])
    assert not any("white" in note for note in black.attrs["notes"])


def gsf(path: Path, header: str, values: np.ndarray) -> Path:
    head = b"Gwyddion Simple Field 1.0\n" + header.encode()
    path.write_bytes(head + bytes(4 - len(head) % 4) + values.astype("<f4").tobytes())
    return path


@pytest.mark.parametrize("title", ["Phase", "Phase1", "Phase12", "Phase123"])
def test_a_simple_field_is_read_whatever_its_padding(title: str, tmp_path: Path) -> None:
    header = f"XRes = 8\nYRes = 6\nXReal = 4e-08\nYReal = 1.5e-08\nXYUnits = m\nZUnits = deg\nTitle = {title}\n"
    recording = open_recording(gsf(tmp_path / "scan.gsf", header, IMAGE / 3))
    (name,) = recording.data_vars
    np.testing.assert_allclose(recording[name][0], IMAGE / 3, rtol=1e-6)
    assert recording[name].attrs["units"] == "degree"
    assert recording[name].attrs["label"] == title
    assert float(recording["x"][1]) == pytest.approx(5)
    assert float(recording["y"][1]) == pytest.approx(2.5)


def test_a_simple_field_without_sizes_is_in_pixels(tmp_path: Path) -> None:
    recording = open_recording(gsf(tmp_path / "scan.gsf", "XRes = 8\nYRes = 6\n", IMAGE))
    assert recording["x"].attrs["units"] == "pixel"
    assert list(recording.data_vars) == ["signal"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("XRes = 8\nYRes = 7\n", "7 × 8 pixels need"),
        ("XRes = 8\n", "no XRes and YRes"),
        ("XRes = many\nYRes = 6\n", "cannot be read"),
    ],
)
def test_a_damaged_simple_field_is_refused(header: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        open_recording(gsf(tmp_path / "scan.gsf", header, IMAGE))
