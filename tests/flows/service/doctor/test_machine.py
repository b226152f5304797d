"""Checks of libraries, disk and stores."""

import json
from pathlib import Path

import numpy as np
import pytest

from flows.service.doctor import machine
from flows.service.doctor.check import Check
from flows.service.doctor.machine import check_gpu, check_room, check_writable, nearest
from flows.service.doctor.stores import check_leftovers, check_shards
from flows.service.doctor.versions import check_pins, requirements
from invae.storage import store

PYPROJECT = """
[project]
dependencies = [{needed}]
[project.optional-dependencies]
extra = [{extra}]
"""


def only(checks: list[Check]) -> Check:
    assert len(checks) == 1, checks
    return checks[0]


def pins(tmp_path: Path, *, needed: str = '"pydantic"', extra: str = "") -> list[Check]:
    path = tmp_path / "pyproject.toml"
    path.write_text(PYPROJECT.format(needed=needed, extra=extra))
    return check_pins(path)


def test_the_installed_libraries_are_within_their_ranges():
    assert only(check_pins()).verdict == "ok"


def test_the_installed_package_requires_the_libraries_of_its_project_file(tmp_path):
    """A wheel comes without the project file."""
    assert {r.name for r in requirements(tmp_path / "none")[0]} >= {"prefect", "fastapi", "torch"}


def test_a_library_outside_its_range_is_named_with_the_command_to_install_it(tmp_path):
    check = only(pins(tmp_path, needed='"pydantic<2"'))
    assert check.verdict == "fail"
    assert "pydantic 2" in check.found
    assert "outside <2" in check.found
    assert check.remedy == "pip install 'pydantic<2'"


def test_a_missing_library_is_named(tmp_path):
    check = only(pins(tmp_path, needed='"no-such-library>=1"'))
    assert (check.verdict, check.found) == ("fail", "no-such-library is not installed")


def test_an_extra_may_be_missing_but_not_outside_its_range(tmp_path):
    assert only(pins(tmp_path, extra='"no-such-library"')).verdict == "ok"
    assert only(pins(tmp_path, extra='"pytest<1"')).verdict == "warn"


@pytest.mark.parametrize(
    ("least", "little", "verdict"),
    [(0.0, 0.0, "ok"), (0.0, 1e9, "warn"), (1e9, 1e9, "fail")],
)
def test_little_disk_space_is_a_warning_and_none_a_failure(
    least, little, verdict, tmp_path, monkeypatch
):
    monkeypatch.setattr(machine, "LEAST_FREE", least)
    monkeypatch.setattr(machine, "LITTLE_FREE", little)
    check = only(check_room(tmp_path, tmp_path / "not made yet"))
    assert check.verdict == verdict
    assert "GB free" in check.found


def test_a_missing_folder_is_checked_by_its_parent(tmp_path):
    assert nearest(tmp_path / "a" / "b") == tmp_path
    check = only(check_writable(tmp_path / "a" / "b"))
    assert check.verdict == "ok"
    assert "will be created" in check.found


def test_a_read_only_folder_is_a_failure():
    """Nobody can write there, not even root."""
    check = only(check_writable(Path("/proc")))
    assert check.verdict == "fail"
    assert "/proc is not writable" in check.found


def test_without_a_gpu_models_run_on_the_cpu():
    check = only(check_gpu())
    assert check.verdict in ("ok", "warn")
    assert "torch" in check.found


@pytest.fixture
def out(tmp_path) -> Path:
    """A recording with a correct store."""
    layout = {"signal": store.Variable(("frame", "y"), (8, 32), np.float32)}
    store.lay_out(tmp_path / "scan" / "recording.zarr", layout, shard=4)
    return tmp_path


def test_whole_chunks_in_whole_shards_are_ok(out):
    check = only(check_shards(out))
    assert (check.verdict, check.found) == ("ok", "1 arrays, all with whole chunks in whole shards")


def test_a_shard_that_ends_inside_a_chunk_is_a_failure(out):
    file = out / "scan" / "recording.zarr" / "signal" / "zarr.json"
    values = json.loads(file.read_text())
    values["chunk_grid"]["configuration"]["chunk_shape"] = [5, 32]
    file.write_text(json.dumps(values))
    check = only(check_shards(out))
    assert check.verdict == "fail"
    assert "signal: chunks of" in check.found


def test_truncated_metadata_is_a_failure(out):
    (out / "scan" / "recording.zarr" / "signal" / "zarr.json").write_text("{")
    assert only(check_shards(out)).verdict == "fail"


def test_an_unfinished_store_is_a_warning_with_the_recording(out):
    assert only(check_leftovers(out)).verdict == "ok"
    (out / "scan" / ".model.abc.partial").mkdir()
    check = only(check_leftovers(out))
    assert check.verdict == "warn"
    assert "1 unfinished stores of scan" in check.found
