"""Inputs of the command line as recordings."""

import pytest

from flows.cli.commands.options import recordings_in
from flows.cli.main import execute


def test_parts_and_companions_in_a_folder_are_not_separate_recordings(tmp_path):
    for name in ("scan_000.tvips", "scan_001.tvips", "a.mib", "a.hdr", "b.npy", "b.json"):
        (tmp_path / name).write_bytes(b"bytes")
    assert [path.name for path in recordings_in([tmp_path])] == ["a.mib", "b.npy", "scan_000.tvips"]


def test_a_missing_gpu_is_refused_before_anything_runs(tmp_path, capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    (tmp_path / "a.npy").write_bytes(b"")
    for command in (["run", str(tmp_path / "a.npy")],):
        assert execute([*command, "--out", str(tmp_path / "out"), "--device", "cuda"]) == 1
        assert "no CUDA device here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
