"""Whoever is killed, in whichever stage: afterwards everything is there, once, as if nothing had happened."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from distributed import Client

from invae.stages import stages
from tests.flows import as_undisturbed
from tests.flows.as_undisturbed import PATIENCE, wait_for
from tests.flows.station import RUN, Station, stations
from tests.invae.dask_cluster import Cluster, cluster

pytestmark = pytest.mark.slow

VICTIMS = {"flow": RUN, "runner": "flows.service.runner", "server": "flows.service.server"}
IN_BLOCKS = ("ingest", "describe", "analyse")
"""Stages whose work goes to Dask."""


def arrival(source: Path, box: Path, name: str) -> None:
    """The same images with another remark, so that it is another recording; it comes in one piece."""
    hidden = box / f".{name}"
    shutil.copytree(source, hidden)
    root = json.loads((hidden / "zarr.json").read_text())
    root["attributes"]["remark"] = name
    (hidden / "zarr.json").write_text(json.dumps(root))
    hidden.rename(box / name)


@pytest.fixture(scope="module")
def station(undisturbed, tmp_path_factory) -> Iterator[Station]:
    """One `invae serve` for the whole matrix: what one kill leaves behind would show in the next cell."""
    settings = undisturbed.config.model_dump(mode="json")
    with stations(tmp_path_factory.mktemp("station"), settings) as start:
        served = start("--set", "settle=1", "--set", "interval=3600", "--set", "backoff=1")
        yield served
        assert served.stop()[0] == 0  # and nothing that it has started is left


@pytest.mark.parametrize("stage", list(stages.STAGES))
@pytest.mark.parametrize("victim", list(VICTIMS))
def test_a_killed_process_of_a_station_costs_no_value_and_no_second_run(
    victim, stage, station, undisturbed
):
    name = f"{victim}-{stage}"
    arrival(undisturbed.source, station.box, f"{name}.zarr")
    folder = station.out / name
    wait_for(stage, folder, ended=station.process.poll)
    flow_run = station.known()[f"{name}.zarr"].flow_run
    own, killed = station.child(RUN), station.child(VICTIMS[victim])
    killed.kill()
    done = station.wait_until(f"{name}.zarr", "done", "set aside")
    assert done.state == "done", done
    as_undisturbed.check(folder, undisturbed.folder)
    (run,) = [run for run in station.runs("process") if run["name"] == f"process {name}"]
    assert run["id"] == done.flow_run == flow_run
    assert run["run_count"] == 2
    assert not own.is_running()
    assert not killed.is_running()


def kill_at_work(of: Cluster, run: subprocess.Popen[str]) -> None:
    """Kill the first worker while it has a block that it has not finished."""
    victim, end = of.workers[0], time.monotonic() + PATIENCE
    with Client(of.address, set_as_default=False) as client:
        pids: Any = client.run(os.getpid)
        (address,) = (one for one, pid in pids.items() if pid == victim.pid)

        def has_block() -> bool:
            blocks: Any = client.processing(workers=[address])
            return bool(blocks[address])

        while True:
            assert run.poll() is None, "it ended before the worker had a block"
            assert time.monotonic() < end
            if not has_block():
                continue
            victim.send_signal(signal.SIGSTOP)
            if has_block():  # and stands still with it
                break
            victim.send_signal(signal.SIGCONT)
        victim.kill()


@pytest.mark.parametrize("stage", IN_BLOCKS)
def test_a_killed_worker_of_dask_costs_no_value(
    stage, prefect_server, undisturbed, tmp_path, monkeypatch
):
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    path, out = tmp_path / "config.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(undisturbed.config.model_dump(mode="json")))
    command = [sys.executable, "-m", "flows.cli.main", "run", str(undisturbed.source)]
    command += ["--config", str(path), "--out", str(out)]
    folder = out / undisturbed.folder.name
    with cluster(tmp_path) as of:
        command += ["--set", f"compute.scheduler={of.address}"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
            wait_for(stage, folder, ended=lambda: run.poll() is not None)
            kill_at_work(of, run)
            assert not (folder / stages.STAGES[stage].output).exists()
            _, told = run.communicate(timeout=PATIENCE)
        assert run.returncode == 0, told
        assert of.workers[1].poll() is None
    as_undisturbed.check(folder, undisturbed.folder)
