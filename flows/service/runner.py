"""The runner of this machine: it polls the server and starts one process per run.

`python -m flows.service.runner` reads its configuration as JSON from the first line of input. It ends when its input closes,
together with all its runs. These become crashed, and continue after `flows.service.recovery` has rescheduled them.
"""

import asyncio
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from flows.service.warm import warm_process
from invae.config import ProcessConfig, WatchConfig
from invae.config.schema import Config

if TYPE_CHECKING:
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
        await runner.aadd_deployment(deployment)
    return runner


def start_by_launching() -> None:
    """Make Prefect start runs by `flows.service.launch`, which forks the warm process."""
    from prefect.runner import runner
    from prefect.runner._starter_engine import EngineCommandStarter

    command = shlex.join([sys.executable, "-m", "flows.service.launch"])
    # a work pool has a setting for this command, a runner does not
    setattr(runner, "EngineCommandStarter", partial(EngineCommandStarter, command=command))  # noqa: B010


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
        start_by_launching()  # imports Prefect while the server starts
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
