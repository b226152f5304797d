"""The process that carries out runs on this machine: it polls the server, and every run gets a process of its own.

`python -m flows.service.runner` reads what to serve as JSON from its first line of input and goes when its input closes, with all
runs that it has started: they end as crashed, and go on where they were when they are put back on the list.
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

from flows.service.warm import warm
from invae.config import ProcessConfig, WatchConfig
from invae.config.schema import Config

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment
    from prefect.runner import Runner

POLL_SECONDS = 2.0
STOP_SECONDS = 15.0
READY = "ready"
AFTER_MIDNIGHT = "5 0 * * *"
"""When the page of the day before is written, UTC."""
SHORT_AT_ONCE = 2
"""Short flows have places of their own, so that they do not wait behind long ones."""


class Served(Config):
    """What one machine carries out."""

    configs: tuple[ProcessConfig, ...]
    """A deployment `process/NAME` for each."""
    out: str
    """Where runs that are started by hand put their results."""
    watch: WatchConfig | None = None
    """A folder that is scanned by a schedule."""
    at_once: Annotated[int, Field(ge=1, le=64)] = 2
    """Recordings that are processed at the same time."""


async def recording_deployments(served: Served) -> list["RunnerDeployment"]:
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


async def short_deployments(served: Served) -> list["RunnerDeployment"]:
    """Deployments of flows that take seconds and come by a schedule."""
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


async def carry_out(served: Served) -> None:
    """Serve the deployments until cancelled."""
    long = await _runner("recordings", await recording_deployments(served), limit=served.at_once)
    short = await _runner("scans", await short_deployments(served), limit=SHORT_AT_ONCE)
    print(READY, flush=True)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nobody reads on; what runs print is log
    await asyncio.gather(long.start(), short.start())


async def _runner(name: str, deployments: Sequence["RunnerDeployment"], *, limit: int) -> "Runner":
    from prefect.runner import Runner

    runner = Runner(name, query_seconds=POLL_SECONDS, limit=limit, pause_on_shutdown=False)
    for deployment in deployments:
        await runner.aadd_deployment(deployment)
    return runner


def start_by_launching() -> None:
    """Have Prefect start the processes of runs by `flows.service.launch`, which takes a copy of the warm process."""
    from prefect.runner import runner
    from prefect.runner._starter_engine import EngineCommandStarter

    command = shlex.join([sys.executable, "-m", "flows.service.launch"])
    # a work pool has a setting for this command, a runner has none
    setattr(runner, "EngineCommandStarter", partial(EngineCommandStarter, command=command))  # noqa: B010


class _Work(threading.Thread):
    """The event loop, beside the main thread: there Prefect would answer SIGTERM by cancelling all runs for good."""

    def __init__(self, served: Served) -> None:
        super().__init__(daemon=True)
        self._served = served
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None

    def run(self) -> None:
        self._task = self._loop.create_task(carry_out(self._served))
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        os.kill(os.getpid(), signal.SIGTERM)  # nothing is carried out any more: the process ends

    def stop(self) -> None:
        """End all runs and the loop."""
        if self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        self.join(STOP_SECONDS)


class _Stop(BaseException):
    """Somebody asked the process to end."""


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise _Stop


def main() -> None:
    """Serve what the first line of input says until the input closes."""
    with warm():
        start_by_launching()  # imports Prefect, which takes as long as the server takes to start
        line = sys.stdin.readline()
        if line:
            _serve(Served.model_validate_json(line))


def _serve(served: Served) -> None:
    work = _Work(served)
    signal.signal(signal.SIGTERM, _stop)
    with suppress(_Stop):
        work.start()
        sys.stdin.read()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    work.stop()


if __name__ == "__main__":
    main()
