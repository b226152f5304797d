"""`invae serve`: server, runner and schedules on one machine, beside an instrument."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.commands import daemon, options
from flows.service.server import LOOPBACK

PORT = 4200


def serve(
    watch: Annotated[
        Path | None,
        typer.Option(
            "--watch", metavar="DIR", help="Where recordings arrive.", show_default="nowhere"
        ),
    ] = None,
    config: options.ConfigName = options.DEFAULT_CONFIG,
    out: options.Out = Path("results"),
    settings: daemon.Settings = None,
    at_once: daemon.AtOnce = 2,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the UI; 0: a free one.")] = PORT,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than the loopback need a login.")
    ] = LOOPBACK,
) -> None:
    """Run the Prefect server, its UI, schedules and runs on this machine until ctrl-C, which ends all of it.

    Every named configuration becomes a deployment `process/NAME`; with --watch, `watch/watch` scans the folder by a
    schedule, and new recordings are seen at once besides.

    For example:

      invae serve --watch /instrument/outbox --config pfm-walls@1 --out results

      invae serve --port 4300
    """
    from invae.config import named

    watched = daemon.watched(watch, out, config, settings) if watch else None
    names = [watched.config if watched else config, *named.available()]
    plan = daemon.Plan(watched, out, names, at_once, port=port, host=host, scheduled=True)
    daemon.stay(plan, alone=False)


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="Operations")(serve)
