"""The page about adding a reader is true: its module and one row read a new format."""

import importlib
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import invae
from invae.errors import InputError, UnknownFormat
from invae.readers import all_readers, module_of, registry
from tests.docs.blocks import DOCS, python_blocks

(MODULE,) = python_blocks(DOCS / "adding-a-reader.md")
ROW = "invae.readers.formats.myscope:READER"
IMAGE = np.arange(48, dtype="<f4").reshape(6, 8)


@pytest.fixture
def row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module on the page in the folder of formats, and its row."""
    import invae.readers.formats as folder

    (tmp_path / "formats").mkdir()
    (tmp_path / "formats" / "myscope.py").write_text(MODULE)
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path / "formats")])
    monkeypatch.setattr(registry, "ROWS", (*registry.ROWS, ROW))
    importlib.invalidate_caches()
    yield
    sys.modules.pop("invae.readers.formats.myscope", None)
    registry._reader.cache_clear()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An image of 6 × 8 pixels of 2.5 nm."""
    header = struct.pack("<8sIId16s", b"MYSCOPE1", 6, 8, 2.5e-9, b"nm")
    (tmp_path / "scan.mys").write_bytes(header + IMAGE.tobytes())
    return tmp_path / "scan.mys"


def test_without_its_row_the_format_is_unknown(path):
    with pytest.raises(UnknownFormat, match=r"scan\.mys"):
        invae.open_recording(path)


@pytest.mark.usefixtures("row")
def test_one_file_and_one_row_read_a_new_format(path):
    recording = invae.open_recording(path)
    assert recording["height"].dims == ("frame", "y", "x")
    np.testing.assert_array_equal(recording["height"][0], IMAGE)
    np.testing.assert_allclose(recording["x"], 2.5 * np.arange(8))
    assert recording["height"].attrs["units"] == recording["x"].attrs["units"] == "nm"
    assert recording.attrs["format"] == "myscope"
    assert module_of(path) == "invae.readers.formats.myscope"
    assert "images of MyScope" in {reader.description for reader in all_readers()}


@pytest.mark.usefixtures("row")
def test_a_truncated_file_is_refused_in_one_line(path):
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"scan\.mys: has 212 bytes, .*232") as refused:
        invae.open_recording(path)
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("row")
def test_a_file_with_half_a_header_is_refused_in_one_line(path):
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(InputError, match=r"scan\.mys: cannot be read .*requires a buffer"):
        invae.open_recording(path)
