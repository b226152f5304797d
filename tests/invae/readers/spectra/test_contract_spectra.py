"""What every reader of spectra must return: labels, laziness, and one line on a damaged file."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from invae import dims
from invae.errors import InvaeError
from invae.readers import open_recording
from invae.readers.labels import canonical_units

KINDS = {dims.IMAGE, ("y", "x", "voltage")}


def test_dims_coordinates_and_units_are_those_of_the_contract(path: Path) -> None:
    recording = open_recording(path)
    assert {variable.dims for variable in recording.data_vars.values()} <= KINDS
    for name, variable in recording.data_vars.items():
        assert str(name).isidentifier()
        assert {"units", "long_name", "label", "quantity"} <= set(variable.attrs)
        assert canonical_units(variable.attrs["units"]) == variable.attrs["units"]
        assert variable.dtype.isnative
    for dim in ("y", "x"):
        assert recording[dim][0] == 0
        assert recording[dim].attrs["units"] == "nm"
        assert np.all(np.diff(recording[dim]) > 0)
    if "voltage" in recording.dims:
        assert recording["voltage"].attrs["units"] == "V"
    assert json.loads(json.dumps(recording.attrs, allow_nan=False)) == recording.attrs


def test_no_value_is_held_and_no_file_is_open(path: Path) -> None:
    recording = open_recording(path)
    assert not any(variable.variable._in_memory for variable in recording.data_vars.values())
    recording.load()
    links = [Path("/proc/self/fd") / number for number in os.listdir("/proc/self/fd")]
    assert str(path) not in [os.readlink(link) for link in links if link.is_symlink()]


def test_every_way_of_indexing_gives_the_values_of_the_whole(path: Path) -> None:
    for variable in open_recording(path).data_vars.values():
        whole, lazy = variable.values, variable.variable
        for key in (
            (0, 1, 2),
            (slice(None), slice(2, 0, -1), slice(None, None, 2)),
            (slice(0, 0), 0, slice(1, 3)),
            (-1, slice(-3, None), -2),
            (0, [2, 0, 1], slice(1, 3)),
        ):
            if whole.shape[0] == 1 and key[0] == -1:
                key = (0, *key[1:])
            np.testing.assert_array_equal(lazy[key].values, whole[key])


def test_it_travels_to_another_process(path: Path) -> None:
    recording = open_recording(path)
    xr.testing.assert_identical(pickle.loads(pickle.dumps(recording)).load(), recording.load())


def test_content_decides_not_the_extension(path: Path) -> None:
    expected = open_recording(path).attrs["format"]
    for suffix in (".dat", ".ibw", ""):
        other = path.with_name(f"other{suffix}")
        shutil.copy(path, other)
        assert open_recording(other).attrs["format"] == expected


def _complaint(path: Path) -> str:
    try:
        open_recording(path).load()
    except InvaeError as error:
        return str(error)
    return ""


def test_a_file_that_vanishes_after_opening_is_named(path: Path) -> None:
    recording = open_recording(path)
    path.unlink()
    with pytest.raises(InvaeError, match=f"{path.name}: cannot be read"):
        recording.load()


def test_no_damage_escapes_as_another_error(path: Path) -> None:
    whole = path.read_bytes()
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
        assert len(_complaint(path).splitlines()) <= 1

    damage()
