"""The cost of a day's scans, on a very small one."""

import pytest

from benchmarks import scale


def test_both_stages_have_costs_and_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(scale.tempfile, "tempdir", None)
    found = list(scale.costs(0.04))
    assert [cost.stage for cost in found] == ["ingest", "describe"]
    assert all(cost.cpu > 0 and cost.store_gb > 0 for cost in found)
    assert all(cost.peak_mb >= cost.imports_mb > 50 for cost in found)
    assert list(tmp_path.iterdir()) == []
    lines = scale.table(found, load=0.0).splitlines()
    assert lines[-1].startswith("| describe | 0.04 GB |")


def test_a_disk_without_room_is_refused(monkeypatch):
    monkeypatch.setattr(scale, "ROOM", 1e9)
    with pytest.raises(SystemExit, match="GB free, and 1 GB need"):
        next(scale.costs(1.0))


def test_the_scan_has_about_the_size_that_was_asked_for():
    assert scale.scan_of(4.0).n_bytes == pytest.approx(4e9, rel=0.01)
