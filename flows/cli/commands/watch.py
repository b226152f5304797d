"""`invae watch`: every new recording in a folder is processed once."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.commands import daemon, options
from flows.cli.terminal import answer


def watch(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the instrument writes its recordings.")
    ],
    config: options.ConfigName = options.DEFAULT_CONFIG,
    out: options.Out = Path("results"),
    settings: daemon.Settings = None,
    at_once: daemon.AtOnce = 2,
    once: Annotated[
        bool, typer.Option("--once", help="Look once, process what is there, and end.")
    ] = False,
    retry: Annotated[
        str | None,
        typer.Option(
            "--retry",
            metavar="NAME",
            help="Ask that a recording that was set aside be tried again, and end.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Process every new recording in a folder once, until ctrl-C; what cannot be read is set aside with a reason.

    A recording is taken when its files have been still for a while; copies, renamed and touched files get no second run,
    and what was stopped in the middle goes on. With PREFECT_API_URL set, runs go to that server and whoever works for it.

    For example:

      invae watch /instrument/outbox --config pfm-walls --out results

      invae watch /instrument/outbox --out results --set settle=30 --set 'series=(?P<series>.+)_[0-9]+.ibw'

      invae watch /instrument/outbox --out results --retry scan_0007
    """
    from flows.watching.watcher import request_retry

    if retry is not None:
        entry = request_retry(out, retry)
        answer(f"{entry.recording} is tried again at the next scan (it was: {entry.reason})")
        return
    watched = daemon.watched(folder, out, config, settings)
    plan = daemon.Plan(watched, out, [watched.config], at_once, port=0, once=once)
    daemon.stay(plan, alone=True)


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="Operations")(watch)
