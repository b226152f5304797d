"""Files of very many pages or groups: the pages are found once, not for every block, and no group is opened."""

import os

import h5py
import numpy as np
import pytest

from benchmarks.standstills.large import SIDE, write_groups, write_pages
from invae.errors import InputError
from invae.readers import open_recording
from invae.readers.formats import hdf5, tiff

N_PAGES = 60


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Names of the TIFF files whose pages were looked for."""
    names: list[str] = []
    original = tiff.opened

    def counted(path):
        names.append(path.name)
        return original(path)

    monkeypatch.setattr(tiff, "opened", counted)
    return names


def test_the_pages_of_a_tiff_file_are_found_once_for_all_blocks(tmp_path, opened):
    signal = open_recording(write_pages(tmp_path / "many.tif", N_PAGES))["signal"]
    opened.clear()
    blocks = [signal[start : start + 10].values for start in range(0, N_PAGES, 10)]
    assert opened == ["many.tif"]
    expected = np.random.default_rng(0).integers(0, 4096, (N_PAGES, SIDE, SIDE), dtype="<u2")
    np.testing.assert_array_equal(np.concatenate(blocks), expected)


def test_they_are_found_anew_when_the_file_has_changed(tmp_path, opened):
    path = write_pages(tmp_path / "many.tif", N_PAGES)
    signal = open_recording(path)["signal"]
    first = signal[:10].values
    content = bytearray(path.read_bytes())
    content[-2:] = b"\xff\x00"
    path.write_bytes(content)
    opened.clear()
    np.testing.assert_array_equal(signal[:10].values, first)
    assert int(signal[-1, -1, -1]) == 255
    assert opened == ["many.tif"]


def test_no_file_stays_open(tmp_path):
    signal = open_recording(write_pages(tmp_path / "many.tif", N_PAGES))["signal"]
    before = len(os.listdir("/proc/self/fd"))
    for start in range(3):
        assert signal[start].values.shape == (SIDE, SIDE)
    assert len(os.listdir("/proc/self/fd")) == before


def test_datasets_are_listed_by_name_without_their_groups(tmp_path):
    with h5py.File(write_groups(tmp_path / "many.h5", 30)) as file:
        names = [dataset.name for dataset in hdf5.datasets(file)]
    assert names == [f"/measurement_{number:05d}/image" for number in range(30)]


def test_a_link_deep_among_many_groups_is_still_refused(tmp_path):
    path = write_groups(tmp_path / "many.h5", 30)
    with h5py.File(path, "a") as file:
        file["measurement_00020/other"] = h5py.ExternalLink("/etc/hostname", "/x")
    with (
        h5py.File(path) as file,
        pytest.raises(InputError, match="measurement_00020/other is a link to another file"),
    ):
        hdf5.refuse_outside(file, path)
