"""The benchmark of several cores, on little data."""

import pytest

from benchmarks import cores, gpu


def test_a_row_compares_within_turns_and_notices_other_values():
    row = cores.Row("work", [2.0, 4.0, 9.0], [1.0, 4.0, 3.0], {"a"})
    assert row.ratio == 2.0
    other = cores.Row("other", [1.0], [1.0], {"a", "b"})
    lines = cores.table([row, other], load=(0.0, 0.5)).splitlines()
    assert lines[-2:] == [
        "| work | 4.0 s | 3.0 s | 2.00 | yes |",
        "| other | 1.0 s | 1.0 s | 1.00 | **no** |",
    ]


def test_threads_have_the_values_of_one_worker():
    images = gpu.patterns(256, 16, seed=0)
    for row in (cores.embedding(images, cores.QUICK), cores.pieces(images, cores.QUICK, n=4)):
        assert len(row.digests) == 1
        assert all(seconds > 0 for seconds in (*row.one, *row.all))
    assert cores.digest([[1.0]]) != cores.digest([[2.0]])


@pytest.mark.slow
def test_all_work_has_the_values_of_one_worker():
    rows = list(cores.measure(cores.QUICK))
    assert len(rows) == 8
    assert {row.name: len(row.digests) for row in rows} == {row.name: 1 for row in rows}
