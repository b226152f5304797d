"""What the soak drops, and that its verdicts can fail."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.soak import findings, recordings
from benchmarks.soak.__main__ import soak
from benchmarks.soak.machine import TINY, Sample
from flows.arrivals import ledger
from flows.arrivals.ledger import Entry
from flows.configurations import checked
from invae.config import ProcessConfig
from invae.errors import InputError
from invae.readers import open_recording

DROPS = recordings.planned(60, gap=2.0, seed=3)


def test_one_in_twenty_is_broken_and_one_a_copy():
    fates = [drop.fate for drop in DROPS]
    assert (fates.count("broken"), fates.count("copy")) == (3, 3)
    assert {drop.name.rpartition(".")[2] for drop in DROPS} == {"npy", "npz", "tif", "nc"}
    assert recordings.planned(60, gap=2.0, seed=3) == DROPS


def test_times_are_random_with_the_mean_that_was_asked_for():
    gaps = np.diff([drop.seconds for drop in recordings.planned(2000, gap=2.0, seed=3)])
    assert gaps.mean() == pytest.approx(2.0, rel=0.1)
    assert gaps.std() == pytest.approx(2.0, rel=0.1)


def test_good_ones_can_be_read_broken_ones_cannot(tmp_path):
    for drop in DROPS:
        recordings.write(drop, DROPS, tmp_path)
        if drop.fate == "broken":
            with pytest.raises(InputError):
                open_recording(tmp_path / drop.name)
        else:
            assert sorted(open_recording(tmp_path / drop.name).sizes.values()) == [12, 12, 60]


def standing(drop: recordings.Drop, out) -> Entry:
    """A recording as it shall end."""
    done = drop.fate != "broken"
    if done:
        report = out / f"r{drop.seed}" / "report"
        report.mkdir(parents=True, exist_ok=True)
        (report / "index.html").touch()
    state = "done" if done else "set aside"
    reason = "" if done else "is damaged"
    files = (f"/box/{drop.name}",)
    return Entry(f"r{drop.seed}", files, str(drop.seed), state, "", reason=reason)


@pytest.fixture
def ended(tmp_path):
    """Everything as it shall be: the ledger's entries and the runs."""
    entries = {drop.name: standing(drop, tmp_path) for drop in DROPS}
    ledger.write(tmp_path, list(entries.values()))
    runs = [{"name": f"process {seed}"} for seed in {drop.seed for drop in DROPS}]
    return entries, runs


def missed(runs, out) -> list[str]:
    return [row.what for row in findings.verdicts(DROPS, runs, out) if not row.reached]


def test_all_marks_are_reached_when_all_is_well(ended, tmp_path):
    assert missed(ended[1], tmp_path) == []


def test_a_recording_left_behind_is_counted(ended, tmp_path):
    good = ended[0][DROPS[0].name]
    ledger.write(tmp_path, [replace(good, state="running")])
    assert missed(ended[1], tmp_path) == ["good recordings with a report"]


def test_a_broken_one_without_a_reason_is_counted(ended, tmp_path):
    broken = next(drop for drop in DROPS if drop.fate == "broken")
    ledger.write(tmp_path, [replace(ended[0][broken.name], reason="")])
    assert missed(ended[1], tmp_path) == ["broken ones set aside with a reason"]


def test_a_second_run_is_counted(ended, tmp_path):
    runs = [*ended[1], ended[1][0]]
    assert missed(runs, tmp_path) == ["runs", "recordings with two runs"]


def test_what_grows_is_not_flat():
    flat = [Sample(1, float(n), part, 200.0, 30) for n in range(30) for part in findings.PARTS]
    assert all(row.reached for row in findings.flatness(flat))
    leaking = [replace(s, megabytes=100.0 + 10 * s.instant) for s in flat if s.part == "server"]
    rest = [s for s in flat if s.part != "server"]
    assert [row.reached for row in findings.flatness([*leaking, *rest])] == [True, False, True]


def test_the_smallest_science_is_a_configuration():
    assert checked(ProcessConfig, TINY, prefix="config").name == "soak"


@pytest.mark.slow
def test_a_short_soak_reaches_every_mark_of_the_recordings(tmp_path):
    drops = recordings.planned(6, gap=5.0, seed=1)
    rows = soak(drops, tmp_path, at_once=2, patience=900.0)
    assert [row.what for row in rows if not row.reached] == []
