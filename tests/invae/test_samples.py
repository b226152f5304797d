"""Samples are what they were, from the network or from a folder."""

import hashlib
from pathlib import Path

import pytest

import invae
from invae.errors import InputError, StoreError
from invae.samples import SAMPLES, fetch

WITHOUT_NAMES: dict[str, tuple[str, ...]] = {
    "bepfm_test_data.npy": ("y", "x", "frequency"),
    "bepfm_test_data_sparse.npy": ("y", "x", "frequency"),
}
"""Axes of the samples that do not name them and have several readings."""


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_comes_from_a_folder_and_opens(
    name: str, shared_data: Path, tmp_path: Path
) -> None:
    path = fetch(name, to=tmp_path, source=shared_data)
    assert path.parent == tmp_path
    assert path.stat().st_size == SAMPLES[name].n_bytes
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SAMPLES[name].sha256
    assert invae.open_recording(path, names=WITHOUT_NAMES.get(name)).data_vars


def test_addresses_name_a_commit_and_licences_allow_use() -> None:
    for name, sample in SAMPLES.items():
        assert sample.address.startswith("https://raw.githubusercontent.com/")
        assert len(sample.address.split("/")[5]) >= 8
        assert sample.name == name
        assert sample.licence == "MIT"


def test_a_changed_copy_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "scan_0001.ibw").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"scan_0001.ibw in .*SHA-256") as refused:
        fetch("scan_0001.ibw", to=tmp_path / "to", source=tmp_path / "from")
    assert "\n" not in str(refused.value)
    assert not list((tmp_path / "to").iterdir())


def test_a_damaged_file_in_the_cache_is_replaced(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "scan_0001.ibw").write_bytes(b"half of it")
    path = fetch("scan_0001.ibw", to=tmp_path, source=shared_data)
    assert path.stat().st_size == SAMPLES["scan_0001.ibw"].n_bytes


@pytest.mark.parametrize(
    ("name", "to", "message"),
    [
        ("scan.ibw", "to", "no sample is called 'scan.ibw'; choose one of PZT_final0001.h5"),
        (
            "scan_0001.ibw",
            "to",
            "scan_0001.ibw: cannot be fetched from .*scan_0001.ibw is not in it",
        ),
        ("scan_0001.ibw", "file/below", "cannot be written"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(
    name: str, to: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "empty").mkdir()
    with pytest.raises((InputError, StoreError), match=message) as refused:
        fetch(name, to=tmp_path / to, source=tmp_path / "empty")
    assert "\n" not in str(refused.value)
