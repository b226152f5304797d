"""What the soak drops, and that its verdicts can fail."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.soak import arrivals, database, findings, page, recordings
from benchmarks.soak.__main__ import soak
from benchmarks.soak.machine import TINY, Sample
from benchmarks.written import put
from flows.watching import ledger
from flows.watching.ledger import Entry, utc_now
from invae.config import ProcessConfig
from invae.config.named import checked
from invae.errors import InputError, MachineError
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
    return Entry(f"r{drop.seed}", files, str(drop.seed), state, utc_now(), reason=reason)


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
    assert missed(ended[1], tmp_path) == ["broken recordings quarantined with a reason"]


def test_a_second_run_is_counted(ended, tmp_path):
    runs = [*ended[1], ended[1][0]]
    assert missed(runs, tmp_path) == ["runs", "recordings with two runs"]


def test_what_grows_is_not_flat():
    flat = [Sample(1, 12.0 * n, part, 200.0, 30) for n in range(30) for part in findings.PARTS]
    assert all(row.reached for row in findings.flatness(flat))
    leaking = [replace(s, megabytes=100.0 + 10 * s.instant) for s in flat if s.part == "server"]
    rest = [s for s in flat if s.part != "server"]
    verdicts = {row.what: row.reached for row in findings.flatness([*leaking, *rest])}
    assert [part for part, reached in verdicts.items() if not reached] == ["server"]
    assert findings.flatness([]) == []
    short = [replace(sample, instant=sample.instant / 12) for sample in leaking]
    assert all(row.reached for row in findings.flatness(short))
    assert "in a longer life" in findings.flatness(short)[0].goal


def test_the_smallest_science_is_a_configuration():
    assert checked(ProcessConfig, TINY, prefix="config").name == "soak"


def a_run(name: str, **changes: object) -> dict[str, object]:
    """A run as the server tells of it: asked for at 0 s, a place at 10 s, at work from 12 s to 20 s."""
    second = "2026-01-01T00:00:{:02}+00:00".format
    times = {"created": second(0), "pending": second(10)}
    times |= {"start_time": second(12), "end_time": second(20)}
    state = {"state_type": "COMPLETED", "run_count": 1, "parameters": {"name": name}}
    return {"name": f"process {name}", **times, **state, **changes}


@pytest.mark.parametrize(("science", "reached"), [(7.5, True), (6.5, False)])
def test_what_is_told_to_the_server_is_overhead_and_imports_and_waiting_are_not(
    science, reached, tmp_path
):
    (tmp_path / "a").mkdir()
    stages = {"train": {"seconds": science + 0.4, "telling_seconds": 0.4}}
    (tmp_path / "a" / "run.json").write_text(json.dumps({"stages": stages}))
    rows = {row.what: row for row in findings.costs([a_run("a")], tmp_path, seconds=60.0)}
    assert rows["recordings per hour"].result == "60"
    assert rows["the six stages of a recording"].result.startswith(f"{science:.2f} s")
    assert rows["overhead within its run"].result.startswith(f"{8 - science:.2f} s")
    assert rows["overhead within its run"].reached is reached
    assert rows["start of its process"].result.startswith("2.00 s")
    assert rows["wait for a free process"].result.startswith("10.00 s")


def test_time_on_a_processor_is_that_of_all_lives():
    samples = [
        Sample(life, float(n), "server", 200.0, 30, busy=2.0 * n)
        for life in (0, 1)
        for n in range(6)
    ]
    (row,) = findings.processor(samples, n_runs=4)
    assert row.result.startswith("5.0 s: ")
    assert "server 5.0 s" in row.result


def test_writing_one_table_leaves_the_others_as_they_are(tmp_path):
    path = tmp_path / "page.md"
    shutil.copy(page.PAGE, path)
    before = path.read_text()
    rows = [page.Row("runs", "11", "12", reached=False)]
    put(path, "soak on PostgreSQL", page.table(rows, "On paper."))
    after = path.read_text()
    assert "On paper." in after
    assert "| runs | 11 | 12 — **missed** |" in after
    outside = [text.partition("<!-- soak on PostgreSQL: begin -->")[0] for text in (before, after)]
    assert outside[0] == outside[1]
    assert before.partition("PostgreSQL: end -->")[2] == after.partition("PostgreSQL: end -->")[2]
    with pytest.raises(ValueError, match="<!-- soap: begin -->"):
        put(path, "soap", "")


def test_a_database_that_is_not_installed_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(database, "DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match=r"\(initdb\); install Debian's package"):
        database.program("initdb")


def test_a_late_arrival_misses_its_mark():
    assert arrivals.row("looked at", [3.0, 9.0], 15.0, "< 15 s").reached
    late = arrivals.row("looked at", [3.0, 16.0], 15.0, "< 15 s")
    assert (late.result, late.reached) == ("median 9.5 s, worst 16.0 s", False)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["sqlite", "postgresql"])
def test_a_short_soak_reaches_every_mark_of_the_recordings(where, tmp_path):
    drops = recordings.planned(6, gap=5.0, seed=1)
    with ExitStack() as stack:
        settings = {}
        if where == "postgresql":
            if not database.DEBIAN.is_dir():
                pytest.skip("PostgreSQL is not here")
            settings = stack.enter_context(database.postgresql())
        dropped, rows = soak(drops, tmp_path, at_once=2, patience=900.0, database=settings)
    print(page.table(rows, where))
    assert dropped == drops
    missed = {row.what for row in rows if not row.reached}
    if os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
        missed -= {"overhead within its run"}  # a busy machine tells nothing of one second
    assert missed == set()


@pytest.mark.slow
def test_a_file_has_its_run_soon_and_within_two_scans_without_glances(tmp_path):
    rows = arrivals.measured(2, tmp_path, interval=20.0, seed=1)
    print(page.table(rows, "arrivals"))
    assert [row.what for row in rows if not row.reached] == []


@pytest.mark.slow
def test_a_soak_that_is_stopped_tells_what_was_found_so_far():
    words = [sys.executable, "-m", "benchmarks.soak", "--recordings", "60", "--gap", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = []
        for line in process.stdout:
            told.append(line)
            if "20 of 60 dropped" in line:
                time.sleep(5)
                process.send_signal(signal.SIGTERM)
    text = "".join(told)
    assert "stopped after 21 of 60" in text
    assert ", stopped after 21," in text
    assert "| good recordings with a report |" in text
    assert process.returncode == 1
