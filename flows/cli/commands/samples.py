"""`invae samples`: public recordings for first trials."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.terminal import print_result

samples = typer.Typer(no_args_is_help=True, help="List and fetch public sample recordings.")


@samples.command("list")
def list_samples() -> None:
    """List the available recordings.

    For example:

      invae samples list
    """
    from invae.samples import SAMPLES

    for sample in SAMPLES.values():
        print_result(f"{sample.name:<26} {sample.n_bytes / 1e6:6.1f} MB  {sample.description}")


@samples.command()
def fetch(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of a sample, see `invae samples list`.")
    ],
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", show_default="the cache", help="Target folder."),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FOLDER", help="Copy from this folder instead of the network."
        ),
    ] = None,
) -> None:
    """Fetch a recording, check its SHA-256 and print its path.

    For example:

      invae samples fetch scan_0001.ibw --to data

      invae samples fetch scan_0001.ibw --from /media/stick
    """
    from invae.samples import fetch as get

    print_result(get(name, to=to, source=source))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(samples, name="samples")
