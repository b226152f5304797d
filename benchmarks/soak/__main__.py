"""Drop small recordings into a watched folder at random times, kill what serves it, and count what became of them.

`python -m benchmarks.soak --recordings 300`; `--quick` takes 12, `--write` puts the table into docs/reliability.md.
"""

import argparse
import os
import platform
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.run import scratch
from benchmarks.soak import findings, recordings
from benchmarks.soak.machine import Machine
from benchmarks.soak.recordings import Drop
from benchmarks.written import put
from flows.arrivals import ledger

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
QUICK = 12
RESTARTS = {1 / 3: signal.SIGKILL, 2 / 3: signal.SIGTERM}
"""After which share of the drops everything is ended, and how."""


def drop_all(drops: Sequence[Drop], machine: Machine) -> None:
    """Let everything arrive in its time; end and start what serves it on the way."""
    restarts = {int(len(drops) * share): number for share, number in RESTARTS.items()}
    began = time.monotonic()
    for count, drop in enumerate(drops):
        time.sleep(max(0.0, began + drop.seconds - time.monotonic()))
        recordings.write(drop, drops, machine.box)
        if count in restarts:
            print(f"{count} of {len(drops)} dropped; {restarts[count].name}", flush=True)
            machine.end(restarts[count])
            machine.start()


def wait_until_settled(drops: Sequence[Drop], machine: Machine, *, patience: float) -> None:
    """Return when every file is done or set aside, or nothing has changed for so long [s]."""
    before, since = -1, time.monotonic()
    while time.monotonic() - since < patience:
        ended = [e for e in ledger.read(machine.out) if e.state in ("done", "set aside")]
        if len(ended) >= len(drops):
            return
        if len(ended) != before:
            before, since = len(ended), time.monotonic()
            print(f"{before} of {len(drops)} done or set aside", flush=True)
        time.sleep(2)


def soak(
    drops: Sequence[Drop], folder: Path, *, at_once: int, patience: float
) -> list[findings.Row]:
    """What was found, line by line."""
    machine = Machine(folder, at_once)
    try:
        machine.start()
        began = time.monotonic()
        drop_all(drops, machine)
        wait_until_settled(drops, machine, patience=patience)
        seconds, runs = time.monotonic() - began, machine.runs()
    finally:
        machine.close()
    return [
        *findings.verdicts(drops, runs, machine.out),
        *findings.costs(runs, machine.out, seconds=seconds),
        *findings.flatness(machine.samples),
    ]


def main() -> None:
    """Run it and print the table; exit code 1 if a mark was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=300, help="files that arrive")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} of them")
    parser.add_argument("--gap", type=float, default=4.0, help="mean time between two [s]")
    parser.add_argument("--at-once", type=int, default=2, help="recordings processed at once")
    parser.add_argument("--seed", type=int, default=1, help="of times, kinds and fates")
    parser.add_argument("--patience", type=float, default=600.0, help="give up after [s]")
    parser.add_argument("--write", action="store_true", help="into docs/reliability.md")
    asked = parser.parse_args()
    n = QUICK if asked.quick else asked.recordings
    drops = recordings.planned(n, gap=asked.gap, seed=asked.seed)
    load = os.getloadavg()[0]
    with scratch() as folder:
        rows = soak(drops, folder, at_once=asked.at_once, patience=asked.patience)
    remark = (
        f"{n} recordings ({', '.join(recordings.KINDS)}), one every {asked.gap:g} s in the mean, {asked.at_once} at once, "
        f"everything ended by {' and '.join(s.name for s in RESTARTS.values())} on the way, SQLite; {os.cpu_count()} cores "
        f"({platform.machine()}), load {load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end."
    )
    text = findings.page(rows, remark)
    print(text)
    if asked.write:
        put(PAGE, "soak", text)
    if not all(row.reached for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
