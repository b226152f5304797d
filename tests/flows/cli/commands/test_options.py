"""Inputs of the command line as recordings."""

from flows.cli.commands.options import recordings_in


def test_parts_and_companions_in_a_folder_are_not_separate_recordings(tmp_path):
    for name in ("scan_000.tvips", "scan_001.tvips", "a.mib", "a.hdr", "b.npy", "b.json"):
        (tmp_path / name).write_bytes(b"bytes")
    assert [path.name for path in recordings_in([tmp_path])] == ["a.mib", "b.npy", "scan_000.tvips"]
