"""`invae serve`: Prefect server, runner and schedules on one machine."""

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
            "--watch", metavar="DIR", help="Folder in which recordings arrive.", show_default="none"
        ),
    ] = None,
    config: options.ConfigName = options.DEFAULT_CONFIG,
    out: options.Out = Path("results"),
    settings: daemon.Settings = None,
    at_once: daemon.AtOnce = 2,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the UI; 0 for a free one.")
    ] = PORT,
    host: Annotated[
        str, typer.Option(help="Listening address; any but the loopback needs a login.")
    ] = LOOPBACK,
) -> None:
    """Run the Prefect server with UI, schedules and runs on this machine until ctrl-C, which stops everything.

    Every named configuration becomes a deployment `process/NAME`. With --watch, the deployment `watch/watch` scans the
    folder on a schedule; new recordings are also detected immediately.

    For example:

      invae serve --watch /instrument/outbox --config pfm-walls@2 --out results

      invae serve --port 4300
    """
    from invae.config import named

    watched = daemon.watch_config(watch, out, config, settings) if watch else None
    names = [watched.config if watched else config, *named.available()]
    plan = daemon.Plan(watched, out, names, at_once, port=port, host=host, scheduled=True)
    daemon.run_until_stopped(plan, only_watch=False)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Operations")(serve)
