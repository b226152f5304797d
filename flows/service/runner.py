"""The runner of this machine: it polls the server and starts one process per run.

`python -m flows.service.runner` reads its configuration as JSON from the first line of input. It ends when its input closes,
together with all its runs. These become crashed, and continue after `flows.service.recovery` has rescheduled them.

Runs execute only the entry points that this process has deployed. Pull steps, entry points and variables of jobs that the
server has for a deployment are ignored: whoever can change them could otherwise run any command here.
"""

import asyncio
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from pydantic import Field

from flows.service.warm import warm_process
from invae.config import ProcessConfig, WatchConfig
from invae.config.schema import Config
from invae.errors import ServerError

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun
    from prefect.deployments.runner import RunnerDeployment
    from prefect.runner import Runner

POLL_SECONDS = 2.0
STOP_SECONDS = 15.0
READY = "ready"
AFTER_MIDNIGHT = "5 0 * * *"
"""Schedule of the page of the previous day, UTC."""
SHORT_AT_ONCE = 2
"""Short flows in parallel; they have their own limit, so that they do not wait for long ones."""


class ServeConfig(Config):
    """The deployments of one machine."""

    configs: tuple[ProcessConfig, ...]
    """A deployment `process/NAME` for each."""
    out: str
    """Output folder of runs that are started by hand."""
    watch: WatchConfig | None = None
    """A folder that a schedule scans."""
    at_once: Annotated[int, Field(ge=1, le=64)] = 2
    """Number of recordings processed in parallel."""


async def recording_deployments(served: ServeConfig) -> list["RunnerDeployment"]:
    """A deployment of `process` for every configuration."""
    from prefect.types.entrypoint import EntrypointType

    from flows.process import process

    return [
        await process.ato_deployment(
            config.name,
            parameters={
                "sources": [],
                "out": served.out,
                "config": config.model_dump(mode="json"),
            },
            description=config.description,
            version=config.version,
            tags=["invae"],
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for config in served.configs
    ]


async def short_deployments(served: ServeConfig) -> list["RunnerDeployment"]:
    """Deployments of the short, scheduled flows."""
    from prefect.types.entrypoint import EntrypointType

    from flows.day import day
    from flows.watch import watch

    page = await day.ato_deployment(
        "day",
        parameters={"out": served.out, "days_ago": 1},
        cron=AFTER_MIDNIGHT,
        tags=["invae"],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    if served.watch is None:
        return [page]
    return [
        page,
        await watch.ato_deployment(
            "watch",
            parameters={"config": served.watch.model_dump(mode="json")},
            interval=served.watch.interval,
            tags=["invae"],
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
    ]


async def run_deployments(served: ServeConfig) -> None:
    """Serve all deployments until cancelled."""
    long = await _runner("recordings", await recording_deployments(served), limit=served.at_once)
    short = await _runner("scans", await short_deployments(served), limit=SHORT_AT_ONCE)
    print(READY, flush=True)
    os.dup2(
        sys.stderr.fileno(), sys.stdout.fileno()
    )  # nobody reads the output any more; what runs print goes to the log
    await asyncio.gather(long.start(), short.start())


async def _runner(name: str, deployments: Sequence["RunnerDeployment"], *, limit: int) -> "Runner":
    from prefect.runner import Runner

    runner = Runner(name, query_seconds=POLL_SECONDS, limit=limit, pause_on_shutdown=False)
    for deployment in deployments:
        _deployed[await runner.aadd_deployment(deployment)] = str(deployment.entrypoint)
    return runner


_deployed: dict[UUID, str] = {}
"""Entry point of every deployment of this process."""


def entrypoint_of(flow_run: "FlowRun") -> str:
    """The entry point that this process has deployed for a run, whatever the server has now.

    Raises:
        ServerError: if the run belongs to no deployment of this process.
    """
    found = _deployed.get(flow_run.deployment_id) if flow_run.deployment_id else None
    if found is None:
        raise ServerError(f"run {flow_run.name} is refused: its deployment is not from here")
    return found


class _Starter:
    """Starts a run by `flows.service.launch`, which forks the warm process, with the entry point of its deployment."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    async def start(self, flow_run: "FlowRun", **status: Any) -> None:
        from prefect.runner._starter_engine import EngineCommandStarter

        command = shlex.join([sys.executable, "-m", "flows.service.launch"])
        entrypoint = entrypoint_of(flow_run)
        starter = EngineCommandStarter(**self._options, command=command, entrypoint=entrypoint)
        await starter.start(flow_run, **status)


async def _deployed_flow(flow_run: "FlowRun", **_: Any) -> "Flow[..., Any]":
    """The flow of a run, whose hooks the runner calls when the process has died."""
    from prefect.flows import load_flow_from_entrypoint

    return load_flow_from_entrypoint(entrypoint_of(flow_run))


def run_only_what_is_deployed() -> None:
    """Make Prefect's runner start and load only what this process has deployed."""
    from prefect.runner import runner

    # a work pool has settings for these, a runner does not
    setattr(runner, "EngineCommandStarter", _Starter)  # noqa: B010
    setattr(runner, "load_flow_from_flow_run", _deployed_flow)  # noqa: B010


class _Work(threading.Thread):
    """Thread of the event loop. In the main thread, Prefect would answer SIGTERM by cancelling all runs for good."""

    def __init__(self, served: ServeConfig) -> None:
        super().__init__(daemon=True)
        self._served = served
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None

    def run(self) -> None:
        self._task = self._loop.create_task(run_deployments(self._served))
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        os.kill(os.getpid(), signal.SIGTERM)  # the loop has ended, so the process ends

    def stop(self) -> None:
        """Cancel all runs and end the loop."""
        if self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        self.join(STOP_SECONDS)


class _Stop(BaseException):
    """The process was asked to end."""


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise _Stop


def main() -> None:
    """Serve the configuration of the first line of input until the input closes."""
    with warm_process():
        run_only_what_is_deployed()  # imports Prefect while the server starts
        line = sys.stdin.readline()
        if line:
            _serve(ServeConfig.model_validate_json(line))


def _serve(served: ServeConfig) -> None:
    work = _Work(served)
    signal.signal(signal.SIGTERM, _stop)
    with suppress(_Stop):
        work.start()
        sys.stdin.read()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    work.stop()


if __name__ == "__main__":
    main()
