"""`invae watch`: every new recording in a folder is processed once."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.commands import daemon, options
from flows.cli.terminal import print_result


def watch(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder into which the instrument writes.")
    ],
    config: options.ConfigName = options.DEFAULT_CONFIG,
    out: options.Out = Path("results"),
    settings: daemon.Settings = None,
    at_once: daemon.AtOnce = 2,
    once: Annotated[
        bool, typer.Option("--once", help="Process the recordings in the folder, then exit.")
    ] = False,
    retry: Annotated[
        str | None,
        typer.Option(
            "--retry",
            metavar="NAME",
            help="Queue a quarantined recording for another attempt, then exit.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Process every new recording in a folder once; unreadable files are quarantined with a reason.

    Runs until ctrl-C. A recording starts when its files have not changed for a while. Copies, renamed and touched files
    are not processed again; interrupted runs continue. If PREFECT_API_URL is set, the workers of that server do the runs.

    For example:

      invae watch /instrument/outbox --config pfm-walls --out results

      invae watch /instrument/outbox --out results --set settle=30 --set 'series=(?P<series>.+)_[0-9]+.ibw'

      invae watch /instrument/outbox --out results --retry scan_0007
    """
    from flows.watching.watcher import request_retry

    if retry is not None:
        entry = request_retry(out, retry)
        print_result(
            f"{entry.recording} gets another attempt at the next scan (last reason: {entry.reason})"
        )
        return
    watched = daemon.watch_config(folder, out, config, settings)
    plan = daemon.Plan(watched, out, [watched.config], at_once, port=0, once=once)
    daemon.run_until_stopped(plan, only_watch=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Operations")(watch)
