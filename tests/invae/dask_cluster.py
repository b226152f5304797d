"""A Dask scheduler and workers as processes of their own, and a slow block for them to work on."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from invae.storage import store

ROOT = Path(__file__).parents[2]
LOOPBACK = ("--host", "127.0.0.1")
TIMEOUT = 120
SHARD = 2
N_ITEMS = 24


@dataclass(frozen=True)
class Cluster:
    """Processes of a cluster."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


@contextmanager
def cluster(folder: Path, *, n_workers: int = 2, root: Path = ROOT) -> Iterator[Cluster]:
    """A scheduler on a free port of the loopback, and workers with the code under `root`."""
    file = folder / "scheduler.json"
    with _processes() as started:
        scheduler = _start(
            started, "dask_scheduler", "--port", "0", "--scheduler-file", str(file), root=root
        )
        address = _address(file, scheduler)
        workers = [
            _start(started, "dask_worker", address, "--nthreads", "1", "--no-nanny", root=root)
            for _ in range(n_workers)
        ]
        yield Cluster(address, scheduler, workers)


@contextmanager
def _processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    try:
        yield started
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def _start(
    started: list[subprocess.Popen[bytes]], module: str, *words: str, root: Path
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{module}", "--no-dashboard", *LOOPBACK, *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    started.append(process)
    return process


def _address(file: Path, scheduler: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + TIMEOUT
    while not file.exists() or not (text := file.read_text()):
        assert scheduler.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    return json.loads(text)["address"]


def lay_out(path: Path) -> None:
    """An empty store of `N_ITEMS` images."""
    variable = store.Variable(("frame", "y", "x"), (N_ITEMS, 4, 4), np.float32)
    store.lay_out(path, {"height": variable}, shard=SHARD)


@dataclass(frozen=True)
class Slow:
    """Writes a block that is not there, and takes its time; what it answers follows from the block."""

    path: Path
    seconds: float = 0.3

    def __call__(self, block: slice) -> float:
        values = np.arange(block.start, block.stop, dtype="f4")[:, None, None] * np.ones(
            (4, 4), "f4"
        )
        if not store.block_is_written(self.path, ["height"], start=block.start, shard=SHARD):
            time.sleep(self.seconds)
            store.write_block(self.path, {"height": values}, start=block.start, shard=SHARD)
        return float(values.sum())
