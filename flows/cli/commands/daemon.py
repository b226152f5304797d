"""What the commands `watch` and `serve` share: options, the loop and ctrl-C."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.terminal import progress_console, verbose
from flows.service.server import LOOPBACK, prepare_environment
from tasks import interrupts

if TYPE_CHECKING:
    from invae.config import WatchConfig

Print = Callable[[str], None]

STEP_SECONDS = 0.2

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting of watching: settle, interval, glances, series, series_settle, suffixes, attempts, backoff.",
        show_default=False,
    ),
]
AtOnce = Annotated[
    int,
    typer.Option("--at-once", min=1, max=64, help="Number of recordings processed in parallel."),
]


def watch_config(
    folder: Path, out: Path, config: str, settings: Sequence[str] | None
) -> "WatchConfig":
    """Settings of watching from the options.

    Raises:
        ConfigError: if a setting is not valid, or the configuration does not exist.
        InputError: if the folder does not exist, or `out` is on an object store.
    """
    from invae.config import WatchConfig, named
    from invae.errors import InputError
    from invae.storage.location import as_local_path

    out = as_local_path(out, what="the ledger of a watched folder")
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the one that recordings arrive in")
    name = str(Path(config).resolve()) if Path(config).is_file() else config
    named.load(name)
    places = {"folder": str(folder.resolve()), "out": str(out.resolve()), "config": name}
    values = named.changed(places, settings or [], model=WatchConfig)
    return named.checked(WatchConfig, values, prefix="watch")


@dataclass(frozen=True)
class Plan:
    """Options of `watch` or `serve`."""

    watch: "WatchConfig | None"
    out: Path
    configs: Sequence[str]
    """Configurations, one deployment each."""
    at_once: int
    port: int
    host: str = LOOPBACK
    scheduled: bool = False
    """Whether a schedule of the server scans the folder as well."""
    once: bool = False
    """Whether to exit when all present recordings are done."""


def run_until_stopped(plan: Plan, *, only_watch: bool) -> None:
    """Serve and watch until ctrl-C, or with `once` until all present recordings are done.

    Args:
        plan: options of the command.
        only_watch: whether to leave the runs to workers if the user has set a server.
    """
    prepare_environment(verbose=verbose())
    console = progress_console()

    def report(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    from prefect.settings import get_current_settings

    from flows.service.login import logged_in, login_for

    address = get_current_settings().api.url
    with _until_stopped(report):
        if only_watch and address:
            with logged_in(address, login_for(address)):
                for _ in _steps(plan, report):
                    time.sleep(STEP_SECONDS)
        else:
            _serve(plan, report)


def _serve(plan: Plan, report: Print) -> None:
    from flows.service.runner import ServeConfig
    from flows.service.supervisor import supervised
    from invae.config import named

    configs = {one.name: one for one in map(named.load, reversed(plan.configs))}
    served = ServeConfig(
        configs=tuple(configs.values()),
        out=str(plan.out.resolve()),
        watch=plan.watch if plan.scheduled else None,
        at_once=plan.at_once,
    )
    with supervised(served, host=plan.host, port=plan.port, report=report) as supervisor:
        report(f"Prefect UI at {supervisor.page}; ctrl-C stops everything")
        if supervisor.hint:
            report(supervisor.hint)
        for _ in _steps(plan, report):
            supervisor.tend()
            time.sleep(STEP_SECONDS)


def _steps(plan: Plan, report: Print) -> Iterator[None]:
    """One pass over the watched folder per step; ends only with `once`."""
    if plan.watch is None or (plan.scheduled and not plan.watch.glances):
        while True:
            yield
    from flows.watching.polling import Follower
    from flows.watching.watcher import Watcher

    follower = Follower(Watcher(plan.watch), report)
    report(f"new recordings in {plan.watch.folder} are processed with {plan.watch.config}")
    while not (plan.once and follower.is_idle):
        follower.step()
        yield


@contextmanager
def _until_stopped(report: Print) -> Iterator[None]:
    """Exit without an error on ctrl-C and on SIGTERM, the signal that stops a service."""
    previous = signal.signal(signal.SIGTERM, interrupts.on_interrupt)
    try:
        with interrupts.restoring_interrupts():
            yield
    except KeyboardInterrupt:
        report("stopped; interrupted runs continue at the next start")
    finally:
        signal.signal(signal.SIGTERM, previous)
