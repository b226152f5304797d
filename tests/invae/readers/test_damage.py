"""Damage anywhere in a file: found when it is opened or read, and told in one line."""

import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from invae.errors import InputError, InvaeError
from invae.readers import all_readers, open_recording
from invae.readers.raw import Pixels, Reader
from invae.readers.registry import MICROSCOPES, PROBES, SPECTROSCOPES, readers_of

Write = Callable[..., Path]
Refused = Callable[[list[Path]], str]
OTHERS = (*MICROSCOPES, *SPECTROSCOPES, *PROBES)
"""Formats with tests of their own."""
FORMATS = [reader.name for reader in all_readers() if reader not in readers_of(OTHERS)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(write: Write, refused: Refused) -> None:
    path = write("ibw", name="scan")
    path.chmod(0)
    assert "scan.ibw: cannot be read (Permission denied)" in refused([path])


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
    # one changed byte in some thousands lets the HDF5 library itself end the process
    most = 0 if whole.startswith(b"\x89HDF") else 6
    change = st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255))

    @settings(derandomize=True, max_examples=60, deadline=None, database=None)
    @given(
        changes=st.lists(change, max_size=most),
        length=st.just(len(whole)) | st.integers(1, len(whole)),
    )
    def damage(changes: list[tuple[int, int]], length: int) -> None:
        content = bytearray(whole)
        for place, value in changes:
            content[place] = value
        path.write_bytes(content[:length])
        assert len(complaint(path).splitlines()) <= 1

    damage()


@pytest.mark.parametrize("version", [2, 3])
def test_absent_chunks_of_a_foreign_store_are_counted_in_a_note(tmp_path, version):
    """Zarr reads them as zeros: chunks that a writer left out as empty and chunks that were lost look alike."""
    path = tmp_path / "scan.zarr"
    values = np.random.default_rng(0).integers(1, 9, size=(4, 16, 16)).astype(np.uint16)
    image = xr.Dataset({"signal": (("frame", "y", "x"), values)})
    image.to_zarr(
        path,
        encoding={"signal": {"chunks": (1, 16, 8)}},
        consolidated=False,
        zarr_format=version,
    )
    assert not any("absent" in note for note in open_recording(path).attrs.get("notes", []))
    for chunk in ("1/0/0", "3/0/1"):
        place = f"c/{chunk}" if version == 3 else chunk.replace("/", ".")
        (path / "signal" / place).unlink()
    (note,) = [n for n in open_recording(path).attrs["notes"] if "absent" in n]
    assert note.startswith("signal: 2 of 8 chunks are absent and read as 0")


@pytest.mark.parametrize(
    "error",
    [
        UnboundLocalError("cannot access local variable 'data'"),
        RecursionError("maximum recursion depth exceeded"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        FloatingPointError("overflow"),
        zlib.error("incorrect header check"),
        struct.error("unpack requires a buffer"),
        StopIteration("no more fields"),
        SystemError("__exit__ returned a result with an exception set"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_library_makes_of_a_damaged_file_is_one_line(
    error: Exception, tmp_path: Path
) -> None:
    def fail(*_: object) -> NoReturn:
        raise error

    broken = Reader("any", (".any",), "any", lambda path, head: True, fail, ())
    with pytest.raises(InputError, match=r"scan\.any: cannot be read") as refused:
        broken.open(tmp_path / "scan.any")
    assert refused.value.__cause__ is error
    pixels = Pixels(tmp_path / "scan.any", (1,), np.dtype(float), fail, ())
    with pytest.raises(InputError, match=r"scan\.any: cannot be read"):
        pixels.load((slice(0, 1),))
