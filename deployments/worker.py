"""A Prefect worker that executes only the flows of `prefect.yaml`: `python -m deployments.worker start --pool invae`.

It takes the options of `prefect worker`. Pull steps, entry points, commands, folders and variables that somebody has written
into a deployment or a pool on the server are not used: whoever has the login could otherwise run any command here.
"""

import os
import runpy
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from prefect.client.orchestration import get_client
from prefect.flows import load_flow_from_entrypoint
from prefect.workers import process
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

from invae.errors import InvaeError

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun

FILE = Path(__file__).with_name("prefect.yaml")
ENTRYPOINT = "PREFECT__FLOW_ENTRYPOINT"
"""Variable with which Prefect's engine loads a flow without asking the server."""


def flows() -> Mapping[str, str]:
    """Entry points of the file by the names of their flows."""
    entrypoints = {str(entry["entrypoint"]) for entry in _deployments()}
    return {entrypoint.rpartition(".")[2]: entrypoint for entrypoint in entrypoints}


def variables() -> set[tuple[str, str]]:
    """Environment variables, with their values, that the file sets for a run."""
    pools = (entry.get("work_pool", {}) for entry in _deployments())
    values = (pool.get("job_variables", {}).get("env", {}) for pool in pools)
    return {(str(name), str(value)) for env in values for name, value in env.items()}


def _deployments() -> list[dict[str, Any]]:
    return yaml.safe_load(FILE.read_text())["deployments"]


async def entrypoint_of(flow_run: "FlowRun") -> str:
    """The entry point of the file for a run.

    Raises:
        InvaeError: if its flow is not in the file.
    """
    async with get_client() as client:
        name = (await client.read_flow(flow_run.flow_id)).name
    if name not in flows():
        raise InvaeError(f"run {flow_run.name} is refused: {name} is no flow of {FILE.name}")
    return flows()[name]


async def configured(
    configuration: ProcessJobConfiguration, flow_run: "FlowRun"
) -> ProcessJobConfiguration:
    """The configuration of a run without anything that the server could change.

    Raises:
        InvaeError: if the flow is not in the file.
    """
    kept = {name: v for name, v in configuration.env.items() if (name, str(v)) in variables()}
    own = ProcessJobConfiguration(
        command=shlex.join([sys.executable, "-m", "prefect.engine"]),
        env={**os.environ, **kept, ENTRYPOINT: await entrypoint_of(flow_run)},
        name=configuration.name,
        stream_output=configuration.stream_output,
    )
    own._command_configured = True  # otherwise Prefect prepares a workspace by the pull steps
    return own


async def _flow_of(flow_run: "FlowRun", **_: Any) -> "Flow[..., Any]":
    """The flow of a run, whose hooks the worker calls when the process has died."""
    return load_flow_from_entrypoint(await entrypoint_of(flow_run))


def run_only_flows_of_the_file() -> None:
    """Make Prefect's workers on this machine execute only flows of the file."""
    prefects = ProcessWorker.run

    async def run(
        self: ProcessWorker,
        flow_run: "FlowRun",
        configuration: ProcessJobConfiguration,
        task_status: Any = None,
    ) -> ProcessWorkerResult:
        return await prefects(
            self, flow_run, await configured(configuration, flow_run), task_status
        )

    setattr(ProcessWorker, "run", run)  # noqa: B010
    setattr(process, "load_flow_from_flow_run", _flow_of)  # noqa: B010


def main() -> None:
    """`prefect worker` with this guard."""
    run_only_flows_of_the_file()
    sys.argv = ["prefect", "worker", *sys.argv[1:]]
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
