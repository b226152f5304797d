"""Attacks by servers: a Dask scheduler that is stopped, and a Prefect server that drips bytes."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from benchmarks.standstills.dripping import dripping_server
from benchmarks.standstills.outcomes import Outcome, refused
from flows.cli.main import execute
from flows.service.server import require_answer
from invae.config import ComputeConfig
from invae.storage import store
from invae.storage.blocks import map_blocks
from tests.invae.dask_cluster import N_ITEMS, SHARD, Slow, cluster, lay_out

GOAL_DASK, GOAL_SERVER = 90.0, 20.0
"""Longest times that are good [s]."""
WIDE = "100000"
"""Characters in a line of the terminal, so that no line is wrapped."""


def attacks(folder: Path) -> Iterator[Outcome]:
    """All attacks by servers."""
    yield stopped_scheduler(folder)
    yield from dripping(folder)


def stopped_scheduler(folder: Path) -> Outcome:
    """A scheduler that is stopped after the second block: the time from then until the run ends."""
    lay_out(folder / "store")
    stopped_at: list[float] = []
    with cluster(folder, n_workers=1) as of:

        def stop(done: int, _total: int) -> None:
            if done == 2:
                stopped_at.append(time.monotonic())
                os.kill(of.scheduler.pid, signal.SIGSTOP)

        def run() -> None:
            map_blocks(
                Slow(folder / "store"),
                store.blocks(N_ITEMS, SHARD),
                compute=ComputeConfig(scheduler=of.address),
                progress=stop,
            )

        attack = "the Dask scheduler of a run is stopped between two blocks"
        outcome = refused(attack, run, goal=GOAL_DASK)
        return Outcome(attack, outcome.told, time.monotonic() - stopped_at[0], GOAL_DASK)


def dripping(folder: Path) -> Iterator[Outcome]:
    """`status`, `doctor` and a run while the server sends a byte of its answer five times a second."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with dripping_server("body", answered=["/admin/version"]) as address:
        api = f"{address}/api"
        with temporary_settings({PREFECT_API_URL: api}):
            for command in ("status", "doctor"):
                yield _dripping_at(command, folder, address)
        attack = "the same: the first request of `invae run`"
        yield refused(attack, lambda: require_answer(api), goal=GOAL_SERVER)


def _dripping_at(command: str, folder: Path, address: str) -> Outcome:
    """The line of a command about its server, and how long the command took."""
    printed = StringIO()
    began = time.monotonic()
    with redirect_stdout(printed):
        execute([command, "--out", str(folder)])
    seconds = time.monotonic() - began
    line = next(line for line in printed.getvalue().splitlines() if address in line)
    attack = f"a Prefect server answers a byte at a time: `invae {command}`"
    return Outcome(attack, " ".join(line.split()), seconds, GOAL_SERVER)
