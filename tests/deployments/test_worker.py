"""The worker of a facility runs the flows of `prefect.yaml`, whatever has been written into a deployment on the server."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.types.entrypoint import EntrypointType
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from deployments import worker
from flows.day import day
from invae.errors import InvaeError

POOL = "pool-of-the-test"
SHELL = "prefect.deployments.steps.run_shell_script"


@flow
def stranger() -> None: ...


def test_the_flows_of_the_file_are_those_that_can_be_run():
    assert worker.flows() == {
        "process": "flows.process.process",
        "watch": "flows.watch.watch",
        "day": "flows.day.day",
    }
    assert worker.variables() == {("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "30")}


def test_nothing_of_the_server_but_the_name_of_the_flow_is_used(prefect_server, tmp_path):
    written = ProcessJobConfiguration(
        command="touch marker",
        working_dir=tmp_path,
        env={
            "LD_PRELOAD": "/tmp/evil.so",
            "PYTHONPATH": "/tmp/evil",
            worker.ENTRYPOINT: "os.abort",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        },
    )

    async def own() -> ProcessJobConfiguration:
        async with get_client() as client:
            run = await client.create_flow_run(day, parameters={"out": "x"})
            return await worker.configured(written, run)

    made = anyio.run(own)
    assert made.command == f"{sys.executable} -m prefect.engine"
    assert made.working_dir is None, "a new, empty folder"
    added = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30", worker.ENTRYPOINT: "flows.day.day"}
    assert made.env == {**os.environ, **added}


def test_a_flow_that_is_not_in_the_file_is_refused(prefect_server):
    async def refuse() -> None:
        async with get_client() as client:
            run = await client.create_flow_run(stranger)
            with pytest.raises(InvaeError, match=r"refused: stranger is no flow of prefect\.yaml"):
                await worker.configured(ProcessJobConfiguration(), run)

    anyio.run(refuse)


async def patched(marker: Path, out: Path) -> Any:
    """A scheduled run of a deployment with other pull steps, command and entry point."""
    script = f"touch {marker}"
    async with get_client() as client:
        template = ProcessWorker.get_default_base_job_template()
        pool = WorkPoolCreate(name=POOL, type="process", base_job_template=template)
        await client.create_work_pool(pool)
        deployment = await day.ato_deployment(
            "facility",
            parameters={"out": str(out)},
            work_pool_name=POOL,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        known = await deployment.aapply()
        changes = {
            "pull_steps": [{SHELL: {"script": script}}],
            "entrypoint": "os.abort",
            "job_variables": {"command": script},
        }
        answer = await client._client.patch(f"/deployments/{known}", json=changes)
        assert answer.is_success
        return (await client.create_flow_run_from_deployment(known)).id


async def state_of(run: Any) -> str:
    async with get_client() as client:
        return (await client.read_flow_run(run)).state_name or ""


@pytest.mark.slow
def test_a_worker_does_not_run_the_commands_of_a_changed_deployment(prefect_server, tmp_path):
    marker = tmp_path / "marker"
    run = anyio.run(patched, marker, tmp_path / "out")
    words = ["start", "--pool", POOL, "--type", "process", "--run-once"]
    subprocess.run(
        [sys.executable, "-m", "deployments.worker", *words],
        env={**os.environ, "PREFECT_API_URL": prefect_server, "PYTHONPATH": str(Path.cwd())},
        timeout=240,
        check=True,
    )
    assert not marker.exists()
    assert anyio.run(state_of, run) == "Completed"
