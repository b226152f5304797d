"""Attacks on a watcher: a good recording arrives beside each of them, and must get its run."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.soak.machine import TINY
from benchmarks.standstills.outcomes import Outcome
from flows.watching import ledger
from flows.watching.watcher import Watcher
from invae.config import WatchConfig

GOAL, PATIENCE = 15.0, 120.0
"""Time in which a good recording must get its run, and after which the test ends [s]; both include one settling."""
SETTLE = 2.0
"""Time for which files must not change [s]."""
LARGE_BYTES = 4 << 30
BACK = timedelta(hours=3)
"""How far the clock is set back."""


class Watched:
    """A watched folder whose configuration is deployed at the server that is set.

    Args:
        folder: a new folder.
    """

    def __init__(self, folder: Path) -> None:
        from flows.process import process

        self.box, self.out = folder / "box", folder / "out"
        self.box.mkdir(parents=True)
        values = {**TINY, "name": "standstills"}
        path = folder / "tiny.yaml"
        path.write_text(yaml.safe_dump(values))
        parameters = {"sources": [], "out": "", "config": values}
        deployment: Any = process.to_deployment("standstills", parameters=parameters)
        deployment.apply()
        self.watcher = Watcher(
            WatchConfig(folder=str(self.box), out=str(self.out), config=str(path), settle=SETTLE)
        )
        self.lines: list[str] = []
        self.n_written = 0
        self.until_waiting(self.write("first"))  # imports are not the attack's

    def write(self, name: str) -> str:
        """Write a small recording with values of its own; returns its name."""
        self.n_written += 1
        np.save(self.box / f"{name}.npy", np.full((4, 12, 12), self.n_written, "f4"))
        return name

    def until_waiting(self, name: str) -> float:
        """Scan until a recording waits for its run [s].

        Raises:
            TimeoutError: If it takes too long.
        """
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE:
            self.watcher.scan(self.lines.append)
            found = {entry.recording: entry for entry in ledger.read(self.out)}
            if name in found and found[name].state == "waiting":
                return time.monotonic() - began
            time.sleep(0.2)
        raise TimeoutError(f"{name} has no run after {PATIENCE:.0f} s")

    def outcome(self, attack: str, told: Callable[[str], bool]) -> Outcome:
        """The time until a good recording has its run after an attack, and the last line about the attack."""
        good = self.write(f"good_{self.n_written}")
        seconds = self.until_waiting(good)
        lines = [line for line in self.lines if told(line)]
        return Outcome(attack, lines[-1], seconds, GOAL)


def attacks(folder: Path) -> Iterator[Outcome]:
    """All attacks on a watcher, one after the other."""
    watched = Watched(folder)
    for attack in (long_name, bad_ledger, clock_set_back, large_file):
        yield attack(watched)


def long_name(watched: Watched) -> Outcome:
    """A recording whose name, made of folder and file, has 360 bytes."""
    (watched.box / ("漢" * 60)).mkdir()
    watched.write(f"{'漢' * 60}/{'字' * 60}")
    return watched.outcome(
        "a name of 360 bytes beside a good recording", lambda line: line.startswith("漢")
    )


def bad_ledger(watched: Watched) -> Outcome:
    """A line of the ledger whose time is none, about a recording that is there."""
    watched.write("known")
    entry = ledger.Entry("known", (str(watched.box / "known.npy"),), "", "settling", "yesterday")
    with ledger.path_of(watched.out).open("a") as file:
        file.write(json.dumps(asdict(entry)) + "\n")
    return watched.outcome(
        "a line of the ledger with a bad time beside a good recording",
        lambda line: line.startswith("known"),
    )


def clock_set_back(watched: Watched) -> Outcome:
    """A recording that began to settle when the clock was ahead: the time until it has its run itself."""
    name = watched.write("settling")
    watched.watcher.scan(watched.lines.append)
    (entry,) = [entry for entry in ledger.read(watched.out) if entry.recording == name]
    ahead = (datetime.now(UTC) + BACK).isoformat()
    ledger.write(watched.out, [replace(entry, since=ahead)])
    seconds = watched.until_waiting(name)
    hours = BACK.total_seconds() / 3600
    line = [line for line in watched.lines if line.startswith(name)][-1]
    return Outcome(
        f"the clock is set back by {hours:.0f} hours while a recording settles", line, seconds, GOAL
    )


def large_file(watched: Watched) -> Outcome:
    """A large recording that is read for its digest beside a good one; the file has no blocks on the disk."""
    path = watched.box / "large.npy"
    with path.open("wb") as file:
        file.truncate(LARGE_BYTES)
    watched.watcher.scan(watched.lines.append)
    time.sleep(SETTLE)
    watched.watcher.scan(watched.lines.append)
    return watched.outcome(
        f"a recording of {LARGE_BYTES / 1e9:.1f} GB is read for its digest beside a good one",
        lambda line: line.startswith("large"),
    )
