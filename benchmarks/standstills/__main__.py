"""Attack a watcher, a run and the readers, and write down the message of each attack and how long the rest waits.

    python -m benchmarks.standstills --write      # three minutes; the table of docs/reliability.md

The limits of time are those of the product. A temporary Prefect server runs meanwhile.
"""

import argparse
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from prefect.testing.utilities import prefect_test_harness

from benchmarks.run import scratch
from benchmarks.standstills import files, servers, watching
from benchmarks.standstills.outcomes import Outcome, table
from benchmarks.written import put
from flows.service.server import prepare_environment

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def attacks(folder: Path) -> Iterator[Outcome]:
    """All attacks, in the order of the table."""
    with prefect_test_harness(server_startup_timeout=120):
        yield from watching.attacks(folder / "watched")
    for name, room in (("servers", servers), ("files", files)):
        (folder / name).mkdir()
        yield from room.attacks(folder / name)


def _printed(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    for one in outcomes:
        print(f"{one.attack}: {one.seconds:.1f} s: {one.told[:100]}", flush=True)
        yield one


def main() -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table into the page")
    options = parser.parse_args()
    prepare_environment(verbose=False)
    load = os.getloadavg()[0]
    with scratch() as folder:
        rows = table(_printed(attacks(folder)), folder=folder)
    where = f"{os.cpu_count()} cores ({platform.machine()}), load {load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end."
    text = f"{where}\n\n{rows}"
    if options.write:
        put(PAGE, "standstills", text)
    print(text)


if __name__ == "__main__":
    main()
