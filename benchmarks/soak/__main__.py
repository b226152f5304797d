"""Write small recordings into a watched folder at random times, kill the service meanwhile, and count the outcomes.

`python -m benchmarks.soak --recordings 300`; `--quick` uses 12, `--database postgresql` stores the server's database there,
`--arrivals 12` measures the time from arrival to the run instead, `--write` writes the table into docs/reliability.md.
SIGTERM and ctrl-C end it with the table of the results so far.
"""

import argparse
import os
import platform
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from benchmarks.run import scratch
from benchmarks.soak import arrivals, findings, page, recordings
from benchmarks.soak.database import postgresql
from benchmarks.soak.machine import Machine
from benchmarks.soak.page import Row
from benchmarks.soak.recordings import Drop
from benchmarks.written import put
from flows.watching import ledger
from invae.errors import MachineError

QUICK = 12
RESTARTS = {1 / 3: signal.SIGKILL, 2 / 3: signal.SIGTERM}
"""Fractions of the drops after which the service is ended, and the signals."""
TABLES = {"sqlite": "soak", "postgresql": "soak on PostgreSQL"}
"""Names of the tables in the page, by database."""


def drop_all(drops: Sequence[Drop], machine: Machine, dropped: list[Drop]) -> None:
    """Write all recordings at their times; end and restart the service meanwhile."""
    restarts = {int(len(drops) * share): number for share, number in RESTARTS.items()}
    began = time.monotonic()
    for count, drop in enumerate(drops):
        time.sleep(max(0.0, began + drop.seconds - time.monotonic()))
        recordings.write(drop, drops, machine.box)
        dropped.append(drop)
        if count in restarts:
            _say(f"{count} of {len(drops)} dropped; {restarts[count].name}")
            machine.end(restarts[count])
            machine.start()


def wait_until_settled(drops: Sequence[Drop], machine: Machine, *, patience: float) -> None:
    """Wait until every file is done or quarantined, or nothing has changed for the given time [s]."""
    before, since = -1, time.monotonic()
    while time.monotonic() - since < patience:
        ended = [e for e in ledger.read(machine.out) if e.state in ("done", "set aside")]
        if len(ended) != before:
            before, since = len(ended), time.monotonic()
            _say(f"{before} of {len(drops)} done or quarantined")
        if len(ended) >= len(drops):
            return
        time.sleep(2)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def soak(
    drops: Sequence[Drop],
    folder: Path,
    *,
    at_once: int,
    patience: float,
    database: Mapping[str, str] | None = None,
) -> tuple[list[Drop], list[Row]]:
    """The recordings written until the end or an interruption, and the rows of the table."""
    machine, dropped = Machine(folder, at_once, database=database or {}), []
    began = time.monotonic()
    try:
        try:
            machine.start()
            began = time.monotonic()
            drop_all(drops, machine, dropped)
            wait_until_settled(drops, machine, patience=patience)
        except KeyboardInterrupt:
            _say(f"stopped after {len(dropped)} of {len(drops)}")
        seconds, runs = time.monotonic() - began, machine.runs() if machine.answers else []
    finally:
        machine.close()
    return dropped, [
        *findings.verdicts(dropped, runs, machine.out),
        *findings.costs(runs, machine.out, seconds=seconds),
        *findings.imports(),
        *findings.processor(machine.samples, n_runs=len(runs)),
        *findings.flatness(machine.samples),
    ]


def _soak(options: argparse.Namespace) -> tuple[list[Row], str, str]:
    """Rows, remark and name of the table of a soak."""
    drops = recordings.planned(
        QUICK if options.quick else options.recordings, gap=options.gap, seed=options.seed
    )
    load, began = os.getloadavg()[0], time.monotonic()
    settings = postgresql() if options.database == "postgresql" else nullcontext({})
    with settings as database, scratch() as folder:
        dropped, rows = soak(
            drops, folder, at_once=options.at_once, patience=options.patience, database=database
        )
    interruption = "" if len(dropped) == len(drops) else f", stopped after {len(dropped)}"
    remark = (
        f"{len(drops)} recordings ({', '.join(recordings.KINDS)}){interruption}, one every {options.gap:g} s on average, "
        f"{options.at_once} in parallel, service ended by {' and '.join(s.name for s in RESTARTS.values())} meanwhile, {options.database}, "
        f"{(time.monotonic() - began) / 60:.0f} min; {_where(load)}"
    )
    return rows, remark, TABLES[options.database]


def _arrivals(options: argparse.Namespace) -> tuple[list[Row], str, str]:
    """Rows, remark and name of the table of arrivals."""
    load = os.getloadavg()[0]
    with scratch() as folder:
        rows = arrivals.measured(
            options.arrivals, folder, interval=options.interval, seed=options.seed
        )
    remark = f"{options.arrivals} small recordings one after another, each way; {_where(load)}"
    return rows, remark, arrivals.TABLE


def _where(load: float) -> str:
    """The machine, and its load before and after."""
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), load {load:.1f} at the start and "
        f"{os.getloadavg()[0]:.1f} at the end."
    )


def main() -> None:
    """Run it and print the table; exit code 1 if a goal was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=300, help="number of files")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} files")
    parser.add_argument("--gap", type=float, default=4.0, help="mean time between two files [s]")
    parser.add_argument("--at-once", type=int, default=2, help="recordings processed in parallel")
    parser.add_argument("--database", choices=TABLES, default="sqlite", help="of the server")
    parser.add_argument("--seed", type=int, default=1, help="of times, kinds and outcomes")
    parser.add_argument("--patience", type=float, default=600.0, help="give up after [s]")
    parser.add_argument("--arrivals", type=int, default=0, help="time this many arrivals instead")
    parser.add_argument("--interval", type=float, default=20.0, help="between their scans [s]")
    parser.add_argument("--write", action="store_true", help="write into docs/reliability.md")
    options = parser.parse_args()
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
    ):  # processes started in the background ignore them
        signal.signal(number, signal.default_int_handler)
    try:
        rows, remark, name = _arrivals(options) if options.arrivals else _soak(options)
    except MachineError as error:
        raise SystemExit(str(error)) from None
    text = page.table(rows, remark)
    print(text)
    if options.write:
        put(page.PAGE, name, text)
    if not all(row.reached for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
