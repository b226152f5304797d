"""What 4D-STEM is measured on, and how ratios are taken."""

import numpy as np
import pytest

from benchmarks.fourd import scan as scans
from benchmarks.fourd.memory import endless, peak
from benchmarks.fourd.scan import Scan
from benchmarks.fourd.works import detectors
from benchmarks.timing import in_turns, ratio
from invae.config import ScanConfig
from invae.scans.virtual import maps_of


@pytest.mark.parametrize("seed", [3, 11])
def test_seventy_percent_of_the_pixels_are_empty(seed, tmp_path):
    scan = Scan(rows=2, columns=6, seed=seed)
    scans.write(scan, tmp_path / "scan.npy")
    values = np.load(tmp_path / "scan.npy")
    assert (values.shape, values.nbytes) == (scan.shape, scan.n_bytes)
    assert (values == 0).mean() == pytest.approx(0.7, abs=0.01)
    np.testing.assert_array_equal(values[1], scans.row_of(scan, 1))
    assert not np.array_equal(values[0], values[1])


def test_the_masks_see_the_disc():
    patterns = scans.row_of(Scan(rows=1, columns=30, seed=5), 0)
    maps = maps_of(patterns, detectors())
    np.testing.assert_array_equal(maps["sum"], patterns.sum((1, 2)))
    per_pixel = maps["bf"].mean() / (np.pi * scans.DISC**2)
    assert per_pixel == pytest.approx(scans.INSIDE, rel=0.01)
    assert np.abs(np.stack([maps["com_y"], maps["com_x"]])).max() < 2


def test_a_scan_that_lies_nowhere_gives_the_same_patterns_again():
    recording = endless(Scan(rows=11, columns=40))["pattern"]
    part = recording[5:11, 15:18]
    assert part.shape == (6, 3, scans.SIDE, scans.SIDE)
    np.testing.assert_array_equal(part[0, 1:], recording[1, :2])
    np.testing.assert_array_equal(part[4, 0], recording[9, 31])
    assert not np.array_equal(part[0, 0], part[0, 1])
    np.testing.assert_array_equal(recording[9, 15, 3:5, 7], part[4, 0, 3:5, 7])


def test_works_are_timed_in_turns_after_one_that_warms_up():
    order: list[str] = []
    works = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    taken = in_turns(works, turns=2)
    assert order == ["a", "b"] * 3
    assert [len(taken[name].wall) for name in works] == [2, 2]
    assert all(taken[name].cpu[0] >= 0 for name in works)


def test_a_ratio_is_the_median_over_turns():
    assert ratio([1.0, 2.0, 4.0], [1.0, 1.0, 4.0]) == 1.0
    assert ratio([2.0, 2.0, 2.0], [1.0, 1.0, 9.0]) == 0.5


@pytest.mark.slow
@pytest.mark.parametrize("gigabytes", [1.0, 4.0, 16.0])
def test_a_scan_of_any_size_is_taken_in_with_three_slabs_beyond_the_imports(
    gigabytes, tmp_path, monkeypatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before, after = peak(gigabytes)
    print(f"{gigabytes:g} GB: {before:.0f} MB with imports, {after:.0f} MB at most")
    assert after - before <= 3 * ScanConfig().slab_mb
