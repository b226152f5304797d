"""`invae samples`: public recordings to try things on."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.terminal import answer

samples = typer.Typer(no_args_is_help=True, help="List and fetch public sample recordings.")


@samples.command("list")
def list_samples() -> None:
    """List the recordings that can be fetched.

    For example:

      invae samples list
    """
    from invae.samples import SAMPLES

    for sample in SAMPLES.values():
        answer(f"{sample.name:<26} {sample.n_bytes / 1e6:6.1f} MB  {sample.description}")


@samples.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="See `invae samples list`.")],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", show_default="the cache", help="Where to.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Take it from this folder, without network."),
    ] = None,
) -> None:
    """Fetch a recording, check its SHA-256, and say where it is.

    For example:

      invae samples fetch scan_0001.ibw --to data

      invae samples fetch scan_0001.ibw --from /media/stick
    """
    from invae.samples import fetch as get

    answer(get(name, to=to, source=source))


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.add_typer(samples, name="samples")
