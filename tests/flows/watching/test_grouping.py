"""Which files of a folder make one recording, and which must not be opened."""

import os
from pathlib import Path

import numpy as np
import pytest

from flows.watching.grouping import arrivals
from invae.config import WatchConfig
from invae.config.named import checked
from invae.errors import ConfigError, InputError


@pytest.fixture
def found(box, watched):
    """Names of the recordings in the folder, with the names of their files."""

    def look(**changes: object) -> dict[str, list[str]]:
        here = arrivals(watched(**changes))
        return {one.name: [file.name for file in one.files] for one in here}

    return look


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"MQ1,")


def test_files_that_cannot_be_read_are_no_recordings(box, found):
    touch(box, "a.ibw", "b.txt", "c.npy.part", ".d.npy", ".hidden/e.npy")
    assert found() == {"a": ["a.ibw"]}


def test_only_wanted_suffixes_count(box, found):
    touch(box, "a.ibw", "b.npy")
    assert found(suffixes=[".IBW"]) == {"a": ["a.ibw"]}


def test_patterns_and_their_settings_are_one_recording(box, found):
    touch(box, "scan.mib", "scan.hdr")
    assert found() == {"scan": ["scan.mib", "scan.hdr"]}


def test_pixels_and_the_description_that_names_them_are_one_recording(box, found):
    touch(box, "acq.raw")
    (box / "told.xml").write_text('<root><raw_file filename="acq.raw"/></root>')
    assert found() == {"acq": ["acq.raw", "told.xml"]}


def test_the_parts_of_a_stream_are_one_recording(box, found):
    touch(box, "movie_000.tvips", "movie_001.tvips", "movie_002.tvips")
    files = ["movie_000.tvips", "movie_001.tvips", "movie_002.tvips"]
    assert found() == {"movie_000": files}


def test_a_calibration_beside_an_array_belongs_to_it(box, found):
    np.save(box / "a.npy", np.zeros(3))
    (box / "a.json").write_text("{}")
    assert found() == {"a": ["a.npy", "a.json"]}


def test_a_store_is_one_recording_whatever_is_in_it(box, found):
    touch(box, "scan.zarr/zarr.json", "scan.zarr/values/c/0.npy", "other/zarr.json")
    assert found() == {"scan": ["scan.zarr"], "other": ["other"]}


def test_numbered_files_are_series_by_the_rule(box, found):
    touch(box, "pzt_10.ibw", "pzt_9.ibw", "bto_1.ibw", "single.ibw")
    series = found(series=r"(?P<series>.+)_\d+\.ibw")
    assert series == {
        "bto": ["bto_1.ibw"],
        "pzt": ["pzt_9.ibw", "pzt_10.ibw"],
        "single": ["single.ibw"],
    }
    assert len(found()) == 4


def test_series_of_two_folders_stay_two(box, found):
    touch(box, "mon/pzt_1.ibw", "tue/pzt_1.ibw", "tue/pzt_2.ibw")
    series = found(series=r"(?P<series>.+)_\d+\.ibw")
    assert series == {"mon_pzt": ["pzt_1.ibw"], "tue_pzt": ["pzt_1.ibw", "pzt_2.ibw"]}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("(", r"watch\.series: .*regular expression"),
        (r".+_\d+\.ibw", r"watch\.series: .*needs a group \(\?P<series>…\)"),
    ],
)
def test_a_rule_that_is_none_is_named(rule, words):
    values = {"folder": "a", "out": "b", "series": rule}
    with pytest.raises(ConfigError, match=words):
        checked(WatchConfig, values, prefix="watch")


def test_folders_stand_in_the_names(box, found):
    touch(box, "2026-01-03/scan.ibw", "2026-01-04/scan.ibw")
    assert set(found()) == {"2026-01-03_scan", "2026-01-04_scan"}


def test_results_inside_the_watched_folder_are_no_recordings(box, found):
    touch(box, "a.ibw", "out/a/recording.zarr/zarr.json", "out/b.npy")
    assert found(out=str(box / "out")) == {"a": ["a.ibw"]}


def test_links_that_leave_the_folder_are_refused(box, tmp_path, watched):
    touch(tmp_path, "secret.npy")
    (tmp_path / "vault").mkdir()
    touch(tmp_path, "vault/other.npy")
    (box / "link.npy").symlink_to(tmp_path / "secret.npy")
    (box / "vault").symlink_to(tmp_path / "vault")
    touch(box, "scan.mib")
    (box / "scan.hdr").symlink_to(tmp_path / "secret.npy")
    (box / "store.zarr").mkdir()
    (box / "store.zarr" / "c").symlink_to(tmp_path / "secret.npy")
    here = arrivals(watched())
    assert [one.name for one in here] == ["link", "scan", "store"]
    assert all("is a link that leaves the" in one.fault for one in here)


def test_links_inside_the_folder_are_followed(box, watched):
    touch(box, "a.npy")
    (box / "b.npy").symlink_to(box / "a.npy")
    assert [one.fault for one in arrivals(watched())] == ["", ""]


def test_pipes_are_never_opened(box, watched):
    os.mkfifo(box / "pipe.npy")
    (one,) = arrivals(watched())
    assert "is a device or pipe" in one.fault


def test_names_that_are_no_text_are_refused_in_text(box, watched):
    (Path(os.fsdecode(os.fsencode(box) + b"/scan_\xff.npy"))).write_bytes(b"x")
    (one,) = arrivals(watched())
    assert r"scan_\udcff.npy: its name is not valid UTF-8" in one.fault
    assert one.name == "scan"


def test_names_are_data(box, found):
    touch(box, "<b>x</b>.npy", "a;rm -rf $HOME.npy", "..npy.npy", "-out.npy")
    assert all(name.strip("._") == name and "/" not in name for name in found())


def test_a_folder_that_is_none_is_named(tmp_path, watched):
    with pytest.raises(InputError, match=r"nowhere is not a folder; give the one"):
        arrivals(watched(folder=str(tmp_path / "nowhere")))
