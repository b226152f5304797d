"""How long it takes from the arrival of a file until its run is in state Running."""

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
"""With the accelerator [s]."""
INTERVALS = 2
"""Without it."""
PATIENCE = 300.0
STEP_SECONDS = 0.5


def measured(n: int, folder: Path, *, interval: float, seed: int) -> list[Row]:
    """A row with the folder looked at every second, and one with nothing but scans every `interval` [s]."""
    quick = delays(n, folder / "glances", settings=(), seed=seed)
    scans = (f"interval={interval:g}", "glances=no")
    slow = delays(n, folder / "scans", settings=scans, seed=seed, interval=interval)
    return [
        row("the folder is looked at every second", quick, SOON, f"< {SOON:g} s"),
        row(
            f"nothing but scans, every {interval:g} s",
            slow,
            INTERVALS * interval,
            "< two intervals",
        ),
    ]


def row(what: str, seconds: Sequence[float], most: float, words: str) -> Row:
    """Median and worst of some times [s], against the most that is allowed."""
    found = f"median {statistics.median(seconds):.1f} s, worst {max(seconds):.1f} s"
    return Row(what, found, words, max(seconds) < most)


def delays(
    n: int, folder: Path, *, settings: Sequence[str], seed: int, interval: float = 0.0
) -> list[float]:
    """Times from arrival to Running of small recordings, one after another [s].

    Args:
        n: number of recordings.
        folder: for everything.
        settings: how it is watched.
        seed: of the recordings, and of the moments at which they arrive.
        interval: between scans; arrivals are spread over it [s].
    """
    folder.mkdir()
    machine, random = Machine(folder, at_once=2, settings=settings), np.random.default_rng(seed)
    try:
        machine.start()
        found = []
        for number in range(n):
            time.sleep(random.uniform(0, interval))
            drop = recordings.Drop(f"arrival_{number}.npy", "good", 0.0, seed * 1000 + number)
            found.append(_delay(drop, machine))
        return found
    finally:
        machine.close()


def _delay(drop: recordings.Drop, machine: Machine) -> float:
    """Let one arrive, wait until its run is over, and say when it began."""
    recordings.write(drop, [drop], machine.box)
    arrived, end = time.time(), time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for run in machine.runs():
            if run["name"] == f"process {Path(drop.name).stem}" and run["end_time"]:
                return datetime.fromisoformat(run["start_time"]).timestamp() - arrived
        time.sleep(STEP_SECONDS)
    raise RuntimeError(f"{drop.name} had no run in {PATIENCE:.0f} s")
