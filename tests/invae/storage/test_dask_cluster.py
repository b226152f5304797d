"""Blocks on a Dask cluster by its scheduler's address: same values, nothing finished done again, clear refusals."""

import logging
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from invae.config import ComputeConfig
from invae.errors import ClusterError, InvaeError
from invae.storage import dask_cluster, store
from invae.storage.blocks import map_blocks
from invae.storage.dask_cluster import difference, identity, name_of
from tests.invae.dask_cluster import N_ITEMS, ROOT, SHARD, TIMEOUT, Cluster, Slow, cluster, lay_out

BLOCKS = store.blocks(N_ITEMS, SHARD)


def shards(path: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of writing of every shard that is there."""
    files = [p for p in path.rglob("*") if p.is_file() and "c" in p.parts]
    return {str(p): (p.stat().st_ino, p.stat().st_mtime_ns) for p in files}


def kill_in_the_middle(path: Path, of: Cluster, seen: dict[str, tuple[int, int]]) -> None:
    """Kill a worker once a quarter of the shards are there; `seen` gets those."""
    end = time.monotonic() + TIMEOUT
    while len(shards(path)) < len(BLOCKS) // 4 and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(of.workers[0].pid, signal.SIGKILL)
    of.workers[0].wait()
    seen |= shards(path)


def test_a_worker_killed_in_the_middle_costs_no_value_and_nothing_that_was_finished(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lay_out(tmp_path / "here")
    expected = map_blocks(Slow(tmp_path / "here", 0), BLOCKS, compute=ComputeConfig())
    lay_out(tmp_path / "there")
    seen: dict[str, tuple[int, int]] = {}
    told: list[tuple[int, int]] = []
    with cluster(tmp_path) as of, caplog.at_level(logging.INFO, "invae"):
        killer = threading.Thread(
            target=kill_in_the_middle, args=(tmp_path / "there", of, seen), daemon=True
        )
        killer.start()
        found = map_blocks(
            Slow(tmp_path / "there"),
            BLOCKS,
            compute=ComputeConfig(scheduler=of.address),
            progress=lambda done, total: told.append((done, total)),
        )
        killer.join()
        assert of.workers[1].poll() is None
    assert found == expected
    assert 3 <= len(seen) < len(BLOCKS)
    assert seen.items() <= shards(tmp_path / "there").items()
    here, there = (store.open_store(tmp_path / name)["height"] for name in ("here", "there"))
    np.testing.assert_array_equal(there, here)
    assert told == [(done, len(BLOCKS)) for done in range(1, len(BLOCKS) + 1)]
    lines = [record.getMessage() for record in caplog.records]
    assert any("was lost" in line for line in lines)
    assert any("block 0:2 in 0." in line for line in lines)


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invae.storage.dask_cluster.SECONDS_TO_ANSWER", 0.5)
    with pytest.raises(ClusterError, match=r"tcp://127.0.0.1:1: no Dask scheduler answers"):
        map_blocks(str, [1], compute=ComputeConfig(scheduler="tcp://127.0.0.1:1"))


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 2])
def test_a_stopped_scheduler_is_one_line_in_bounded_time(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "SECONDS_TO_ANSWER", 20.0 if after else 2.0)
    monkeypatch.setattr(dask_cluster, "SECONDS_OF_SILENCE", 1.0)
    lay_out(tmp_path / "store")
    with cluster(tmp_path, n_workers=1) as of:

        def stop(done: int, _total: int) -> None:
            if done == after:
                monkeypatch.setattr(dask_cluster, "SECONDS_TO_ANSWER", 2.0)
                os.kill(of.scheduler.pid, signal.SIGSTOP)

        stop(0, 0)
        began = time.monotonic()
        with pytest.raises(InvaeError, match=r"no Dask scheduler answers|has stopped answering"):
            map_blocks(
                Slow(tmp_path / "store"),
                BLOCKS,
                compute=ComputeConfig(scheduler=of.address),
                progress=stop,
            )
        assert time.monotonic() - began < 60


def test_a_worker_of_other_code_is_named_with_what_differs() -> None:
    ours = {"invae": "0.5", "numpy": "2.4.6", "torch": "2.13.0"}
    assert difference({"invae": "0.5", "numpy": "2.3.0"}, ours=ours) == (
        "numpy 2.3.0 instead of 2.4.6"
    )
    assert difference(identity(), ours=identity()) == ""


@pytest.mark.slow
def test_a_worker_of_another_version_is_refused_in_one_line(tmp_path: Path) -> None:
    for package in ("invae", "tests"):
        shutil.copytree(ROOT / package, tmp_path / package)
    with (tmp_path / "invae" / "progress.py").open("a") as file:
        file.write("# changed\n")
    with cluster(tmp_path, n_workers=1, root=tmp_path) as of:
        ours = identity()["code"]
        with pytest.raises(ClusterError, match=rf"worker tcp.* runs code \w+ instead of {ours};"):
            map_blocks(str, [1], compute=ComputeConfig(scheduler=of.address))


def test_blocks_are_named_as_slices_are_written() -> None:
    assert name_of((slice(0, 8), slice(16, 24))) == "0:8, 16:24"
    assert name_of(3) == "3"
