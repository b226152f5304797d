"""Commands that stay: what `watch` and `serve` share, from the options to ctrl-C."""

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

Say = Callable[[str], None]

STEP_SECONDS = 0.2

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change how it is watched: settle, interval, glances, series, series_settle, suffixes, attempts, backoff.",
        show_default=False,
    ),
]
AtOnce = Annotated[
    int, typer.Option("--at-once", min=1, max=64, help="Recordings processed at the same time.")
]


def watched(folder: Path, out: Path, config: str, settings: Sequence[str] | None) -> "WatchConfig":
    """What the options say is watched.

    Raises:
        ConfigError: if a setting is not valid, or there is no such configuration.
        InputError: if the folder is none, or `out` lies on an object store.
    """
    from invae.config import WatchConfig, named
    from invae.errors import InputError
    from invae.storage.location import as_local_path

    out = as_local_path(out, what="what is watched, and its ledger,")
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the one that recordings arrive in")
    name = str(Path(config).resolve()) if Path(config).is_file() else config
    named.load(name)
    places = {"folder": str(folder.resolve()), "out": str(out.resolve()), "config": name}
    values = named.changed(places, settings or [], model=WatchConfig)
    return named.checked(WatchConfig, values, prefix="watch")


@dataclass(frozen=True)
class Plan:
    """What a command that stays was asked for."""

    watch: "WatchConfig | None"
    out: Path
    configs: Sequence[str]
    """Configurations that become deployments."""
    at_once: int
    port: int
    host: str = LOOPBACK
    scheduled: bool = False
    """Whether the folder is scanned by a schedule of the server, too."""
    once: bool = False
    """Whether to end when everything is done that is there."""


def stay(plan: Plan, *, alone: bool) -> None:
    """Serve and watch until ctrl-C, or until everything is done that is there.

    Args:
        plan: what was asked for.
        alone: whether to leave the runs to others where the person has set a server.
    """
    prepare_environment(verbose=verbose())
    console = progress_console()

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    from prefect.settings import get_current_settings

    with _until_stopped(say):
        if alone and get_current_settings().api.url:
            for _ in _steps(plan, say):
                time.sleep(STEP_SECONDS)
        else:
            _serve(plan, say)


def _serve(plan: Plan, say: Say) -> None:
    from flows.service.runner import Served
    from flows.service.supervisor import serving
    from invae.config import named

    configs = {one.name: one for one in map(named.load, reversed(plan.configs))}
    served = Served(
        configs=tuple(configs.values()),
        out=str(plan.out.resolve()),
        watch=plan.watch if plan.scheduled else None,
        at_once=plan.at_once,
    )
    with serving(served, host=plan.host, port=plan.port, say=say) as held:
        say(f"watch it at {held.page}; ctrl-C ends everything")
        for _ in _steps(plan, say):
            held.tend()
            time.sleep(STEP_SECONDS)


def _steps(plan: Plan, say: Say) -> Iterator[None]:
    """One pass of everything there is to do; ends only if it was asked to."""
    if plan.watch is None or (plan.scheduled and not plan.watch.glances):
        while True:
            yield
    from flows.watching.polling import Follower
    from flows.watching.watcher import Watcher

    follower = Follower(Watcher(plan.watch), say)
    say(f"new recordings in {plan.watch.folder} are processed with {plan.watch.config}")
    while not (plan.once and follower.is_idle):
        follower.step()
        yield


@contextmanager
def _until_stopped(say: Say) -> Iterator[None]:
    """End quietly on ctrl-C, and on the signal by which a service is stopped."""
    usual = signal.signal(signal.SIGTERM, interrupts.on_interrupt)
    try:
        with interrupts.restoring_interrupts():
            yield
    except KeyboardInterrupt:
        say("stopped; nothing runs any more, what was under way goes on the next time")
    finally:
        signal.signal(signal.SIGTERM, usual)
