"""Inputs of the command line as recordings."""

import pytest

from flows.cli.commands.options import recordings_in
from flows.cli.main import execute
from invae.errors import InputError


def test_parts_and_companions_in_a_folder_are_not_separate_recordings(tmp_path):
    for name in ("scan_000.tvips", "scan_001.tvips", "a.mib", "a.hdr", "b.npy", "b.json"):
        (tmp_path / name).write_bytes(b"bytes")
    assert [path.name for path in recordings_in([tmp_path])] == ["a.mib", "b.npy", "scan_000.tvips"]


def test_a_missing_gpu_is_refused_before_anything_runs(tmp_path, capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    (tmp_path / "a.npy").write_bytes(b"")
    for more in ([], ["--config", "stem-atoms"]):
        command = ["run", str(tmp_path / "a.npy"), *more, "--out", str(tmp_path / "out")]
        assert execute([*command, "--device", "cuda"]) == 1
        assert "no CUDA device here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_links_out_of_a_folder_are_refused_unless_the_user_names_them(tmp_path):
    (tmp_path / "secret.npy").write_bytes(b"x")
    box = tmp_path / "box"
    box.mkdir()
    (box / "a.npy").symlink_to(tmp_path / "secret.npy")
    with pytest.raises(InputError, match=r"a\.npy: is a link that leaves the folder"):
        recordings_in([box])
    assert recordings_in([box / "a.npy"]) == [box / "a.npy"]
    (tmp_path / "link").symlink_to(box)
    (box / "a.npy").unlink()
    (box / "b.npy").write_bytes(b"x")
    assert recordings_in([tmp_path / "link"]) == [tmp_path / "link" / "b.npy"]
