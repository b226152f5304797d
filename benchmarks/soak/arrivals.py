"""Time from the arrival of a file until its run is in the state Running."""

import statistics
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks.soak import recordings
from benchmarks.soak.machine import Machine
from benchmarks.soak.page import Row

TABLE = "arrivals"
SOON = 15.0
"""Longest time with `glances` [s]."""
INTERVALS = 2
"""Longest time without `glances`, in intervals between scans."""
PATIENCE = 300.0
STEP_SECONDS = 0.5


def measured(n: int, folder: Path, *, interval: float, seed: int) -> list[Row]:
    """A row with the folder looked at every second, and one with only scans every `interval` [s]."""
    quick = delays(n, folder / "glances", settings=(), seed=seed)
    scans = (f"interval={interval:g}", "glances=no")
    slow = delays(n, folder / "scans", settings=scans, seed=seed, interval=interval)
    return [
        row("the folder is looked at every second", quick, SOON, f"< {SOON:g} s"),
        row(
            f"only scans, every {interval:g} s",
            slow,
            INTERVALS * interval,
            "< two intervals",
        ),
    ]


def row(what: str, seconds: Sequence[float], limit: float, words: str) -> Row:
    """Median and worst of some times [s], compared with the allowed time."""
    result = f"median {statistics.median(seconds):.1f} s, worst {max(seconds):.1f} s"
    return Row(what, result, words, max(seconds) < limit)


def delays(
    n: int, folder: Path, *, settings: Sequence[str], seed: int, interval: float = 0.0
) -> list[float]:
    """Times from arrival to Running of small recordings, one after another [s].

    Args:
        n: Number of recordings.
        folder: Folder of all files.
        settings: Settings of the watcher.
        seed: Seed of the recordings and of their arrival times.
        interval: Time between scans, over which arrivals are spread [s].
    """
    folder.mkdir()
    machine, random = Machine(folder, at_once=2, settings=settings), np.random.default_rng(seed)
    try:
        machine.start()
        times = []
        for number in range(n):
            time.sleep(random.uniform(0, interval))
            drop = recordings.Drop(f"arrival_{number}.npy", "good", 0.0, seed * 1000 + number)
            times.append(_delay(drop, machine))
        return times
    finally:
        machine.close()


def _delay(drop: recordings.Drop, machine: Machine) -> float:
    """Write a recording, wait until its run has ended, and return the time until its start."""
    recordings.write(drop, [drop], machine.box)
    arrived, end = time.time(), time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for run in machine.runs():
            if run["name"] == f"process {Path(drop.name).stem}" and run["end_time"]:
                return datetime.fromisoformat(run["start_time"]).timestamp() - arrived
        time.sleep(STEP_SECONDS)
    raise RuntimeError(f"{drop.name} had no run in {PATIENCE:.0f} s")
