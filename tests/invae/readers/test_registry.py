"""The table of formats: every row names a reader, and what readers share imports no format."""

import ast
import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

import pytest

import invae.readers
from invae.errors import InputError, UnknownFormat
from invae.readers import all_readers, open_recording
from invae.readers.raw import Reader
from invae.readers.registry import (
    MICROSCOPES,
    PROBES,
    ROWS,
    SPECTROSCOPES,
    module_of,
    readers_of,
)

OTHERS = (*MICROSCOPES, *SPECTROSCOPES, *PROBES)
"""Formats with tests of their own."""
WRITTEN = [reader.name for reader in all_readers() if reader not in readers_of(OTHERS)]
ROOM = Path(invae.readers.__file__).parent


def test_every_row_names_a_reader_of_a_module_and_a_name_of_its_own() -> None:
    readers = [pkgutil.resolve_name(row) for row in ROWS]
    assert all(isinstance(reader, Reader) for reader in readers)
    assert len({reader.name for reader in readers}) == len(readers)


def test_every_reader_of_a_format_has_a_row() -> None:
    modules = [
        importlib.import_module(f"invae.readers.formats.{module.name}")
        for module in pkgutil.iter_modules([str(ROOM / "formats")])
    ]
    readers = {
        reader.name
        for module in modules
        for reader in vars(module).values()
        if isinstance(reader, Reader)
    }
    assert readers == {reader.name for reader in all_readers()}


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.name)
def test_what_readers_share_imports_no_format(path: Path) -> None:
    modules = {
        node.module
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert not {name for name in modules if name.startswith("invae.readers.formats")}


@pytest.mark.parametrize("name", WRITTEN)
def test_the_module_of_a_file_is_that_of_the_reader_that_opens_it(
    name: str, write: Callable[..., Path]
) -> None:
    path = write(name)
    chosen = pkgutil.resolve_name(
        next(row for row in ROWS if pkgutil.resolve_name(row).name == name)
    )
    assert open_recording(path).attrs["format"] == chosen.name
    assert module_of(path) == module_of(path, format_name=name)
    assert chosen in vars(importlib.import_module(module_of(path))).values()


def test_a_file_that_no_reader_knows_has_no_module(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("not a recording")
    with pytest.raises(UnknownFormat, match=r"note\.txt"):
        module_of(path)
    with pytest.raises(InputError, match=r"missing\.npy"):
        module_of(tmp_path / "missing.npy")


@pytest.mark.parametrize(("suffix", "format_words"), [(".tiff", "TIFF"), (".zarr", "Zarr stores")])
def test_what_an_extension_suggests_is_the_general_format_not_a_special_case(
    suffix: str, format_words: str, tmp_path: Path
) -> None:
    path = tmp_path / f"scan{suffix}"
    path.write_bytes(b"\x07\x08\x09 none of them")
    with pytest.raises(InputError, match=rf"is not {format_words}.* as {suffix} suggests"):
        open_recording(path)
